"""Calls gather while the batch before is being worked on."""

from __future__ import annotations

import asyncio

import pytest

from serve.batching import Batcher


class Device:
    """Doubles numbers, one batch at a time, each when the test lets it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Semaphore(0)

    async def work(self, calls: list[int]) -> list[int]:
        self.batches.append(calls)
        await self.go.acquire()
        if any(call < 0 for call in calls):
            raise ValueError("negative")
        return [2 * call for call in calls]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_calls_gather_until_the_device_is_free():
    async def story() -> None:
        device = Device()
        batcher = Batcher(device.work, size_of=lambda call: call, limit=10)
        calls = [asyncio.ensure_future(batcher(number)) for number in (4, 4, 4, 3)]
        await settle()
        assert device.batches == [[4, 4]]  # a third does not fit
        late = asyncio.ensure_future(batcher(2))
        await settle()
        for _ in range(2):
            device.go.release()
        assert await asyncio.gather(*calls, late) == [8, 8, 8, 6, 4]
        assert device.batches == [[4, 4], [4, 3, 2]]

    asyncio.run(story())


def test_a_call_larger_than_a_batch_goes_alone():
    async def story() -> None:
        device = Device()
        device.go = asyncio.Semaphore(9)
        batcher = Batcher(device.work, size_of=lambda call: call, limit=10)
        assert await asyncio.gather(*map(batcher, (3, 25, 3))) == [6, 50, 6]
        assert device.batches == [[3], [25], [3]]

    asyncio.run(story())


def test_a_batch_that_is_not_full_waits_for_company_where_it_is_told_to():
    async def story() -> None:
        device = Device()
        device.go = asyncio.Semaphore(9)
        batcher = Batcher(device.work, size_of=lambda call: 1, limit=10, wait_s=0.05)
        first = asyncio.ensure_future(batcher(1))
        await settle()
        assert await asyncio.gather(first, batcher(2)) == [2, 4]
        assert device.batches == [[1, 2]]

    asyncio.run(story())


def test_an_error_reaches_every_call_of_its_batch_and_no_other():
    async def story() -> None:
        device = Device()
        device.go = asyncio.Semaphore(9)
        batcher = Batcher(device.work, size_of=lambda call: abs(call), limit=4)
        results = await asyncio.gather(*map(batcher, (2, -2, 3)), return_exceptions=True)
        assert [type(result) for result in results] == [ValueError, ValueError, int]
        assert await batcher(1) == 2

    asyncio.run(story())


def test_who_leaves_is_not_worked_for_and_costs_the_others_nothing():
    async def story() -> None:
        device = Device()
        batcher = Batcher(device.work, size_of=lambda call: 1, limit=2)
        calls = [asyncio.ensure_future(batcher(number)) for number in (1, 2, 3, 4)]
        await settle()
        calls[1].cancel()
        calls[2].cancel()
        await settle()
        for _ in range(2):
            device.go.release()
        assert await calls[0] == 2 and await calls[3] == 8
        assert device.batches == [[1, 2], [4]]
        with pytest.raises(asyncio.CancelledError):
            await calls[1]

    asyncio.run(story())
