"""Who may dial: the answers to a claim, and the rule that gives them.

asked -> claimed -> dialled -> over      a claim that was let go returns to asked;
  ^         ^  |       |                 one whose lease ran out may be taken over, and whoever takes it
  |         |__|       |                 must look before dialling
  |____________________| next hop        it rang in vain and another is to be rung, or an attended person has accepted
                                         and the meeting is to be dialled (`contracts/hops.py`)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from contracts.handoff import Hunt, Transfer, TransferState
from contracts.row import Row
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
        # An attended person's line rings while the caller is elsewhere: that Twilio asks about the caller says nothing.
        ringing_apart = current.hunt.attended and not current.joining
        if redial_after is None or ringing_apart or now - current.dialled_at < redial_after:
            return AlreadyDialled(current.dialled_at)
        return replace(current, doubtful=True, dialled_at=0.0, child_sid="")
    in_doubt = current.doubtful or current.state is TransferState.CLAIMED
    return replace(current, doubtful=in_doubt) if own else _instead_of(current, request, in_doubt=in_doubt)


def _instead_of(current: Transfer, request: TransferRequest, *, in_doubt: bool) -> Transfer | AlreadyDialled:
    if current.state is TransferState.OVER:
        return Transfer(request)
    if current.joining:  # a person has accepted and waits for the caller
        return AlreadyDialled(current.accepted_at)
    hunt = Hunt(tries=current.hunt.tries)  # whose legs are not this request's
    return Transfer(request, attempt=current.attempt, doubtful=in_doubt, hunt=hunt)


def claimed(transfer: Transfer, by: str, now: float, until: float) -> Transfer:
    """The transfer in the hands of a new claimant; the caller's waiting begins with the first ring's claim."""
    hunt = transfer.hunt if transfer.hunt.hop else replace(transfer.hunt, begun_at=now)
    return replace(transfer, state=TransferState.CLAIMED, by=by, until=until, attempt=transfer.attempt + 1, hunt=hunt)


def rung(transfer: Transfer, now: float, child_sid: str) -> Transfer:
    """The transfer once its line has rung; the first time counts."""
    legs = transfer.hunt.legs
    if child_sid and child_sid not in legs:
        legs = (*legs, child_sid)
    if transfer.state is TransferState.DIALLED:
        return replace(transfer, child_sid=child_sid, hunt=replace(transfer.hunt, legs=legs))
    hunt = replace(transfer.hunt, legs=legs, dials=transfer.hunt.dials + 1)
    return replace(transfer, state=TransferState.DIALLED, dialled_at=now, child_sid=child_sid, hunt=hunt)
