"""Metric names shared by the code that counts and the alarms that watch. Every one is a count."""

from __future__ import annotations

from enum import StrEnum

NAMESPACE = "Patchthrough"
SERVICE_DIMENSION = "service"  # as Powertools writes it


class Metric(StrEnum):
    """Every metric that any part publishes."""

    CALLS_RECEIVED = "CallsReceived"
    REQUESTS_REFUSED = "RequestsRefused"
    STREAMS_OFFERED = "StreamsOffered"
    STREAMS_LOST = "StreamsLost"
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
    CALLER_GONE = "CallerGone"
    ACTIVE_CALLS = "ActiveCalls"
    DRAINING_CALLS = "DrainingCalls"
