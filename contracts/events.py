"""The one event vocabulary: what every part logs, and what timeline, report, metrics and alarms are drawn from.

A line is one JSON object: `event`, `at` (ISO 8601, UTC, milliseconds), `part`, `call_sid` ("" before a call is known)
and the event's own fields. Telephone numbers appear masked only (`mask`); what people say and the keys they press never
appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Part(StrEnum):
    """Who logged the line."""

    WEBHOOK = "webhook"
    RELAY = "relay"
    TRANSFER = "transfer"
    MESSAGES = "messages"
    CARRIER = "carrier"


@dataclass(frozen=True, slots=True)
class Event:
    """An event's name and the fields that go with it."""

    name: str
    fields: frozenset[str]

    def __str__(self) -> str:
        return self.name


_VOCABULARY: dict[str, Event] = {}


def _event(name: str, *fields: str) -> Event:
    assert name not in _VOCABULARY, f"{name} is defined twice"
    event = _VOCABULARY[name] = Event(name, frozenset(fields))
    return event


# The webhook: every question Twilio asks, and what it was told.
CALL_RECEIVED = _event("call.received", "caller", "called", "replay")
REQUEST_REFUSED = _event("request.refused", "route", "status", "why")
STREAM_OFFERED = _event("stream.offered", "visit", "why")
STREAM_STATUS = _event("stream.status", "stream_sid", "stream_event")
STREAM_QUESTION = _event("stream.question", "decision", "visit")
DIAL_ENDED = _event("dial.ended", "request_id", "dial_status", "outcome", "seconds")
LEG_STATUS = _event("leg.status", "request_id", "child_sid", "status")
CALL_STATUS = _event("call.status", "status", "seconds")
CALL_ENDED = _event("call.ended", "reason", "by", "seconds")
DEFAULT_PERSON = _event("default_person.dialled", "why")
SENTENCE_SPOKEN = _event("sentence.spoken", "why")
BREAKER_MET = _event("breaker.met", "verdict")
LEDGER_FAILED = _event("ledger.failed", "operation", "error")
HANDLER_FAILED = _event("handler.failed", "route", "error")
SUMMARY_SHOWN = _event("summary.shown")

# Of what Twilio answered to one message of the queue, its own ids; the last line's last is the one that decided.
ANSWERS = "twilio_request_ids"

# The hand-off: the same claim, whoever takes it (`by`: transfer, webhook or last_resort).
TRANSFER_CLAIMED = _event("transfer.claimed", "request_id", "destination", "reason", "by", "attempt")
TRANSFER_HELD = _event("transfer.held", "request_id", "by", "seconds")
TRANSFER_DUPLICATE = _event("transfer.duplicate", "request_id", "by", "why")
TRANSFER_RECONCILED = _event("transfer.reconciled", "request_id", "child_sid", "found", "attempt", ANSWERS)
TRANSFER_SENT = _event("transfer.sent", "request_id", "destination", "by", "attempt", "hop")
TRANSFER_ANSWERED = _event("transfer.answered", "request_id", "status", "code", "ambiguous", "attempt", ANSWERS)
TRANSFER_DIALLED = _event("transfer.dialled", "request_id", "destination", "by", "attempt", "hop", "mode", ANSWERS)
TRANSFER_BRIDGED = _event("transfer.bridged", "request_id", "destination", "child_sid", "seconds")
TRANSFER_ACCEPTED = _event("transfer.accepted", "request_id", "destination", "hop", "child_sid")
TRANSFER_DECLINED = _event("transfer.declined", "request_id", "destination", "hop", "child_sid", "verdict")
TRANSFER_ADVANCED = _event("transfer.advanced", "request_id", "destination", "hop", "outcome")
TRANSFER_WITHDRAWN = _event("transfer.withdrawn", "request_id", "child_sid", "why", ANSWERS)
TRANSFER_OVER = _event("transfer.over", "request_id", "destination", "hop", "outcome", "reason", "then")
MESSAGE_TAKEN = _event("message.taken", "destination", "recording_sid", "seconds")
TRANSFER_REDIRECTED = _event("transfer.redirected", "request_id", "why")
TRANSFER_REFUSED = _event("transfer.refused", "request_id", "why", "attempt", ANSWERS)
TRANSFER_MALFORMED = _event("transfer.malformed", "message_id", "why")

# The relay.
RELAY_STARTED = _event("relay.started", "host", "port", "model")
RELAY_DRAINING = _event("relay.draining", "live_calls", "seconds")
RELAY_STOPPED = _event("relay.stopped", "live_calls")
MEDIA_REFUSED = _event("media.refused", "status", "why")
MEDIA_ACCEPTED = _event("media.accepted", "visit")
STREAM_STARTED = _event("stream.started", "stream_sid")
STREAM_ENDED = _event("stream.ended", "by", "why", "code")
MODEL_CONNECTED = _event("model.connected", "ms")
MODEL_READY = _event("model.ready")
MODEL_FAILED = _event("model.failed", "why", "code")
MODEL_RESUMED = _event("model.resumed", "why", "ms", "turns")
BREAKER_OPENED = _event("breaker.opened", "failures")
BREAKER_CLOSED = _event("breaker.closed")
MODEL_ERROR = _event("model.error", "code", "kind", "client_event")
RESPONSE_STARTED = _event("response.started", "response_id")
RESPONSE_AUDIO = _event("response.audio", "response_id")
RESPONSE_DONE = _event(
    "response.done",
    "response_id",
    "status",
    "why",
    "input_tokens",
    "output_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "cached_tokens",
    "cost_usd",
)
SPEECH_STARTED = _event("speech.started", "item_id")
SPEECH_STOPPED = _event("speech.stopped", "item_id")
SPEECH_UNHEARD = _event("speech.unheard", "times")
LINE_SPOKEN = _event("line.spoken")
PLAYOUT_LAGGED = _event("playout.lagged", "seconds")
BARGE_IN = _event("barge_in", "item_id", "heard_ms", "sent_ms", "unheard_ms")
KEY_PRESSED = _event("key.pressed", "asks_for_person")
TOOL_CALLED = _event("tool.called", "tool", "accepted", "why")
HANDOFF_ASKED = _event("handoff.asked", "request_id", "destination", "reason")
HANDOFF_ANNOUNCED = _event("handoff.announced", "request_id", "how", "ms")
HANDOFF_QUEUED = _event("handoff.queued", "request_id", "ms")
HANDOFF_FAILED = _event("handoff.failed", "request_id", "why")
HANDOFF_RELEASED = _event("handoff.released", "request_id", "why")
HANDOFF_NEWS = _event("handoff.news", "request_id", "destination", "outcome")
FRAME_MALFORMED = _event("frame.malformed", "side", "kind")
FRAMES_DROPPED = _event("frames.dropped", "malformed", "congested")
CALL_SWEPT = _event("call.swept", "visit", "relay", "request_id")
LIMIT_REACHED = _event("limit.reached", "limit")
LIMIT_UNPRICED = _event("limit.unpriced", "model")
EFFECT_FAILED = _event("effect.failed", "effect", "error")

# The delivery of messages that callers left.
MESSAGE_DELIVERED = _event("message.delivered", "recording_sid", "channel", "receives", "seconds")
MESSAGE_FAILED = _event("message.failed", "recording_sid", "channel", "receives", "why")
MESSAGE_DUPLICATE = _event("message.duplicate", "recording_sid")
SCREEN_POP_SENT = _event("screen_pop.sent", "channel")
SCREEN_POP_LOST = _event("screen_pop.lost", "channel", "receives", "why")
MESSAGE_MALFORMED = _event("message.malformed", "message_id", "why")

# The agent file while the parts run.
CONFIG_LOADED = _event("config.loaded", "edition", "source")
CONFIG_REFUSED = _event("config.refused", "edition", "source", "why")
CONFIG_UNREACHABLE = _event("config.unreachable", "source", "error")

# Written by the simulated carrier, which imports nothing of ours: the caller's side of the line.
LINE = _event("line", "what", "detail", "seconds")


VOCABULARY = dict(_VOCABULARY)
MOST_CHARS = 1000  # of a text in a line


def timestamp(now: float) -> str:
    """`now` (seconds since the epoch) as the `at` of an event line."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(event: Event, *, part: Part, now: float, call_sid: str = "", **fields: object) -> dict[str, object]:
    """One event line as a mapping; fields that are None are left out, and texts cut after `MOST_CHARS`."""
    unknown = fields.keys() - event.fields
    assert not unknown, f"{event.name} has no field {sorted(unknown)}"
    line: dict[str, object] = {"event": event.name, "at": timestamp(now), "part": part.value, "call_sid": call_sid}
    line.update((key, _cut(value)) for key, value in fields.items() if value is not None)
    return line


def _cut(value: object) -> object:
    """Some texts are a peer's own (the code of an error, the name of an item): they may be of any length."""
    return value[:MOST_CHARS] if isinstance(value, str) else value


def mask(number: str) -> str:
    """A telephone number fit for a log: its last two digits, if it is long enough to hide the rest."""
    return f"***{number[-2:]}" if len(number) > 6 else "***"
