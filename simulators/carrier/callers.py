"""Callers as data: a list of small steps that `ScriptedCaller` takes one after another on a line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from simulators import audio
from simulators.carrier.exchange import speak_with_voices
from simulators.carrier.line import Line, LineDropped

Caller = Callable[[Line], Awaitable[None]]


class BadScript(ValueError):  # noqa: N818  # named after what the data is
    """A script, given as data, that is none."""


@dataclass(frozen=True, slots=True)
class Says:
    """Says a text, or mu-law audio."""

    what: str | bytes


@dataclass(frozen=True, slots=True)
class Interrupts:
    """Lets the other side talk for `after_ms`, then says something over it."""

    after_ms: int
    what: str | bytes


@dataclass(frozen=True, slots=True)
class Presses:
    """Presses keys."""

    keys: str


@dataclass(frozen=True, slots=True)
class Listens:
    """Waits until something was heard and then nothing for `quiet_ms`."""

    quiet_ms: int = 800


@dataclass(frozen=True, slots=True)
class Hears:
    """Waits until `ms` of sound have come."""

    ms: int


@dataclass(frozen=True, slots=True)
class Waits:
    """Says nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class MeetsPerson:
    """Waits to be bridged to a person."""


@dataclass(frozen=True, slots=True)
class HangsUp:
    """Hangs up."""


Step = Says | Interrupts | Presses | Listens | Hears | Waits | MeetsPerson | HangsUp

_FROM_DATA: Final[Mapping[str, Callable[[Any], Step]]] = {
    "say": lambda value: Says(str(value)),
    "interrupt": lambda value: Interrupts(int(value["after_ms"]), str(value["say"])),
    "press": lambda value: Presses(str(value)),
    "listen": lambda value: Listens(int(value)),
    "hear": lambda value: Hears(int(value)),
    "wait": lambda value: Waits(float(value)),
    "person": lambda _value: MeetsPerson(),
    "hang_up": lambda _value: HangsUp(),
}


@dataclass(frozen=True, slots=True)
class ScriptedCaller:
    """Takes its steps, then stays on the line until the call ends; speaks texts with `speak(text, "CALLER")`."""

    steps: Sequence[Step]
    speak: Callable[[str, str], bytes] = speak_with_voices

    @classmethod
    def from_data(cls, steps: Sequence[Any]) -> ScriptedCaller:
        """A caller from plain data: `[{"listen": 800}, {"say": "Hello"}, "person", "hang_up"]`.

        Raises:
            BadScript: naming the step that is none.
        """
        made = []
        for position, step in enumerate(steps):
            try:
                name, value = (step, None) if isinstance(step, str) else next(iter(dict(step).items()), ("", None))
                made.append(_FROM_DATA[name](value))
            except (KeyError, TypeError, ValueError) as error:
                known = ", ".join(_FROM_DATA)
                raise BadScript(f"step {position}: {step!r} is not one of: {known}") from error
        return cls(made)

    async def __call__(self, line: Line) -> None:
        """Live through the call."""
        for step in self.steps:
            await self._take(step, line)
        await line.until(lambda: False)

    async def _take(self, step: Step, line: Line) -> None:
        match step:
            case Says(what):
                await line.say(await self._speech(what))
            case Interrupts(after_ms, what):
                speech = await self._speech(what)
                await line.hears(after_ms)
                await line.say(speech)
            case Presses(keys):
                await line.press(keys)
            case Listens(quiet_ms):
                await line.quiet(quiet_ms)
            case Hears(ms):
                await line.hears(ms)
            case Waits(seconds):
                await line.say(audio.silence(int(seconds * 1000)))
            case MeetsPerson():
                await line.connected_to_person()
            case HangsUp():
                await line.hang_up()

    async def _speech(self, what: str | bytes) -> bytes:
        return what if isinstance(what, bytes) else await asyncio.to_thread(self.speak, what, "CALLER")


async def live(caller: Caller, line: Line, patience: float) -> str:
    """Let a caller live through a call for `patience` seconds at most; returns "" or why it is time to hang up."""
    try:
        async with asyncio.timeout(patience):
            await caller(line)
            await line.until(lambda: False)
    except LineDropped:
        return ""
    except TimeoutError:
        return f"gave up after {patience:g} s"
    return ""
