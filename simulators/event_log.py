"""The events of all parts in one place, as they come, from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

Event = Mapping[str, Any]


class EventLog:
    """Remembers events and lets a coroutine wait for one. `also` is told of each, in the loop's thread."""

    def __init__(self, also: Callable[[Event], None] = lambda _: None) -> None:
        self.events: list[Event] = []
        self._also = also
        self._loop = asyncio.get_running_loop()
        self._waits: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []

    def __call__(self, event: Event) -> None:
        """Add an event; safe in any thread. Lines that are no events (metrics) are left out."""
        if "event" in event:
            self._loop.call_soon_threadsafe(self._add, event)

    async def first(self, wanted: Callable[[Event], bool], seconds: float) -> Event | None:
        """The first event, past or coming, that is wanted; None if there is none for so long."""
        for event in self.events:
            if wanted(event):
                return event
        future: asyncio.Future[Event] = self._loop.create_future()
        self._waits.append((wanted, future))
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return None

    def _add(self, event: Event) -> None:
        self.events.append(event)
        self._also(event)
        for wait in list(self._waits):
            wanted, future = wait
            if future.done() or wanted(event):
                self._waits.remove(wait)
                if not future.done():
                    future.set_result(event)
