"""Prepare all clips of a manifest on one machine; goes on where an earlier run stopped."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from segtalker.config import to_yaml
from segtalker.data.card import write_card
from segtalker.data.manifest import ClipRow, write_manifest
from segtalker.data.outcome import SCRATCH, Outcome, merge_areas
from segtalker.data.prepare import PrepareConfig, Tools, load_tools, prepare_clip
from segtalker.data.shards import FPS
from segtalker.errors import DataError
from segtalker.progress import OnProgress, Progress, ignore_progress
from segtalker.regions import REGION_NAMES
from segtalker.storage import (
    MANIFEST,
    Uri,
    exists,
    is_local,
    join,
    list_files,
    read_bytes,
    remove,
    write_bytes,
)

CONFIG_NAME = "prepare.yaml"
MANIFEST_NAME = "manifest.jsonl"
OUTCOMES_NAME = "outcomes.jsonl"
_UNKNOWN_LENGTH = 10**9  # seconds; clips without an end may be long, so they come first
_SHOWN = 5

Runner = Callable[[Sequence[ClipRow], PrepareConfig, Uri, int], Iterator[Outcome]]
"""Works off rows with so many workers; outcomes come in any order, one a row. The call itself may refuse."""

_worker: tuple[PrepareConfig, Tools, Uri]


def run_processes(rows: Sequence[ClipRow], cfg: PrepareConfig, out: Uri, workers: int) -> Iterator[Outcome]:
    """The `Runner` of one machine: a process a worker, or none for one."""
    if workers <= 1 or len(rows) <= 1:
        tools = load_tools(cfg)
        yield from (prepare_clip(row, cfg, tools, out) for row in rows)
        return
    context = get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(rows)), context, _start_worker, (cfg, out))
    try:
        for future in as_completed([pool.submit(_work, row) for row in rows]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{out}: a worker was killed, perhaps for want of memory. Finished clips are kept: run the same "
            "command again, with fewer --workers or a smaller piece_s."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def prepare_rows(
    rows: Sequence[ClipRow],
    cfg: PrepareConfig,
    out: Uri,
    workers: int = 1,
    tell: OnProgress = ignore_progress,
    runner: Runner = run_processes,
) -> list[Outcome]:
    """Prepare `rows` into the folder or bucket `out`; outcomes by clip, also kept in `out`/outcomes.jsonl.

    One run at a time works on a folder. Samples of the same clips that were made of other content or other
    rows are removed; those of other clips stay.
    """
    ordered = sorted(rows, key=lambda row: (-_seconds(row), row.clip))  # no long clip is left for the end
    work = runner(ordered, cfg, out, workers)  # what it refuses, it refuses before anything is written
    claim(out, cfg)
    clear_scratch(out)
    write_manifest(rows, join(out, MANIFEST_NAME))
    outcomes: list[Outcome] = []
    tell(Progress("preparing", 0, len(rows), "clip"))
    try:
        for outcome in work:
            outcomes.append(outcome)
            tell(Progress("preparing", len(outcomes), len(rows), "clip"))
    finally:
        outcomes.sort(key=lambda outcome: outcome.clip)
        lines = [json.dumps(asdict(outcome), ensure_ascii=False) + "\n" for outcome in outcomes]
        write_bytes(join(out, OUTCOMES_NAME), "".join(lines).encode())
    remove_stale(out, outcomes)
    write_card(out, outcomes)
    return outcomes


def claim(out: Uri, cfg: PrepareConfig) -> None:
    """Write the configuration into `out`, or check that the one there is the same."""
    uri, text = join(out, CONFIG_NAME), to_yaml(cfg)
    if not exists(uri):
        write_bytes(uri, text.encode())
    elif read_bytes(uri).decode() != text:
        raise DataError(
            f"{out}: holds clips that were prepared otherwise ({CONFIG_NAME}). Take another folder, or the "
            "configuration that stands there (--config)."
        )


def clear_scratch(out: Uri) -> None:
    """Remove what a killed run left half-made."""
    if is_local(out):
        shutil.rmtree(Path(str(out).removeprefix("file://")) / SCRATCH, ignore_errors=True)


def remove_stale(out: Uri, outcomes: Sequence[Outcome]) -> None:
    """Remove samples and notes of these clips under any other key: a training would see both versions."""
    current = {outcome.key for outcome in outcomes}
    clips = {outcome.clip for outcome in outcomes if outcome.status != "failed"}
    for name in list_files(out):
        folder, _, file = name.partition("/")
        is_samples, is_note = file == MANIFEST, folder == "outcomes" and file.endswith(".json")
        key = folder if is_samples else file.removesuffix(".json")
        if (is_samples or is_note) and key not in current and key.rpartition("-")[0] in clips:
            remove(join(out, folder if is_samples else name))


def summary(outcomes: Sequence[Outcome]) -> str:
    """What came of a run, for a person: counts, reasons and the areas of the regions."""
    done = [outcome for outcome in outcomes if outcome.status == "done"]
    frames = sum(outcome.frames for outcome in done)
    lines = [
        f"{len(done)} of {len(outcomes)} clips done: {sum(o.samples for o in done)} samples, "
        f"{frames / FPS / 3600:.2f} h, {len({o.identity for o in done})} people"
    ]
    splits = Counter(outcome.split for outcome in done)
    if done:
        lines.append("splits: " + ", ".join(f"{name} {splits[name]}" for name in sorted(splits)))
        areas = merge_areas(done)
        named = zip(REGION_NAMES, areas / areas.sum(), strict=True)
        shares = ", ".join(f"{name} {share:.2%}" for name, share in named)
        lines.append(f"areas: {shares}")
    for status in ("skipped", "failed"):
        those = [outcome for outcome in outcomes if outcome.status == status]
        lines += [f"{status}: {outcome.clip}: {outcome.reason}" for outcome in those[:_SHOWN]]
        if len(those) > _SHOWN:
            lines.append(f"{status}: {len(those) - _SHOWN} more, see {OUTCOMES_NAME}")
    return "\n".join(lines)


def _start_worker(cfg: PrepareConfig, out: Uri) -> None:
    import torch

    global _worker
    torch.set_num_threads(1)
    _worker = cfg, load_tools(cfg), out


def _work(row: ClipRow) -> Outcome:
    cfg, tools, out = _worker
    return prepare_clip(row, cfg, tools, out)


def _seconds(row: ClipRow) -> float:
    return float(row.end - row.start) if row.end is not None else _UNKNOWN_LENGTH
