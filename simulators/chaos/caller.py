"""The two who talk in the campaign: a caller who answers every word of the agent, and an agent who answers back."""

from __future__ import annotations

import asyncio
from typing import Final

from simulators import audio
from simulators.carrier import Line
from simulators.chaos.ear import AGENT_HZ, sounds
from simulators.model import Prompt, Say, Turn
from simulators.voices import Voice, speak

TURNS_AFTERWARDS: Final = 2
_PAUSE_MS: Final = 300
_LATELY: Final = 3000 * audio.BYTES_PER_MS
_QUESTION: Final = "And what about Sunday?"  # a voice: a tone is taken for noise after the first time
_ANSWER: Final = audio.tone([AGENT_HZ], 1200, -20)


class AnsweringMind:
    """Says something short to everything."""

    def hear(self, _sound: bytes) -> str:
        """Understand one and the same."""
        return "Well, hm."

    def answer(self, _prompt: Prompt) -> Turn:
        """A tone of 1.2 s."""
        return Turn((Say("Go on.", _ANSWER),))


class Caller:
    """Talks with the agent until the fault has come, then until the agent is back or a person is there.

    `struck` is set once the fault is there; `asks` has a person asked for then, by key. `satisfied` says how it ended
    for a caller who hung up content: "agent", "person" or "".
    """

    def __init__(self, struck: asyncio.Event, *, asks: bool, brief: bool) -> None:
        self.satisfied = ""
        self._struck = struck
        self._asks = asks
        self._brief = brief

    async def __call__(self, line: Line) -> None:
        """Live through the call."""
        turns, since, asked = 0, 0, False
        while True:
            await line.until(lambda: line.bridged or (line.hearing.heard and line.hearing.quiet_ms >= _PAUSE_MS))
            if line.bridged:
                await self._meet(line)
                return
            spoke = "the agent" in sounds(bytes(line.ear[max(since, len(line.ear) - _LATELY) :]))
            since = len(line.ear)
            line.hearing.heard = False
            if not spoke:
                continue
            if self._struck.is_set() and self._asks and not asked:
                asked = True
                await line.press("0")
                continue
            turns += self._struck.is_set() and not self._asks
            if self._brief or turns > TURNS_AFTERWARDS:
                self.satisfied = "agent"
                await line.hang_up()
                return
            await line.say(speak(_QUESTION, Voice.CALLER))

    async def _meet(self, line: Line) -> None:
        before = line.hearing.sound_ms
        await line.until(lambda: line.hearing.sound_ms - before >= 600)
        self.satisfied = "person"
        await line.hang_up()
