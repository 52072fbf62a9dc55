"""Blocking work beside the event loop, which is never left behind: its files may not vanish under it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads for short calls to the storage; more than asyncio's own on a machine of few cores."""
    return ThreadPoolExecutor(32, thread_name_prefix="api")


async def in_thread(
    function: Callable[..., T],
    *arguments: Any,
    pool: Executor | None = None,
    on_cancel: Callable[[], None] | None = None,
) -> T:
    """`function(*arguments)` in a thread; a caller that is cancelled still waits until it has ended.

    on_cancel: asks the function to end early. pool: its threads, where it may take long.
    """
    future = asyncio.get_running_loop().run_in_executor(pool or _pool(), partial(function, *arguments))
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
