from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import audio

if TYPE_CHECKING:
    from pathlib import Path

EVERY_SAMPLE = np.arange(-32768, 32768, dtype=np.int16)
EVERY_CODE = bytes(range(256))


def test_both_tables_agree_with_the_standard_library_byte_for_byte() -> None:
    audioop = pytest.importorskip("audioop")  # gone in Python 3.13
    assert audio.encode(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE.tobytes(), 2)
    assert audio.decode(EVERY_CODE).tobytes() == audioop.ulaw2lin(EVERY_CODE, 2)


def test_what_was_decoded_encodes_to_itself_except_that_there_is_one_zero() -> None:
    assert audio.encode(audio.decode(EVERY_CODE)) == EVERY_CODE.replace(b"\x7f", b"\xff")


def test_g711_known_codes_are_those_of_the_standard() -> None:
    assert audio.encode(np.array([0, 32767, -32768, -1], dtype=np.int16)) == b"\xff\x80\x00\x7e"


@given(st.integers(1, 2000), st.floats(-40, -6))
def test_a_tone_has_the_length_and_the_level_it_was_asked_for(ms: int, level: float) -> None:
    sound = audio.tone([500, 750], ms - ms % 4 + 4, level)
    assert len(sound) == (ms - ms % 4 + 4) * 8
    assert ms < 100 or abs(audio.level(sound) - level) < 0.5


def test_silence_is_the_quietest_there_is() -> None:
    assert audio.level(audio.silence(20)) == audio.level(b"") == audio.QUIETEST_DBFS
    assert len(audio.silence(20)) == 160


def test_mixed_voices_are_as_loud_as_their_sum() -> None:
    one = audio.tone([500], 100)
    assert audio.mix([one, audio.silence(100)]) == one
    assert audio.level(audio.mix([one, one])) == pytest.approx(audio.level(one) + 6, abs=0.2)


def test_a_wav_file_holds_both_channels_padded_to_one_length(tmp_path: Path) -> None:
    audio.write_wav(tmp_path / "call.wav", audio.tone([500], 100), audio.silence(20))
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (2, 2, 8000, 800)
        right = np.frombuffer(file.readframes(800), dtype="<i2")[1::2]
    assert not right.any()


def test_a_wav_file_of_another_rate_is_heard_at_the_same_pitch() -> None:
    at = np.arange(16000) / 16000
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((8000 * np.sin(2 * np.pi * 400 * at)).astype("<i2").tobytes())
    pcm = audio.decode(audio.from_wav(data.getvalue()))
    assert len(pcm) == 8000
    assert np.abs(np.fft.rfft(pcm)).argmax() == 400


@pytest.mark.parametrize("data", [b"", b"RIFF", b"not audio at all"])
def test_what_is_no_wav_file_is_refused(data: bytes) -> None:
    with pytest.raises(audio.NotAudio):
        audio.from_wav(data)


def test_a_wav_file_of_eight_bits_is_refused() -> None:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * 80)
    with pytest.raises(audio.NotAudio, match="8 bits"):
        audio.from_wav(data.getvalue())
