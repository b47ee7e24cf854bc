"""How a ring ended: what Twilio says of it, and what the person's key says, in the outcomes that a transfer has."""

from __future__ import annotations

from contracts.handoff import Verdict
from contracts.row import Row
from contracts.transfer import Outcome
from functions.transfer.attended import VERDICTS
from functions.voice_webhook.request import Request

OUTCOMES = {
    "completed": Outcome.BRIDGED,
    "answered": Outcome.BRIDGED,
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,
    "canceled": Outcome.FAILED,
}
# https://www.twilio.com/docs/voice/twiml/enqueue#queueresult-values
QUEUED = {
    "bridged": Outcome.BRIDGED,
    "queue-full": Outcome.BUSY,
    "hangup": Outcome.CALLER_GONE,
    "leave": Outcome.NO_ANSWER,
}


def screened(request: Request, row: Row | None, outcome: Outcome) -> tuple[Outcome, str]:
    """How a ring ended, and the person's reason, by the key first: Twilio calls a voicemail that picked up completed.

    `DialBridged` says whether both have heard each other: https://www.twilio.com/docs/voice/twiml/dial#dialbridged
    """
    if "screened" not in request.query:
        return outcome, ""
    bridged = request.field("DialBridged")
    transfer = row.transfer if row else None
    current = transfer and (transfer.request.request_id, transfer.hop) == (request.request_id, request.hop)
    answer = transfer.answer if transfer and current else None
    if answer is None:
        if outcome is Outcome.BRIDGED and bridged != "true":
            return Outcome.VOICEMAIL, ""
        return outcome, ""
    if answer.verdict is Verdict.ACCEPTED:
        return (Outcome.NO_ANSWER if bridged == "false" and outcome is Outcome.BRIDGED else outcome), ""
    return VERDICTS[answer.verdict], answer.note
