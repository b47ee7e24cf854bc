"""Both sides of an attended call hang up at any moment of the ringing, the whisper, the acceptance and the meeting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from contracts import events
from contracts.destination import Mode
from simulators.carrier import Callee, Line
from simulators.carrier.exchange import Exchange
from simulators.escalation.cases import PERSON, PERSON_NUMBER, Case, Human, Trigger, line_of
from simulators.escalation.play import Played, Stage, at_most, stage

RACE: Final = Case(Trigger.TOOL, Mode.ATTENDED, Human.ACCEPTS, stays=False)
# A person who presses 1 does so about a second after answering; both have met a quarter of a second later.
_ANSWERS, _PERSON_LEAVES = (0.2, 0.8), (0.4, 4.0)  # seconds of ringing, and from answering on
_CALLER_LEAVES: Final = {events.TRANSFER_DIALLED: (0.2, 2.0), events.TRANSFER_ACCEPTED: (0.0, 3.0)}
_STAYS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Hasty(Callee):
    """Accepts like others, and hangs up `leaves` seconds after answering, whatever happens then."""

    leaves: float = 0.0

    async def live(self, line: Line, exchange: Exchange) -> None:
        """Be on the line until then."""
        assert line.hung_up is not None, "a leg's line tells its call"
        leaving = asyncio.get_running_loop().call_later(self.leaves, line.hung_up)
        try:
            await Callee.live(self, line, exchange)
        finally:
            leaving.cancel()


async def races(count: int, environ: Mapping[str, str], *, at_once: int, seed: int = 4) -> list[Played]:
    """Play `count` races, so many at once; every second caller leaves around the meeting, if it comes to that."""
    seeded = random.Random(seed)
    async with stage(Mode.ATTENDED, two=False, environ=environ) as running:
        return await at_most(at_once, [_race(running, place, seeded) for place in range(count)])


def _race(running: Stage, place: int, seeded: random.Random) -> Callable[[], Awaitable[Played]]:
    leaves_on = events.TRANSFER_DIALLED if place % 2 else events.TRANSFER_ACCEPTED
    leaves_after = seeded.uniform(*_CALLER_LEAVES[leaves_on])
    leaves = seeded.uniform(*_PERSON_LEAVES) if place % 4 else _STAYS
    called, carrier = f"+1555010{5000 + place}", running.carrier
    carrier.numbers[called] = replace(carrier.numbers[line_of(Human.ACCEPTS)])
    carrier.callees[f"{PERSON_NUMBER} via {called}"] = Hasty(
        after=seeded.uniform(*_ANSWERS), says=PERSON, presses="1", leaves=leaves
    )
    return partial(
        running.play, RACE, f"+1555010{4000 + place}", to=called, leaves_after=leaves_after, leaves_on=leaves_on
    )
