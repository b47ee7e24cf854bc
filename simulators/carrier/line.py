"""A telephone line: a mouth and an ear of 20 ms frames, both recorded, and what a caller can do and wait for.

A line knows nothing of the network: `connect` says where its ear's sound comes from and who gets what the mouth says.
`tick` moves it on by 20 ms; a `Metronome` calls that in real time, a test as it likes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulators import audio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FRAME_MS: Final = 20
SILENT_FRAME: Final = audio.silence(FRAME_MS)
# Above this a frame is heard as sound; the quietest speech is some 20 dB louder.
AUDIBLE_DBFS: Final = -50.0
_KEYS: Final = {
    key: (low, high)
    for low, keys in ((697, "123A"), (770, "456B"), (852, "789C"), (941, "*0#D"))
    for high, key in zip((1209, 1336, 1477, 1633), keys, strict=True)
}


class LineDropped(Exception):  # noqa: N818  # the end of a call is no error
    """The call ended while the caller was speaking or waiting."""


def dtmf(key: str, ms: int = 160) -> bytes:
    """The tone of a key: one of 0-9, *, #, A-D."""
    return audio.tone(_KEYS[key], ms)


@dataclass(slots=True)
class Ends:
    """The network's end: what the ear is given and if it counts, who hears the mouth, who is told of keys."""

    source: Callable[[], bytes] | None = None
    listener: Callable[[bytes], None] | None = None
    keys: Callable[[str], None] | None = None
    counts: bool = True


@dataclass(slots=True)
class Hearing:
    """What a caller makes of what the ear hears; all in ms."""

    heard: bool = False
    sound_ms: int = 0
    quiet_ms: int = 0

    def frame(self, *, audible: bool) -> None:
        """Count one frame."""
        if audible:
            self.heard, self.quiet_ms = True, 0
            self.sound_ms += FRAME_MS
        else:
            self.quiet_ms += FRAME_MS


class Line:
    """One party's end of a call. `mouth` and `ear` are mu-law recordings, always of equal length."""

    def __init__(self, *, dtmf_audible: bool = False) -> None:
        self.mouth = bytearray()
        self.ear = bytearray()
        self.hearing = Hearing()
        self.over = False
        self.bridged = False
        self.hung_up: Callable[[], None] | None = None
        self._dtmf_audible = dtmf_audible
        self._ends = [Ends()]
        self._speech: deque[bytes] = deque()
        self._waits: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    # What the network does.

    @contextmanager
    def connect(
        self,
        *,
        source: Callable[[], bytes] | None = None,
        listener: Callable[[bytes], None] | None = None,
        keys: Callable[[str], None] | None = None,
        counts: bool = True,
    ) -> Iterator[None]:
        """For a while the ear hears `source` (at most 20 ms a call), `listener` the mouth, `keys` the pressed keys.

        What does not count is recorded, but no caller takes it for an answer.
        """
        ends = Ends(source, listener, keys or self._ends[-1].keys, counts)
        self._ends.append(ends)
        try:
            yield
        finally:
            # By identity: two verbs of two calls may hold a line at once and let go of it in any order.
            self._ends = [others for others in self._ends if others is not ends]

    async def play(self, ulaw: bytes) -> None:
        """Let the ear hear a recording; returns when it has been played."""
        size = len(SILENT_FRAME)
        frames = deque(ulaw[position : position + size] for position in range(0, len(ulaw), size))
        with self.connect(source=lambda: frames.popleft() if frames else b""):
            await self.until(lambda: not frames)

    def tick(self) -> None:
        """Move on by 20 ms."""
        said = self._say_frame()
        ends = self._ends[-1]
        heard = (ends.source() if ends.source else b"").ljust(len(SILENT_FRAME), SILENT_FRAME[:1])
        self.mouth += said
        self.ear += heard
        self.hearing.frame(audible=ends.counts and heard != SILENT_FRAME and audio.level(heard) > AUDIBLE_DBFS)
        if ends.listener is not None:
            ends.listener(said)
        self._wake()

    def drop(self) -> None:
        """End the line: whoever speaks or waits on it gets `LineDropped`."""
        self.over = True
        self._wake()

    # What the caller does.

    @property
    def ms(self) -> int:
        """How long the line has been recorded."""
        return len(self.ear) // audio.BYTES_PER_MS

    async def say(self, ulaw: bytes) -> None:
        """Say something; returns when it has been said."""
        size = len(SILENT_FRAME)
        for position in range(0, len(ulaw), size):
            self._speech.append(ulaw[position : position + size].ljust(size, SILENT_FRAME[:1]))
        await self.until(lambda: not self._speech)
        self.hearing.heard = False

    async def press(self, keys: str) -> None:
        """Press keys one after another, a quarter of a second each."""
        for key in keys:
            if self.over:
                raise LineDropped
            if (keys_pressed := self._ends[-1].keys) is not None:
                keys_pressed(key)
            await self.say((dtmf(key) if self._dtmf_audible else audio.silence(160)) + audio.silence(80))

    async def hang_up(self) -> None:
        """Hang up."""
        if self.hung_up is not None:
            self.hung_up()

    async def quiet(self, ms: int) -> None:
        """Wait until something has been heard, since the caller last spoke or waited so, and then nothing for `ms`."""
        await self.until(lambda: self.hearing.heard and self.hearing.quiet_ms >= ms)
        self.hearing.heard = False

    async def hears(self, ms: int) -> None:
        """Wait until `ms` of sound, from now on, have reached the ear."""
        enough = self.hearing.sound_ms + ms
        await self.until(lambda: self.hearing.sound_ms >= enough)

    async def connected_to_person(self) -> None:
        """Wait until the call is bridged to somebody."""
        await self.until(lambda: self.bridged)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that is looked at every 20 ms.

        Raises:
            LineDropped: the call ended first.
        """
        if self.over:
            raise LineDropped
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.append((condition, future))
        await future

    def _say_frame(self) -> bytes:
        return self._speech.popleft() if self._speech else SILENT_FRAME

    def _wake(self) -> None:
        for wait in list(self._waits):
            condition, future = wait
            if future.done():
                self._waits.remove(wait)
            elif self.over or condition():
                self._waits.remove(wait)
                if self.over:
                    future.set_exception(LineDropped())
                else:
                    future.set_result(None)


class Metronome:
    """Calls `tick` every 20 ms of the loop's clock, by absolute deadlines: lateness is made up, never accumulated.

    It is made up a tick at a time, between which sockets are served: that this process stood still is no peer's fault.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + FRAME_MS / 1000
        self._timer = self._loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        self._due += FRAME_MS / 1000
        self._tick()
        if not self._stopped:
            self._timer = self._loop.call_at(self._due, self._beat)

    def stop(self) -> None:
        """Stop, also from within a tick."""
        self._stopped = True
        self._timer.cancel()
