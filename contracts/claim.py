"""Who may dial: the answers to a claim, and the rule that gives them.

asked -> claimed -> dialled -> over      a claim that was let go returns to asked;
            ^  |                         one whose lease ran out may be taken over, and whoever takes it
            |__| lease over: doubtful    must look before dialling
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from contracts.row import Row, Transfer, TransferState
from contracts.transfer import Outcome, TransferRequest


@dataclass(frozen=True, slots=True)
class Claimed:
    """The caller of `claim` alone may dial now, until the lease ends.

    `attempt` is the fence to show when reporting back; `must_reconcile`: an earlier claim may have dialled unheard.
    """

    attempt: int
    must_reconcile: bool
    row: Row


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else (`by`) holds the claim until `until` (seconds since the epoch)."""

    until: float
    by: str


@dataclass(frozen=True, slots=True)
class AlreadyDialled:
    """The person's line was rung at `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class Over:
    """This request ended with `outcome`, or (None) a newer request took its place."""

    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class CallOver:
    """The call has ended."""


@dataclass(frozen=True, slots=True)
class UnknownCall:
    """There is no row for this call: nothing may be dialled."""


Claim = Claimed | Held | AlreadyDialled | Over | CallOver | UnknownCall


def may_dial(
    row: Row, request: TransferRequest, now: float, redial_after: float | None
) -> Transfer | Held | AlreadyDialled | Over | CallOver:
    """The transfer that may be claimed at `now`, or why none may (`redial_after`: see `Ledger.claim`)."""
    if row.over:
        return CallOver()
    past = next((one for one in row.attempts if one.request_id == request.request_id), None)
    if past is not None:
        return Over(past.outcome)
    current = row.transfer
    if current is None:
        return Transfer(request)
    own = current.request.request_id == request.request_id
    if not own and request.asked_at <= current.request.asked_at:
        return Over(None)
    if current.state is TransferState.CLAIMED and current.until > now:
        return Held(current.until, current.by)
    if current.state is TransferState.DIALLED:
        if redial_after is None or now - current.dialled_at < redial_after:
            return AlreadyDialled(current.dialled_at)
        return replace(current, doubtful=True, dialled_at=0.0, child_sid="")
    in_doubt = current.doubtful or current.state is TransferState.CLAIMED
    if own:
        return replace(current, doubtful=in_doubt)
    replaced = current.state is not TransferState.OVER
    return Transfer(request, attempt=current.attempt if replaced else 0, doubtful=replaced and in_doubt)


def rung(transfer: Transfer, now: float, child_sid: str) -> Transfer:
    """The transfer once its line has rung; the first time counts."""
    if transfer.state is TransferState.DIALLED:
        return replace(transfer, child_sid=child_sid)
    return replace(transfer, state=TransferState.DIALLED, dialled_at=now, child_sid=child_sid)
