"""What an impaired network does to one direction of one connection. Pure; `now` is in seconds of one monotonic clock.

Order is kept, whatever happens. A black hole holds what it is given, the end of the connection too, as TCP does while
its packets are lost: nobody learns anything, and what was held goes on when the hole is closed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

NEVER = float("inf")
MOST_HELD = 64 * 1024  # octets; then the sender has to wait, as it would for a full TCP window
_SMOOTH = 0.02  # seconds' worth of octets that a limited rate lets through at once


class Ending(Enum):
    """How one side says that it will say no more."""

    FINISH = auto()  # FIN: after all that was sent
    RESET = auto()  # RST


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What is wrong with one direction. `latency` in seconds, `rate` in octets a second, `cut_after` in octets.

    `cut_after` counts what this direction has carried since the connection was made; then both ends see `cut_by`.

    Raises:
        ValueError: a negative latency or count, or a rate at which nothing would ever pass (see `black_hole`).
    """

    latency: float = 0.0
    rate: float | None = None
    black_hole: bool = False
    cut_after: int | None = None
    cut_by: Ending = Ending.RESET

    def __post_init__(self) -> None:
        if not 0 <= self.latency < NEVER:
            raise ValueError(f"latency is {self.latency}, not a number of seconds")
        if self.rate is not None and not 0 < self.rate < NEVER:
            raise ValueError(f"rate is {self.rate}, not a number of octets a second")
        if self.cut_after is not None and self.cut_after < 0:
            raise ValueError(f"cut_after is {self.cut_after}, not a number of octets")


CLEAR = Impairment()


class Flow:
    """One direction. `impairment` may be exchanged at any time, and counts for what is under way too.

    `cut`: `cut_after` has been reached, and nothing passes any more.
    """

    def __init__(self, impairment: Impairment = CLEAR) -> None:
        self.impairment = impairment
        self.cut = False
        self._under_way: deque[tuple[float, bytes | Ending]] = deque()  # with when it came
        self._held = 0
        self._passed = 0
        self._free_at = -NEVER  # when the rate lets the next octet through

    @property
    def full(self) -> bool:
        """Whether the sender must wait."""
        return self.impairment.black_hole or self._held >= MOST_HELD

    @property
    def deadline(self) -> float:
        """When `due` wants to be called again; now or earlier: at once."""
        if self.impairment.black_hole or self.cut:
            return NEVER
        if self._cut_now():
            return -NEVER
        if not self._under_way:
            return NEVER
        return max(self._under_way[0][0] + self.impairment.latency, self._free_at if self.impairment.rate else -NEVER)

    def passes(self, piece: bytes) -> bool:
        """Whether nothing is wrong, and a piece may go on at once instead of being received; it is counted then."""
        if self.impairment is not CLEAR or self._under_way or self.cut:
            return False
        self._passed += len(piece)
        return True

    def receive(self, piece: bytes | Ending, now: float) -> None:
        """The sender said something, or that it says no more."""
        if isinstance(piece, bytes):
            self._held += len(piece)
        self._under_way.append((now, piece))

    def due(self, now: float) -> list[bytes | Ending]:
        """What comes out by `now`, in order."""
        out: list[bytes | Ending] = []
        while self.deadline <= now:
            if self._cut_now():
                self.cut = True
                self._under_way.clear()
                self._held = 0
                out.append(self.impairment.cut_by)
            else:
                out.append(self._next(now))
        return out

    def _cut_now(self) -> bool:
        after = self.impairment.cut_after
        return after is not None and self._passed >= after and not self.cut

    def _next(self, now: float) -> bytes | Ending:
        came_at, piece = self._under_way.popleft()
        if isinstance(piece, Ending):
            return piece
        passing = self._portion(piece)
        if len(passing) < len(piece):
            self._under_way.appendleft((came_at, piece[len(passing) :]))
        self._held -= len(passing)
        self._passed += len(passing)
        if self.impairment.rate:
            due_at = max(came_at + self.impairment.latency, self._free_at)
            # A clock that was read late lets no more through than one read in time, but does not save up either.
            self._free_at = max(due_at, now - _SMOOTH) + len(passing) / self.impairment.rate
        return passing

    def _portion(self, piece: bytes) -> bytes:
        most = len(piece)
        if self.impairment.rate:
            most = min(most, max(1, int(self.impairment.rate * _SMOOTH)))
        if self.impairment.cut_after is not None:
            most = min(most, self.impairment.cut_after - self._passed)
        return piece[:most]
