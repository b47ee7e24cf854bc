"""The ledger's rules about the person: who may dial, what became of the ring, and who is rung next.

Every method is one atomic change of the row, as in `contracts/ledger.py`, whose other half this is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from contracts import hops
from contracts.claim import Claim, Claimed, UnknownCall, claimed, may_dial, rung
from contracts.destination import Position
from contracts.handoff import Answer, Attempt, Then, Transfer, TransferState, Try, Verdict
from contracts.row import Row
from contracts.store import Client, Store
from contracts.transfer import Outcome, TransferRequest

NOTE_CHARS = 200


class Transfers:
    """The transfers in the table of calls; for the arguments see `Ledger`."""

    def __init__(self, client: Client, table: str, now: Callable[[], float]) -> None:
        self._store = Store(client, table)
        self._now = now

    def ask_transfer(self, request: TransferRequest) -> bool:
        """Record a request. False: the call is over or unknown, or another request is under way or was already done."""

        def decide(row: Row) -> Row | None:
            known = any(attempt.request_id == request.request_id for attempt in row.attempts)
            if row.over or row.open_transfer or known:
                return None
            return replace(row, transfer=Transfer(request))

        row = self._change(request.call_sid, decide)
        current = row.open_transfer if row and not row.over else None
        return current is not None and current.request.request_id == request.request_id

    def claim(
        self, request: TransferRequest, by: str, lease_seconds: float, *, redial_after: float | None = None
    ) -> Claim:
        """Ask to be the one who dials for this request; see `Claim` for the answers.

        A request whose asking never landed is recorded here, on a live call's row only. A newer request takes the place
        of one that is over or not yet claimed; an older one never does.

        Args:
            request: what the message, or the row, says.
            by: transfer, webhook or last_resort.
            lease_seconds: how long the claim holds without `renew`.
            redial_after: a dial older than this many seconds counts as lost. Only for a caller who knows that no dial
                is running, as the webhook does when Twilio asks it what to do next.
        """
        now = self._now()
        answer: Claim = UnknownCall()

        def decide(row: Row) -> Row | None:
            nonlocal answer
            granted_or_not = may_dial(row, request, now, redial_after)
            if not isinstance(granted_or_not, Transfer):
                answer = granted_or_not
                return None
            mine = claimed(granted_or_not, by, now, now + lease_seconds)
            row = replace(row, transfer=mine)
            answer = Claimed(mine.attempt, mine.doubtful, row)
            return row

        self._change(request.call_sid, decide)
        return answer

    def renew(self, call_sid: str, request_id: str, attempt: int, lease_seconds: float) -> bool:
        """Hold the claim for `lease_seconds` from now. False: it is not held any more, do not dial."""
        now = self._now()
        until = now + lease_seconds
        return self._report(
            call_sid, request_id, attempt, lambda mine: replace(mine, until=until) if mine.until > now else None
        )

    def release(self, call_sid: str, request_id: str, attempt: int, *, doubtful: bool) -> bool:
        """Let the claim go at once; `doubtful`: this attempt may have dialled without our hearing of it."""
        return self._report(
            call_sid,
            request_id,
            attempt,
            lambda mine: replace(mine, state=TransferState.ASKED, until=0.0, doubtful=mine.doubtful or doubtful),
        )

    def dialled(self, call_sid: str, request_id: str, attempt: int, child_sid: str = "") -> bool:
        """The carrier has taken the dial. False: the claim is no longer this attempt's, or a leg was seen before."""
        return self._report(call_sid, request_id, attempt, lambda mine: rung(mine, self._now(), child_sid))

    def place(
        self,
        call_sid: str,
        request_id: str,
        attempt: int,
        position: Position,
        *,
        passed: Iterable[str] = (),
        attended: bool = False,
    ) -> bool:
        """Write down what this claim is about to ring, before it does. False: the claim is not held any more.

        Needed when the hunt begins elsewhere than the request says, since what it names is closed (`passed`), or when
        the ring is `attended`.
        """
        now = self._now()
        return self._report(
            call_sid,
            request_id,
            attempt,
            lambda mine: hops.placed(mine, position, passed, now, attended=attended) if mine.until > now else None,
        )

    def leg_seen(self, call_sid: str, request_id: str, child_sid: str, hop: int = 0) -> Row | None:
        """Twilio reports a person's leg: proof of this hop's dial, whatever became of our own request."""

        def decide(transfer: Transfer) -> Transfer | None:
            if hop < transfer.hop:
                return hops.late_leg(transfer, hop, child_sid)
            known = child_sid in transfer.hunt.legs
            return None if hop > transfer.hop or known else rung(transfer, self._now(), child_sid)

        return self._of_request(call_sid, request_id, decide)[0]

    def screened(
        self, call_sid: str, request_id: str, hop: int, verdict: Verdict, note: str = "", child_sid: str = ""
    ) -> bool:
        """The person's key, or none, on the leg `child_sid` said so. False: another verdict stays, or the hop is over.

        `note` is the reason of one who declined, in words.
        """
        row, _ = self._of_hop(
            call_sid, request_id, hop, lambda one: hops.answered(one, verdict, _short(note), child_sid, self._now())
        )
        said = _answer(row, request_id, hop)
        return said is not None and (said.verdict, said.by) == (verdict, child_sid)

    def accepted(self, call_sid: str, request_id: str, hop: int, child_sid: str = "") -> bool:
        """An attended person took the call: the meeting may be claimed, once. False: the caller is gone, or taken."""
        row, _ = self._of_hop(call_sid, request_id, hop, lambda one: hops.joining(one, child_sid, self._now()))
        said = _answer(row, request_id, hop)
        return said is not None and (said.verdict, said.by) == (Verdict.ACCEPTED, child_sid)

    def leg_over(self, call_sid: str, request_id: str, hop: int, leg: str) -> Row | None:
        """A leg that rang apart is over: it has its place in `Hunt.ended`, once. None: unknown call."""
        return self._of_request(call_sid, request_id, lambda one: hops.leg_over(one, leg) if one.hop == hop else None)[
            0
        ]

    def advance(
        self,
        call_sid: str,
        request_id: str,
        hop: int,
        ring: Try | None,
        to: Position | None,
        outcome: Outcome,
        passed: Iterable[str] = (),
        then: Then | None = None,
    ) -> tuple[Row, bool] | None:
        """Hop `hop` ended as `ring` says: ask for the one at `to`, or (None) end the transfer with `outcome`.

        Args:
            call_sid: the call.
            request_id: the request.
            hop: the hop that is asked about; if it is not the present one, nothing changes.
            ring: what rang, and how it ended; None if nothing did.
            to: where the hunt goes on.
            outcome: how the transfer ended, if it did.
            passed: destinations found closed on the way (`Step.passed`).
            then: what is to be done for the caller, if it did.

        Returns:
            The row, and whether this very word changed it; None for an unknown call.
        """
        closed = tuple(passed)

        def decide(row: Row) -> Row | None:
            transfer = _open(row, request_id)
            if transfer is None or transfer.hop != hop:
                return None
            if to is not None:
                return replace(row, transfer=hops.advanced(transfer, ring, to, closed, self._now()))
            return _closed(row, *hops.over(transfer, ring, outcome, closed, self._now(), then))

        row, changed = self._store.change(call_sid, decide)
        return None if row is None else (row, changed)

    def transfer_over(
        self, call_sid: str, request_id: str, outcome: Outcome, child_sid: str = ""
    ) -> tuple[Row, bool] | None:
        """The transfer ended so, whatever its hop. Returns what `advance` returns."""

        def decide(row: Row) -> Row | None:
            transfer = _open(row, request_id)
            if transfer is None:
                return None
            at = transfer.position
            ring = Try(at.destination, at.index, outcome, child_sid)
            return _closed(row, *hops.over(transfer, ring, outcome, (), self._now()))

        row, changed = self._store.change(call_sid, decide)
        return None if row is None else (row, changed)

    def _report(
        self, call_sid: str, request_id: str, attempt: int, decide: Callable[[Transfer], Transfer | None]
    ) -> bool:
        def mine_only(row: Row) -> Row | None:
            mine = row.transfer
            if mine is None or mine.state is not TransferState.CLAIMED:
                return None
            if (mine.request.request_id, mine.attempt) != (request_id, attempt):
                return None
            transfer = decide(mine)
            return None if transfer is None else replace(row, transfer=transfer)

        return self._store.change(call_sid, mine_only)[1]

    def _of_hop(
        self, call_sid: str, request_id: str, hop: int, decide: Callable[[Transfer], Transfer | None]
    ) -> tuple[Row | None, bool]:
        return self._of_request(call_sid, request_id, lambda one: decide(one) if one.hop == hop else None, live=True)

    def _of_request(
        self,
        call_sid: str,
        request_id: str,
        decide: Callable[[Transfer], Transfer | None],
        *,
        live: bool = False,
    ) -> tuple[Row | None, bool]:
        def if_open(row: Row) -> Row | None:
            transfer = _open(row, request_id)
            decided = decide(transfer) if transfer and not (live and row.over) else None
            return replace(row, transfer=decided) if decided else None

        return self._store.change(call_sid, if_open)

    def _change(self, call_sid: str, decide: Callable[[Row], Row | None]) -> Row | None:
        return self._store.change(call_sid, decide)[0]


def _open(row: Row, request_id: str) -> Transfer | None:
    transfer = row.open_transfer
    return transfer if transfer and transfer.request.request_id == request_id else None


def _closed(row: Row, transfer: Transfer, attempt: Attempt) -> Row:
    attempts = (*row.attempts, replace(attempt, visit=row.stream.visit))
    return replace(row, transfer=transfer, attempts=attempts)


def _answer(row: Row | None, request_id: str, hop: int) -> Answer | None:
    """What was said in this hop, if the caller is still there to hear of it."""
    transfer = _open(row, request_id) if row and not row.over else None
    return transfer.answer if transfer and transfer.hop == hop else None


def _short(note: str) -> str:
    return note[:NOTE_CHARS].encode("utf-8", "replace").decode("utf-8")
