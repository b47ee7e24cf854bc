"""Claim, look, dial: how one request becomes exactly one `<Dial>`.

    claim --> (doubt: look for a leg) --> update the call --> dialled
      429: nothing happened; let go, wait a little, claim again
      timeout, 5xx: it may have happened; look for a leg for as long as Twilio may hide one, then update once more
      21220, 20404: the caller is gone; done
      any other refusal: let go; the queue brings the request back, and in the end the last resort does

A killed claimant needs no cleaning up: its lease ends, and whoever claims next looks before dialling. Time is passed
in; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts import events
from contracts.claim import AlreadyDialled, CallOver, Claimed, Held, Over, UnknownCall
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import Row, TransferState
from contracts.transfer import Outcome, TransferRequest
from functions.eventlog import EventLog
from functions.transfer.carrier import Ambiguous, CallerGone, Carrier, CarrierFailure, Refused, Throttled
from functions.transfer.dial_twiml import dial
from functions.transfer.directory import Directory
from functions.transfer.lease import POLL_SECONDS, lease_seconds, round_seconds

SOON_SECONDS = 1.0
REFUSED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """The message has had its effect, or can have none: acknowledge it."""


@dataclass(frozen=True, slots=True)
class Again:
    """The message must come back, `seconds` from now."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Timing:
    """The time a dialer has: `now` in seconds, `sleep`, the wait after a 429, and Twilio's child-leg lag in seconds."""

    now: Callable[[], float]
    sleep: Callable[[float], None]
    jitter: Callable[[], float]
    lag: float

    @property
    def lease(self) -> float:
        """Seconds that a claim holds."""
        return lease_seconds(self.lag)

    @property
    def round(self) -> float:
        """Seconds that must be left to begin a dial."""
        return round_seconds(self.lag)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One claim on one request, in one invocation that has `remaining()` seconds left."""

    request: TransferRequest
    claim: Claimed
    remaining: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialer:
    """Dials for requests. `by`, in the events and the row: transfer or last_resort."""

    ledger: Ledger
    carrier: Carrier
    directory: Directory
    origin: str
    log: EventLog
    timing: Timing
    by: str

    def dial(self, request: TransferRequest, *, suspicious: bool, remaining: Callable[[], float]) -> Done | Again:
        """Bring a request to its end, as far as the seconds left of this invocation allow.

        Args:
            request: the message.
            suspicious: it is old or was delivered before, so look for a leg even on the first claim: while the ledger
                was down the webhook may have dialled without one.
            remaining: seconds left of the invocation.

        Raises:
            Exception: whatever the ledger's client raises; the message must come back.
        """
        while True:
            claim = self.ledger.claim(request, self.by, self.timing.lease)
            if not isinstance(claim, Claimed):
                return self._without_claim(request, claim)
            self._say(events.TRANSFER_CLAIMED, request, reason=request.reason.value, attempt=claim.attempt)
            try:
                return self._with_claim(_Turn(request, claim, remaining), look_first=suspicious or claim.must_reconcile)
            except Throttled:
                pause = self.timing.jitter()
                if remaining() < pause + self.timing.round:
                    return Again(SOON_SECONDS)
                self.timing.sleep(pause)

    def _without_claim(
        self, request: TransferRequest, claim: Held | AlreadyDialled | Over | CallOver | UnknownCall
    ) -> Done | Again:
        if isinstance(claim, Held):
            seconds = max(0.0, claim.until - self.timing.now())
            self._say(events.TRANSFER_HELD, request, seconds=round(seconds, 1))
            return Again(seconds)
        if isinstance(claim, CallOver):
            self._caller_gone(request)
        elif isinstance(claim, UnknownCall):
            self._say(events.TRANSFER_REFUSED, request, why="unknown call")
        else:
            why = "already dialled" if isinstance(claim, AlreadyDialled) else "over"
            self._say(events.TRANSFER_DUPLICATE, request, why=why)
            self.log.count(Metric.TRANSFERS_DUPLICATE)
        return Done()

    def _with_claim(self, turn: _Turn, *, look_first: bool) -> Done | Again:
        if look_first:
            try:
                leg = self._leg(turn)
            except CarrierFailure:
                self._release(turn, doubtful=False)
                return Again(SOON_SECONDS)
            if leg:
                return self._found(turn, leg)
            if not self._renew(turn):
                return Again(SOON_SECONDS)
        for doubtful in (False, True):
            ended = self._update(turn, doubtful=doubtful)
            if ended is None:
                ended = self._look_for_as_long_as_a_leg_may_hide(turn)
            if ended is not None:
                return ended
            if turn.remaining() < self.timing.round or not self._renew(turn):
                break
        self._release(turn, doubtful=True)
        return Again(SOON_SECONDS)

    def _update(self, turn: _Turn, *, doubtful: bool) -> Done | Again | None:
        """Send the dial; None: it may have been acted on. `doubtful`: so may an earlier one of this claim.

        Raises:
            Throttled: it was not, and the claim is released.
        """
        request = turn.request
        self._say(events.TRANSFER_SENT, request, attempt=turn.claim.attempt)
        try:
            self.carrier.update(request.call_sid, self._document(turn))
        except CarrierFailure as failure:
            ambiguous = isinstance(failure, Ambiguous)
            self._say(events.TRANSFER_ANSWERED, request, status=failure.status, code=failure.code, ambiguous=ambiguous)
            if ambiguous:
                self.log.count(Metric.TRANSFERS_AMBIGUOUS)
                return None
            return self._not_acted_on(turn, failure, doubtful=doubtful)
        return self._dialled(turn)

    def _not_acted_on(self, turn: _Turn, failure: CarrierFailure, *, doubtful: bool) -> Done | Again:
        request = turn.request
        if isinstance(failure, CallerGone):
            self.ledger.transfer_over(request.call_sid, request.request_id, Outcome.CALLER_GONE)
            self._caller_gone(request)
            return Done()
        self._release(turn, doubtful=doubtful)
        if isinstance(failure, Throttled):
            raise failure
        assert isinstance(failure, Refused), "every failure has a meaning"
        self._say(events.TRANSFER_REFUSED, request, why=failure.outcome.value)
        self.log.count(Metric.TRANSFERS_FAILED)
        return Again(REFUSED_SECONDS)

    def _look_for_as_long_as_a_leg_may_hide(self, turn: _Turn) -> Done | Again | None:
        """What became of an update that may have been acted on; None: nothing, by all that can be known."""
        request = turn.request
        deadline = self.timing.now() + self.timing.lag
        while True:
            row = self.ledger.read(request.call_sid)
            if row is None or row.over or not _mine(row, turn):
                return Done()
            known = True
            try:
                leg = self._leg(turn)
            except CarrierFailure:
                leg, known = None, False
            if leg:
                return self._found(turn, leg)
            if self.timing.now() >= deadline:
                # Unable to look, nobody may dial before the lease ends, and then only after looking.
                return None if known else Again(self.timing.lease)
            self.timing.sleep(POLL_SECONDS)

    def _leg(self, turn: _Turn) -> str | None:
        legs = self.carrier.legs(turn.request.call_sid)
        return next((sid for sid in legs if sid not in turn.claim.row.past_legs), None)

    def _found(self, turn: _Turn, leg: str) -> Done:
        self._say(events.TRANSFER_RECONCILED, turn.request, child_sid=leg, found=True)
        return self._dialled(turn, leg)

    def _dialled(self, turn: _Turn, leg: str = "") -> Done:
        request = turn.request
        self.ledger.dialled(request.call_sid, request.request_id, turn.claim.attempt, leg)
        self._say(events.TRANSFER_DIALLED, request, attempt=turn.claim.attempt)
        self.log.count(Metric.TRANSFERS_DIALLED)
        return Done()

    def _caller_gone(self, request: TransferRequest) -> None:
        self._say(events.TRANSFER_OVER, request, outcome=Outcome.CALLER_GONE.value)
        self.log.count(Metric.CALLER_GONE)

    def _renew(self, turn: _Turn) -> bool:
        request = turn.request
        return self.ledger.renew(request.call_sid, request.request_id, turn.claim.attempt, self.timing.lease)

    def _release(self, turn: _Turn, *, doubtful: bool) -> None:
        request = turn.request
        self.ledger.release(request.call_sid, request.request_id, turn.claim.attempt, doubtful=doubtful)

    def _document(self, turn: _Turn) -> str:
        request, row = turn.request, turn.claim.row
        destination = self.directory.resolve(request.destination)
        if destination.key != request.destination:
            self._say(events.TRANSFER_REDIRECTED, request, why="unknown destination")
        return str(
            dial(
                destination,
                origin=self.origin,
                dial_seconds=self.directory.dial_seconds,
                request_id=request.request_id,
                visit=row.stream.visit,
                caller_id=row.call.caller_id,
                announce=not request.reason.announced,
            )
        )

    def _say(self, event: events.Event, request: TransferRequest, **fields: object) -> None:
        known = {"destination": request.destination, "by": self.by}
        fields |= {name: value for name, value in known.items() if name in event.fields}
        self.log.write(event, request.call_sid, request_id=request.request_id, **fields)


def _mine(row: Row, turn: _Turn) -> bool:
    transfer = row.transfer
    return (
        transfer is not None
        and transfer.request.request_id == turn.request.request_id
        and transfer.attempt == turn.claim.attempt
        and transfer.state is TransferState.CLAIMED
    )
