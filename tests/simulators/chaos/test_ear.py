from __future__ import annotations

import pytest

from simulators import audio
from simulators.chaos.ear import AGENT_HZ, judge, sounds
from simulators.escalation.cases import PERSON_HZ
from simulators.escalation.heard import OPERATOR_HZ
from simulators.voices import Voice, speak

AGENT, PERSON, SENTENCE = (audio.tone([hz], 600) for hz in (AGENT_HZ, PERSON_HZ, OPERATOR_HZ))
RINGING = audio.tone([440, 480], 1200)


def quiet(seconds: float) -> bytes:
    return audio.silence(int(seconds * 1000))


def heard(*sounds: bytes, says: bytes = b"", satisfied: str = "") -> tuple[str, object]:
    ear = b"".join(sounds)
    mouth = says.ljust(len(ear), audio.silence(20)[:1])
    outcome = judge(mouth, ear, satisfied=satisfied, legs=0, asked=False, call_sid="CA1")
    return outcome.ended, pytest.approx(outcome.silence, abs=0.1)


def test_dead_air_at_the_end_counts_in_full_and_the_call_ends_with_nothing() -> None:
    assert heard(AGENT, quiet(9)) == ("nothing", 9.0)


def test_a_sentence_at_the_end_is_an_end_and_the_silence_before_it_counts() -> None:
    assert heard(AGENT, quiet(2), SENTENCE) == ("sentence", 2.0)


def test_the_pause_in_a_ringing_tone_counts_for_nothing() -> None:
    calling = (AGENT, quiet(0.3), RINGING, quiet(4), RINGING, quiet(2), PERSON)
    assert heard(*calling, satisfied="person") == ("person", 0.3)


def test_ringing_that_leads_nowhere_is_dead_air() -> None:
    assert heard(RINGING, quiet(4), SENTENCE) == ("sentence", 4.0)
    assert heard(RINGING, quiet(8), RINGING, PERSON, satisfied="person") == ("person", 8.0)


def test_zeros_are_silence_whatever_their_length() -> None:
    assert heard(AGENT, audio.tone([300], 5000, -60), AGENT, satisfied="agent") == ("agent", 5.0)


def test_who_is_rung_twice_is_doubled_and_who_asked_in_vain_is_lost() -> None:
    twice = judge(b"", AGENT, satisfied="person", legs=2, asked=True, call_sid="CA1")
    assert (twice.doubled, twice.lost) == (True, False)
    vain = judge(b"", AGENT, satisfied="", legs=0, asked=True, call_sid="CA1")
    assert (vain.doubled, vain.lost) == (False, True)


def test_a_voice_is_a_line_of_ours_and_never_taken_for_agent_person_or_ringing() -> None:
    for voice in (Voice.AGENT, Voice.OPERATOR):
        assert sounds(speak("I am sorry, we were interrupted. Please stay on the line.", voice)) == ["our line"]
