"""How a call leaves the agent: to a person, or to its end. Pure.

announcing  the agent says what happens now; at most `ANNOUNCE_SECONDS`, and nothing the caller says undoes it
leaving     the request has left; the agent is mute and a caller who goes to a person hears ringing
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.transfer import Reason

ANNOUNCE_SECONDS = 4.0
GOODBYE_SECONDS = 15.0  # a goodbye is heard to its end, unless it has none
TAKE_AWAY_SECONDS = 8.0  # then the stream is ended, and the webhook does the transfer under the same claim
RECORD_SECONDS = 2.0  # what the ledger gets to note the end of a call


@dataclass(frozen=True, slots=True)
class ToPerson:
    """Where the caller goes, and why."""

    destination: str
    reason: Reason
    summary: str


@dataclass(frozen=True, slots=True)
class ToEnd:
    """The agent ends the call."""

    reason: str


@dataclass(slots=True)
class Departure:
    """One departure under way. `line_sent`: the announcing sentence is wholly with Twilio."""

    to: ToPerson | ToEnd
    asked_at: float
    deadline: float
    left: bool = False
    line_sent: bool = False

    def leave(self, now: float) -> None:
        """The request leaves now."""
        self.left = True
        self.deadline = now + (TAKE_AWAY_SECONDS if isinstance(self.to, ToPerson) else RECORD_SECONDS)
