"""The input audio buffer: what was appended, how much, and which part of it becomes an item."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.model import formats
from simulators.model.vad import Sensitivity, SpeechStarted, SpeechStopped, Vad

_SLACK_MS = 500  # kept before a start is noticed, besides the padding


class InputAudio:
    """Appended audio as mu-law. `position_ms` counts all of it since the session began."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._bytes = 0
        self._rest = b""
        self._vad: Vad | None = None

    @property
    def position_ms(self) -> int:
        return self._bytes // 8

    @property
    def held_ms(self) -> int:
        return len(self._held) // 8

    def append(
        self, content: bytes, kind: str, sensitivity: Sensitivity | None
    ) -> Iterator[SpeechStarted | SpeechStopped]:
        """Take audio in the session's format; with a sensitivity, say where speech starts and stops in it."""
        content = self._rest + content
        whole = len(content) - len(content) % formats.SAMPLE_BYTES[kind]
        self._rest = content[whole:]
        ulaw = formats.to_ulaw(kind, content[:whole])
        self._held += ulaw
        self._bytes += len(ulaw)
        if sensitivity is None:
            self._vad = None
            return
        if self._vad is None:
            self._vad = Vad(self.position_ms - len(ulaw) // 8)
        yield from self._vad.feed(ulaw, sensitivity)
        if not self._vad.speaking:
            del self._held[: -8 * (sensitivity.prefix_padding_ms + _SLACK_MS)]

    def take(self, from_ms: int = 0, to_ms: int | None = None) -> bytes:
        """The held audio of that stretch (positions in ms), which leaves the buffer with all before it."""
        base = self._bytes - len(self._held)
        end = len(self._held) if to_ms is None else max(0, to_ms * 8 - base)
        taken = bytes(self._held[max(0, from_ms * 8 - base) : end])
        del self._held[:end]
        return taken

    def clear(self) -> None:
        self._held.clear()
        self._vad = None
