"""What becomes of a transfer from one ring to the next; pure, as `contracts/claim.py` is.

A hop is one ring of a hunt, and everything said about it names its number: what is said twice, or late, about a hop
that is over changes nothing. The claim's fence, `attempt`, counts on across hops.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from contracts.destination import Position
from contracts.handoff import Answer, Attempt, Hunt, Then, Transfer, TransferState, Try, Verdict
from contracts.transfer import Outcome


def placed(transfer: Transfer, position: Position, passed: Iterable[str], now: float, *, attended: bool) -> Transfer:
    """The transfer that is about to ring at `position`, after destinations that were closed."""
    closed = tuple(passed)
    hunt = replace(
        transfer.hunt,
        position=position,
        visited=_with(transfer.hunt.visited, *closed, position.destination),
        tries=(*transfer.hunt.tries, *_found_closed(closed, now)),
        attended=attended,
    )
    return replace(transfer, hunt=hunt)


def advanced(transfer: Transfer, ring: Try | None, to: Position, passed: Iterable[str], now: float) -> Transfer:
    """The transfer that asks for its next ring."""
    closed, hunt = tuple(passed), transfer.hunt
    been = (transfer.position.destination, *closed, to.destination)
    return Transfer(
        transfer.request,
        by=transfer.by,
        attempt=transfer.attempt,
        hunt=Hunt(
            hop=hunt.hop + 1,
            position=to,
            visited=_with(hunt.visited, *been),
            tries=_tried(transfer, ring, closed, now),
            begun_at=hunt.begun_at,
        ),
    )


def over(
    transfer: Transfer, ring: Try | None, outcome: Outcome, passed: Iterable[str], now: float, then: Then | None = None
) -> tuple[Transfer, Attempt]:
    """The transfer that ended with `outcome`, and the record of it."""
    tries = _tried(transfer, ring, tuple(passed), now)
    leg = (ring.child_sid if ring else "") or transfer.child_sid
    ended = replace(
        transfer,
        state=TransferState.OVER,
        outcome=outcome,
        child_sid=leg,
        hunt=replace(transfer.hunt, hop=transfer.hop + 1, tries=tries, legs=()),
    )
    destination = tries[-1].destination if tries else transfer.position.destination
    return ended, Attempt(transfer.request.request_id, destination, transfer.by, now, outcome, leg, tries, then)


def answered(transfer: Transfer, verdict: Verdict, note: str, leg: str, now: float) -> Transfer | None:
    """The transfer once a key, or none, was pressed on a leg; None: the verdict before it stays.

    The first verdict of a leg stays. Of several that ring at once, the first who accepts takes the call, and one who
    declines leaves it to the others.
    """
    before = transfer.answer
    if before and (before.verdict is Verdict.ACCEPTED or verdict is not Verdict.ACCEPTED or before.by == leg):
        return None
    return replace(transfer, answer=Answer(verdict, now, leg, note))


def joining(transfer: Transfer, leg: str, now: float) -> Transfer | None:
    """The transfer whose attended person has accepted: the meeting may be claimed. None: it may already, or not."""
    before = transfer.answer
    already = before is not None and (before.verdict, before.by) == (Verdict.ACCEPTED, leg)
    accepted = transfer if already else answered(transfer, Verdict.ACCEPTED, "", leg, now)
    if accepted is None or accepted.joining:
        return None
    legs = _with(accepted.hunt.legs, leg) if leg else accepted.hunt.legs  # no later word about it is proof of a meeting
    return replace(
        accepted,
        state=TransferState.ASKED,
        until=0.0,
        doubtful=False,
        dialled_at=0.0,
        joining=True,
        hunt=replace(accepted.hunt, attended=True, legs=legs),
    )


def leg_over(transfer: Transfer, leg: str) -> Transfer | None:
    """The transfer once it knows that a leg which rang apart is over; None: it knew."""
    if leg in transfer.hunt.ended:
        return None
    hunt = transfer.hunt
    return replace(transfer, hunt=replace(hunt, legs=_with(hunt.legs, leg), ended=_with(hunt.ended, leg)))


def late_leg(transfer: Transfer, hop: int, leg: str) -> Transfer | None:
    """The transfer once it knows a leg of a hop that is over, which so proves nothing about the present one."""
    tries = transfer.hunt.tries
    if any(leg in one.legs for one in tries):
        return None
    rings = [n for n, one in enumerate(tries) if one.outcome is not Outcome.CLOSED]
    if hop >= len(rings):
        return None
    index = rings[hop]
    late = replace(tries[index], legs=(*tries[index].legs, leg))
    return replace(transfer, hunt=replace(transfer.hunt, tries=(*tries[:index], late, *tries[index + 1 :])))


def _tried(transfer: Transfer, ring: Try | None, closed: tuple[str, ...], now: float) -> tuple[Try, ...]:
    rung: tuple[Try, ...] = ()
    if ring is not None:
        note = ring.note or (transfer.answer.note if transfer.answer else "")
        leg = ring.child_sid or transfer.child_sid
        rung = (replace(ring, child_sid=leg, at=ring.at or now, note=note, legs=transfer.hunt.legs),)
    return (*transfer.hunt.tries, *rung, *_found_closed(closed, now))


def _found_closed(keys: tuple[str, ...], now: float) -> tuple[Try, ...]:
    return tuple(Try(key, 0, Outcome.CLOSED, at=now) for key in keys)


def _with(visited: tuple[str, ...], *keys: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*visited, *keys)))
