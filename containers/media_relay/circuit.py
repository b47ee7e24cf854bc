"""What this relay tells the fleet's circuit breaker: that a call's model failed, or that a caller has heard it.

A failure is told at once, up to as many at a time as open the breaker; that it works, at the first sign after a failure
of our own, and else once in TELL_SECONDS, for other relays may have seen failures.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from contracts import events
from contracts.breaker import FAILURES, Breakers
from contracts.events import Event
from contracts.transfer import Reason

TELL_SECONDS = 10.0

Log = Callable[[Event, dict[str, Any]], None]


class Circuit:
    """Tells the breaker, in threads; what fails is logged and changes nothing."""

    def __init__(self, breakers: Breakers, executor: Executor, log: Log) -> None:
        self._breakers = breakers
        self._executor = executor
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._telling: set[asyncio.Task[None]] = set()
        self._failed = False
        self._told_at = -math.inf

    def failed(self) -> None:
        """A call's model has failed."""
        self._failed = True
        self._tell(self._tell_failure)

    def worked(self) -> None:
        """A caller has heard the model."""
        now = self._loop.time()
        if self._failed or now - self._told_at >= TELL_SECONDS:
            self._failed, self._told_at = False, now
            self._tell(self._tell_success)

    def _tell(self, what: Callable[[], None]) -> None:
        if len(self._telling) < FAILURES:
            task = self._loop.create_task(self._told(what))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _told(self, what: Callable[[], None]) -> None:
        try:
            await self._loop.run_in_executor(self._executor, what)
        except Exception as error:  # noqa: BLE001 - whatever the table raises, it says nothing about any call
            self._log(events.EFFECT_FAILED, {"effect": "breaker", "error": type(error).__name__})

    def _tell_failure(self) -> None:
        opened = self._breakers.failed()
        if opened:
            self._loop.call_soon_threadsafe(self._log, events.BREAKER_OPENED, {"failures": opened.failures})

    def _tell_success(self) -> None:
        if self._breakers.worked():
            self._loop.call_soon_threadsafe(self._log, events.BREAKER_CLOSED, {})


class Signs:
    """What one visit's events say of the model; each change of it is told once."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        self._works: bool | None = None

    def note(self, event: Event, fields: dict[str, Any]) -> None:
        """An event of the visit."""
        mute = event is events.HANDOFF_ASKED and fields.get("reason") == Reason.AGENT_SILENT
        if event is events.RESPONSE_AUDIO and self._works is not True:
            self._works = True
            self._circuit.worked()
        elif (event is events.MODEL_FAILED or mute) and self._works is not False:
            self._works = False
            self._circuit.failed()
