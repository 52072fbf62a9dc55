"""Run the command line of any method on the rows of a manifest, so that its videos can be scored.

Rows are run one at a time, since most methods write scratch files under fixed names. What a row comes to is
an outcome; what its command said is in its log.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segtalker.batch.outcome import Outcome, State, write_outcomes
from segtalker.batch.rows import DubRow
from segtalker.config import config_hash
from segtalker.errors import ConfigError, DataError, SegTalkerError
from segtalker.evaluation.method import MethodConfig, fill
from segtalker.evaluation.pairs import Pair, pair_to_values
from segtalker.media.read import probe
from segtalker.progress import OnProgress, Progress, ignore_progress
from segtalker.storage import content_sample, is_local, put_file, write_bytes

PAIRS_NAME = "pairs.jsonl"
_WORK, _LOGS, _MADE = ".work", "logs", ".made"
_TOLD = 200
"""Letters of the log's last line that stand in a reason."""


@dataclass(frozen=True)
class Method:
    """A method that is ready to run on this machine; see `ready`."""

    cfg: MethodConfig
    checkout: Path | None
    python: str


def ready(cfg: MethodConfig, checkout: Path | None = None, python: str | None = None) -> Method:
    """The method, or `ConfigError` in one line where its checkout or its program is missing."""
    if cfg.in_checkout and checkout is None:
        raise ConfigError(f"{cfg.name}: name the folder of its code (--checkout).")
    for name in cfg.needs:
        if checkout is not None and not (checkout / name).is_file():
            raise ConfigError(f"{checkout}: no {name} in it, which {cfg.name} needs. See its own README.")
    method = Method(
        cfg,
        None if checkout is None else checkout.absolute(),
        _program(python) if python else "python" if cfg.in_checkout else sys.executable,
    )
    program = fill(cfg.command[0], _own_words(method))
    if shutil.which(program) is None:
        raise ConfigError(f"{cfg.name}: there is no program '{program}'. Name its Python (--python).")
    return method


def run_method(
    method: Method,
    rows: Sequence[DubRow],
    out: Path,
    overwrite: bool = False,
    tell: OnProgress = ignore_progress,
) -> list[Outcome]:
    """Make `out`/ID.mp4 for every row; what is there of the same inputs and command is not made again.

    Also writes `outcomes.jsonl` and `.csv`, a log of each row, and `pairs.jsonl` to score: each row with its
    video as source and its speech.
    """
    for row in rows:
        for place in row.inputs.values():
            if not is_local(place):
                raise DataError(f"{place}: methods of others read local files only. Copy it to this machine.")
    pairs = [
        Pair(id=row.id, output=str(_output(row, out)), source=row.video, speech=row.speech) for row in rows
    ]
    lines = [json.dumps(pair_to_values(pair), ensure_ascii=False) + "\n" for pair in pairs]
    write_bytes(out / PAIRS_NAME, "".join(lines).encode())
    outcomes: list[Outcome] = []
    tell(Progress(f"running {method.cfg.name}", 0, len(rows), "video"))
    try:
        for row in rows:
            outcomes.append(_run_row(method, row, out, overwrite))
            write_outcomes(outcomes, out)
            tell(Progress(f"running {method.cfg.name}", len(outcomes), len(rows), "video"))
    finally:
        shutil.rmtree(out / _WORK, ignore_errors=True)
    return outcomes


def _run_row(method: Method, row: DubRow, out: Path, overwrite: bool) -> Outcome:
    """Never raises for what the method does."""
    output, started, key = _output(row, out), time.monotonic(), ""
    state: State = "failed"
    reason = ""
    try:
        key = _key(method, row)
        state = _standing(row, key, out, overwrite)
        if state == "done":
            _make(method, row, out)
            write_bytes(_made(row, out), key.encode())
    except (SegTalkerError, OSError) as error:
        state, reason = "failed", " ".join(str(error).split())
    wall_s = round(time.monotonic() - started, 3)
    return Outcome(id=row.id, state=state, reason=reason, output=str(output), key=key, wall_s=wall_s)


def _standing(row: DubRow, key: str, out: Path, overwrite: bool) -> State:
    """`found` where an earlier run made the video, `done` where it is to be made."""
    output, made = _output(row, out), _made(row, out)
    if not output.exists():
        return "done"
    if made.is_file() and made.read_text() == key:
        return "found"
    if overwrite:
        return "done"
    raise DataError(
        f"{output}: is there, but not made of these inputs by this command. Remove it, or say --overwrite."
    )


def _make(method: Method, row: DubRow, out: Path) -> None:
    """Run the command, and give its video the final name; `DataError` says why there is none."""
    work = out / _WORK / row.id
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    words = _own_words(method) | {
        "video": row.video, "speech": row.speech, "id": row.id, "work": str(work.absolute()),
        "output": str(work.absolute() / "output.mp4"),
    }  # fmt: skip
    for name, text in method.cfg.files.items():
        (work / name).write_text(fill(text, words, quoted=True), encoding="utf-8")
    log = out / _LOGS / f"{row.id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    _call(method, words, log)
    video = _video(method.cfg, work, log)
    probe(video)  # a file that no decoder reads is no video
    put_file(video, _output(row, out))
    shutil.rmtree(work, ignore_errors=True)


def _call(method: Method, words: dict[str, str], log: Path) -> None:
    """Run the command until it ends or its time is up; then it and all that it started are ended."""
    cfg = method.cfg
    environment = {**os.environ, **{name: fill(text, words) for name, text in cfg.environment.items()}}
    command = [fill(word, words) for word in cfg.command]
    with log.open("wb") as told:
        process = subprocess.Popen(
            command,
            cwd=method.checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(cfg.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise DataError(f"no video: not done after {cfg.timeout_s:g} s ({log}).") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code != 0:
        raise DataError(f"no video: the command ended with {code}{_last_line(log)} ({log}).")


def _video(cfg: MethodConfig, work: Path, log: Path) -> Path:
    pattern = cfg.makes or "output.mp4"
    found = sorted(path for path in work.glob(pattern) if path.is_file())
    if len(found) != 1:
        what = "it left none" if not found else f"{len(found)} files match '{pattern}'"
        raise DataError(f"no video: {what}, though the command ended well{_last_line(log)} ({log}).")
    return found[0]


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return f": {lines[-1].strip()[:_TOLD]}" if lines else ""


def _program(name: str) -> str:
    """A path as seen from here, since commands run in the checkout; a name is looked up as it is."""
    return os.path.abspath(name) if os.sep in name else name


def _own_words(method: Method) -> dict[str, str]:
    return {"checkout": str(method.checkout or ""), "python": method.python}


def _key(method: Method, row: DubRow) -> str:
    """Names what a video is made of, as far as it can be seen: the command and the content of the inputs."""
    inputs = (content_sample(row.video), content_sample(row.speech))
    patient = replace(
        method.cfg, timeout_s=MethodConfig.timeout_s
    )  # how long it may take makes no other video
    parts = (config_hash(patient), str(method.checkout), *inputs)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _output(row: DubRow, out: Path) -> Path:
    return (out / f"{row.id}.mp4").absolute()


def _made(row: DubRow, out: Path) -> Path:
    """Holds the key of the video that stands in `out`."""
    return out / _MADE / f"{row.id}.txt"
