"""What the caller has heard of what we sent. Pure; `now` is in seconds of one monotonic clock.

Twilio plays what it is sent in order and in real time, and echoes a mark when everything before it has played. So a
position is known by marks (never less than the last one echoed, never more than the next one still out), moved between
them by the clock, and capped by what was sent. A `clear` echoes the marks it removes as if they had played: their
generation is over by then, and they count for nothing. A line that does not keep up shows in its marks only: what
`send` accepts may wait in the kernel for minutes.
https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

OCTETS_PER_SECOND = 8000
MARK_EVERY = 400 * 8  # octets; one mark a few hundred milliseconds is precise enough and costs little
MOST_LAG = 10.0  # seconds that a mark may be late


@dataclass(frozen=True, slots=True)
class Cut:
    """An item that a `clear` stopped: how much of it was heard, of how much that was sent."""

    item_id: str
    heard_ms: int
    sent_ms: int


@dataclass(slots=True)
class _Item:
    item_id: str
    start: int
    end: int


class Playout:
    """Twilio's buffer as far as it can be known from here. Positions are octets since the last `clear`."""

    def __init__(self) -> None:
        self._generation = 0
        self._serial = 0
        self._sent = 0
        self._marked = 0  # position of the last mark sent
        self._marks: deque[tuple[str, int, float]] = deque()  # name, position, when its echo is due
        self._items: deque[_Item] = deque()
        self._ended = True  # no more is to come of the last item
        self._anchor = (0, 0.0)  # a position, and when it was reached
        self._played_at = 0.0  # when all that was sent has played, on a line that keeps up

    def add(self, item_id: str, octets: int, now: float) -> None:
        """Audio of an item has been sent."""
        if self.position(now) >= self._sent:
            self._anchor = (self._sent, now)  # the buffer had run dry, so this plays at once
        if not self._items or self._items[-1].item_id != item_id:
            self._items.append(_Item(item_id, self._sent, self._sent))
        self._sent += octets
        self._played_at = max(self._played_at, now) + octets / OCTETS_PER_SECOND
        self._items[-1].end = self._sent
        self._ended = False

    def end(self) -> list[str]:
        """The response is over, and so is its last item: the items that are wholly heard by now."""
        self._ended = True
        return self._heard()

    def mark_due(self, *, at_end: bool = False) -> bool:
        """Whether enough unmarked audio has been sent; at the end of a response any is enough."""
        unmarked = self._sent - self._marked
        return unmarked > 0 if at_end else unmarked >= MARK_EVERY

    def mark(self) -> str:
        """The name of a mark to send now: unique, with its generation."""
        self._serial += 1
        self._marked = self._sent
        name = f"g{self._generation}.{self._serial}"
        self._marks.append((name, self._sent, self._played_at))
        return name

    def marked(self, name: str, now: float) -> list[str]:
        """A mark came back: the items that are now wholly heard. Unknown and cleared marks change nothing."""
        if not any(name == out for out, _, _ in self._marks):
            return []
        reached = ""
        while reached != name:
            reached, position, _ = self._marks.popleft()
            self._anchor = (position, now)
        return self._heard()

    def _heard(self) -> list[str]:
        heard = []
        while len(self._items) > (0 if self._ended else 1) and self._items[0].end <= self._anchor[0]:
            heard.append(self._items.popleft().item_id)
        return heard

    def clear(self, now: float) -> list[Cut]:
        """A `clear` is being sent: the items it cuts, oldest first."""
        position = self.position(now)
        cuts = [
            Cut(item.item_id, max(0, int(position) - item.start) // 8, (item.end - item.start) // 8)
            for item in self._items
            if item.end > position
        ]
        self._generation += 1
        self._sent = self._marked = 0
        self._marks.clear()
        self._items.clear()
        self._anchor, self._played_at = (0, now), now
        return cuts

    @property
    def items(self) -> list[str]:
        """The items that are not wholly heard yet, oldest first."""
        return [item.item_id for item in self._items]

    def lag(self, now: float) -> float:
        """How many seconds the oldest mark that is still out is late, against a line that plays in real time."""
        return max(0.0, now - self._marks[0][2]) if self._marks else 0.0

    @property
    def playing(self) -> bool:
        """Whether Twilio still holds audio that it has not reported as played."""
        return bool(self._marks) or self._sent > self._marked

    def position(self, now: float) -> float:
        """How far playing has come."""
        octets, at = self._anchor
        most = self._marks[0][1] if self._marks else self._sent
        return min(octets + max(0.0, now - at) * OCTETS_PER_SECOND, most)

    def ends_at(self, now: float) -> float:
        """When all that was sent will have played, by the clock; `now` if it has."""
        octets, at = self._anchor
        return max(now, at + (self._sent - octets) / OCTETS_PER_SECOND)
