"""Plays a row: waves of calls through one breakable stack, each wave struck once, each call at its own moment."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contracts import events
from contracts.metrics import Metric
from simulators import audio
from simulators.carrier import Call, Callee, Carrier, Number, Variants
from simulators.chaos.caller import AnsweringMind, Caller
from simulators.chaos.ear import Outcome, judge
from simulators.chaos.model_apart import ModelApart, model_apart
from simulators.chaos.rows import DRAIN_SECONDS, Play
from simulators.cloud.apart import cloud_apart
from simulators.cloud.troubles import Troubles
from simulators.deployed.ecs_agent import EcsAgent
from simulators.escalation import heard
from simulators.escalation.cases import PERSON_HZ
from simulators.faults.levers import StackLevers
from simulators.settings import Settings
from simulators.stack import LocalStack, local_stack

PATIENCE_SECONDS: Final = 40.0
SPREAD_SECONDS: Final = 2.5
GONE_SECONDS: Final = 3.0
_CALLED: Final = "+15550100000"
_MEDIA: Final = "media.test"


@dataclass(frozen=True, slots=True)
class Relay:
    """What a relay's process holds: resident octets, open descriptors, threads."""

    rss: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Relay:
        """Read it from /proc."""
        home = Path(f"/proc/{pid}")
        pages = int((home / "statm").read_text().split()[1])
        return cls(
            pages * resource.getpagesize(), len(list((home / "fd").iterdir())), len(list((home / "task").iterdir()))
        )


@dataclass(frozen=True, slots=True)
class Played:
    """A row's calls, and what was left behind: connections still open `GONE_SECONDS` after the last call of a wave.

    `unfelt`: how many calls of a fault show no sign of it.
    """

    play: Play
    outcomes: Sequence[Outcome]
    left_open: int
    relay: Sequence[Relay]
    lag_ms: Sequence[int]
    tasks: Sequence[int]
    unfelt: int = 0


@dataclass(slots=True)
class Told:
    """What the log tells, from any thread: calls that asked for a person, and the relays' loop lag in ms.

    `tasks`: how many ran in a relay's loop, each time that it told so while it had calls. `felt`: calls that show the
    sign of the row that is played.
    """

    asked: set[str] = field(default_factory=set)
    lag_ms: list[int] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)
    felt: set[str] = field(default_factory=set)
    play: Play | None = None

    def begin(self, play: Play) -> None:
        """A row begins."""
        self.play = play
        for kept in (self.lag_ms, self.tasks, self.felt):
            kept.clear()

    def __call__(self, line: Mapping[str, object]) -> None:
        """Take a line."""
        values = line.get(Metric.LOOP_LAG_MS.value)
        self.lag_ms.extend(values if isinstance(values, list) else [])
        if isinstance(count := line.get("tasks"), int) and line.get(Metric.ACTIVE_CALLS.value):
            self.tasks.append(count)
        if line.get("event") == events.HANDOFF_ASKED.name:
            self.asked.add(str(line["call_sid"]))
        if self.play and self.play.shows(line):
            self.felt.add(str(line["call_sid"]))


class Stage:
    """A running stack and what its log tells. Calls begin at the first of two relays, which alone is ever struck."""

    def __init__(
        self, stack: LocalStack, carrier: Carrier, levers: StackLevers, told: Told, apart: ModelApart | None
    ) -> None:
        self._stack = stack
        self._carrier = carrier
        self._levers = levers
        self._told = told
        self._apart = apart
        assert stack.front, "there are two relays"
        self._front = stack.front
        self._ports = list(stack.front.behind)

    async def row(self, play: Play, calls: int, *, at_once: int, seed: int) -> Played:
        """Play so many calls of a row, in waves; moments are drawn from `seed`."""
        rng = random.Random(f"{play.row} {play.fault} {seed}")
        outcomes: list[Outcome] = []
        left, relay = 0, [Relay.of(self._stack.relay.pid)]
        self._told.begin(play)
        while len(outcomes) < calls:
            wave = await self._wave(play, min(at_once, calls - len(outcomes)), rng)
            left += await self._left_open()
            outcomes += [await asyncio.to_thread(self._judge, call, caller) for call, caller in wave]
            await self._stack.relay.ready()
            relay.append(Relay.of(self._stack.relay.pid))
        unfelt = len({one.call_sid for one in outcomes} - self._told.felt) if play.sign else 0
        return Played(play, outcomes, left, relay, list(self._told.lag_ms), list(self._told.tasks), unfelt)

    async def _wave(self, play: Play, calls: int, rng: random.Random) -> list[tuple[Call, Caller]]:
        struck, mend = asyncio.Event(), None
        gc.unfreeze()
        gc.collect()
        gc.freeze()  # a collection amid a wave would stop the clock of every caller for as long as it takes
        one, *others = self._ports
        self._lead_to([one])
        # What the wave before has shown the fleet would spare these callers the fault.
        await asyncio.to_thread(self._stack.breakers.worked)
        if play.from_start and play.who:
            mend = self._levers.pull(play.who, play.what)
            struck.set()
        spread = SPREAD_SECONDS * calls / 20
        playing = [asyncio.create_task(self._call(play, struck, rng.uniform(0, spread))) for _ in range(calls)]
        if not struck.is_set():
            await asyncio.sleep(0 if play.brief else spread + rng.uniform(0, 3))
            mend = self._levers.pull(play.who, play.what) if play.who else None
            self._lead_to([*others, one])
            await asyncio.sleep(play.felt_after)
            struck.set()
        try:
            return await asyncio.gather(*playing)
        finally:
            if mend:
                mend()

    def _lead_to(self, ports: list[int]) -> None:
        self._front.behind = ports
        if self._apart:
            self._carrier.fronts.behind[_MEDIA] = "127.0.0.1", ports[0]

    async def _call(self, play: Play, struck: asyncio.Event, after: float) -> tuple[Call, Caller]:
        await asyncio.sleep(after)
        caller = Caller(struck, asks=play.asks, brief=play.brief)
        patience = PATIENCE_SECONDS + play.felt_after
        number = f"+1555010{random.randrange(2000, 9999)}"
        call = self._carrier.place_call(from_=number, to=_CALLED, caller=caller, patience=patience)
        await call.ended
        return call, caller

    def _judge(self, call: Call, caller: Caller) -> Outcome:
        """Judged late, so that a leg that comes late counts."""
        outcome = judge(
            call.mouth,
            call.ear,
            satisfied=caller.satisfied,
            legs=len(call.legs),
            asked=call.sid in self._told.asked,
            call_sid=call.sid,
        )
        call.open_line.mouth.clear()  # a campaign hears hours of them
        call.open_line.ear.clear()
        return outcome

    async def _left_open(self) -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(GONE_SECONDS):
                while await self._open():  # noqa: ASYNC110 - of what another process has, only asking tells
                    await asyncio.sleep(0.1)
        return await self._open()

    async def _open(self) -> int:
        if self._apart:
            return await self._apart.live()
        return sum(len(proxy.connections) for proxy in (self._levers.model, self._levers.media) if proxy)


@asynccontextmanager
async def stage(environ: Mapping[str, str], *, direct: bool = False) -> AsyncIterator[Stage]:
    """A breakable stack with an answering agent and a person behind every number; `direct`: as in `Play`.

    Raises:
        StackError: it cannot start.
    """
    told, troubles = Told(), Troubles()
    async with AsyncExitStack() as up:
        environ = {**environ, "ECS_AGENT_URI": await up.enter_async_context(_ecs_agent())}
        endpoint = await up.enter_async_context(cloud_apart(troubles))
        apart = await up.enter_async_context(model_apart()) if direct else None
        settings = Settings(
            webhook_port=0,
            relay_port=0,
            drain_seconds=DRAIN_SECONDS,
            relays=2,
            aws_endpoint_url=endpoint,
            media_origin=f"wss://{_MEDIA}" if apart else None,
            openai_realtime_url=apart.url if apart else None,
        )
        stack = await up.enter_async_context(
            local_stack(settings, environ, told, mind=AnsweringMind, breakable=True, troubles=troubles)
        )
        carrier, levers = stack.carrier, stack.levers
        assert carrier, "the carrier is a stand-in here"
        assert levers, "the stack was made to be broken"
        carrier.exchange.speak = heard.operator
        carrier.exchange.variants = Variants(ring_grace_seconds=0)
        person = Callee(after=0.6, says=audio.tone([PERSON_HZ], 1500))
        for destination in settings.agent().destinations.values():
            carrier.callees[destination.number] = person
        carrier.numbers[_CALLED] = Number(
            voice_url=f"{stack.webhook}/voice/incoming", status_callback=f"{stack.webhook}/voice/call-status"
        )
        yield Stage(stack, carrier, levers, told, apart)


@asynccontextmanager
async def _ecs_agent() -> AsyncIterator[str]:
    """What makes a relay tell how late its loop is: outside of ECS nobody would read it."""
    agent = EcsAgent()
    try:
        yield await agent.start()
    finally:
        await agent.stop()
