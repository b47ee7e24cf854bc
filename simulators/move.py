"""Calls that are moved amid a sentence from one relay to another: how many go on with their memory, and after how long.

Each caller tells the agent a number (the pitch of a tone) and is told a long story. Amid it the callers' relay gets
SIGTERM. The agent at the other relay goes on with the story if its conversation has both, the caller's number and the
words of the story that were heard; an agent that remembers less sounds different. Everything is judged by the caller's
recording: what sounds, how high, and how long nothing does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from contracts import events
from simulators import audio
from simulators.carrier import Call, Carrier, Line, Number, Variants
from simulators.cloud.apart import cloud_apart
from simulators.cloud.troubles import Troubles
from simulators.escalation import heard
from simulators.escalation.mind import AGENT_HZ, pitch, voice
from simulators.event_log import Event, EventLog
from simulators.model import Occasion, Prompt, Say, Turn
from simulators.settings import Settings
from simulators.stack import LocalStack, local_stack

STORY: Final = [f"chapter {number}" for number in range(1, 121)]
STORY_MS: Final = 60_000
DRAIN_SECONDS: Final = 20  # in the last two fifths of them calls move
FORGETFUL_HZ: Final = 330
GAP_SECONDS: Final = 3.0
_NUMBER: Final = "+15550100000"
_AMID_MS: Final = 1500  # of the story that a caller has heard before the relay must go
_AFTER_MS: Final = 1000  # and after it
_GUARD_SECONDS: Final = 60.0
_FRAME: Final = 60 * audio.BYTES_PER_MS
_NEAR_HZ: Final = 20


@dataclass(frozen=True, slots=True)
class Moved:
    """One call. `gap`: seconds without a sound amid the story; `went_on`: the same story, with nothing else between."""

    call_sid: str
    gap: float
    went_on: bool


@dataclass(frozen=True, slots=True)
class Result:
    """All calls of a run."""

    calls: tuple[Moved, ...]

    @property
    def went_on(self) -> int:
        """How many went on with their memory."""
        return sum(call.went_on for call in self.calls)

    def gap(self, share: float) -> float:
        """The gap that this share of the calls does not exceed, in seconds."""
        gaps = sorted(call.gap for call in self.calls)
        return gaps[max(0, math.ceil(share * len(gaps)) - 1)] if gaps else 0.0

    @property
    def reached(self) -> bool:
        """Every call has gone on, and 99 in 100 within three seconds."""
        return bool(self.calls) and self.went_on == len(self.calls) and self.gap(0.99) <= GAP_SECONDS

    def summary(self) -> dict[str, Any]:
        """The numbers, and each call."""
        gaps = {f"gap_p{round(share * 100)}": round(self.gap(share), 2) for share in (0.5, 0.99, 1.0)}
        return {
            "calls": len(self.calls),
            "went_on": self.went_on,
            **gaps,
            "reached": self.reached,
            "each": [asdict(call) for call in self.calls],
        }


class Storyteller:
    """A mind that tells its story, and goes on with it if the conversation says how far it was and to whom."""

    def hear(self, sound: bytes) -> str:
        """The number that a tone stands for."""
        return f"My number is {round(pitch(sound))}." if len(sound) >= 800 else ""

    def answer(self, prompt: Prompt) -> Turn:
        """The story, or the rest of it."""
        if "broken off" in prompt.instructions:
            return Turn((self._rest(prompt),))
        if prompt.occasion is Occasion.SPEECH:
            return Turn((_told(STORY),))
        return Turn((Say("Yes?", voice()),))

    def _rest(self, prompt: Prompt) -> Say:
        said = [(item.get("role"), _text(item)) for item in prompt.items]
        numbered = any(role == "user" and text.startswith("My number is") for role, text in said)
        role, last = said[-1] if said else (None, "")
        told = last.removesuffix("…").split()
        if not numbered or role != "assistant" or not told or told != " ".join(STORY).split()[: len(told)]:
            return Say("Who is there?", audio.tone([FORGETFUL_HZ], 2000, -20))
        return _told(STORY[len(told) // 2 :])


def _told(story: Sequence[str]) -> Say:
    return Say(" ".join(story), voice(STORY_MS * len(story) // len(STORY)))


def _text(item: Mapping[str, Any]) -> str:
    return " ".join(str(part.get("text") or part.get("transcript") or "") for part in item.get("content", ()))


async def run(
    environ: Mapping[str, str], *, calls: int = 100, at_once: int = 10, drain_seconds: int = DRAIN_SECONDS
) -> Result:
    """Move so many calls, in waves, to and fro between two relays that get `drain_seconds` to leave.

    Raises:
        StackError: the stack cannot start.
    """
    log, moved = EventLog(), list[Moved]()
    async with AsyncExitStack() as up:
        endpoint = await up.enter_async_context(cloud_apart(Troubles()))
        settings = Settings(
            webhook_port=0, relay_port=0, drain_seconds=drain_seconds, relays=2, aws_endpoint_url=endpoint
        )
        stack = await up.enter_async_context(local_stack(settings, environ, log, mind=Storyteller))
        carrier = stack.carrier
        assert carrier, "the carrier is a stand-in here"
        carrier.exchange.speak = heard.operator
        carrier.exchange.variants = Variants(ring_grace_seconds=0)
        carrier.numbers[_NUMBER] = Number(voice_url=f"{stack.webhook}/voice/incoming")
        while len(moved) < calls:
            moved += await _wave(stack, carrier, log, min(at_once, calls - len(moved)), since=len(moved), of=calls)
        for relay in stack.relays:
            relay.left_behind = 0  # nobody is: each has gone on
    return Result(tuple(moved))


async def _wave(stack: LocalStack, carrier: Carrier, log: EventLog, calls: int, *, since: int, of: int) -> list[Moved]:
    """All calls at the first relay, which then must go; the next wave begins at the other."""
    front = stack.front
    assert front, "there are two relays"
    ports = list(front.behind)
    front.behind = ports[:1]
    callers = [_Caller(log, 500 + 10 * (place % 100)) for place in range(calls)]
    placed = [
        carrier.place_call(from_=f"+1555010{1000 + since + place}", to=_NUMBER, caller=caller, patience=_GUARD_SECONDS)
        for place, caller in enumerate(callers)
    ]
    for caller, call in zip(callers, placed, strict=True):
        caller.call_sid.set_result(call.sid)
    with suppress(TimeoutError):  # a caller to whom nothing is told is judged at the end
        await asyncio.wait_for(asyncio.gather(*(caller.amid.wait() for caller in callers)), _GUARD_SECONDS)
    front.behind = ports[1:]  # what is asked `/readyz` all the same
    relay = next(one for one in stack.relays if one.port == ports[0])
    leaving = asyncio.create_task(relay.stop(DRAIN_SECONDS + 20.0))
    await asyncio.gather(*(call.ended for call in placed), leaving)
    if since + calls < of:
        await relay.start()
    front.behind = [*ports[1:], *ports[:1]]
    return [_judged(caller, call) for caller, call in zip(callers, placed, strict=True)]


class _Caller:
    """Tells its number, listens to the story, and hangs up a second after it has been moved.

    `amid` is set once enough of the story was heard; `told_ms` is when, on the line, the story could begin; `moved`:
    the agent was heard in a second visit.
    """

    def __init__(self, log: EventLog, hz: int) -> None:
        self.call_sid: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.amid = asyncio.Event()
        self.told_ms = 0
        self.moved = False
        self._log = log
        self._hz = hz

    async def __call__(self, line: Line) -> None:
        """Live through the call."""
        await line.quiet(300)
        await line.say(audio.tone([self._hz], 500))
        self.told_ms = line.ms
        await line.hears(_AMID_MS)
        self.amid.set()
        sid = await self.call_sid
        self.moved = await self._log.first(_Again(sid), _GUARD_SECONDS) is not None
        await line.hears(_AFTER_MS)
        await line.hang_up()


class _Again:
    """Told every event in order: whether the agent is heard in a second visit."""

    def __init__(self, call_sid: str) -> None:
        self._call_sid = call_sid
        self._visits = 0

    def __call__(self, event: Event) -> bool:
        if event.get("call_sid") != self._call_sid:
            return False
        self._visits += event["event"] == events.MEDIA_ACCEPTED.name
        return self._visits > 1 and event["event"] == events.RESPONSE_AUDIO.name


def _judged(caller: _Caller, call: Call) -> Moved:
    """Frames at the edge of a sound have no pitch to judge by."""
    ear = call.ear[caller.told_ms * audio.BYTES_PER_MS :]
    frames = [ear[at : at + _FRAME] for at in range(0, len(ear) - _FRAME + 1, _FRAME)]
    heights = [pitch(frame) if audio.level(frame) > heard.AUDIBLE_DBFS else 0.0 for frame in frames]
    told = [place for place, height in enumerate(heights) if abs(height - AGENT_HZ) < _NEAR_HZ]
    if not told or not caller.amid.is_set():
        return Moved(call.sid, 0.0, went_on=False)
    silent = max(later - earlier - 1 for earlier, later in itertools.pairwise(told))
    inner = range(told[0] + 1, len(heights) - 1)
    whole = [heights[place] for place in inner if all(heights[place - 1 : place + 2])]
    only_story = all(abs(height - AGENT_HZ) < _NEAR_HZ or 420 < height < 500 for height in whole)
    moved = caller.moved and call.status == "completed"
    return Moved(call.sid, round(silent * _FRAME / audio.BYTES_PER_MS / 1000, 2), went_on=only_story and moved)


def command(environ: Mapping[str, str], *, calls: int, at_once: int) -> int:
    """Print the numbers on stderr and everything as JSON on stdout; 0 if all calls have gone on in time."""
    result = asyncio.run(run(environ, calls=calls, at_once=at_once))
    summary = result.summary()
    for name, value in summary.items():
        if name != "each":
            sys.stderr.write(f"{name:>10}  {value}\n")
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0 if result.reached else 1
