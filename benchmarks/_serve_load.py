"""A mix of good and bad requests to the service, each played by a thread to its end."""

from __future__ import annotations

import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks._clip import tone
from segtalker.client import Client, Job, ServiceError
from segtalker.client.transport import Unavailable
from segtalker.synthetic.video import demo_clip

MIX = {"good": 0.4, "cancelled": 0.15, "corrupt": 0.15, "huge": 0.15, "slow": 0.15}
"""Kinds of requests and the share of each."""
_SLOW_HEAD = (
    b"POST /v1/dubs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
)


@dataclass(frozen=True)
class Inputs:
    """Files that requests send."""

    clips: Sequence[tuple[Path, Path]]
    """Good videos and speeches."""
    corrupt: Sequence[Path]
    """Files that are no videos, or broken ones."""
    huge: Path
    """A file above the limit of the service."""


def draw_inputs(folder: Path, seconds: float, upload_mb: float) -> Inputs:
    """Three talking heads of `seconds` with other speech, damaged files, and one above the limit."""
    rng = np.random.default_rng(0)
    clips = []
    for number in range(3):
        video = demo_clip(folder / f"{number}.mp4", seconds, number, (240, 240))
        clips.append((video, tone(folder / f"{number}.wav", seconds * (1 - 0.1 * number))))
    good = clips[0][0].read_bytes()
    damaged = {
        "noise": rng.bytes(50_000),
        "half": good[: len(good) // 2],
        "text": b"no film " * 100,
        "empty": b"",
    }
    for name, content in damaged.items():
        (folder / f"{name}.mp4").write_bytes(content)
    (folder / "huge.mp4").write_bytes(good + rng.bytes(int(1.2e6 * upload_mb)))
    return Inputs(clips, [folder / f"{name}.mp4" for name in damaged], folder / "huge.mp4")


@dataclass(frozen=True)
class Outcome:
    """What a caller saw of one request in the end."""

    number: int
    kind: str
    ended: str
    """done, failed, cancelled (jobs), refused (4xx), error (5xx, no answer), busy (429, 503), hung, lost."""
    seconds: float = 0.0
    job: str | None = None
    clip: int | None = None
    output: Path | None = None
    detail: str = ""


@dataclass(frozen=True)
class Player:
    """Plays requests against one service."""

    client: Client
    url: str
    inputs: Inputs
    folder: Path
    """Outputs go there."""
    idle_s: float
    """After so long without a byte the service should end an upload."""
    slow_s: float
    """After so long it should have ended any."""
    within_s: float
    """Everything that lasts longer hangs."""

    def __call__(self, number: int, kind: str) -> Outcome:
        """One request from beginning to end; never raises."""
        rng = random.Random(number)
        start = time.monotonic()
        outcome = Outcome(number, kind, "hung")
        try:
            outcome = getattr(self, f"_{kind}")(outcome, rng)
        except ServiceError as error:
            outcome = replace(outcome, ended=ending_of(error), detail=str(error))
        except Exception as error:
            outcome = replace(outcome, ended="error", detail=f"{type(error).__name__}: {error}")
        return replace(outcome, seconds=time.monotonic() - start)

    def _good(self, outcome: Outcome, rng: random.Random) -> Outcome:
        clip = rng.randrange(len(self.inputs.clips))
        job = self._submit(outcome, *self.inputs.clips[clip])
        return self._follow(replace(outcome, job=job.id, clip=clip), job)

    def _corrupt(self, outcome: Outcome, rng: random.Random) -> Outcome:
        job = self._submit(outcome, rng.choice(self.inputs.corrupt), self.inputs.clips[0][1])
        return self._follow(replace(outcome, job=job.id), job)

    def _huge(self, outcome: Outcome, rng: random.Random) -> Outcome:
        job = self._submit(outcome, self.inputs.huge, self.inputs.clips[0][1])
        return self._follow(replace(outcome, job=job.id), job)

    def _cancelled(self, outcome: Outcome, rng: random.Random) -> Outcome:
        job = self._submit(outcome, *rng.choice(self.inputs.clips))
        outcome = replace(outcome, job=job.id)
        time.sleep(rng.uniform(0, 3))
        try:
            return replace(outcome, ended=job.cancel()["state"])
        except ServiceError as error:
            return replace(outcome, ended=ending_of(error), detail=str(error))

    def _slow(self, outcome: Outcome, rng: random.Random) -> Outcome:
        """Announces an upload and then sends nothing more, or a byte now and then."""
        parts = urlsplit(self.url)
        pause_s = rng.choice([self.idle_s / 3, self.within_s])
        for _ in range(1 + self.client.retries.errors):
            with socket.create_connection((parts.hostname, parts.port), timeout=pause_s) as connection:
                answer = _dripped(connection, time.monotonic() + self.slow_s)
            if answer is None:
                return outcome
            status = answer.partition(b" ")[2][:3].decode()
            if status < "500":
                break
        return replace(outcome, ended="refused" if status < "500" else "error", detail=status)

    def _submit(self, outcome: Outcome, video: Path, speech: Path) -> Job:
        key = f"{self.folder.name}-{outcome.number}"
        return self.client.submit(video, speech, key=key, crf=0)

    def _follow(self, outcome: Outcome, job: Job) -> Outcome:
        """Wait for a job that was accepted and fetch its video."""
        output = self.folder / f"{outcome.number}.mp4"
        try:
            job.wait(timeout_s=self.within_s)
        except ServiceError as error:
            ended = error.code if error.code in ("failed", "cancelled") else ending_of(error, "hung")
            return replace(outcome, ended=ended, detail=str(error))
        try:
            job.download(output)
        except ServiceError as error:
            return replace(outcome, ended="lost", detail=str(error))
        return replace(outcome, ended="done", output=output)


def _dripped(connection: socket.socket, end: float) -> bytes | None:
    """The answer to an upload that lasts too long; b"" where the connection was closed, None: neither."""
    connection.sendall(_SLOW_HEAD)
    while time.monotonic() < end:
        try:
            return connection.recv(1 << 16)
        except TimeoutError:
            connection.sendall(b"x")
        except OSError:
            return b""
    return None


def ending_of(error: ServiceError, unanswered: str = "error") -> str:
    """What an error means for the books. unanswered: where the service did not say anything."""
    if error.status is None:
        return "error" if isinstance(error, Unavailable) else unanswered
    if error.status in (429, 503):
        return "busy"
    if error.status == 404:
        return "lost"
    return "refused" if error.status < 500 else "error"


def mixed(count: int, seed: int = 0, mix: Mapping[str, float] = MIX) -> list[str]:
    """Kinds of `count` requests in random order, in the shares of `mix`."""
    kinds = [kind for kind, share in mix.items() for _ in range(round(share * count))]
    kinds = (kinds + ["good"] * count)[:count]
    random.Random(seed).shuffle(kinds)
    return kinds


def play(
    kinds: Sequence[str],
    player: Callable[[int, str], Outcome],
    at_once: int,
    within_s: float,
    on_outcome: Callable[[int], None] = lambda count: None,
) -> list[Outcome]:
    """Play all requests, so many at once, for at most `within_s` seconds; what has not ended by then hangs.

    on_outcome: told how many have ended, in the calling thread.
    """
    waiting: queue.Queue[tuple[int, str]] = queue.Queue()
    ended: queue.Queue[Outcome] = queue.Queue()
    for item in enumerate(kinds):
        waiting.put(item)

    def work() -> None:
        while True:
            try:
                number, kind = waiting.get_nowait()
            except queue.Empty:
                return
            ended.put(player(number, kind))

    for _ in range(at_once):
        threading.Thread(target=work, daemon=True).start()  # a hanging one must not keep the process
    outcomes: dict[int, Outcome] = {}
    end = time.monotonic() + within_s
    while len(outcomes) < len(kinds) and time.monotonic() < end:
        try:
            outcome = ended.get(timeout=max(0.0, min(1.0, end - time.monotonic())))
        except queue.Empty:
            continue
        outcomes[outcome.number] = outcome
        on_outcome(len(outcomes))
    return [outcomes.get(i, Outcome(i, kind, "hung", within_s)) for i, kind in enumerate(kinds)]
