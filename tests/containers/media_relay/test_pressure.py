"""When a task has grown too large."""

from __future__ import annotations

import asyncio

from containers.media_relay import pressure


async def test_R14_a_task_that_grows_past_its_limit_is_told_so_and_not_before() -> None:
    sizes, slept = iter([90, 99, 100]), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await pressure.reached(100, lambda: next(sizes), sleep)
    assert slept == [pressure.EVERY] * 2


async def test_without_a_limit_nothing_is_measured() -> None:
    async def sleep(_: float) -> None:
        raise asyncio.CancelledError

    waiting = asyncio.create_task(pressure.reached(0, lambda: 1 // 0, sleep))
    await asyncio.wait([waiting])
    assert waiting.cancelled()


def test_the_resident_set_is_of_the_size_of_an_interpreter() -> None:
    assert 5 * 2**20 < pressure.resident() < 64 * 2**30
