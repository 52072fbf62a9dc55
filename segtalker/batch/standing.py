"""How far a batch is, and when it will be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from segtalker.batch.outcome import Outcome, count_states


@dataclass(frozen=True)
class Standing:
    """A moment of a run."""

    total: int
    """Rows."""
    outcomes: Sequence[Outcome]
    moving: float
    """Rows' worth of work on long videos that are not finished."""
    elapsed_s: float
    is_over: bool
    """No worker is at work any more, whether all rows have ended or not."""

    @property
    def left(self) -> int:
        """Rows without an outcome."""
        return self.total - len(self.outcomes)

    @property
    def remaining_s(self) -> float | None:
        """Estimate, from the pace of the rows that this run has worked on; None where nothing is known."""
        if self.left == 0:
            return 0.0
        return self.elapsed_s / self._worked * max(0.0, self.left - self.moving) if self._worked else None

    @property
    def rows_per_hour(self) -> float:
        """Rows that were worked on; those of an earlier run do not count."""
        return 3600 * self._worked / max(self.elapsed_s, 1e-9)

    @property
    def video_speed(self) -> float:
        """Seconds of finished video per second."""
        made = sum(outcome.duration_s for outcome in self.outcomes if outcome.state == "done")
        return made / max(self.elapsed_s, 1e-9)

    @cached_property
    def _worked(self) -> float:
        states = count_states(self.outcomes)
        return states["done"] + states["failed"] + self.moving


def in_words(seconds: float) -> str:
    """A span of time for a person: `42 s`, `3 min 05 s`, `2 h 10 min`, `1 d 02 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"
