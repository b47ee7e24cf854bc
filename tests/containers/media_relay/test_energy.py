"""Sound or no sound, by a few octets; and whether somebody has spoken."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay import clips, energy
from contracts.sentences import LANGUAGES
from simulators import voices
from tests.containers.media_relay.worlds import audio, silence


def frames(sound: bytes, octets: int) -> list[str]:
    return [base64.b64encode(sound[at : at + octets]).decode() for at in range(0, len(sound) - octets + 1, octets)]


def test_R7_every_fifth_of_a_second_of_speech_is_audible_and_zeros_are_not() -> None:
    spoken = voices.speak("Thank you for calling, how can I help you today?", voices.Voice.AGENT)
    assert all(map(energy.audible, frames(spoken, 3200)))
    for zero in (b"\xff", b"\x7f", b"\xfe\x7e"):
        assert not energy.audible(base64.b64encode(zero * 1600).decode())


@given(st.integers(1, 4000))
def test_audio_of_any_length_has_an_answer(octets: int) -> None:
    assert energy.audible(audio(octets))
    assert not energy.audible(silence(octets))


@pytest.mark.parametrize("text", ["My last invoice is wrong, I was charged twice for the same month.", "Yes.", "No."])
def test_R7_a_sentence_or_a_word_counts_as_a_turn_when_it_is_over_and_once(text: str) -> None:
    caller, spoken = energy.Caller(), voices.speak(text, voices.Voice.CALLER)
    assert sum(map(caller.spoke, [*frames(spoken, 160), *[silence(160)] * 100])) == 1


def test_a_click_is_no_turn() -> None:
    caller = energy.Caller()
    assert not any(map(caller.spoke, [*[audio(160)] * 10, *[silence(160)] * 100]))


def test_what_the_model_has_noticed_is_no_turn_of_its_own() -> None:
    caller = energy.Caller()
    for _ in range(200):
        caller.spoke(audio(160))
    caller.noticed()
    assert not any(caller.spoke(silence(160)) for _ in range(100))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_line_is_a_few_seconds_of_sound_in_its_language(language: str) -> None:
    line = clips.one_moment(language)
    assert 1.0 < line.octets / 8000 < 5.0
    assert len(base64.b64decode(line.payload)) == line.octets
    assert energy.audible(line.payload)
    assert clips.one_moment(f"{language}-XX") == line


def test_a_language_without_a_line_has_the_english_one() -> None:
    assert clips.one_moment("ja") == clips.one_moment("en")
