"""Two lines that hear each other."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulators.carrier.line import Line


class Wire:
    """One direction between two lines: two frames of delay even out their clocks, more than five are dropped."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque(maxlen=5)
        self._flowing = False

    def push(self, frame: bytes) -> None:
        """A frame from one side."""
        self._frames.append(frame)
        self._flowing = self._flowing or len(self._frames) >= 2

    def pull(self) -> bytes:
        """The frame for the other side."""
        return self._frames.popleft() if self._flowing and self._frames else b""


@contextmanager
def wired(one: Line, other: Line, keys: Callable[[str], None] | None = None) -> Iterator[None]:
    """Let two lines hear each other; `keys` is told of keys pressed on the first."""
    there, back = Wire(), Wire()
    with (
        one.connect(source=back.pull, listener=there.push, keys=keys),
        other.connect(source=there.pull, listener=back.push),
    ):
        one.bridged = other.bridged = True
        try:
            yield
        finally:
            one.bridged = other.bridged = False
