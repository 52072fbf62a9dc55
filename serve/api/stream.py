"""A dub as fragmented MP4 while it is made: the pieces that drivers put into storage, followed in order."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from weakref import WeakSet

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from segtalker.compositing.frame_plan import FramePlan
from segtalker.media.fragments import stream_fragments
from serve.api.errors import ApiError
from serve.api.scratch import Scratch
from serve.api.threads import Pool, in_thread
from serve.jobs import RUN_PIECE, JobStore, JobView

_log = logging.getLogger("segtalker.api")
MAX_STREAMS = 64
"""Of one process; each has a thread while it waits for the next piece."""
_LOOK_S = 0.15
"""A viewer waits for every piece, so it is looked for more often than a job is."""
Cleanup = Callable[[], Awaitable[None]]


class StreamStopped(Exception):
    """Nobody listens any more."""


class Follower:
    """Reads the work of one job as it appears, in a thread; `stop` may be called from any."""

    def __init__(self, store: JobStore, job: str, folder: Path, poll_s: float) -> None:
        self._store, self._job, self._folder, self._poll_s = store, job, folder, poll_s
        self._stopped = threading.Event()

    def pieces(self) -> Iterator[bytes]:
        """The film; raises `ApiError` where the job ends without one, and `StreamStopped`."""
        run = self._wait_for(RUN_PIECE).read_text(encoding="utf-8")  # whose pieces are of one make
        plan = FramePlan.from_json(self._wait_for(f"{run}/plan.json").read_text(encoding="utf-8"))
        audio = self._wait_for(f"{run}/audio.m4a")
        yield from stream_fragments(self._segments(run, plan), audio, plan.ticks, plan.time_base)

    def stop(self) -> None:
        """Let `pieces` end at its next look."""
        self._stopped.set()

    def _segments(self, run: str, plan: FramePlan) -> Iterator[Path]:
        for chunk in plan.chunks():
            segment = self._wait_for(f"{run}/segments/{chunk.index:06d}.mp4")
            yield segment
            segment.unlink()

    def _wait_for(self, name: str) -> Path:
        local = self._folder / name
        while not self._stopped.is_set():
            view = self._store.view(self._job)  # before the list: what an ended job has is all there is
            if name in self._store.work_files(self._job):
                self._store.fetch_work(self._job, name, local)
                return local
            _check_goes_on(view)
            self._stopped.wait(self._poll_s)
        raise StreamStopped


def _check_goes_on(view: JobView | None) -> None:
    if view is None:
        raise ApiError(404, "not_found", "The job was deleted; send it again.")
    if view.state == "cancelled":
        raise ApiError(409, "job_cancelled", "The job was cancelled; send it again.")
    if view.state == "failed":
        raise ApiError(422, "job_failed", view.error or "The job failed; send it again.")
    if view.state == "done":
        raise ApiError(409, "stream_over", "The pieces of the film are gone; fetch its video instead.")


class Streams:
    """Answers that follow a job."""

    def __init__(self, store: JobStore, scratch: Scratch, poll_s: float) -> None:
        self._store, self._scratch, self._poll_s = store, scratch, min(poll_s, _LOOK_S)
        self._pool = Pool(MAX_STREAMS, "stream")
        self._followers: WeakSet[Follower] = WeakSet()

    def close(self) -> None:
        """Let go of all jobs."""
        for follower in list(self._followers):
            follower.stop()
        self._pool.close()

    async def answer(
        self, request: Request, job: str, on_gone: Cleanup | None, cleanup: ExitStack
    ) -> StreamingResponse:
        """200 video/mp4 once there is something to play; `ApiError` if the job ends before.

        on_gone: awaited when the caller leaves before the film is over. cleanup: closed at the end.
        """
        folder = cleanup.enter_context(self._scratch.folder())
        follower = Follower(self._store, job, folder, self._poll_s)
        self._followers.add(follower)
        pieces = follower.pieces()
        stream = _Stream(pieces, follower, self._pool, on_gone, cleanup)
        try:
            first = await _unless_gone(request, asyncio.ensure_future(stream.next_piece()))
        except BaseException as error:
            is_gone = isinstance(error, (ClientDisconnect, asyncio.CancelledError))
            await stream.close(over=not is_gone)
            raise
        assert first is not None  # a film has a head
        return _StreamResponse(stream, first, job)


class _Stream:
    """Pieces from a thread, and what is to be done when they are over or nobody wants them."""

    def __init__(
        self,
        pieces: Iterator[bytes],
        follower: Follower,
        pool: Pool,
        on_gone: Cleanup | None,
        cleanup: ExitStack,
    ) -> None:
        self._pieces, self._follower, self._pool = pieces, follower, pool
        self._on_gone, self._cleanup = on_gone, cleanup

    async def next_piece(self) -> bytes | None:
        return await in_thread(next, self._pieces, None, pool=self._pool, on_cancel=self._follower.stop)

    async def close(self, over: bool) -> None:
        self._follower.stop()
        try:
            close = getattr(self._pieces, "close", None)
            if close is not None:
                await in_thread(close)
            if not over and self._on_gone is not None:
                await self._on_gone()
        finally:
            self._cleanup.close()


class _StreamResponse(StreamingResponse):
    """Closes the stream however the answer ends: played out, cut, or left by the caller."""

    def __init__(self, stream: _Stream, first: bytes, job: str) -> None:
        self._stream, self._over, self._job = stream, False, job
        super().__init__(
            self._bytes(first), media_type="video/mp4", headers={"X-Job-Id": job, "Cache-Control": "no-store"}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._stream.close(self._over)

    async def _bytes(self, first: bytes) -> AsyncIterator[bytes]:
        piece: bytes | None = first
        try:
            while piece is not None:
                yield piece
                piece = await self._stream.next_piece()
        except Exception as error:  # not the caller's doing: the job goes on, if it can
            self._over = True
            _log.warning("stream of %s is cut: %s", self._job, error)
            raise
        self._over = True


async def _unless_gone(request: Request, piece: "asyncio.Task[bytes | None]") -> bytes | None:
    """The piece, or `ClientDisconnect` if the caller leaves before it is there."""
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({piece, gone}, return_when=asyncio.FIRST_COMPLETED)
        if piece.done():
            return await piece
        raise ClientDisconnect
    finally:
        for task in (piece, gone):
            task.cancel()
        await asyncio.gather(piece, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
