"""What waits for a peer that does not read: everything in its order, but of what perishes only the latest. Pure."""

from __future__ import annotations

from collections import deque

MOST_PERISHABLE = 50  # a second of a caller's audio: Twilio sends 20 ms at a time


class Backlog:
    """Messages that wait. `size`: their octets together."""

    def __init__(self) -> None:
        self.size = 0
        self._waiting: deque[tuple[bytes, bool]] = deque()  # with whether it perishes
        self._perishable = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, message: bytes, *, perishes: bool) -> bool:
        """Let one wait; False if the oldest that perishes is dropped for it."""
        full = perishes and self._perishable == MOST_PERISHABLE
        if full:
            oldest = next(place for place, (_, old) in enumerate(self._waiting) if old)
            self.size -= len(self._waiting[oldest][0])
            del self._waiting[oldest]
        else:
            self._perishable += perishes
        self._waiting.append((message, perishes))
        self.size += len(message)
        return not full

    def take(self) -> bytes:
        """The one that has waited longest."""
        message, perishes = self._waiting.popleft()
        self._perishable -= perishes
        self.size -= len(message)
        return message
