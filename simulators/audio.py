"""Telephone audio: mu-law, 8 kHz, mono, one byte a sample, 8 bytes a millisecond. Everything that sounds is made here.

The tables follow ITU-T G.711 and agree with the standard library's former `audioop` byte for byte.
"""

from __future__ import annotations

import io
import math
import wave
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RATE: Final = 8000
BYTES_PER_MS: Final = 8
QUIETEST_DBFS: Final = -96.0
_SILENCE: Final = b"\xff"
_BIAS: Final = 33
_CLIP: Final = 8159
_SEGMENT_ENDS: Final = np.array([0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF])


class NotAudio(ValueError):  # noqa: N818  # named after what the file is
    """A file is not a WAV file that can be played on a telephone line."""


def _decode_table() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _encode_table() -> NDArray[np.uint8]:
    value = np.arange(-32768, 32768, dtype=np.int32) >> 2
    mask = np.where(value < 0, 0x7F, 0xFF)
    magnitude = np.minimum(np.abs(value), _CLIP) + _BIAS
    segment = np.searchsorted(_SEGMENT_ENDS, magnitude)
    code = np.where(segment < 8, (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F), 0x7F)
    return (code ^ mask).astype(np.uint8)


_DECODE: Final = _decode_table()
_ENCODE: Final = _encode_table()
_SAMPLES: Final = _DECODE.astype(np.float64)


def encode(pcm: NDArray[np.int16]) -> bytes:
    """16-bit samples at 8 kHz as mu-law."""
    return _ENCODE[pcm.astype(np.int32) + 32768].tobytes()


def decode(ulaw: bytes) -> NDArray[np.int16]:
    """Mu-law as 16-bit samples at 8 kHz."""
    return _DECODE[np.frombuffer(ulaw, dtype=np.uint8)]


def silence(ms: int) -> bytes:
    """Digital silence of so many milliseconds."""
    return _SILENCE * (ms * BYTES_PER_MS)


def tone(frequencies: Sequence[float], ms: int, level_dbfs: float = -15) -> bytes:
    """Equally loud sine waves (Hz) added together; `level_dbfs` is the RMS level of the sum."""
    at = np.arange(ms * BYTES_PER_MS) / RATE
    peak = 32768 * 10 ** (level_dbfs / 20) * math.sqrt(2 / len(frequencies))
    wave_sum = sum((np.sin(2 * np.pi * frequency * at) for frequency in frequencies), start=np.zeros_like(at))
    return encode(np.clip(wave_sum * peak, -32768, 32767).astype(np.int16))


def level(ulaw: bytes) -> float:
    """RMS level in dBFS, at least `QUIETEST_DBFS` (which is what nothing at all has)."""
    if not ulaw.strip(_SILENCE):  # most of what is asked about, and nothing needs to be computed for it
        return QUIETEST_DBFS
    samples = _SAMPLES[np.frombuffer(ulaw, dtype=np.uint8)]
    power = float(np.dot(samples, samples)) / len(ulaw)  # several times faster than a mean: it is asked of every frame
    return max(QUIETEST_DBFS, 10 * math.log10(power / 32768**2)) if power else QUIETEST_DBFS


def mix(voices: Sequence[bytes]) -> bytes:
    """Pieces of equal length, heard together."""
    total = np.sum([decode(voice).astype(np.int32) for voice in voices], axis=0)
    return encode(np.clip(total, -32768, 32767).astype(np.int16))


def write_wav(path: Path | str, left: bytes, right: bytes) -> None:
    """Write two mu-law channels as a stereo 16-bit PCM WAV file of 8 kHz; the shorter one is padded with silence."""
    length = max(len(left), len(right))
    both = np.stack([decode(channel.ljust(length, _SILENCE)) for channel in (left, right)], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(both.astype("<i2").tobytes())


def from_wav(data: bytes) -> bytes:
    """A 16-bit PCM WAV file of any rate and any number of channels, as mu-law.

    Raises:
        NotAudio: `data` is no such file.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise NotAudio(f"not a WAV file: {error}") from error
    if width != 2:
        raise NotAudio(f"a WAV file of {8 * width} bits, not 16")
    pcm = np.frombuffer(frames, dtype="<i2").reshape(-1, channels).mean(axis=1)
    at = np.arange(0, len(pcm), rate / RATE)
    return encode(np.interp(at, np.arange(len(pcm)), pcm).astype(np.int16) if len(pcm) else pcm.astype(np.int16))
