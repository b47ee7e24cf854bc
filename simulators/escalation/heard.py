"""What was heard, by the energy and the pitch of the recording alone: every party of these calls has a tone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from simulators import audio
from simulators.escalation.cases import PERSON_HZ, SECOND_HZ, VOICEMAIL_HZ
from simulators.escalation.mind import AGENT_HZ, pitch
from simulators.report import silence

AUDIBLE_DBFS: Final = -50.0
OPERATOR_HZ: Final = 760
_FRAME: Final = 60 * audio.BYTES_PER_MS
_NEAR_HZ: Final = 20
_SOUNDS: Final[Mapping[int, str]] = {
    AGENT_HZ: "the agent",
    440: "ringing",
    480: "ringing",
    OPERATOR_HZ: "a sentence",
    PERSON_HZ: "the person",
    SECOND_HZ: "the second person",
    VOICEMAIL_HZ: "the voicemail",
}


def operator(_text: str, _voice: str) -> bytes:
    """What the carrier's own voice sounds like here."""
    return audio.tone([OPERATOR_HZ], 400)


def sounds(ear: bytes) -> list[str]:
    """Who was heard, in order; the same twice in a row is told once."""
    found: list[str] = []
    for start in range(0, len(ear) - _FRAME + 1, _FRAME):
        frame = ear[start : start + _FRAME]
        if audio.level(frame) < AUDIBLE_DBFS:
            continue
        hz = pitch(frame)
        name = next((name for one, name in _SOUNDS.items() if abs(one - hz) < _NEAR_HZ), "")
        if name and (not found or found[-1] != name):
            found.append(name)
    return found


def first_person(ear: bytes) -> float:
    """When a person was heard first, in seconds; the length of the recording if never."""
    step = 20 * audio.BYTES_PER_MS
    for start in range(0, len(ear) - 2 * step + 1, step):
        frame = ear[start : start + 2 * step]
        loud = audio.level(frame) >= AUDIBLE_DBFS
        if loud and min(abs(one - pitch(frame)) for one in (PERSON_HZ, SECOND_HZ)) < 2 * _NEAR_HZ:
            return start / audio.BYTES_PER_MS / 1000
    return len(ear) / audio.BYTES_PER_MS / 1000


def waited_in_silence(mouth: bytes, ear: bytes, from_ms: int, to_ms: int) -> float:
    """The longest stretch in which neither side made a sound and the caller was owed one, in seconds."""
    part = slice(from_ms * audio.BYTES_PER_MS, to_ms * audio.BYTES_PER_MS)
    return silence.longest(silence.gaps(mouth[part], ear[part], caller_hung_up=True)).length
