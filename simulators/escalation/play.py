"""Plays cases through the local stack: nothing is looked at but the caller's line and the carrier's calls."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from contracts import events
from contracts.destination import Mode
from simulators import audio
from simulators.carrier import Call, Carrier, Line, Number, Variants
from simulators.escalation import heard
from simulators.escalation.cases import LATE_SECONDS, Case, Human, Trigger, agent_file, callees, line_of
from simulators.escalation.mind import ToneMind, tone
from simulators.event_log import Event, EventLog
from simulators.settings import Settings
from simulators.stack import LocalStack, local_stack

PATIENCE_SECONDS: Final = 100.0
LET_GO_SECONDS: Final = 20.0
LEAST_GAP_SECONDS: Final = 0.02  # a frame: nothing shorter can be told from the recording
JUST_BEFORE_SECONDS: Final = 0.1  # so does a caller leave before a person who answers late


@dataclass(frozen=True, slots=True)
class Played:
    """A case, and what came of it.

    Attributes:
        case: the case.
        heard: who was heard, in order, from the moment on when a person was asked for.
        ended: where the call ended: "a person", "the agent", "a sentence", "the caller hung up", or "a dead end".
        legs: how many times the person's phone was rung.
        bridged: how many people the caller was connected to.
        gap: seconds in which the caller is no longer with the agent, and does not hear the attended person yet; 0 else.
        left: how many legs were still up when the caller had long been gone.
        silence: seconds of the longest silence owed to the caller between asking for a person who is called apart and
            that person's acceptance, or the end; 0 if nobody was called apart.
        asked: how many times a person was asked for: back with the agent, a silent caller is taken to one again.
    """

    case: Case
    heard: tuple[str, ...]
    ended: str
    legs: int
    bridged: int
    gap: float = 0.0
    left: int = 0
    silence: float = 0.0
    asked: int = 1

    @property
    def doubled(self) -> bool:
        """Whether a phone was rung, or somebody connected, more often than there was somebody asked for."""
        return self.legs > self.asked * (2 if self.case.human is Human.TWO else 1) or self.bridged > self.asked

    @property
    def reached_voicemail(self) -> bool:
        """Whether a voicemail was connected where a key must be pressed first."""
        return self.case.mode is not Mode.DIRECT and "the voicemail" in self.heard


@dataclass(frozen=True, slots=True)
class Stage:
    """A running stack and its events."""

    stack: LocalStack
    carrier: Carrier
    log: EventLog

    async def play(
        self,
        case: Case,
        caller: str,
        *,
        to: str = "",
        leaves_after: float | None = None,
        leaves_on: events.Event = events.TRANSFER_DIALLED,
    ) -> Played:
        """One call, from `caller`; who hangs up does so `leaves_after` seconds after `leaves_on` happened."""
        if leaves_after is None:
            leaves_after = LATE_SECONDS - JUST_BEFORE_SECONDS if case.human is Human.LATE else 0.8
        live = _Caller(case, self.log, leaves_after, leaves_on)
        called = to or line_of(case.human)
        call = self.carrier.place_call(from_=caller, to=called, caller=live, patience=PATIENCE_SECONDS)
        live.call_sid.set_result(call.sid)
        await call.ended
        left = await self._let_go(call)
        return self._what_came(case, call, live, left)

    async def _let_go(self, call: Call) -> int:
        legs = [leg for leg in _legs(self.carrier, call) if not leg.resource.ended]
        if not legs:
            return 0
        _, up = await asyncio.wait({asyncio.ensure_future(leg.ended) for leg in legs}, timeout=LET_GO_SECONDS)
        return len(up)

    def _what_came(self, case: Case, call: Call, live: _Caller, left: int) -> Played:
        bridges = [event for event in call.events if event["what"] == "bridged"]
        sounds = heard.sounds(call.ear[live.asked_ms * audio.BYTES_PER_MS :])
        return Played(
            case=case,
            heard=tuple(sounds),
            ended=_ended(live, sounds, bridged=bool(bridges)),
            legs=len(_legs(self.carrier, call)),
            bridged=len(bridges),
            gap=self._gap(call) if {"the person", "the second person"} & {*sounds} else 0.0,
            left=left,
            silence=self._silence(call, live),
            asked=max(1, sum(self._asks(event, call.sid) for event in self.log.events)),
        )

    @staticmethod
    def _asks(event: Event, call_sid: str) -> bool:
        return bool(event["event"] == events.HANDOFF_ASKED.name and event["call_sid"] == call_sid)

    def _silence(self, call: Call, live: _Caller) -> float:
        at = {event["what"]: float(event["seconds"]) for event in call.events}
        if call.legs or not _legs(self.carrier, call) or not live.called_ms:
            return 0.0
        until = round(1000 * at["updated"]) if "joined" in at else len(call.ear) // audio.BYTES_PER_MS
        return heard.waited_in_silence(call.mouth, call.ear, live.called_ms, until)

    def _gap(self, call: Call) -> float:
        """From the update that takes the caller away from the agent to the first sound of the person."""
        at = {event["what"]: float(event["seconds"]) for event in call.events}
        if not {"updated", "joined"} <= at.keys():
            return 0.0
        return max(LEAST_GAP_SECONDS, heard.first_person(call.ear) - at["updated"])


class _Caller:
    """Asks for a person the way the case says, then waits for what comes, or leaves.

    `asked_ms` is when on the line, `called_ms` when that was understood, `left` whether the caller left as planned,
    `back` whether the agent was back.
    """

    def __init__(self, case: Case, log: EventLog, leaves_after: float, leaves_on: events.Event) -> None:
        self.call_sid: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked_ms = self.called_ms = 0
        self.left = self.back = False
        self._case = case
        self._log = log
        self._leaves_after = leaves_after
        self._leaves_on = leaves_on

    async def __call__(self, line: Line) -> None:
        """Live through the call."""
        await self._agent_speaks(line)  # asking is lost on a line that only rings
        await line.quiet(300)
        self.asked_ms = line.ms
        understood = asyncio.ensure_future(self._understood(line))
        try:
            await self._wait_for_person(line)
        finally:
            understood.cancel()

    async def _understood(self, line: Line) -> None:
        await self._first(events.HANDOFF_ASKED)
        self.called_ms = line.ms

    async def _wait_for_person(self, line: Line) -> None:
        await self._ask(line)
        if not self._case.stays:
            await self._first(self._leaves_on, events.TRANSFER_OVER)
            await line.say(audio.silence(int(self._leaves_after * 1000)))
            self.left = True
            await line.hang_up()
            return
        await self._first(events.TRANSFER_OVER)
        if line.over or line.bridged:
            await line.until(lambda: False)
        await self._agent_again(line)
        self.back = True
        await line.hang_up()

    async def _ask(self, line: Line) -> None:
        trigger = self._case.trigger
        if trigger is Trigger.KEY:
            await line.press("1")
            return
        if trigger is Trigger.QUIET:
            await self._first(events.TRANSFER_DIALLED)
            return
        await line.say(tone(trigger))
        dialled = asyncio.ensure_future(self._first(events.TRANSFER_DIALLED))
        pause = {Trigger.TIME: 6000, Trigger.LOST: 1500}.get(trigger, 0)  # an agent must be lost more than once
        while pause and not dialled.done():
            await line.say(audio.silence(pause))
            if not dialled.done():
                await line.say(tone(trigger))
        await dialled

    async def _first(self, *wanted: events.Event) -> Event | None:
        sid, names = await self.call_sid, {one.name for one in wanted}
        return await self._log.first(
            lambda event: event["event"] in names and event["call_sid"] == sid, PATIENCE_SECONDS
        )

    async def _agent_again(self, line: Line) -> None:
        await self._agent_speaks(line)
        await line.say(audio.silence(300))

    @staticmethod
    async def _agent_speaks(line: Line) -> None:
        """Until the agent, whose tone nobody else has, speaks."""
        await line.until(lambda: "the agent" in heard.sounds(bytes(line.ear[-60 * audio.BYTES_PER_MS :])))


def _legs(carrier: Carrier, call: Call) -> list[Call]:
    """The dialled legs, and the calls that were made for it apart."""
    mark = f"call={call.sid}"
    apart = [one for one in carrier.calls.values() if mark in (one.number.status_callback or "")]
    return [*call.legs, *(one for one in apart if one not in call.legs)]


def _ended(live: _Caller, sounds: list[str], *, bridged: bool) -> str:
    if live.left:
        return "the caller hung up"
    if live.back:
        return "the agent"
    if bridged and {"the person", "the second person", "the voicemail"} & {*sounds}:
        return "a person"
    if bridged:
        return "a person, who said nothing"
    return "a sentence" if sounds[-1:] == ["a sentence"] else "a dead end"


@asynccontextmanager
async def stage(mode: Mode, *, two: bool, environ: Mapping[str, str], completed: bool = False) -> AsyncIterator[Stage]:
    """A stack whose people are those of `cases`.

    Raises:
        StackError: it cannot start.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.yaml"
        path.write_text(yaml.safe_dump(agent_file(mode, two=two)), encoding="utf-8")
        settings = replace(Settings.from_env({}), webhook_port=0, relay_port=0, drain_seconds=1, agent_file=path)
        log = EventLog()
        async with local_stack(settings, environ, log, mind=ToneMind) as stack:
            carrier = stack.carrier
            assert carrier, "the carrier is a stand-in here"
            carrier.exchange.speak = heard.operator
            carrier.exchange.variants = Variants(
                ring_grace_seconds=0, unaccepted_status="completed" if completed else "no-answer"
            )
            carrier.callees.update(callees(mode))
            for human in Human:
                carrier.numbers[line_of(human)] = Number(
                    voice_url=f"{stack.webhook}/voice/incoming", status_callback=f"{stack.webhook}/voice/call-status"
                )
            yield Stage(stack, carrier, log)


async def play(wanted: Iterable[Case], environ: Mapping[str, str], *, at_once: int = 12) -> list[Played]:
    """Play cases, so many at once; those of one mode and kind share a stack."""
    groups: dict[tuple[Mode, bool, bool], list[Case]] = {}
    for case in wanted:
        groups.setdefault((case.mode, case.human is Human.TWO, case.completed), []).append(case)
    played = list[Played]()
    for (mode, two, completed), group in groups.items():
        async with stage(mode, two=two, environ=environ, completed=completed) as running:
            plays = (partial(running.play, case, f"+1555010{3000 + place}") for place, case in enumerate(group))
            played += await at_most(at_once, plays)
    return played


async def at_most(at_once: int, plays: Iterable[Callable[[], Awaitable[Played]]]) -> list[Played]:
    """Play all of them, so many at once."""
    turns = asyncio.Semaphore(at_once)

    async def one(start: Callable[[], Awaitable[Played]]) -> Played:
        async with turns:
            return await start()

    return await asyncio.gather(*(one(start) for start in plays))
