"""Work off all rows of a batch, with workers that may die at any time; goes on where an earlier run stopped.

Tasks are done in rounds. A round hands out all that can be done; what follows from it (the ranges of long
videos, then their joins, and what its worker died on) is the next one. So a row that kills its workers meets
others as seldom as possible, and is given up after a few attempts, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from segtalker.batch.books import Books
from segtalker.batch.config import BatchConfig
from segtalker.batch.lease import Lease
from segtalker.batch.outcome import Outcome
from segtalker.batch.rows import DubRow
from segtalker.batch.standing import Standing
from segtalker.batch.tasks import Answer, Cut, Spent, Task
from segtalker.batch.work import sweep_work
from segtalker.config import to_yaml
from segtalker.dub_config import DubConfig
from segtalker.progress import OnProgress, ignore_progress
from segtalker.storage import Uri, is_local, join, local_path, write_bytes

CONFIG_NAME = "batch.yaml"

_DIED = "its worker died: perhaps for want of memory, or the video hangs or crashes its decoder"

Runner = Callable[[Sequence[Task]], Iterator[Answer]]
"""Does the tasks of a round; answers come in any order, none from a worker that died."""


@dataclass
class _Open:
    """A row that is not finished."""

    row: DubRow
    cut: Cut | None = None
    spent: Spent = field(default_factory=Spent)
    attempts: int = 1
    left: int = 0
    """Ranges that are not rendered yet."""


def dub_rows(
    rows: Sequence[DubRow],
    cfg: DubConfig,
    batch: BatchConfig,
    out: Uri,
    runner: Runner,
    tell: OnProgress = ignore_progress,
    lease: Lease | None = None,
) -> Standing:
    """Dub all rows; returns how it ended, with the outcomes in the order of the rows.

    Table and page stand in `out` all the time. One run at a time works on a folder or bucket `out`:
    `StorageError` where another one does. lease: of `out`, where the caller has it already.
    """
    with nullcontext(lease) if lease is not None else Lease(out) as held:
        write_bytes(join(out, CONFIG_NAME), to_yaml(cfg).encode())
        with Books([row.id for row in rows], out, tell, lambda: held.is_held) as books:
            _Batch(rows, batch, books, held).run(runner)
        standing = books.standing()
        sweep_work(out, {outcome.id for outcome in standing.outcomes if outcome.state != "failed"})
    return standing


class _Batch:
    """The state of a run: which rows are open, and what is to be done next."""

    def __init__(self, rows: Sequence[DubRow], batch: BatchConfig, books: Books, lease: Lease) -> None:
        self._batch, self._books, self._lease = batch, books, lease
        self._open = {row.id: _Open(row) for row in rows}
        self._next = [Task(row=row, kind="begin") for row in sorted(rows, key=_largest_first)]

    def run(self, runner: Runner) -> None:
        """Round after round, until every row has an outcome."""
        while self._next:
            waiting, self._next = {task.name: task for task in self._next}, []
            for answer in runner(list(waiting.values())):
                self._lease.check()
                task = waiting.pop(answer.task, None)
                if task is not None:  # of a task that was done twice, the first answer counts
                    self._take(task, answer)
            for task in waiting.values():
                self._try_again(task, _DIED)

    def _take(self, task: Task, answer: Answer) -> None:
        state = self._open.get(task.row.id)
        if state is None:  # another range of the row has failed
            return
        state.spent += answer.spent
        if answer.cut is not None:
            self._cut(state, answer.cut)
        elif answer.outcome is None:
            state.left -= 1
            self._books.move(state.row.id, 1 - state.left / len(state.cut.ranges) if state.cut else 1)
            self._join_if_rendered(state)
        elif answer.may_pass:
            self._try_again(task, answer.outcome.reason)
        else:
            self._finish(state, answer.outcome)

    def _cut(self, state: _Open, cut: Cut) -> None:
        """Hand out the ranges that are not there yet, and the join once none is missing."""
        done = set(cut.finished)
        reused = sum(part.stop - part.first for part in cut.finished)
        state.cut, state.spent = cut, state.spent + Spent(reused=reused)
        missing = [part for part in cut.ranges if part not in done]
        state.left = len(missing)
        plain = replace(cut, ranges=(), finished=())  # a range need not know all others
        self._next += [Task(row=state.row, kind="render", cut=plain, part=part) for part in missing]
        self._join_if_rendered(state)

    def _join_if_rendered(self, state: _Open) -> None:
        if state.left == 0:
            self._next.append(Task(row=state.row, kind="join", cut=state.cut, spent=state.spent))

    def _try_again(self, task: Task, reason: str) -> None:
        state = self._open.get(task.row.id)
        if state is None:
            return
        if task.attempt < self._batch.attempts:
            state.attempts = max(state.attempts, task.attempt + 1)
            self._next.append(task.again())
            return
        times = f" ({task.attempt} attempts)" if task.attempt > 1 else ""
        key = state.cut.key if state.cut is not None else ""
        failed = Outcome(
            id=state.row.id, state="failed", reason=reason + times, output=state.row.output, key=key
        )
        self._finish(state, failed)

    def _finish(self, state: _Open, outcome: Outcome) -> None:
        del self._open[state.row.id]
        if state.cut is not None:  # its other ranges are of no use now
            self._next = [task for task in self._next if task.row.id != state.row.id]
        spent = {stage: round(seconds, 3) for stage, seconds in state.spent.timings_s.items()}
        self._books.add(
            replace(
                outcome,
                wall_s=round(state.spent.wall_s, 3),
                timings_s=outcome.timings_s if outcome.state == "found" else spent,
                attempts=state.attempts,
                chunks=len(state.cut.ranges) if state.cut is not None else 1,
            )
        )


def _largest_first(row: DubRow) -> tuple[int, str]:
    """No long video is left for the end, as far as sizes can be had for nothing."""
    path = local_path(row.video)
    return (-path.stat().st_size if is_local(row.video) and path.is_file() else 0), row.id
