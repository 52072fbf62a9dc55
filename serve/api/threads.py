"""Blocking work beside the event loop, which is never left behind: its files may not vanish under it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")


class Pool:
    """Threads that are made when they are first needed, and again if they are needed after `close`."""

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name = size, name
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Run `call` in one of them; the result comes to the running event loop."""
        with self._lock:
            self._executor = self._executor or ThreadPoolExecutor(self._size, self._name)
            return asyncio.wrap_future(self._executor.submit(call))

    def close(self) -> None:
        """Let go of the threads; what they do is done to its end."""
        with self._lock:
            if self._executor is not None:
                self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


@cache
def _storage_pool() -> Pool:
    """For short calls to the storage; more threads than asyncio's own on a machine of few cores."""
    return Pool(32, "api")


async def in_thread(
    function: Callable[..., T],
    *arguments: Any,
    pool: Pool | None = None,
    on_cancel: Callable[[], None] | None = None,
) -> T:
    """`function(*arguments)` in a thread; a caller that is cancelled still waits until it has ended.

    on_cancel: asks the function to end early. pool: its threads, where it may take long.
    """
    future = (pool or _storage_pool()).submit(partial(function, *arguments))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel()
        while not future.done():
            with suppress(asyncio.CancelledError):  # a second one changes nothing
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # read, so that asyncio does not report it
        raise


async def all_of(*works: Coroutine[Any, Any, T]) -> list[T]:
    """The results of all, which run side by side; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
