"""Blocking work beside the event loop, which is never left behind: its files may not vanish under it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(
    function: Callable[..., T],
    *arguments: Any,
    pool: Executor | None = None,
    on_cancel: Callable[[], None] | None = None,
) -> T:
    """`function(*arguments)` in a thread; a caller that is cancelled still waits until it has ended.

    on_cancel: asks the function to end early. pool: its threads; asyncio's own by default.
    """
    future = asyncio.get_running_loop().run_in_executor(pool, partial(function, *arguments))
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
