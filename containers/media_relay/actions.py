"""What a session can be told beyond the two wire formats, and what it can ask for. Closed unions, matched whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from containers.media_relay import media_streams, realtime
from contracts.events import Event
from contracts.handoff import Then, Transfer
from contracts.transfer import Reason

# ---- events: what has happened -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelConnected:
    """The model's socket is open."""


@dataclass(frozen=True, slots=True)
class ModelGone:
    """The model's socket is closed, or could not be opened."""

    why: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class StreamGone:
    """Twilio's socket is closed."""

    why: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class Malformed:
    """One side ('twilio' or 'model') sent something that the protocol does not allow."""

    side: str
    kind: str


@dataclass(frozen=True, slots=True)
class TransferQueued:
    """The transfer request is on the queue."""


@dataclass(frozen=True, slots=True)
class TransferNotQueued:
    """The transfer request could not be put on the queue."""

    why: str


@dataclass(frozen=True, slots=True)
class EndRecorded:
    """The ledger knows, or could not be told, that the agent ends the call."""


@dataclass(frozen=True, slots=True)
class TransferNews:
    """What the ledger says of our request; None if it could not be read, or has none of ours.

    `then` is what a transfer that is over leaves to be done for the caller.
    """

    transfer: Transfer | None
    then: Then | None = None


@dataclass(frozen=True, slots=True)
class Drain:
    """This relay must go: the call goes on elsewhere, from a good moment within so many seconds, else from then."""

    within: float = 0.0


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another stream has the call by now: this one is closed, and nothing more is heard or written here."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; the deadline is due."""


SessionEvent = (
    media_streams.FromTwilio
    | realtime.ServerEvent
    | ModelConnected
    | ModelGone
    | StreamGone
    | Malformed
    | TransferQueued
    | TransferNotQueued
    | EndRecorded
    | TransferNews
    | Drain
    | Superseded
    | Tick
)

# ---- actions: what is to be done ---------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class QueueTransfer:
    """Put a transfer request on the queue, after noting it in the ledger; answered by TransferQueued or -NotQueued."""

    to: ToPerson


@dataclass(frozen=True, slots=True)
class NoteTransfer:
    """Note in the ledger that the caller is about to go to a person, whatever becomes of this relay until then."""

    to: ToPerson


@dataclass(frozen=True, slots=True)
class ReadTransfer:
    """Ask the ledger what has become of the request; answered by TransferNews, always."""


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """Note in the ledger that the agent ends the call; answered by EndRecorded."""

    reason: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Add a turn ('caller' or 'agent') to the conversation in the ledger."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class ConnectModel:
    """Open a new socket to the model in place of the one there was; answered by ModelConnected or ModelGone."""


@dataclass(frozen=True, slots=True)
class CloseModel:
    """Close the model's socket."""


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Close Twilio's socket once the ledger is up to date: Twilio then asks the webhook what next."""

    why: str


@dataclass(frozen=True, slots=True)
class Log:
    """One event line."""

    event: Event
    fields: dict[str, Any] = field(default_factory=dict)


Action = (
    media_streams.ToTwilio
    | realtime.ClientEvent
    | QueueTransfer
    | NoteTransfer
    | ReadTransfer
    | RecordEnd
    | Remember
    | ConnectModel
    | CloseModel
    | CloseStream
    | Log
)
