"""The row's part about the person: the transfer, its claim, and its hunt through the targets.

Values only; who may change them is decided in `contracts/claim.py` and `contracts/hops.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contracts.destination import Position
from contracts.transfer import Outcome, TransferRequest


class TransferState(StrEnum):
    """Where a transfer request stands."""

    ASKED = "asked"
    CLAIMED = "claimed"
    DIALLED = "dialled"
    OVER = "over"


class Then(StrEnum):
    """What a transfer that is over leaves to be done for the caller."""

    AGENT = "agent"
    MESSAGE = "message"
    GOODBYE = "goodbye"
    HANG_UP = "hang_up"


class Verdict(StrEnum):
    """What the person's key said about taking the call."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    NO_KEY = "no_key"


@dataclass(frozen=True, slots=True)
class Try:
    """One ring of a hunt that is over. `note` is the reason a person gave; `legs` are all that were seen of it."""

    destination: str
    index: int
    outcome: Outcome
    child_sid: str = ""
    at: float = 0.0
    note: str = ""
    legs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hunt:
    """Where a transfer stands among the targets.

    `hop` counts the rings; `position` None: it has not begun; `begun_at` is when its first ring was claimed; `legs` are
    those seen of this hop, `dials` counts its claims that came to a dial. `attended`: the caller stays with the agent
    while this one rings, and `ended` are those of its legs that are over.
    """

    hop: int = 0
    position: Position | None = None
    visited: tuple[str, ...] = ()
    tries: tuple[Try, ...] = ()
    legs: tuple[str, ...] = ()
    begun_at: float = 0.0
    attended: bool = False
    ended: tuple[str, ...] = ()
    dials: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person's key said in this hop, on the leg `by`; `note` is the reason of one who declined."""

    verdict: Verdict
    at: float
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """The current transfer request, its claim, and its hunt.

    `attempt` counts claims and fences them; `until` is the lease's end; `doubtful` says that an earlier claim may have
    dialled without our hearing of it, so that the next one must look before it dials. `joining`: an attended person
    has accepted, and what is to be claimed and dialled now is the meeting of both.
    """

    request: TransferRequest
    state: TransferState = TransferState.ASKED
    by: str = ""
    until: float = 0.0
    attempt: int = 0
    doubtful: bool = False
    dialled_at: float = 0.0
    child_sid: str = ""
    outcome: Outcome | None = None
    hunt: Hunt = Hunt()
    answer: Answer | None = None
    joining: bool = False

    @property
    def hop(self) -> int:
        """How many rings of this transfer are over."""
        return self.hunt.hop

    @property
    def position(self) -> Position:
        """Where the hunt stands, or begins."""
        return self.hunt.position or Position(self.request.destination)

    @property
    def accepted_at(self) -> float:
        """When the person of this hop accepted; 0: not yet."""
        return self.answer.at if self.answer and self.answer.verdict is Verdict.ACCEPTED else 0.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A transfer that is over, with its rings; `child_sid` is empty when no leg was ever seen.

    `then` is what it left to be done for the caller, who had come from the agent's visit `visit`.
    """

    request_id: str
    destination: str
    by: str
    at: float
    outcome: Outcome
    child_sid: str = ""
    tries: tuple[Try, ...] = ()
    then: Then | None = None
    visit: int = 0
