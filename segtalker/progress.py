"""Progress of long work: one event type, a bar for people, and a clock that says where the time went.

Library code calls an `OnProgress` callback and knows nothing of terminals; `ProgressBar` draws it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far one stage has come."""

    stage: str
    """What is being done, as a person would say it: `finding faces`, `rendering`."""
    done: int
    total: int | None
    """None where the amount is not known."""
    unit: str = "frame"
    """What is counted; `B`, bytes, is shown in kB, MB and GB."""


OnProgress = Callable[[Progress], None]


def ignore_progress(event: Progress) -> None:
    """The `OnProgress` of a caller that does not care."""


class ProgressBar:
    """Draws one tqdm bar with rate and remaining time per stage; silent when standard error is no terminal.

    It is an `OnProgress` callback and a context manager that closes the last bar.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._bar: Any = None
        self._stage = ""

    def __call__(self, event: Progress) -> None:
        """Show how far a stage is."""
        if self._quiet:
            return
        if event.stage != self._stage:
            self._open(event)
        self._bar.total = event.total
        self._bar.update(event.done - self._bar.n)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the bar of the current stage."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._stage = None, ""

    def _open(self, event: Progress) -> None:
        from tqdm import tqdm

        self.close()
        self._stage = event.stage
        # `initial`: work that a former run did must not count into the rate, or the estimate would be rosy.
        self._bar = tqdm(
            total=event.total,
            initial=event.done,
            desc=event.stage,
            unit=event.unit,
            unit_scale=event.unit == "B",
            dynamic_ncols=True,
            file=sys.stderr,
        )


class StageClock:
    """Adds up seconds per stage; a stage inside another is charged to itself alone, so the shares sum up.

    with clock("encode"):
        for frame in clock.iterate("decode", frames): ...   # the pulls count as decode, the rest as encode

    Threads may share a clock: each is inside stages of its own, and their seconds are added.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._adding = threading.Lock()
        self._inside = threading.local()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Charge the time inside the block to `stage`, and not to the stage around it."""
        running = self._charge()
        running.append(stage)
        try:
            yield
        finally:
            self._charge()
            running.pop()

    def iterate(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Pass `items` on; the time that the source takes for each one is charged to `stage`."""
        iterator = iter(items)
        while True:
            with self(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _charge(self) -> list[str]:
        """Charge the stage that this thread is in until now; returns the stages that it is in."""
        now = time.perf_counter()
        running: list[str] = self._inside.__dict__.setdefault("running", [])
        if running:
            with self._adding:
                seconds = now - self._inside.since
                self.seconds[running[-1]] = self.seconds.get(running[-1], 0.0) + seconds
        self._inside.since = now
        return running
