"""The person who is rung while the caller stays with the agent: what the end of that leg means.

Twilio reports it to the webhook; if the report never comes, the transfer function looks. Both end here.
"""

from __future__ import annotations

from contracts.handoff import TransferState, Verdict
from contracts.row import Row, StreamState
from contracts.transfer import Outcome
from functions.transfer.hunting import Hunting

OUTCOMES = {
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "canceled": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,
    "completed": Outcome.VOICEMAIL,  # it was answered, and nobody has pressed a key
}
VERDICTS = {Verdict.DECLINED: Outcome.DECLINED, Verdict.NO_KEY: Outcome.VOICEMAIL}


def with_agent(row: Row) -> bool:
    """Whether the caller is with the agent, or on the way there."""
    return row.stream.state is not StreamState.ENDED


def rings_apart(row: Row) -> bool:
    """Whether a person is being rung while the caller is elsewhere."""
    transfer = row.open_transfer
    if transfer is None or not transfer.hunt.attended or transfer.joining:
        return False
    return transfer.state in {TransferState.CLAIMED, TransferState.DIALLED}


def leg_over(
    hunting: Hunting, call_sid: str, request_id: str, hop: int, *, leg: str, status: str, of: int
) -> Row | None:
    """One of the `of` legs of a hop is over, with Twilio's `status`.

    Returns:
        The row, if this ended the hop: it says what is next.
    """
    row = hunting.ledger.leg_over(call_sid, request_id, hop, leg)
    transfer = row.open_transfer if row and not row.over else None
    if row is None or transfer is None or (transfer.request.request_id, transfer.hop) != (request_id, hop):
        return None
    if transfer.joining or len(transfer.hunt.ended) < of:
        return None
    answer = transfer.answer
    outcome = VERDICTS.get(answer.verdict, OUTCOMES[status]) if answer else OUTCOMES[status]
    note = answer.note if answer else ""
    written = hunting.follow(row, outcome, with_agent=with_agent(row), note=note, child_sid=leg)
    return written[0] if written and written[1] else None
