"""Score videos of any methods under one protocol; goes on where an earlier run stopped."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

from segtalker.config import to_dict, to_yaml
from segtalker.errors import DataError
from segtalker.evaluation.columns import AGAINST_THE_TRUTH, COPY, REAL, REFERENCE_ROWS
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.publish import publish
from segtalker.evaluation.results import Evaluation, Failure, MethodResult
from segtalker.evaluation.scoring import Record, read_sets, score_task
from segtalker.evaluation.sets import SetFigures
from segtalker.evaluation.tasks import Task
from segtalker.evaluation.tools import Tools, load_tools
from segtalker.progress import OnProgress, Progress, ignore_progress
from segtalker.report import package_versions
from segtalker.storage import Uri, join, read_if_exists, write_bytes

PROTOCOL_NAME = "protocol.yaml"
_NO_REFERENCE = "There is no reference to compare with."
_OF_OTHER_SPEECH = ("leak",)
"""What is left of the source under other speech: nothing to tell of a true video, its own source."""

Runner = Callable[[Sequence[Task], EvalProtocol, Uri, int], Iterator[Record]]
"""Works off tasks with so many workers; records come in any order, one a task. The call itself may refuse."""

_worker: tuple[EvalProtocol, Tools, Uri]


@dataclass(frozen=True)
class About:
    """What stands beside the figures for readers; it changes none of them."""

    title: str = "Evaluation"
    notes: Sequence[str] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """Further lines of the protocol, such as how the videos were made."""
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(method, id) -> why there is no video, where it is known."""


def run_processes(tasks: Sequence[Task], protocol: EvalProtocol, out: Uri, workers: int) -> Iterator[Record]:
    """The `Runner` of one machine: a process a worker, or none for one."""
    if workers <= 1 or len(tasks) <= 1:
        tools = load_tools(protocol)
        yield from (score_task(task, protocol, tools, out) for task in tasks)
        return
    context = get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _start_worker, (protocol, out))
    try:
        for future in as_completed([pool.submit(_work, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{out}: a worker was killed, perhaps for want of memory. Scored videos are kept: run the same "
            "command again, with fewer --workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def evaluate(
    tasks: Sequence[Task],
    protocol: EvalProtocol,
    out: Uri,
    workers: int = 1,
    tell: OnProgress = ignore_progress,
    runner: Runner = run_processes,
    about: About | None = None,
) -> Evaluation:
    """Score `tasks` into the folder or bucket `out`, and write its tables, plots and page.

    Videos that were scored under this protocol before are found again by their content. `DataError` where
    `out` has another protocol, or where not one video of any method could be scored.
    """
    claim(out, protocol)
    once = _each_pair_once(tasks)
    work = runner([tasks[same[0]] for same in once], protocol, out, workers)
    places = {(tasks[same[0]].method, tasks[same[0]].pair.id): same for same in once}
    records: dict[int, Record] = {}
    tell(Progress("scoring", 0, len(once), "video"))
    for done, record in enumerate(work, start=1):
        for place in places[record.method, record.id]:
            records[place] = replace(record, method=tasks[place].method)
        tell(Progress("scoring", done, len(once), "video"))
    result = _assemble(
        tasks, [records[place] for place in range(len(tasks))], protocol, out, about or About()
    )
    publish(result, out, (about or About()).title)
    if not any(method.videos for method in result.own_methods()):
        first = next(failure for method in result.own_methods() for failure in method.failures)
        raise DataError(f"{out}: not one video could be scored; the first, '{first.id}': {first.reason}")
    return result


def claim(out: Uri, protocol: EvalProtocol) -> None:
    """Write the protocol into `out`, or check that the one there is the same."""
    uri, text = join(out, PROTOCOL_NAME), to_yaml(protocol)
    found = read_if_exists(uri)
    if found is None:
        write_bytes(uri, text.encode())
    elif found.decode() != text:
        raise DataError(
            f"{out}: holds figures under another protocol ({PROTOCOL_NAME}). Take another folder, or that "
            f"protocol (--protocol {uri})."
        )


def summary(evaluation: Evaluation, out: Uri) -> str:
    """What came of a run, for a person."""
    lines = []
    for result in evaluation.methods:
        lines.append(f"{result.method}: {len(result.videos)} scored, {len(result.failures)} failed")
        lines += [f"  failed: {failure.id}: {failure.reason}" for failure in result.failures[:3]]
        if len(result.failures) > 3:
            lines.append(f"  failed: {len(result.failures) - 3} more, see failures.csv")
    return "\n".join([*lines, f"tables, plots and protocol: {join(out, 'table.html')}"])


def _each_pair_once(tasks: Sequence[Task]) -> list[list[int]]:
    """Places of tasks that compare the same files, in groups: "real" and "copy the input" are often one."""
    groups: dict[Any, list[int]] = {}
    for place, task in enumerate(tasks):
        groups.setdefault(task.pair, []).append(place)
    return list(groups.values())


def _assemble(
    tasks: Sequence[Task], records: Sequence[Record], protocol: EvalProtocol, out: Uri, about: About
) -> Evaluation:
    of = {
        method: [record for record in records if record.method == method]
        for method in dict.fromkeys(task.method for task in tasks)
    }
    networks = {name: net for record in records for name, net in record.networks.items()}
    return Evaluation(
        protocol={**about.protocol, **to_dict(protocol)},
        methods=[_method(method, found, out, about.reasons) for method, found in of.items()],
        absent={
            **({} if _have_references(tasks) else dict.fromkeys(AGAINST_THE_TRUTH, _NO_REFERENCE)),
            **{name: why for record in records for name, why in record.absent.items()},
        },
        versions={**package_versions(), **{f"network of {name}": net for name, net in networks.items()}},
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        notes=[*about.notes, *_notes(tasks), *_workers_that_differ(records)],
    )


def _method(
    method: str, records: Sequence[Record], out: Uri, reasons: Mapping[tuple[str, str], str]
) -> MethodResult:
    done = sorted((record for record in records if not record.reason), key=lambda record: record.id)
    sets = SetFigures()
    for record in done:  # in the order of ids, so that sums of any run are the same to the last bit
        sets += read_sets(out, record.key)
    return MethodResult(
        method,
        {record.id: _figures(method, record) for record in done},
        sets.figures(),
        [
            Failure(record.id, reasons.get((method, record.id), record.reason))
            for record in records
            if record.reason
        ],
        {record.id: list(record.notes) for record in done if record.notes},
    )


def _figures(method: str, record: Record) -> dict[str, float | None]:
    left_out = _OF_OTHER_SPEECH if method == REAL else ()
    return {name: value for name, value in record.figures.items() if name not in left_out}


def _notes(tasks: Sequence[Task]) -> list[str]:
    pairs = [task.pair for task in tasks if task.method not in REFERENCE_ROWS]
    if all(pair.reference and pair.source in ("", pair.reference) for pair in pairs):
        return [
            f"The sources are the true videos themselves, so '{COPY}' equals '{REAL}': figures of pictures "
            "say how much a method changes of what it was given."
        ]
    if not _have_references(tasks):
        return [
            f"There are no references: '{REAL}' is the source with its own sound, and figures that compare "
            "pictures with true ones are absent."
        ]
    return []


def _have_references(tasks: Sequence[Task]) -> bool:
    return any(task.pair.reference for task in tasks if task.method not in REFERENCE_ROWS)


def _workers_that_differ(records: Sequence[Record]) -> list[str]:
    """Figures of other networks do not compare; a cluster's nodes may have other ones in their caches."""
    if len({tuple(sorted(record.networks.items())) for record in records}) < 2:
        return []
    return ["Workers had different networks in their weights caches: some figures are not of all videos."]


def _start_worker(protocol: EvalProtocol, out: Uri) -> None:
    import torch

    global _worker
    torch.set_num_threads(1)
    _worker = protocol, load_tools(protocol), out


def _work(task: Task) -> Record:
    protocol, tools, out = _worker
    return score_task(task, protocol, tools, out)
