"""Server VAD: where speech starts and stops in the audio that really arrived.

Frames of 20 ms are judged by WebRTC's detector and by loudness. Positions are milliseconds of audio since the session
began, as in the events (https://developers.openai.com/api/docs/guides/realtime-conversations): a start includes the
prefix padding, a stop includes the silence that decided it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import webrtcvad

from simulators import audio

FRAME_MS = 20
_FRAME_BYTES = FRAME_MS * audio.BYTES_PER_MS
_WINDOW, _NEEDED = 6, 4  # speech starts when 4 of the last 6 frames sound like it


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech from `ms`, padding included."""

    ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Speech until `ms`, silence included."""

    ms: int


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The settings of `turn_detection` that the detector obeys; a higher threshold needs louder speech."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500


class Vad:
    """Feed it mu-law; it yields starts and stops, always in alternation. `speaking` is between the two."""

    def __init__(self, position_ms: int = 0) -> None:
        self._position = position_ms
        self._rest = b""
        self._window: deque[bool] = deque(maxlen=_WINDOW)
        self.speaking = False
        self._quiet_from = 0
        self._detectors = [webrtcvad.Vad(mode) for mode in range(4)]

    def feed(self, ulaw: bytes, settings: Sensitivity) -> Iterator[SpeechStarted | SpeechStopped]:
        """Consume audio (mu-law, 8 kHz, any length) and say what was noticed in it."""
        self._rest += ulaw
        while len(self._rest) >= _FRAME_BYTES:
            frame, self._rest = self._rest[:_FRAME_BYTES], self._rest[_FRAME_BYTES:]
            self._position += FRAME_MS
            noticed = self._step(self._voiced(frame, settings.threshold), settings)
            if noticed is not None:
                yield noticed

    def _voiced(self, frame: bytes, threshold: float) -> bool:
        if audio.level(frame) < -60 + 30 * threshold:
            return False
        detector = self._detectors[min(3, int(threshold * 4))]
        return bool(detector.is_speech(audio.decode(frame).tobytes(), audio.RATE))

    def _step(self, voiced: bool, settings: Sensitivity) -> SpeechStarted | SpeechStopped | None:  # noqa: FBT001 - a frame's only property
        self._window.append(voiced)
        if voiced:
            self._quiet_from = self._position
        if not self.speaking and sum(self._window) >= _NEEDED:
            self.speaking = True
            first = list(self._window).index(True)
            began = self._position - (len(self._window) - first) * FRAME_MS
            return SpeechStarted(max(0, began - settings.prefix_padding_ms))
        if self.speaking and self._position - self._quiet_from >= settings.silence_duration_ms:
            self.speaking = False
            self._window.clear()
            return SpeechStopped(self._position)
        return None
