from __future__ import annotations

import numpy as np
import pytest

from simulators import audio
from simulators.model.vad import Sensitivity, SpeechStarted, SpeechStopped, Vad
from simulators.voices import Voice, speak

PHRASES = ["I would like to speak to a person, please.", "When is my bill due?", "Thank you, goodbye."]


def noticed(ulaw: bytes, sensitivity: Sensitivity, chunk: int = 160) -> list[SpeechStarted | SpeechStopped]:
    vad = Vad()
    return [one for at in range(0, len(ulaw), chunk) for one in vad.feed(ulaw[at : at + chunk], sensitivity)]


def extent(ulaw: bytes) -> tuple[int, int]:
    """First and last millisecond that sounds."""
    loud = np.flatnonzero(np.abs(audio.decode(ulaw).astype(np.int32)) > 300)
    return int(loud[0]) // 8, int(loud[-1]) // 8


@pytest.mark.parametrize("voice", list(Voice))
@pytest.mark.parametrize("phrase", PHRASES)
def test_speech_is_found_within_100_ms_of_where_it_is(phrase: str, voice: Voice) -> None:
    spoken = speak(phrase, voice)
    first, last = extent(spoken)
    line = audio.silence(1000) + spoken + audio.silence(1500)
    started, stopped = noticed(line, Sensitivity(prefix_padding_ms=300, silence_duration_ms=500))
    assert started.ms + 300 == pytest.approx(1000 + first, abs=100)
    assert stopped.ms - 500 == pytest.approx(1000 + last, abs=100)


def test_padding_and_silence_are_those_that_were_asked_for() -> None:
    line = audio.silence(1000) + speak(PHRASES[0], Voice.CALLER) + audio.silence(1500)
    short = noticed(line, Sensitivity(prefix_padding_ms=100, silence_duration_ms=300))
    long = noticed(line, Sensitivity(prefix_padding_ms=400, silence_duration_ms=900))
    assert short[0].ms - long[0].ms == 300
    assert long[1].ms - short[1].ms == 600


def test_a_start_is_never_before_the_session() -> None:
    assert noticed(speak(PHRASES[0], Voice.CALLER), Sensitivity())[0] == SpeechStarted(0)


@pytest.mark.parametrize("chunk", [1, 53, 160, 7999])
def test_it_does_not_matter_how_the_audio_is_cut(chunk: int) -> None:
    line = audio.silence(500) + speak(PHRASES[1], Voice.CALLER) + audio.silence(900)
    assert noticed(line, Sensitivity(), chunk) == noticed(line, Sensitivity())


def test_a_higher_threshold_needs_louder_speech() -> None:
    spoken = audio.decode(speak(PHRASES[0], Voice.CALLER))
    faint = audio.silence(500) + audio.encode((spoken // 48).astype(np.int16)) + audio.silence(900)
    assert noticed(faint, Sensitivity(threshold=0.1))
    assert not noticed(faint, Sensitivity(threshold=0.9))


def test_silence_and_faint_noise_are_not_speech() -> None:
    noise = audio.encode(np.random.default_rng(1).normal(0, 20, 16000).astype(np.int16))
    assert noticed(audio.silence(2000) + noise, Sensitivity()) == []
