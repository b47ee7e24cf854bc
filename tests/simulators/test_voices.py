from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from simulators import audio
from simulators.model.listening import RULES
from simulators.voices import Recogniser, Voice, speak

BANK = [phrase for rule in RULES for phrase in rule.phrases]
SENTENCE = "I would like to speak to a person about my bill."


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser(BANK)


def pitch(ulaw: bytes) -> float:
    """Fundamental frequency in Hz, by autocorrelation."""
    samples = audio.decode(ulaw).astype(np.float64)
    spectrum: Any = np.fft.rfft(samples, 2 * len(samples))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    shortest = audio.RATE // 350
    return float(audio.RATE / (shortest + correlation[shortest : audio.RATE // 60].argmax()))


def test_the_four_voices_sound_different() -> None:
    pitches = sorted(pitch(speak(SENTENCE, voice)) for voice in Voice)
    assert all(higher / lower > 1.1 for lower, higher in pairwise(pitches)), pitches


@pytest.mark.parametrize("voice", list(Voice))
def test_every_voice_speaks_at_telephone_level(voice: Voice) -> None:
    spoken = speak(SENTENCE, voice)
    assert 1500 < len(spoken) / audio.BYTES_PER_MS < 4500
    assert audio.level(spoken) == pytest.approx(-20, abs=3)


def test_threads_do_not_mix_their_words() -> None:
    speak.cache_clear()
    alone = {text: len(speak(text, Voice.AGENT)) for text in BANK[:8]}
    speak.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: len(speak(text, Voice.AGENT)), alone))
    assert together == pytest.approx(list(alone.values()), abs=50 * audio.BYTES_PER_MS)
    assert speak(BANK[0], Voice.AGENT) is speak(BANK[0], Voice.AGENT)


def test_nothing_to_say_is_silence() -> None:
    assert audio.level(speak("", Voice.CALLER)) < -60


def test_the_phrase_bank_is_recognised_through_the_telephone(recogniser: Recogniser) -> None:
    missed = [phrase for phrase in BANK if recogniser.hear(speak(phrase, Voice.CALLER)) != phrase]
    assert len(missed) <= 0.05 * len(BANK), missed


def test_a_phrase_is_recognised_between_silences_and_from_several_threads(recogniser: Recogniser) -> None:
    phrases = ["What are your opening hours?", "I want to speak to a human.", "Thank you, goodbye."]
    lines = [audio.silence(300) + speak(phrase, Voice.CALLER) + audio.silence(500) for phrase in phrases] * 3
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(recogniser.hear, lines)) == phrases * 3


def test_what_is_not_in_the_bank_is_not_made_up(recogniser: Recogniser) -> None:
    assert recogniser.hear(audio.silence(2000)) is None
    assert recogniser.hear(b"") is None
    assert recogniser.hear(speak("The quick brown fox jumps over the lazy dog.", Voice.CALLER)) is None


def test_text_is_matched_to_the_closest_phrase(recogniser: Recogniser) -> None:
    assert recogniser.closest("what are your opening hours") == "What are your opening hours?"
    assert recogniser.closest("colourless green ideas") is None
    assert recogniser.closest("") is None
