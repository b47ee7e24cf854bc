"""What runs as long as the relay does."""

from __future__ import annotations

import asyncio

from containers.media_relay import __main__ as program
from containers.media_relay.tending import AGAIN_SECONDS, tend
from contracts import events
from contracts.events import Event


async def test_R16_a_task_that_dies_is_logged_without_its_words_and_begins_anew() -> None:
    lines, slept, tries = list[tuple[Event, object]](), list[float](), list[int]()

    async def work() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("canary-secret")

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await tend("beating", work, lambda _, event, fields: lines.append((event, fields)), sleep)
    assert len(tries) == 3, "what returns is over"
    assert slept == [AGAIN_SECONDS] * 2
    assert lines == [(events.EFFECT_FAILED, {"effect": "beating", "error": "RuntimeError"})] * 2


async def test_a_measure_of_memory_that_fails_is_not_taken_for_little_memory() -> None:
    told, failed, full = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reached() -> None:
        if not failed.is_set():
            failed.set()
            raise OSError
        await full.wait()

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    crowded = asyncio.create_task(tend("memory", reached, lambda *_: None, sleep))
    until = asyncio.create_task(program._until(told, crowded))
    await failed.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not until.done()
    full.set()  # the control
    await asyncio.wait_for(until, 5)
    assert not told.is_set()
