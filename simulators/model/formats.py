"""The three audio formats of the API, to and from the mu-law in which everything here is kept.

`audio/pcm` is 16-bit little-endian at 24 kHz; `audio/pcmu` and `audio/pcma` are G.711 at 8 kHz
(https://developers.openai.com/api/docs/guides/realtime-conversations).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators import audio

PCM, PCMU, PCMA = "audio/pcm", "audio/pcmu", "audio/pcma"
SAMPLE_BYTES = {PCM: 6, PCMU: 1, PCMA: 1}  # bytes that carry one sample at 8 kHz


def _a_law_table() -> Any:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code & 0x70) >> 4
    mantissa = (code & 0x0F) << 4
    magnitude = np.where(segment == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_A_LAW = _a_law_table()
_ULAW = audio.decode(bytes(range(256))).astype(np.int32)
_ULAW_TO_ALAW = np.abs(_ULAW[:, None] - _A_LAW.astype(np.int32)[None, :]).argmin(axis=1).astype(np.uint8)


def to_ulaw(kind: str, content: bytes) -> bytes:
    """Audio of a format as mu-law; `content` holds whole samples (`SAMPLE_BYTES`)."""
    if kind == PCMU:
        return content
    if kind == PCMA:
        return audio.encode(_A_LAW[np.frombuffer(content, np.uint8)])
    wide = np.frombuffer(content, "<i2").astype(np.int32)
    return audio.encode((wide.reshape(-1, 3).sum(axis=1) // 3).astype(np.int16))


def from_ulaw(kind: str, ulaw: bytes) -> bytes:
    """Mu-law as audio of a format."""
    if kind == PCMU:
        return ulaw
    if kind == PCMA:
        return bytes(_ULAW_TO_ALAW[np.frombuffer(ulaw, np.uint8)].tobytes())
    narrow = audio.decode(ulaw).astype(np.float64)
    wide = np.interp(np.arange(len(narrow) * 3) / 3, np.arange(len(narrow)), narrow) if len(narrow) else narrow
    return wide.astype("<i2").tobytes()
