"""Blocking work is never left behind."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from serve.api.threads import all_of, in_thread


def test_who_is_cancelled_waits_until_the_work_has_ended():
    begun, ended = threading.Event(), threading.Event()

    def work():
        begun.set()
        time.sleep(0.2)
        ended.set()

    async def go():
        task = asyncio.ensure_future(in_thread(work))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.02)
        task.cancel()  # again, while it waits
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(go())


def test_work_is_asked_to_end_early_when_nobody_wants_it_any_more():
    stop = threading.Event()

    async def go():
        task = asyncio.ensure_future(in_thread(stop.wait, 30, on_cancel=stop.set))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    begun = time.monotonic()
    asyncio.run(go())
    assert time.monotonic() - begun < 20


def test_the_first_failure_of_several_works_ends_the_others():
    ended = []

    async def fail():
        await asyncio.sleep(0.02)
        raise ValueError("this one")

    async def last():
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("last")

    with pytest.raises(ValueError, match="this one"):
        asyncio.run(all_of(fail(), last()))
    assert ended == ["last"]


def test_the_results_of_several_works_keep_their_order():
    async def later(value, wait_s):
        await asyncio.sleep(wait_s)
        return value

    assert asyncio.run(all_of(later(1, 0.05), later(2, 0))) == [1, 2]
