"""What becomes of a message, and the time there is for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from functions.transfer.lease import lease_seconds, round_seconds

SOON_SECONDS = 1.0
REFUSED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """The message has had its effect, or can have none: acknowledge it."""


@dataclass(frozen=True, slots=True)
class Again:
    """The message must come back, `seconds` from now."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Next:
    """This ring is over, and the ledger says what is next: claim again."""


Result = Done | Again | Next


@dataclass(frozen=True, slots=True)
class Timing:
    """The time a dialer has: `now` in seconds, `sleep`, the wait after a 429, and Twilio's child-leg lag in seconds."""

    now: Callable[[], float]
    sleep: Callable[[float], None]
    jitter: Callable[[], float]
    lag: float

    @property
    def lease(self) -> float:
        """Seconds that a claim holds."""
        return lease_seconds(self.lag)

    @property
    def round(self) -> float:
        """Seconds that must be left to begin a dial."""
        return round_seconds(self.lag)
