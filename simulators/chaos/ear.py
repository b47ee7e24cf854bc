"""What came of a call, by the energy at the caller's ear and the carrier's own record of its legs; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulators import audio
from simulators.escalation import heard
from simulators.escalation.cases import PERSON_HZ
from simulators.escalation.mind import pitch
from simulators.report import silence

_FRAME: Final = 60 * audio.BYTES_PER_MS
_PAUSE_SECONDS: Final = 4.1  # two seconds of tone, four of pause


AGENT_HZ: Final = 1500  # no voice is so high: our own lines are not taken for it
_SOUNDS: Final = {
    AGENT_HZ: "the agent",
    440: "ringing",
    480: "ringing",
    heard.OPERATOR_HZ: "a sentence",
    PERSON_HZ: "the person",
}
_NEAR_HZ: Final = 20
_STEADY: Final = 5  # frames: a voice may pass through any pitch, and rests on none


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call of the campaign.

    Attributes:
        heard: who was heard, in order.
        ended: "person", "agent", "sentence" or "nothing".
        silence: seconds of the longest silence that was not the caller's own.
        legs: how many phones were rung for it.
        asked: whether a person was asked for.
        call_sid: the call.
    """

    heard: tuple[str, ...]
    ended: str
    silence: float
    legs: int
    asked: bool
    call_sid: str

    @property
    def doubled(self) -> bool:
        """Whether more than one phone was rung."""
        return self.legs > 1

    @property
    def lost(self) -> bool:
        """Whether a person was asked for, nobody was rung, and nothing was said about it."""
        return self.asked and not self.legs and self.ended == "nothing"


def sounds(ear: bytes) -> list[str]:
    """Who was heard, in order; the same twice in a row is told once. What is no tone is `our line`: a voice."""
    found: list[str] = []
    name, lasting = "", 0
    for start in range(0, len(ear) - _FRAME + 1, _FRAME):
        frame = ear[start : start + _FRAME]
        before, name = name, _name(frame) if audio.level(frame) >= silence.AUDIBLE_DBFS else ""
        lasting = lasting + 1 if name == before else 1
        if name and lasting >= _STEADY and found[-1:] != [name]:
            found.append(name)
    return found


def _name(frame: bytes) -> str:
    hz = pitch(frame)
    return next((name for one, name in _SOUNDS.items() if abs(one - hz) < _NEAR_HZ), "our line")


def own_to_the_ringing(ear: bytes, gap: silence.Gap) -> bool:
    """Whether a gap is the pause in a ringing tone: ringing before it, ringing or who picked up after it."""
    if gap.length > _PAUSE_SECONDS:
        return False
    begin, end = (int(at * 1000) * audio.BYTES_PER_MS for at in (gap.start, gap.start + gap.length))
    before, after = sounds(ear[max(0, begin - 8 * _FRAME) : begin]), sounds(ear[end : end + 8 * _FRAME])
    return before[-1:] == ["ringing"] and after[:1] in (["ringing"], ["the person"])


def judge(mouth: bytes, ear: bytes, *, satisfied: str, legs: int, asked: bool, call_sid: str) -> Outcome:
    """What came of a call.

    Args:
        mouth: what the caller said, mu-law.
        ear: what the caller heard, of the same length.
        satisfied: "agent" or "person" if the caller hung up content, else "".
        legs: how many phones were rung.
        asked: whether a person was asked for.
        call_sid: the call.
    """
    told = sounds(ear)
    gaps = silence.gaps(mouth, ear, caller_hung_up=bool(satisfied))
    ours = [gap for gap in gaps if not own_to_the_ringing(ear, gap)]
    return Outcome(tuple(told), satisfied or _last(told), silence.longest(ours).length, legs, asked, call_sid)


def _last(told: Sequence[str]) -> str:
    last = told[-1] if told else ""
    return {"a sentence": "sentence", "our line": "sentence", "the person": "person"}.get(last, "nothing")
