"""A person is called while the agent keeps the caller company. Pure.

The functions ring, and the ledger says how it goes: it is read once a second, and what is new in it is told to the
model. Nothing that the ledger says, or fails to say, leaves the caller without an end of this: see `ends_at`.
"""

from __future__ import annotations

from containers.media_relay import people
from containers.media_relay.actions import ReadTransfer, ToPerson
from containers.media_relay.silence import NEVER
from contracts.destination import Directory, Position
from contracts.handoff import Transfer, TransferState, Try
from contracts.transfer import Outcome

READ_EVERY = 1.0
UNCLAIMED_SECONDS = 8.0  # in which somebody must have taken the request, as with a departure
MARGIN_SECONDS = 20.0  # for claims, and for what rings when the caller's patience is over


class Attended:
    """One request that leaves the caller with the agent.

    `read_at`: when the ledger is to be asked; `ends_at`: when the webhook takes over whatever has become of it.
    """

    def __init__(self, to: ToPerson, at: Position, directory: Directory, now: float) -> None:
        self.to = to
        self.read_at = now + READ_EVERY
        self.ends_at = now + directory.max_wait_seconds + MARGIN_SECONDS
        self._directory = directory
        self._asked_at = now
        self._at = at
        self._told = 0  # tries that the model knows of

    @classmethod
    def resumed(cls, transfer: Transfer, directory: Directory, now: float) -> Attended:
        """The same on a later visit: the person is still being called. It begins with `answered`."""
        request = transfer.request
        one = cls(ToPerson(request.destination, request.reason, request.summary), transfer.position, directory, now)
        one.read_at = NEVER
        one._told = len(transfer.hunt.tries)
        return one

    @property
    def called(self) -> str:
        """Who is being called, as the agent says it."""
        return people.name(self._directory, self._at.destination)

    def read(self) -> ReadTransfer:
        """Ask the ledger; `answered` says when again."""
        self.read_at = NEVER
        return ReadTransfer()

    def answered(self, now: float) -> None:
        """The ledger has answered, or cannot be read now."""
        self.read_at = now + READ_EVERY

    def unclaimed(self, transfer: Transfer, now: float) -> bool:
        """Whether nobody has taken the request though there was time."""
        return transfer.attempt == 0 and now >= self._asked_at + UNCLAIMED_SECONDS

    def news(self, transfer: Transfer, now: float) -> tuple[Outcome | None, str]:
        """What the model does not know yet: how the last of it ended, and what to tell the model; "" for nothing.

        `now` is in seconds since the epoch.
        """
        hunt, outcome = transfer.hunt, transfer.outcome
        new, self._told = hunt.tries[self._told :], len(hunt.tries)
        moved = transfer.position != self._at
        self._at = transfer.position
        if transfer.state is TransferState.OVER:
            outcome = outcome or Outcome.FAILED
            tries = new or [Try(self._at.destination, 0, outcome)]
            tried = {self._at.destination, *(one.destination for one in hunt.tries)}
            return outcome, people.nobody(self._directory, tries, now, tried)
        if not new:
            return None, people.company(self.called) if moved else ""
        return new[-1].outcome, people.next_one(self._directory, new, self.called)
