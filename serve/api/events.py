"""Server-sent events: a job whenever it has changed, until it has ended."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager

from fastapi.responses import StreamingResponse

from serve.api.schemas import JobBody

HEARTBEAT_S = 10.0
_RETRY_MS = 2000
View = Callable[[], Awaitable[JobBody | None]]


def answer_events(
    first: JobBody, view: View, poll_s: float, place: AbstractContextManager[None]
) -> StreamingResponse:
    """text/event-stream of a job just seen as `first`; `view` looks again, `place` is held meanwhile."""
    return StreamingResponse(
        _within(place, _events(first, view, poll_s)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _within(place: AbstractContextManager[None], events: AsyncIterator[str]) -> AsyncIterator[str]:
    with place:
        async for event in events:
            yield event


async def _events(first: JobBody, view: View, poll_s: float) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    job: JobBody | None = first
    shown, number, spoke = "", 0, time.monotonic()
    while job is not None:
        text = job.model_dump_json()
        if text != shown:
            number, shown, spoke = number + 1, text, time.monotonic()
            yield f"id: {number}\nevent: progress\ndata: {text}\n\n"
        if job.ended is not None:
            yield f"event: end\ndata: {json.dumps({'id': job.id, 'state': job.state})}\n\n"
            return
        if time.monotonic() - spoke >= HEARTBEAT_S:
            spoke = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(poll_s)
        job = await view()
    yield f"event: end\ndata: {json.dumps({'id': first.id, 'state': 'deleted'})}\n\n"
