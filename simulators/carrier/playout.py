"""What Twilio has been sent and has not yet played: arrival order, real time, marks, `clear`. Pure.

https://www.twilio.com/docs/voice/media-streams/websocket-messages: a mark comes back once everything queued before it
has been played; `clear` empties the queue and brings every outstanding mark back at once.
"""

from __future__ import annotations

from collections import deque
from typing import Final

FRAME_BYTES: Final = 160
# https://www.twilio.com/docs/api/errors/31931: about ten minutes of audio may be queued.
QUEUE_LIMIT_BYTES: Final = 10 * 60 * 8000


class Playout:
    """A queue of mu-law audio with marks in it; positions count the bytes queued since the stream began."""

    def __init__(self) -> None:
        self._queue = bytearray()
        self._played = 0
        self._marks: deque[tuple[int, str]] = deque()

    @property
    def queued(self) -> int:
        """Bytes waiting to be played."""
        return len(self._queue)

    def media(self, audio: bytes) -> bool:
        """Queue audio; False if there is no room, and nothing was queued."""
        if len(self._queue) + len(audio) > QUEUE_LIMIT_BYTES:
            return False
        self._queue += audio
        return True

    def mark(self, name: str) -> list[str]:
        """Place a mark; returns the marks that have thereby been reached."""
        self._marks.append((self._played + len(self._queue), name))
        return self._reached()

    def clear(self) -> list[str]:
        """Drop what is queued; returns every outstanding mark."""
        self._queue.clear()
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def frame(self) -> tuple[bytes, list[str]]:
        """Play 20 ms, or less if less is queued; returns the audio and the marks it reached."""
        audio = bytes(self._queue[:FRAME_BYTES])
        del self._queue[:FRAME_BYTES]
        self._played += len(audio)
        return audio, self._reached()

    def _reached(self) -> list[str]:
        names = []
        while self._marks and self._marks[0][0] <= self._played:
            names.append(self._marks.popleft()[1])
        return names
