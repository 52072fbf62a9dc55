"""Self-driven and cross-driven evaluation of the test clips of a prepared folder: cut, dub, score.

Self-driven, everybody says again what he says, so that the truth is known; cross-driven, everybody says what
another person says. Under `out` stand `clips` (the true videos and sounds), `rows.jsonl` (a manifest by which
any method can be run on the same task), `dubbed/NAME` (what ours made of it), and the result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from segtalker.batch.config import BatchConfig
from segtalker.batch.outcome import Outcome
from segtalker.batch.rows import DubRow
from segtalker.batch.run import Runner as DubRunner
from segtalker.batch.run import dub_rows
from segtalker.config import apply_overrides, parse_config, to_dict
from segtalker.dub_config import DubConfig
from segtalker.errors import ConfigError, DataError, SegTalkerError
from segtalker.evaluation.choice import choose_rows
from segtalker.evaluation.clips import Clip, cut_clip
from segtalker.evaluation.columns import REAL, REFERENCE_ROWS
from segtalker.evaluation.drives import (
    Drive,
    DrivenConfig,
    plan_drives,
    sentences,
    told_lines,
    variants_of,
)
from segtalker.evaluation.dub_reports import cost, cost_sentences, shown_frames
from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.results import Evaluation
from segtalker.evaluation.run import About, Runner, claim, evaluate, run_processes
from segtalker.evaluation.tasks import Task, outputs_of, with_reference_rows
from segtalker.progress import OnProgress, Progress, ignore_progress
from segtalker.report import report_path
from segtalker.storage import Uri, write_bytes

OpenDubbers = Callable[[Sequence[DubRow], DubConfig, BatchConfig, str], AbstractContextManager[DubRunner]]
"""Workers that dub; here processes, on a cluster actors."""

ROWS_NAME = "rows.jsonl"


def drive(
    data: Uri,
    out: Path,
    cfg: DrivenConfig,
    protocol: EvalProtocol,
    dub: DubConfig,
    open_dubbers: OpenDubbers,
    others: Mapping[str, str] | None = None,
    workers: int = 1,
    tell: OnProgress = ignore_progress,
    runner: Runner = run_processes,
) -> Evaluation:
    """Cut, dub and score; each step finds again what an earlier run has done.

    others: method -> folder of ID.mp4 that another method made of `out`/rows.jsonl, or manifest of them.
    """
    variants, others = variants_of(cfg), others or {}
    for settings in variants.values():
        parse_config(DubConfig, apply_overrides(to_dict(dub), settings))  # refused before any work
    _check_names(variants, others)
    claim(out, protocol)
    clips, failed = _cut(data, out / "clips", cfg, tell)
    drives = plan_drives(clips, cfg)
    theirs = {name: outputs_of(place, [item.id for item in drives]) for name, place in others.items()}
    _write_rows(drives, out)
    made: dict[str, Any] = {}
    reasons: dict[tuple[str, str], str] = {}
    for name, settings in variants.items():
        outcomes = _dub(drives, dub, settings, dubbed_folder(out, name), open_dubbers, tell)
        made[name] = {"settings": list(settings), **cost([Path(item.output) for item in outcomes])}
        reasons |= {(name, item.id): f"no video: {item.reason}" for item in outcomes if item.reason}
    shown = {
        item.id: shown_frames([dubbed_folder(out, name) for name in variants], item.id) for item in drives
    }
    ours = {name: _outputs(drives, dubbed_folder(out, name)) for name in variants}
    methods = {name: _pairs(drives, cfg, outputs, shown) for name, outputs in (ours | theirs).items()}
    own = {item.id: item.clip.labels for item in drives}
    tasks = [
        replace(task, pair=replace(task.pair, labels=own[task.pair.id])) if task.method == REAL else task
        for task in with_reference_rows([Task(name, pair) for name in methods for pair in methods[name]])
    ]  # what is real says its own speech, also where the dubs say another
    about = About(
        title=f"{cfg.kind.capitalize()}-driven evaluation",
        notes=[*sentences(cfg, drives, dub), *cost_sentences(made), *failed],
        protocol=told_lines(cfg, data, drives, made, shown),
        reasons=reasons,
    )
    return evaluate(tasks, protocol, out, workers, tell, runner, about)


def dubbed_folder(out: Path, name: str) -> Path:
    """Where the dubs of one of our rows lie."""
    plain = "".join(char if char.isalnum() or char in "._-" else "_" for char in name)
    return out / "dubbed" / plain


def _check_names(variants: Mapping[str, tuple[str, ...]], others: Mapping[str, str]) -> None:
    """Every row has a name, and every row of ours a folder, of its own; `ConfigError` otherwise."""
    if taken := sorted(set(variants) & set(others)):
        raise ConfigError(f"'{taken[0]}' is both a row of ours and a --method. Give one another name.")
    if taken := sorted({*variants, *others} & set(REFERENCE_ROWS)):
        raise ConfigError(f"a row cannot be called '{taken[0]}': that one always stands in the table.")
    owners: dict[Path, str] = {}
    for name in variants:
        first = owners.setdefault(dubbed_folder(Path(), name), name)
        if first != name:
            raise ConfigError(f"--variant '{first}' and '{name}' share a folder. Name one otherwise.")


def _cut(data: Uri, folder: Path, cfg: DrivenConfig, tell: OnProgress) -> tuple[list[Clip], list[str]]:
    """The clips, and sentences about those that could not be cut."""
    rows = choose_rows(data, cfg.split, cfg.clips, cfg.seed)
    clips, failed = [], []
    tell(Progress("cutting", 0, len(rows), "clip"))
    for done, row in enumerate(rows, start=1):
        try:
            clips.append(cut_clip(row, folder, cfg.seconds))
        except SegTalkerError as error:
            failed.append(f"Clip '{row.clip}' was left out: {error}")
        tell(Progress("cutting", done, len(rows), "clip"))
    if not clips:
        raise DataError(f"{data}: not one clip could be cut. {failed[0]}")
    return clips, failed


def _write_rows(drives: Sequence[Drive], out: Path) -> None:
    """The task as a manifest for `segtalker batch` and `segtalker evaluate methods`."""
    rows = [{"id": item.id, "video": item.clip.video, "speech": item.speech.speech} for item in drives]
    write_bytes(out / ROWS_NAME, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _dub(
    drives: Sequence[Drive],
    dub: DubConfig,
    settings: tuple[str, ...],
    folder: Path,
    open_dubbers: OpenDubbers,
    tell: OnProgress,
) -> Sequence[Outcome]:
    place, outputs = str(folder.absolute()), _outputs(drives, folder)
    rows = [
        DubRow(
            id=item.id,
            video=item.clip.video,
            speech=item.speech.speech,
            output=outputs[item.id],
            options=settings,
        )
        for item in drives
    ]
    batch = BatchConfig(overwrite=True)  # the folder is ours: what another cut or setting made is replaced
    with open_dubbers(rows, dub, batch, place) as runner:
        outcomes = dub_rows(rows, dub, batch, place, runner, tell).outcomes
    for failed in (Path(item.output) for item in outcomes if item.reason):
        failed.unlink(missing_ok=True)  # made by other settings before: it must not be scored as of these
        report_path(failed).unlink(missing_ok=True)
    return outcomes


def _outputs(drives: Sequence[Drive], folder: Path) -> dict[str, str]:
    return {item.id: str(folder.absolute() / f"{item.id}.mp4") for item in drives}


def _pairs(
    drives: Sequence[Drive], cfg: DrivenConfig, outputs: Mapping[str, str], shown: Mapping[str, str]
) -> list[Pair]:
    return [
        Pair(
            id=item.id,
            output=outputs[item.id],
            reference=item.clip.video if cfg.kind == "self" else "",
            source=item.clip.video,
            speech=item.speech.speech,
            labels=item.speech.labels,
            shown=shown[item.id] if cfg.kind == "self" else "",
        )
        for item in drives
    ]
