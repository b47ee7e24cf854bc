"""Plays cases through the local stack: nothing is looked at but the caller's line and the carrier's calls."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from contracts import events
from contracts.destination import Mode
from simulators import audio
from simulators.carrier import Call, Carrier, Line, Number, Variants
from simulators.escalation import heard
from simulators.escalation.cases import Case, Human, Trigger, agent_file, callees, line_of
from simulators.escalation.mind import ToneMind, tone
from simulators.event_log import Event, EventLog
from simulators.settings import Settings
from simulators.stack import LocalStack, local_stack

PATIENCE_SECONDS: Final = 100.0
LET_GO_SECONDS: Final = 20.0
_OVER: Final = {events.TRANSFER_OVER.name}


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
    """

    case: Case
    heard: tuple[str, ...]
    ended: str
    legs: int
    bridged: int
    gap: float = 0.0
    left: int = 0

    @property
    def doubled(self) -> bool:
        """Whether a phone was rung, or somebody connected, more often than there was somebody asked for."""
        return self.legs > (2 if self.case.human is Human.TWO else 1) or self.bridged > 1

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

    async def play(self, case: Case, caller: str, *, leaves_after: float = 0.8) -> Played:
        """One call, from `caller`; who hangs up does so `leaves_after` seconds after the person began to be rung."""
        live = _Caller(case, self.log, leaves_after)
        call = self.carrier.place_call(from_=caller, to=line_of(case.human), caller=live, patience=PATIENCE_SECONDS)
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
            gap=self._gap(call) if bridges else 0.0,
            left=left,
        )

    def _gap(self, call: Call) -> float:
        """From the update that takes the caller away from the agent to the first sound of the person."""
        at = {event["what"]: float(event["seconds"]) for event in call.events}
        return heard.first_person(call.ear) - at["updated"] if {"updated", "joined"} <= at.keys() else 0.0


class _Caller:
    """Asks for a person the way the case says, then waits for what comes, or leaves.

    `asked_ms` is when on the line, `left` whether the caller left as planned, `back` whether the agent was back.
    """

    def __init__(self, case: Case, log: EventLog, leaves_after: float) -> None:
        self.call_sid: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked_ms = 0
        self.left = self.back = False
        self._case = case
        self._log = log
        self._leaves_after = leaves_after

    async def __call__(self, line: Line) -> None:
        """Live through the call."""
        await line.quiet(300)
        self.asked_ms = line.ms
        await self._ask(line)
        if not self._case.stays:
            await self._first(events.TRANSFER_DIALLED)
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
        await line.say(tone(trigger))
        dialled = asyncio.ensure_future(self._first(events.TRANSFER_DIALLED))
        pause = {Trigger.TIME: 6000, Trigger.LOST: 1500}.get(trigger, 0)  # an agent must be lost more than once
        while pause and not dialled.done():
            await line.say(audio.silence(pause))
            if not dialled.done():
                await line.say(tone(trigger))
        await dialled

    async def _first(self, wanted: events.Event) -> Event | None:
        sid = await self.call_sid
        return await self._log.first(
            lambda event: event["event"] == wanted.name and event["call_sid"] == sid, PATIENCE_SECONDS
        )

    async def _agent_again(self, line: Line) -> None:
        """Until the agent, whose tone nobody else has, has spoken since now."""
        since = len(line.ear)
        await line.until(lambda: "the agent" in heard.sounds(bytes(line.ear[max(since, len(line.ear) - 4800) :])))
        await line.say(audio.silence(300))


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
async def stage(mode: Mode, *, two: bool, environ: Mapping[str, str]) -> AsyncIterator[Stage]:
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
            carrier.exchange.variants = Variants(ring_grace_seconds=0)
            carrier.callees.update(callees(mode))
            for human in Human:
                carrier.numbers[line_of(human)] = Number(
                    voice_url=f"{stack.webhook}/voice/incoming", status_callback=f"{stack.webhook}/voice/call-status"
                )
            yield Stage(stack, carrier, log)


async def play(wanted: Iterable[Case], environ: Mapping[str, str], *, at_once: int = 12) -> list[Played]:
    """Play cases, so many at once; those of one mode and kind share a stack."""
    cases, played = list(wanted), list[Played]()
    for mode in Mode:
        for two in (False, True):
            group = [case for case in cases if case.mode is mode and (case.human is Human.TWO) is two]
            if not group:
                continue
            turns = asyncio.Semaphore(at_once)
            async with stage(mode, two=two, environ=environ) as running:

                async def one(
                    case: Case, caller: str, running: Stage = running, turns: asyncio.Semaphore = turns
                ) -> Played:
                    async with turns:
                        return await running.play(case, caller)

                played += await asyncio.gather(
                    *(one(case, f"+1555010{3000 + place}") for place, case in enumerate(group))
                )
    return played
