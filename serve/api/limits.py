"""How much one caller may ask for: requests in a minute, jobs not yet ended, answers that stay open."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from segtalker.compositing.frame_plan import SyncMode
from serve.api.errors import ApiError, retry_later
from serve.api.probe import Found
from serve.config import LimitsConfig

_MINUTE_S = 60.0
_OPEN_ANSWERS = 32
"""Event and video streams of one caller at once; each looks at the storage twice a second."""
_JOB_WAIT_S = 10.0


class RequestRate:
    """At most so many requests of a caller in any minute; of several processes, each has its share."""

    def __init__(
        self, limits: LimitsConfig, processes: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = max(1, math.ceil(limits.requests_per_minute / processes))
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def count(self, caller: str) -> None:
        """Count a request; `ApiError` 429 says when the next one may come."""
        now = self._clock()
        times = self._times.setdefault(caller, deque())
        while times and times[0] <= now - _MINUTE_S:
            times.popleft()
        if len(times) >= self._most:
            raise retry_later(
                429,
                "too_many_requests",
                f"More than {self._most} requests in a minute; wait as Retry-After says.",
                times[0] + _MINUTE_S - now,
            )
        times.append(now)


class Places:
    """Counts what callers have in hand in this process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def take(self, caller: str) -> Iterator[None]:
        """Hold one place."""
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]

    def of(self, caller: str) -> int:
        """How many a caller holds."""
        return self._taken[caller]

    def total(self) -> int:
        """How many all hold."""
        return self._taken.total()


def check_open_jobs(limits: LimitsConfig, mine: int, everyones: int) -> None:
    """`ApiError` 429 where one more job is one too many: of the caller, or of all."""
    if mine >= limits.open_jobs_per_token:
        raise retry_later(
            429,
            "too_many_jobs",
            f"{mine} of your jobs have not ended, the most is {limits.open_jobs_per_token}; "
            "wait for one to end, or delete one.",
            _JOB_WAIT_S,
        )
    if everyones >= limits.open_jobs:
        raise retry_later(
            429, "service_full", "The service has as many jobs as it takes; come back later.", _JOB_WAIT_S
        )


def check_output(limits: LimitsConfig, mode: SyncMode, video: Found, speech: Found) -> None:
    """`ApiError` 422 where the dub would last too long; `compositing.plan` says how long it lasts and why."""
    like_speech = video.is_image or mode in (SyncMode.LOOP, SyncMode.BOUNCE, SyncMode.REMAP)
    if mode is SyncMode.CUT_OFF and not video.is_image:
        like_speech = speech.duration_s < video.duration_s
    name, lasts_s = ("speech", speech.duration_s) if like_speech else ("video", video.duration_s)
    if lasts_s > limits.output_s:
        cause = "portrait" if video.is_image else mode.value
        raise ApiError(
            422,
            "too_long",
            f"{name}: with it the dub would last {told_s(lasts_s)} s ({cause}), "
            f"and the limit is {limits.output_s:g} s; cut it.",
        )


def told_s(seconds: float) -> str:
    """Seconds for people, rounded up, so that what is just beyond a limit never reads like it."""
    return f"{math.ceil(seconds * 100) / 100:.12g}"


def check_open_answers(places: Places, caller: str) -> None:
    """`ApiError` 429 for one stream too many."""
    if places.of(caller) >= _OPEN_ANSWERS:
        raise retry_later(
            429, "too_many_streams", f"{_OPEN_ANSWERS} streams are open; close one, or poll the job.", 5
        )
