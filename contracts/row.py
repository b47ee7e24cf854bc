"""The ledger row of a call: its parts, and how they look in DynamoDB.

Values only; what may happen to a row is decided in `contracts/ledger.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from dataclasses import fields as fields_of
from enum import StrEnum
from typing import Any, Literal, TypeVar

from contracts.destination import Position
from contracts.handoff import Answer, Attempt, Hunt, Then, Transfer, TransferState, Try, Verdict
from contracts.transfer import Outcome, Reason, TransferRequest

__all__ = [
    "Answer",
    "Attempt",
    "AttributeValue",
    "Call",
    "Ending",
    "Hunt",
    "MalformedRow",
    "Message",
    "Row",
    "Status",
    "Stream",
    "StreamState",
    "Then",
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
_Part = TypeVar("_Part")


class MalformedRow(ValueError):  # noqa: N818 - it names what the row is
    """An item of the table is not a row."""


class StreamState(StrEnum):
    """Where one visit to the agent stands."""

    OFFERED = "offered"
    LIVE = "live"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Call:
    """Who called what. `caller_id` is what `<Dial callerId>` must say; empty: Twilio's default, the caller's own.

    `caller_key` is the same for every call of a number and tells nobody which; "" if the number is hidden. `edition`
    refers to the agent file that the call lives by (`contracts/edition.py`); "": whichever is in force.
    """

    account_sid: str
    caller_masked: str
    called: str
    caller_id: str
    opened_at: float
    caller_key: str = ""
    edition: str = ""


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

    `after_loss`: offered because the visit before was lost; `lost` counts the visits of this call that were. `resumes`:
    how it begins if the visit before was moved here ("": it was not); `moved` counts those that were. `relay`: the
    process that has it, once it is live. `refused`: why a relay would not take it ("": none said so); `refusals` counts
    the visits before it in a row that none took.
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
    resumes: str = ""
    moved: int = 0
    relay: str = ""
    refused: str = ""
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said."""

    role: Literal["caller", "agent"]
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """What the caller left for a destination (a key); times in seconds. `delivered_at` 0: not yet."""

    recording_sid: str
    recording_url: str
    seconds: int
    taken_at: float
    destination: str
    delivered_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """All that is known of a call. `revision` counts the writes, each conditional on the one it read; `spent`: USD."""

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
    message: Message | None = None
    spent: float = 0.0

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
        call=_known(Call, fields["call"]),
        stream=_known(Stream, {**stream, "state": StreamState(stream["state"])}),
        status=_known(Status, fields["status"]),
        expires_at=fields["expires_at"],
        ending=_known(Ending, ending) if ending else None,
        conversation=tuple(_known(Turn, turn) for turn in fields["conversation"]),
        agent_ended=fields["agent_ended"],
        transfer=_transfer(transfer) if transfer else None,
        attempts=tuple(_attempt(one) for one in fields["attempts"]),
        revision=fields["revision"],
        message=_known(Message, fields["message"]) if fields.get("message") else None,
        spent=fields.get("spent", 0.0),
    )


def _attempt(fields: dict[str, Any]) -> Attempt:
    then = fields.get("then")
    typed = {"outcome": Outcome(fields["outcome"]), "tries": _tries(fields), "then": Then(then) if then else None}
    return _known(Attempt, {**fields, **typed})


def _transfer(fields: dict[str, Any]) -> Transfer:
    request = fields["request"]
    typed = {
        "request": _known(TransferRequest, {**request, "reason": Reason(request["reason"])}),
        "state": TransferState(fields["state"]),
        "outcome": Outcome(fields["outcome"]) if fields["outcome"] else None,
        # A row that was written before there were hunts has none of these.
        "hunt": _hunt(fields.get("hunt") or {}),
        "answer": _answer(fields.get("answer")),
    }
    return _known(Transfer, {**fields, **typed})


def _hunt(fields: dict[str, Any]) -> Hunt:
    position = fields.get("position")
    typed = {
        "position": _known(Position, position) if position else None,
        "visited": tuple(fields.get("visited", ())),
        "tries": _tries(fields),
        "legs": tuple(fields.get("legs", ())),
        "ended": tuple(fields.get("ended", ())),
    }
    return _known(Hunt, {**fields, **typed})


def _answer(fields: dict[str, Any] | None) -> Answer | None:
    return _known(Answer, {**fields, "verdict": Verdict(fields["verdict"])}) if fields else None


def _tries(fields: dict[str, Any]) -> tuple[Try, ...]:
    return tuple(
        _known(Try, {**one, "outcome": Outcome(one["outcome"]), "legs": tuple(one["legs"])})
        for one in fields.get("tries", ())
    )


def _known(kind: Callable[..., _Part], values: Mapping[str, Any]) -> _Part:
    """A part of a row; a field that a newer version of ours has added is left out, for versions overlap in a deploy."""
    names = {field.name for field in fields_of(kind)}  # type: ignore[arg-type]  # each kind is a dataclass
    return kind(**{name: value for name, value in values.items() if name in names})


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
