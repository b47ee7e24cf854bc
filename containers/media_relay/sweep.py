"""Calls of relays that have stopped without a word: who notices, by which clock, and who takes them.

A host that is lost, or a process that stands still, sends no FIN: Twilio's stream stays open, and its caller hears
nothing. So every relay writes a beat each `EVERY` seconds and reads those of the others. One whose beat stands still
for `SILENT_BEATS` by the reader's own monotonic clock is silent; the time that the reader itself stood still does not
count. Its calls are taken one by one, by a conditional write that one sweeper wins, and go to a person through the
queue and the shared claim, like every call whose agent cannot be reached.

A relay that was only asleep finds at its next beat how long that was, and asks the ledger which of its calls it has
still. A relay that is alone is watched by nobody until its replacement is up, which finds it in the list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from containers.media_relay.effects import Stores
from containers.media_relay.server import LogEvent, Settings
from contracts import events
from contracts.heartbeats import Beat, Heartbeats, MalformedBeat
from contracts.transfer import Reason, TransferRequest

EVERY = 2.0
SILENT_BEATS = 4
SLEPT_BEATS = 2  # after which a relay asks what it has still; sooner than others can have taken it
RETRY_BEATS = 3  # after which a call that was taken, and whose request nobody has claimed, is asked for again


class Door(Protocol):
    """What is read of the server, and asked of it."""

    @property
    def visits(self) -> list[tuple[str, int]]: ...

    def check_calls(self) -> None: ...

    async def arrival(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Silent:
    """A relay that has stopped; `again`: its calls were to be taken a while ago."""

    beat: Beat
    again: bool


class Watch:
    """How long each of the other relays has been silent. Pure; `now` in seconds of one monotonic clock.

    Args:
        every: seconds between two beats.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._seen_at: float | None = None
        self._known: dict[str, tuple[int, float]] = {}  # the beat's number, and the seconds that it has stood still

    def seen(self, beats: Sequence[Beat], now: float) -> list[Silent]:
        """The silent ones among all that were read at `now`."""
        since = 0.0 if self._seen_at is None else min(now - self._seen_at, 2 * self._every)
        self._seen_at = now
        before, self._known = self._known, {}
        silent = []
        for beat in beats:
            number, still = before.get(beat.relay, (beat.number, -since))
            still = still + since if number == beat.number else 0.0
            self._known[beat.relay] = (beat.number, still)
            if still >= SILENT_BEATS * self._every:
                silent.append(Silent(beat, again=still >= (SILENT_BEATS + RETRY_BEATS) * self._every))
        return silent


class Sweeper:
    """This relay's beat, and its eyes on the others.

    Args:
        settings: the server's.
        door: the server.
        heartbeats: where relays read of each other.
        stores: the ledger, the queue and the threads.
        log: takes CallSid, event and fields.
        every: seconds between two beats.
    """

    def __init__(
        self,
        settings: Settings,
        door: Door,
        heartbeats: Heartbeats,
        stores: Stores,
        log: LogEvent,
        every: float = EVERY,
    ) -> None:
        self._settings = settings
        self._name = settings.name
        self._door = door
        self._heartbeats = heartbeats
        self._stores = stores
        self._log = log
        self._every = every
        self._watch = Watch(every)
        self._number = 0
        self._beaten_at: float | None = None
        self._unsent: set[str] = set()  # calls that were taken here and are not on the queue yet

    async def keep_beating(self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Beat and look, until cancelled; then leave the list. `clock` is monotonic, in seconds.

        A call that arrives does not wait for the next beat: whoever took it over must know of it.
        """
        try:
            while True:
                began = clock()
                await self.turn(began)
                await sleep(self._every / 8)  # a crowd that arrives together is one beat
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._door.arrival(), max(0.0, began + self._every - clock()))
        finally:
            await self._guarded("leave", self._heartbeats.strike, self._name)

    async def turn(self, now: float) -> None:
        """One beat, and one look at the others."""
        self._number += 1
        beat = Beat(self._name, self._number, self._door.visits, self._settings.max_calls)
        if not await self._guarded("beat", self._heartbeats.beat, beat):
            return
        slept = self._beaten_at is not None and now - self._beaten_at >= SLEPT_BEATS * self._every
        self._beaten_at = now
        if slept:
            self._door.check_calls()
        others: list[Beat] = []
        if await self._guarded("look", self._look, others):
            for silent in self._watch.seen(others, now):
                await self._take_all(silent)

    def _look(self, others: list[Beat]) -> None:
        listed = self._heartbeats.listed()
        if self._name not in listed:
            self._heartbeats.enlist(self._name)
        for relay in listed - {self._name}:
            try:
                beat = self._heartbeats.read(relay)
            except MalformedBeat as error:  # it hides nobody else's silence
                self._log("", events.EFFECT_FAILED, {"effect": "look", "error": type(error).__name__})
                continue
            if beat is not None:
                others.append(beat)
            else:
                self._heartbeats.strike(relay)

    async def _take_all(self, silent: Silent) -> None:
        default = (await self._settings.agent_file("")).directory.default.key
        taken = await asyncio.gather(
            *(self._guarded("sweep", self._take, silent, *call, default) for call in silent.beat.calls)
        )
        if silent.again and all(taken):  # whoever took them may have failed to queue them
            await self._guarded("strike", self._heartbeats.strike, silent.beat.relay)

    def _take(self, silent: Silent, call_sid: str, visit: int, default: str) -> None:
        request = TransferRequest.create(
            call_sid=call_sid,
            destination=default,
            reason=Reason.AGENT_UNAVAILABLE,
            now=self._settings.wall(),
        )
        again = silent.again or call_sid in self._unsent
        wanted = self._stores.ledger.sweep(request, visit, silent.beat.relay, again=again)
        if wanted is not None:
            self._unsent.add(call_sid)
            self._stores.queue.send(wanted)
            fields = {"visit": visit, "relay": silent.beat.relay, "request_id": wanted.request_id}
            self._log(call_sid, events.CALL_SWEPT, fields)
        self._unsent.discard(call_sid)

    async def _guarded(self, effect: str, work: Callable[..., object], *arguments: object) -> bool:
        try:
            await asyncio.get_running_loop().run_in_executor(self._stores.executor, work, *arguments)
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the next turn tries again
            self._log("", events.EFFECT_FAILED, {"effect": effect, "error": type(error).__name__})
            return False
        return True
