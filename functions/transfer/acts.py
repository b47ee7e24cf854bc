"""The three ways a transfer acts on the outside: dial, call the person apart, and let both meet.

Each sends its request, and finds what an earlier request may have done without our hearing of it. Neither decides
anything: that is `dialing`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from contracts.destination import Mode, Target, TargetKind
from contracts.hunt import Ring
from contracts.row import Row
from functions.transfer.carrier import Ambiguous, Carrier, CarrierFailure, Refused
from functions.transfer.dial_twiml import Hop, meeting


class Act(Protocol):
    """Something that must happen once, `mode` in the log; both raise `CarrierFailure`s."""

    @property
    def mode(self) -> str: ...

    def send(self) -> str:
        """Do it. Returns the SID of the person's leg, or "" if Twilio does not tell."""

    def found(self) -> str | None:
        """The SID of a call that proves it done; None: there is none that can be seen."""


@dataclass(frozen=True, slots=True)
class Dial:
    """The caller's call runs `twiml`, which rings people as its child legs."""

    carrier: Carrier
    row: Row
    twiml: str
    mode: str

    def send(self) -> str:
        """Update the call."""
        self.carrier.update(self.row.call_sid, self.twiml)
        return ""

    def found(self) -> str | None:
        """A child leg of no ring before this one."""
        legs = self.carrier.legs(self.row.call_sid)
        return next((sid for sid in legs if sid not in self.row.past_legs), None)


@dataclass(slots=True)
class Summon:
    """People are called, each for himself, while the caller stays.

    `since` is before the first such request, `holds` says before another one whether the claim still does. `known` are
    the calls by address, `refused` the addresses that cannot be called.
    """

    carrier: Carrier
    row: Row
    ring: Ring
    hop: Hop
    since: float
    holds: Callable[[Act], bool]
    known: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    mode: str = Mode.ATTENDED.value

    @property
    def addresses(self) -> tuple[str, ...]:
        """Whom to call, each once."""
        return tuple(dict.fromkeys(_address(target) for target in self.ring.targets))

    def send(self) -> str:
        """Call everybody who is not known to have been called. One who cannot be called keeps nobody from the rest.

        Once somebody rings, no failure is one that nothing has come of.
        """
        for address in self._others():
            if self.known and not self.holds(self):
                raise Ambiguous  # some ring; whoever holds the claim now will find them
            try:
                self.known[address] = self._call(address)
            except CarrierFailure as failure:
                some_are_left = len(self.refused) + 1 < len(self.addresses)
                if isinstance(failure, Refused) and failure.status == 400 and some_are_left:
                    self.refused.append(address)
                elif self.known:
                    raise Ambiguous(failure.status, failure.code) from failure
                else:
                    raise
        return next(iter(self.known.values()))

    def found(self) -> str | None:
        """A call to each of them."""
        for address in self._others():
            calls = self.carrier.calls(to=address, from_=self.row.call.called, since=self.since)
            fresh = [sid for sid in calls if sid not in self.row.past_legs]
            self.known |= {address: fresh[0]} if fresh else {}
        return None if self._others() else next(iter(self.known.values()))

    def _others(self) -> list[str]:
        return [one for one in self.addresses if one not in self.known and one not in self.refused]

    def _call(self, address: str) -> str:
        return self.carrier.call(
            to=address,
            from_=self.row.call.called,
            url=self.hop.of_person("attend"),
            status_url=self.hop.of_person("attend-ended", of=len(self.addresses)),
            seconds=self.ring.seconds,
        )


@dataclass(frozen=True, slots=True)
class Join:
    """The caller's call goes to the room where the person waits."""

    carrier: Carrier
    row: Row
    hop: Hop
    mode: str = "join"

    def send(self) -> str:
        """Update the call."""
        self.carrier.update(self.row.call_sid, str(meeting(self.hop)))
        return ""

    def found(self) -> str | None:
        """The caller, in the room."""
        return self.row.call_sid if self.row.call_sid in self.carrier.participants(self.hop.room) else None


def _address(target: Target) -> str:
    return f"client:{target.address}" if target.kind is TargetKind.CLIENT else target.address
