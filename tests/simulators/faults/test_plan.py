from __future__ import annotations

import asyncio
from collections.abc import Callable

from simulators.event_log import EventLog
from simulators.faults.plan import Fault, unfolding

CALL = "CA1"


class Recorder:
    """Levers that remember who pulled, and what was mended."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.pulled = asyncio.Event()
        self.mended = asyncio.Event()

    def pull(self, who: str, what: str) -> Callable[[], None]:
        self.done.append(f"{who} {what}")
        self.pulled.set()

        def mend() -> None:
            self.done.append(f"{who} mended")
            self.mended.set()

        return mend


def fault(**said: object) -> Fault:
    return Fault.model_validate({"who": "queue", "what": "down", **said})


async def test_a_fault_waits_for_the_event_of_its_own_call() -> None:
    log, levers = EventLog(), Recorder()
    async with asyncio.timeout(10), unfolding([fault(after="stream.started")], levers, log, CALL):
        log({"event": "stream.started", "call_sid": "CA2"})
        await log.first(lambda _: True, 5)
        assert levers.done == []
        log({"event": "stream.started", "call_sid": CALL})
        await levers.pulled.wait()
    assert levers.done == ["queue down", "queue mended"]


async def test_what_lasts_is_mended_in_time_and_what_does_not_is_mended_at_the_end() -> None:
    log, levers = EventLog(), Recorder()
    async with asyncio.timeout(10), unfolding([fault(**{"for": 0.01})], levers, log, CALL):
        await levers.mended.wait()
        assert levers.done == ["queue down", "queue mended"]
    lasting = Recorder()
    async with asyncio.timeout(10), unfolding([fault()], lasting, log, CALL):
        await lasting.pulled.wait()
        assert lasting.done == ["queue down"]
    assert lasting.done == ["queue down", "queue mended"]


async def test_a_fault_that_never_came_mends_nothing() -> None:
    levers = Recorder()
    async with unfolding([fault(after="never.happened")], levers, EventLog(), CALL):
        pass
    assert levers.done == []
