"""Metric names shared by the code that publishes and the alarms that watch; counts, unless the name ends in `Ms`.

Three ways lead to CloudWatch, all in its embedded metric format or from the log itself, and none per audio frame: a
function counts at once, the relay's line every ten seconds tells what is measured, and what the relay merely logs is
counted from its log by the metric filters of `LOGGED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contracts import events
from contracts.events import Event

NAMESPACE = "Patchthrough"
SERVICE_DIMENSION = "service"  # as Powertools writes it


class Metric(StrEnum):
    """Every metric that any part publishes."""

    CALLS_RECEIVED = "CallsReceived"
    REQUESTS_REFUSED = "RequestsRefused"
    STREAMS_OFFERED = "StreamsOffered"
    STREAMS_LOST = "StreamsLost"
    CALLS_DIVERTED = "CallsDiverted"
    DEFAULT_PERSON_DIALLED = "DefaultPersonDialled"
    LEDGER_FAILURES = "LedgerFailures"
    HANDLER_FAILURES = "HandlerFailures"
    TRANSFERS_DIALLED = "TransfersDialled"
    TRANSFERS_BRIDGED = "TransfersBridged"
    TRANSFERS_UNANSWERED = "TransfersUnanswered"
    TRANSFERS_AMBIGUOUS = "TransfersAmbiguous"
    TRANSFERS_FAILED = "TransfersFailed"
    TRANSFERS_DUPLICATE = "TransfersDuplicate"
    TRANSFERS_MALFORMED = "TransfersMalformed"
    TRANSFERS_REFUSED = "TransfersRefused"
    TRANSFERS_DECLINED = "TransfersDeclined"
    TIME_TO_PERSON_MS = "TimeToPersonMs"
    MESSAGES_TAKEN = "MessagesTaken"
    MESSAGES_DELIVERED = "MessagesDelivered"
    MESSAGES_FAILED = "MessagesFailed"
    CALLER_GONE = "CallerGone"
    # The relay's line, every ten seconds.
    ACTIVE_CALLS = "ActiveCalls"
    DRAINING_CALLS = "DrainingCalls"
    FIRST_AUDIO_MS = "FirstAudioMs"
    TURN_LATENCY_MS = "TurnLatencyMs"
    LOOP_LAG_MS = "LoopLagMs"
    # Counted from the relay's log.
    CALLS_STARTED = "CallsStarted"
    CALLS_REJECTED = "CallsRejected"
    BARGE_INS = "BargeIns"
    CALLS_SWEPT = "CallsSwept"
    TRANSFERS_REQUESTED = "TransfersRequested"
    HANDOFF_FAILURES = "HandoffFailures"
    MODEL_FAILURES = "ModelFailures"
    BREAKER_OPENINGS = "BreakerOpenings"
    EFFECT_FAILURES = "EffectFailures"
    CONFIGS_REFUSED = "ConfigsRefused"
    PROTECTION_ERRORS = "ProtectionErrors"


@dataclass(frozen=True, slots=True)
class Logged:
    """Lines of a log that count: those of `event` whose fields have the values of `having`, and none of `lacking`."""

    event: Event
    having: Mapping[str, str | int] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)


LOGGED: Mapping[Metric, Logged] = {
    Metric.CALLS_STARTED: Logged(events.STREAM_STARTED),
    # A relay that leaves sends callers to the next one, which they do not notice.
    Metric.CALLS_REJECTED: Logged(events.MEDIA_REFUSED, {"status": 503}, {"why": "draining"}),
    Metric.BARGE_INS: Logged(events.BARGE_IN),
    Metric.CALLS_SWEPT: Logged(events.CALL_SWEPT),
    Metric.TRANSFERS_REQUESTED: Logged(events.HANDOFF_ASKED),
    Metric.HANDOFF_FAILURES: Logged(events.HANDOFF_FAILED),
    Metric.MODEL_FAILURES: Logged(events.MODEL_FAILED),
    Metric.BREAKER_OPENINGS: Logged(events.BREAKER_OPENED),
    Metric.EFFECT_FAILURES: Logged(events.EFFECT_FAILED),
    Metric.CONFIGS_REFUSED: Logged(events.CONFIG_REFUSED),
    # A deployment that holds protection back is no error: it passes, and is asked again until it has.
    Metric.PROTECTION_ERRORS: Logged(
        events.EFFECT_FAILED, {"effect": "task_protection"}, {"error": "DEPLOYMENT_BLOCKED"}
    ),
}
"""What the relay's log is counted for."""
