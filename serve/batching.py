"""Batches of what waits when the device is free.

Serve's own batches are closed a moment after their first call came, while the batch before is still being
worked on: under load each call then is a batch of its own. Here calls go on gathering until there is room.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

Call = TypeVar("Call")
Answer = TypeVar("Answer")


class Batcher(Generic[Call, Answer]):
    """Puts calls of one event loop into batches, worked on one after the other, in their order."""

    def __init__(
        self,
        work: Callable[[list[Call]], Awaitable[list[Answer]]],
        size_of: Callable[[Call], int],
        limit: int,
        wait_s: float = 0.0,
    ) -> None:
        """work: answers all calls of a batch. limit: most of `size_of` together; a larger call goes alone.

        wait_s: how long a batch that is not full waits for more although the device is free.
        """
        self._work, self._size_of, self._limit, self._wait_s = work, size_of, limit, wait_s
        self._waiting: deque[tuple[Call, asyncio.Future[Answer]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, call: Call) -> Answer:
        """The answer to one call; what `work` raises fails every call of its batch."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._run())
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            if self._wait_s and sum(self._size_of(call) for call, _ in self._waiting) < self._limit:
                await asyncio.sleep(self._wait_s)
            batch = self._take()
            if not batch:
                continue
            try:
                answers = await self._work([call for call, _ in batch])
            except Exception as error:
                for _, answer in batch:
                    with suppress(asyncio.InvalidStateError):
                        answer.set_exception(error)
                continue
            for (_, answer), value in zip(batch, answers, strict=True):
                with suppress(asyncio.InvalidStateError):  # its caller has left meanwhile
                    answer.set_result(value)

    def _take(self) -> list[tuple[Call, asyncio.Future[Answer]]]:
        """The longest run of waiting calls that fits; calls whose caller has left are dropped."""
        batch: list[tuple[Call, asyncio.Future[Answer]]] = []
        room = self._limit
        while self._waiting:
            call, answer = self._waiting[0]
            size = self._size_of(call)
            if not answer.done():
                if batch and size > room:
                    break
                batch.append((call, answer))
                room -= size
            self._waiting.popleft()
        return batch
