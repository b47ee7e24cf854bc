"""The ledger row of a call: its parts, and how they look in DynamoDB.

Values only; what may happen to a row is decided in `contracts/ledger.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

from contracts.destination import Position
from contracts.handoff import Answer, Attempt, Hunt, Transfer, TransferState, Try, Verdict
from contracts.transfer import Outcome, Reason, TransferRequest

__all__ = [
    "Answer",
    "Attempt",
    "AttributeValue",
    "Call",
    "Ending",
    "Hunt",
    "MalformedRow",
    "Row",
    "Status",
    "Stream",
    "StreamState",
    "Transfer",
    "TransferState",
    "Try",
    "Turn",
    "Verdict",
    "from_item",
    "to_item",
    "to_turns",
]

# An attribute value is one key, its type, and the value: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
AttributeValue = dict[str, Any]


class MalformedRow(ValueError):  # noqa: N818 - it names what the row is
    """An item of the table is not a row."""


class StreamState(StrEnum):
    """Where one visit to the agent stands."""

    OFFERED = "offered"
    LIVE = "live"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Call:
    """Who called what. `caller_id` is what `<Dial callerId>` must say; empty: Twilio's default, the caller's own."""

    account_sid: str
    caller_masked: str
    called: str
    caller_id: str
    opened_at: float


@dataclass(frozen=True, slots=True)
class Status:
    """Twilio's latest word on the call; `sequence` is its SequenceNumber, -1 before any came."""

    status: str
    sequence: int = -1


@dataclass(frozen=True, slots=True)
class Ending:
    """How the call ended, and by whom: caller, agent, person or carrier."""

    reason: str
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class Stream:
    """One visit to the agent: its token's digest and state.

    `after_loss`: offered because the visit before was lost; `lost` counts the visits of this call that were.
    """

    visit: int
    nonce: str
    digest: str
    offered_at: float
    after_loss: bool = False
    state: StreamState = StreamState.OFFERED
    stream_sid: str = ""
    ended_reason: str = ""
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said."""

    role: Literal["caller", "agent"]
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """All that is known of a call. `revision` counts the writes; every write is conditional on the one it read."""

    call_sid: str
    call: Call
    stream: Stream
    status: Status
    expires_at: int
    ending: Ending | None = None
    conversation: tuple[Turn, ...] = ()
    agent_ended: str = ""
    transfer: Transfer | None = None
    attempts: tuple[Attempt, ...] = ()
    revision: int = 1

    @property
    def over(self) -> bool:
        """No more can be done for this call."""
        return self.ending is not None

    @property
    def open_transfer(self) -> Transfer | None:
        """The transfer that was asked for and is not over."""
        return self.transfer if self.transfer and self.transfer.state is not TransferState.OVER else None

    @property
    def past_legs(self) -> frozenset[str]:
        """Child legs of transfers, and of rings, that are over."""
        tries = [one for attempt in self.attempts for one in attempt.tries]
        tries.extend(self.transfer.hunt.tries if self.transfer else ())
        rung = {leg for one in tries for leg in (one.child_sid, *one.legs)}
        return frozenset(rung | {attempt.child_sid for attempt in self.attempts}) - {""}


def to_item(row: Row) -> dict[str, AttributeValue]:
    """The row as DynamoDB stores it."""
    return {name: _attribute(value) for name, value in asdict(row).items()}


def to_turns(conversation: tuple[Turn, ...]) -> AttributeValue:
    """A conversation as DynamoDB stores it."""
    return _attribute([asdict(turn) for turn in conversation])


def from_item(item: Mapping[str, AttributeValue]) -> Row:
    """The row that DynamoDB stored.

    Raises:
        MalformedRow: the item was not written by `to_item`.
    """
    try:
        return _row({name: _value(value) for name, value in item.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedRow(f"the row has not its form: {type(error).__name__}: {error}") from error


def _row(fields: dict[str, Any]) -> Row:
    ending, transfer = fields.pop("ending"), fields.pop("transfer")
    stream = fields.pop("stream")
    return Row(
        call_sid=fields["call_sid"],
        call=Call(**fields["call"]),
        stream=Stream(**{**stream, "state": StreamState(stream["state"])}),
        status=Status(**fields["status"]),
        expires_at=fields["expires_at"],
        ending=Ending(**ending) if ending else None,
        conversation=tuple(Turn(**turn) for turn in fields["conversation"]),
        agent_ended=fields["agent_ended"],
        transfer=_transfer(transfer) if transfer else None,
        attempts=tuple(
            Attempt(**{**one, "outcome": Outcome(one["outcome"]), "tries": _tries(one)}) for one in fields["attempts"]
        ),
        revision=fields["revision"],
    )


def _transfer(fields: dict[str, Any]) -> Transfer:
    request = fields["request"]
    typed = {
        "request": TransferRequest(**{**request, "reason": Reason(request["reason"])}),
        "state": TransferState(fields["state"]),
        "outcome": Outcome(fields["outcome"]) if fields["outcome"] else None,
        # A row that was written before there were hunts has none of these.
        "hunt": _hunt(fields.get("hunt") or {}),
        "answer": _answer(fields.get("answer")),
    }
    return Transfer(**{**fields, **typed})


def _hunt(fields: dict[str, Any]) -> Hunt:
    position = fields.get("position")
    typed = {
        "position": Position(**position) if position else None,
        "visited": tuple(fields.get("visited", ())),
        "tries": _tries(fields),
        "legs": tuple(fields.get("legs", ())),
    }
    return Hunt(**{**fields, **typed})


def _answer(fields: dict[str, Any] | None) -> Answer | None:
    return Answer(**{**fields, "verdict": Verdict(fields["verdict"])}) if fields else None


def _tries(fields: dict[str, Any]) -> tuple[Try, ...]:
    return tuple(
        Try(**{**one, "outcome": Outcome(one["outcome"]), "legs": tuple(one["legs"])})
        for one in fields.get("tries", ())
    )


def _attribute(value: object) -> AttributeValue:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": repr(value)}
        case str():
            return {"S": str(value)}
        case dict():
            return {"M": {name: _attribute(one) for name, one in value.items()}}
        case list() | tuple():
            return {"L": [_attribute(one) for one in value]}
        case _:
            raise TypeError(f"a row holds no {type(value).__name__}")


def _value(attribute: AttributeValue) -> Any:
    (kind, value), *_ = attribute.items()
    match kind:
        case "NULL":
            return None
        case "BOOL" | "S":
            return value
        case "N":
            return float(value) if "." in value or "e" in value.lower() else int(value)
        case "M":
            return {name: _value(one) for name, one in value.items()}
        case "L":
            return [_value(one) for one in value]
        case _:
            raise TypeError(f"a row holds no attribute of type {kind}")
