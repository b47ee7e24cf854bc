"""The queue message that asks for a person: what it may say, and how an attempt can end.

A message names a call and a key of the directory. It never carries a number, a URL or TwiML: whoever can write to the
queue can at most hand a live call to a person its owner has listed.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

VERSION = 1
MAX_BYTES = 8 * 1024
SUMMARY_CHARS = 600
CALL_SID = re.compile(r"CA[0-9a-f]{32}")
DESTINATION = re.compile(r"[a-z][a-z0-9_-]{0,31}")
REQUEST_ID = re.compile(r"[0-9a-f]{32}")


class Reason(StrEnum):
    """Why the caller is handed over."""

    CALLER_ASKED = "caller_asked"
    CALLER_PRESSED_KEY = "caller_pressed_key"
    AGENT_DECIDED = "agent_decided"
    AGENT_PROMISED = "agent_promised"
    AGENT_UNAVAILABLE = "agent_unavailable"
    AGENT_SILENT = "agent_silent"
    AGENT_FAILING = "agent_failing"
    TIME_LIMIT = "time_limit"
    SPEND_LIMIT = "spend_limit"
    CALLER_SILENT = "caller_silent"
    CALLER_LEAVES_MESSAGE = "caller_leaves_message"

    @property
    def agent_stays(self) -> bool:
        """Whether the agent can keep the caller company, or take the caller back."""
        return self is Reason.CALLER_PRESSED_KEY or self.announced

    @property
    def announced(self) -> bool:
        """Whether the agent has told the caller; otherwise the dial begins with a sentence."""
        asked_for = {Reason.CALLER_ASKED, Reason.CALLER_LEAVES_MESSAGE}
        return self in asked_for | {Reason.AGENT_DECIDED, Reason.AGENT_PROMISED}


class Outcome(StrEnum):
    """How one attempt to reach a person ended."""

    BRIDGED = "bridged"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    DECLINED = "declined"
    VOICEMAIL = "voicemail"
    CLOSED = "closed"
    CALLER_GONE = "caller_gone"
    CARRIER_ERROR = "carrier_error"
    NOT_CONFIGURED = "not_configured"


class Kind(StrEnum):
    """What a queue message asks for; one without a kind asks for a transfer."""

    TRANSFER = "transfer"
    WITHDRAW = "withdraw"


class MalformedRequest(ValueError):  # noqa: N818 - it names what the message is
    """A queue message is not a transfer request; the text says what is wrong and why."""


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """One wish to hand one call to one destination.

    `requested_at` is ISO 8601 with an offset. Built by `create` (the relay, the webhook) or `from_json` (the queue).
    """

    request_id: str
    call_sid: str
    destination: str
    reason: Reason
    summary: str
    requested_at: str

    @classmethod
    def create(
        cls, *, call_sid: str, destination: str, reason: Reason, now: float, summary: str = "", request_id: str = ""
    ) -> TransferRequest:
        """A request made at `now` (seconds since the epoch); the summary is cut to 600 characters.

        Raises:
            MalformedRequest: `call_sid`, `destination` or `request_id` has not its form.
        """
        requested_at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields: dict[str, object] = {
            "request_id": request_id or uuid.uuid4().hex,
            "call_sid": call_sid,
            "destination": destination,
            "reason": reason.value,
            "summary": _storable(summary),
            "requested_at": requested_at,
        }
        return _checked(fields)

    def to_json(self) -> str:
        """The message body; always under 8 KiB."""
        fields: dict[str, object] = {"version": VERSION, "request_id": self.request_id, "call_sid": self.call_sid}
        fields |= {"destination": self.destination, "reason": self.reason.value, "summary": self.summary}
        return json.dumps(fields | {"requested_at": self.requested_at})

    @classmethod
    def from_json(cls, body: str) -> TransferRequest:
        """Read a message body; unknown fields are ignored.

        Raises:
            MalformedRequest: not JSON, too large, or a field is missing or has not its form.
        """
        request = read(body)
        if not isinstance(request, TransferRequest):
            raise MalformedRequest("the message asks for no transfer")
        return request

    @property
    def asked_at(self) -> datetime:
        """`requested_at` as a time that can be compared."""
        return datetime.fromisoformat(self.requested_at)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One side of a meeting to be is gone: the other is to be let go, if hop `hop` of the request still stands."""

    call_sid: str
    request_id: str
    hop: int

    def to_json(self) -> str:
        """The message body."""
        fields = {"version": VERSION, "kind": Kind.WITHDRAW.value, "call_sid": self.call_sid}
        return json.dumps(fields | {"request_id": self.request_id, "hop": self.hop})


def read(body: str) -> TransferRequest | Withdrawal:
    """What a message body asks for; unknown fields are ignored.

    Raises:
        MalformedRequest: not JSON, too large, of an unknown kind, or a field is missing or has not its form.
    """
    if len(body) > MAX_BYTES or len(body.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise MalformedRequest(f"the message is larger than {MAX_BYTES} bytes")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:  # deep nesting raises RecursionError, huge integers ValueError
        raise MalformedRequest(f"the message is not JSON: {type(error).__name__}") from error
    if not isinstance(fields, dict):
        raise MalformedRequest("the message is not a JSON object")
    version = fields.get("version")
    if version != VERSION or isinstance(version, bool):
        raise MalformedRequest(f"version must be {VERSION}")
    kind = fields.get("kind", Kind.TRANSFER.value)
    if not isinstance(kind, str) or kind not in set(Kind):
        raise MalformedRequest("kind is not one of the known kinds")
    if kind == Kind.TRANSFER:
        return _checked(fields)
    hop = fields.get("hop")
    if not isinstance(hop, int) or isinstance(hop, bool) or not 0 <= hop < 1000:
        raise MalformedRequest("hop is not a count")
    return Withdrawal(_matching(fields, "call_sid", CALL_SID), _matching(fields, "request_id", REQUEST_ID), hop)


def _checked(fields: dict[str, object]) -> TransferRequest:
    reason = _text(fields, "reason")
    if reason not in set(Reason):
        raise MalformedRequest("reason is not one of the known reasons")
    return TransferRequest(
        request_id=_matching(fields, "request_id", REQUEST_ID),
        call_sid=_matching(fields, "call_sid", CALL_SID),
        destination=_matching(fields, "destination", DESTINATION),
        reason=Reason(reason),
        summary=_storable(_text(fields, "summary")),
        requested_at=_time(fields, "requested_at"),
    )


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise MalformedRequest(f"{name} is missing or is not a string")
    return value


def _matching(fields: dict[str, object], name: str, pattern: re.Pattern[str]) -> str:
    value = _text(fields, name)
    if not pattern.fullmatch(value):
        raise MalformedRequest(f"{name} has not the form {pattern.pattern}")
    return value


def _time(fields: dict[str, object], name: str) -> str:
    value = _text(fields, name)
    try:
        offset = datetime.fromisoformat(value).tzinfo
    except ValueError as error:
        raise MalformedRequest(f"{name} is not an ISO 8601 time") from error
    if offset is None:
        raise MalformedRequest(f"{name} has no offset from UTC")
    return value


def _storable(text: str) -> str:
    # Lone surrogates have no UTF-8 form, so neither SQS nor DynamoDB could carry them.
    return text[:SUMMARY_CHARS].encode("utf-8", "replace").decode("utf-8")
