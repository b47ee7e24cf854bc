"""What a load sees from outside: counts, and microseconds from sending to receiving."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Readings:
    """`late`: how far behind its own clock the load was, the limit of what the other figures can say."""

    sent: int = 0
    arrived: int = 0
    hung_up: int = 0
    up: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    barge_in: list[float] = field(default_factory=list)
    first_audio: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    def reset(self) -> None:
        """Start a new window; `first_audio` and `hung_up` belong to calls, not to windows, and stay."""
        self.sent = self.arrived = 0
        for values in (self.up, self.down, self.barge_in, self.late):
            values.clear()
