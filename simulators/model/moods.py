"""A model that changes for the worse while it runs: what its minds answer, and whether it lets anybody in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from simulators import audio
from simulators.model.faults import Faults
from simulators.model.minds import MS_PER_CHARACTER, Fail, Mind, Prompt, Say, Stall, Step, Turn

Answering = Literal["well", "mute", "zeros", "stall", "fails"]


class Mood:
    """How the model behaves from now on; `refuse_status` answers handshakes instead of 101, `deaf` may pass."""

    def __init__(self) -> None:
        self.answering: Answering = "well"
        self.deaf = False
        self.refuse_status: int | None = None

    def faults(self, _number: int) -> Faults:
        """Those of the next connection, as `Model` asks for them."""
        return Faults(refuse_status=self.refuse_status, hears=lambda: not self.deaf)

    def moody(self, mind: Callable[[], Mind]) -> Callable[[], Mind]:
        """Makes minds that follow the mood."""
        return lambda: _Moody(self, mind())


class _Moody:
    def __init__(self, mood: Mood, mind: Mind) -> None:
        self._mood = mood
        self._mind = mind

    def hear(self, sound: bytes) -> str:
        return self._mind.hear(sound)

    def answer(self, prompt: Prompt) -> Turn:
        turn = self._mind.answer(prompt)
        match self._mood.answering:
            case "well":
                return turn
            case "mute":
                return Turn()
            case "zeros":
                return Turn([_silent(step) for step in turn.steps])
            case "stall":
                return Turn([Stall()])
            case "fails":
                return Turn([Fail("rate_limit_exceeded", "Rate limit reached.")])


def _silent(step: Step) -> Step:
    if not isinstance(step, Say):
        return step
    ms = len(step.sound) // audio.BYTES_PER_MS if step.sound else MS_PER_CHARACTER * len(step.text)
    return Say(step.text, audio.silence(ms))
