"""What came of a call, by the energy at the caller's ear and the carrier's own record of its legs; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulators import audio
from simulators.escalation import heard
from simulators.report import silence

_FRAME: Final = 60 * audio.BYTES_PER_MS
_PAUSE_SECONDS: Final = 4.1  # two seconds of tone, four of pause


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


def own_to_the_ringing(ear: bytes, gap: silence.Gap) -> bool:
    """Whether a gap is the pause in a ringing tone: ringing before it, ringing or who picked up after it."""
    if gap.length > _PAUSE_SECONDS:
        return False
    begin, end = (int(at * 1000) * audio.BYTES_PER_MS for at in (gap.start, gap.start + gap.length))
    before, after = heard.sounds(ear[max(0, begin - 2 * _FRAME) : begin]), heard.sounds(ear[end : end + 3 * _FRAME])
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
    sounds = heard.sounds(ear)
    gaps = silence.gaps(mouth, ear, caller_hung_up=bool(satisfied))
    ours = [gap for gap in gaps if not own_to_the_ringing(ear, gap)]
    return Outcome(tuple(sounds), satisfied or _last(sounds), silence.longest(ours).length, legs, asked, call_sid)


def _last(sounds: Sequence[str]) -> str:
    last = sounds[-1] if sounds else ""
    return {"a sentence": "sentence", "the person": "person"}.get(last, "nothing")
