"""An agent that does as the caller's tone says: each trigger has its own, so one stack serves all cases."""

from __future__ import annotations

import json
from typing import Final

import numpy as np

from simulators import audio
from simulators.escalation.cases import Trigger
from simulators.model import Call, Close, Fail, Occasion, Prompt, Say, Stall, Turn
from simulators.model.listening import TRANSFER_TOOL

AGENT_HZ: Final = 220
_TONES: Final = {500 + 150 * place: trigger for place, trigger in enumerate(Trigger)}
_TOOL: Final = json.dumps({"destination": "person", "summary": "The caller needs a person."})
_PROMISE: Final = "I am connecting you to our person now."


def voice(ms: int = 300) -> bytes:
    """What the agent sounds like."""
    return audio.tone([AGENT_HZ], ms, -20)


def tone(trigger: Trigger) -> bytes:
    """What a caller says to bring a trigger about."""
    return audio.tone([next(hz for hz, one in _TONES.items() if one is trigger)], 500)


def pitch(ulaw: bytes) -> float:
    """The strongest frequency of a sound, in Hz."""
    spectrum = np.abs(np.fft.rfft(audio.decode(ulaw).astype(np.float64)))
    spectrum[0] = 0
    return float(np.argmax(spectrum)) * audio.RATE / max(1, len(ulaw))


class ToneMind:
    """Remembers what it was told to be."""

    def __init__(self) -> None:
        self._trigger: Trigger | None = None

    def hear(self, sound: bytes) -> str:
        """The words of a trigger; all but those of the phrase mean nothing to the relay."""
        if len(sound) < 800:
            return ""
        hz = pitch(sound)
        self._trigger = _TONES[min(_TONES, key=lambda one: abs(one - hz))]
        return "I want to speak to a human." if self._trigger is Trigger.PHRASE else "Well, hm."

    def answer(self, prompt: Prompt) -> Turn:
        """What the trigger needs, once; else a short sound."""
        if self._trigger is Trigger.SILENT:
            return Turn((Stall(),))
        if prompt.occasion is not Occasion.SPEECH:
            return Turn((Say("All right.", voice()),))
        match self._trigger:
            case Trigger.TOOL:
                return Turn((Say("Yes.", voice()), Call(TRANSFER_TOOL, _TOOL)))
            case Trigger.PROMISE:
                return Turn((Say(_PROMISE, voice()),))
            case Trigger.FAILED_TURN:
                return Turn((Fail(),))
            case Trigger.TOOL_ERROR:
                return Turn((Call(TRANSFER_TOOL, "{"),))
            case Trigger.LOST:
                return Turn((Close(),))
            case Trigger.SPEND:
                return Turn((Say("A long story.", voice(90_000)),))
            case _:
                return Turn((Say("Go on.", voice()),))
