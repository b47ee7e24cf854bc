"""One act under a claim: look whether it has happened, send it, and look again where the answer leaves that open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from contracts import events
from contracts.claim import Claimed
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import Row, Transfer, TransferState
from contracts.transfer import Outcome, TransferRequest
from functions.eventlog import EventLog
from functions.transfer.acts import Act, Dial, Join, Summon
from functions.transfer.attended import leg_over, with_agent
from functions.transfer.carrier import Ambiguous, CallGone, Carrier, CarrierFailure, Refused, Throttled
from functions.transfer.hunting import SCREENING_SECONDS, Hunting, transfer_of
from functions.transfer.lease import POLL_SECONDS
from functions.transfer.results import REFUSED_SECONDS, SOON_SECONDS, Again, Done, Next, Result, Timing
from functions.transfer.watching import Watching

MEETING_SECONDS = 5.0  # after a join, to see that both are there


@dataclass(frozen=True, slots=True)
class Turn:
    """One claim on one request, in one invocation that has `remaining()` seconds left."""

    request: TransferRequest
    claim: Claimed
    remaining: Callable[[], float]

    @property
    def row(self) -> Row:
        """The row as it was claimed."""
        return self.claim.row

    @property
    def transfer(self) -> Transfer:
        """Its transfer."""
        return transfer_of(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Acts, once a claim. `by`, in the events and the row: transfer or last_resort."""

    watching: Watching
    timing: Timing
    by: str

    @property
    def ledger(self) -> Ledger:
        """The ledger of the calls."""
        return self.watching.ledger

    @property
    def hunting(self) -> Hunting:
        """Who decides whom to ring."""
        return self.watching.hunting

    @property
    def carrier(self) -> Carrier:
        """Who rings."""
        return self.watching.carrier

    @property
    def log(self) -> EventLog:
        """Where it is told."""
        return self.watching.log

    def act(self, turn: Turn, act: Act, *, look_first: bool) -> Result:
        """Do it once; `look_first`: an earlier claim may have."""
        if look_first:
            found = self.look(turn, act)
            if found is not None:
                return found
        for doubtful in (False, True):
            ended = self._send(turn, act, doubtful=doubtful)
            if ended is None:
                ended = self._look_for_as_long_as_it_may_hide(turn, act)
            if ended is not None:
                return ended
            if turn.remaining() < self.timing.round or not self.holds(turn, act):
                break
        self.release(turn, doubtful=True)
        return Again(SOON_SECONDS)

    def look(self, turn: Turn, act: Act) -> Result | None:
        """Whether an earlier claim has acted; None: by all that can be known it has not, and the claim still holds."""
        try:
            leg = act.found()
        except CarrierFailure:
            self.release(turn, doubtful=False)
            return Again(SOON_SECONDS)
        if leg:
            return self._found(turn, act, leg)
        with self.letting_go(turn):
            return None if self.renew(turn) else Again(SOON_SECONDS)

    def _send(self, turn: Turn, act: Act, *, doubtful: bool) -> Result | None:
        """Send the request; None: it may have been acted on. `doubtful`: so may an earlier one of this claim.

        Raises:
            Throttled: it was not, and the claim is released.
        """
        request = turn.request
        self.say(events.TRANSFER_SENT, request, attempt=turn.claim.attempt, hop=turn.transfer.hop)
        try:
            leg = act.send()
        except CarrierFailure as failure:
            ambiguous = isinstance(failure, Ambiguous)
            said = {"status": failure.status, "code": failure.code, "ambiguous": ambiguous}
            self.say(events.TRANSFER_ANSWERED, request, **said, attempt=turn.claim.attempt)
            if ambiguous:
                self.log.count(Metric.TRANSFERS_AMBIGUOUS)
                return None
            return self._not_acted_on(turn, act, failure, doubtful=doubtful)
        return self._dialled(turn, act, leg)

    def _not_acted_on(self, turn: Turn, act: Act, failure: CarrierFailure, *, doubtful: bool) -> Result:
        request = turn.request
        apart = isinstance(act, Summon)
        if isinstance(failure, CallGone) and not apart:
            self.caller_gone(request)
            return self.watching.withdraw(request.call_sid, request.request_id)
        if apart and not isinstance(failure, Throttled) and failure.status in {400, 404}:
            self.say(events.TRANSFER_REFUSED, request, why="cannot be called", attempt=turn.claim.attempt)
            self.hunting.follow(turn.row, Outcome.FAILED, with_agent=with_agent(turn.row))
            return Next()
        self.release(turn, doubtful=doubtful)
        if isinstance(failure, Throttled):
            raise failure
        outcome = failure.outcome if isinstance(failure, Refused) else Outcome.CARRIER_ERROR
        self.say(events.TRANSFER_REFUSED, request, why=outcome.value, attempt=turn.claim.attempt)
        self.log.count(Metric.TRANSFERS_FAILED)
        return Again(REFUSED_SECONDS)

    def _look_for_as_long_as_it_may_hide(self, turn: Turn, act: Act) -> Result | None:
        """What became of a request that may have been acted on; None: nothing, by all that can be known."""
        request = turn.request
        deadline = self.timing.now() + self.timing.lag
        while True:
            row = self.ledger.read(request.call_sid)
            if row is None or row.over:
                return Done()
            if not _stands(row, turn, act):
                return Again(SOON_SECONDS) if transfer_of(row).hunt.attended else Done()
            known = True
            try:
                leg = act.found()
            except CarrierFailure:
                leg, known = None, False
            if leg:
                return self._found(turn, act, leg)
            if self.timing.now() >= deadline:
                # Unable to look, nobody may act before the lease ends, and then only after looking.
                return None if known else Again(self.timing.lease)
            self.timing.sleep(POLL_SECONDS)

    def _found(self, turn: Turn, act: Act, leg: str) -> Result:
        self.say(events.TRANSFER_RECONCILED, turn.request, child_sid=leg, found=True, attempt=turn.claim.attempt)
        # A call apart that was found in a list may be another caller's: its own callback says whose it is.
        return self._dialled(turn, act, leg if isinstance(act, Dial) else "")

    def _dialled(self, turn: Turn, act: Act, leg: str) -> Result:
        request, transfer = turn.request, turn.transfer
        self.ledger.dialled(request.call_sid, request.request_id, turn.claim.attempt, leg)
        said = {"attempt": turn.claim.attempt, "hop": transfer.hop}
        self.say(events.TRANSFER_DIALLED, request, mode=act.mode, **said)
        self.log.count(Metric.TRANSFERS_DIALLED)
        match act:
            case Join():
                self.watching.met(turn.row)
                return Again(MEETING_SECONDS)
            case Summon(ring=ring):
                over = partial(leg_over, self.hunting, request.call_sid, request.request_id, transfer.hop)
                for address in act.refused:  # there is no call, so nobody reports its end
                    over(leg=address, status="failed", of=len(act.addresses))
                return Again(ring.seconds + SCREENING_SECONDS + self.timing.lag)
        return Done()

    def caller_gone(self, request: TransferRequest) -> None:
        self.say(events.TRANSFER_OVER, request, outcome=Outcome.CALLER_GONE.value, reason=request.reason.value)
        self.log.count(Metric.CALLER_GONE)

    def holds(self, turn: Turn, act: Act) -> bool:
        """Whether this claim may still act; that some ring already, which Twilio may say before us, is no end of it."""
        if self.renew(turn):
            return True
        row = self.ledger.read(turn.request.call_sid) if isinstance(act, Summon) else None
        return row is not None and not row.over and _is(TransferState.DIALLED, row, turn)

    def renew(self, turn: Turn) -> bool:
        request = turn.request
        return self.ledger.renew(request.call_sid, request.request_id, turn.claim.attempt, self.timing.lease)

    def release(self, turn: Turn, *, doubtful: bool) -> None:
        request = turn.request
        self.ledger.release(request.call_sid, request.request_id, turn.claim.attempt, doubtful=doubtful)

    @contextmanager
    def letting_go(self, turn: Turn) -> Iterator[None]:
        """Before this claim has sent anything: if the ledger fails, nobody shall wait for the lease's end.

        Raises:
            BotoCoreError: what failed.
            ClientError: the same.
        """
        try:
            yield
        except (BotoCoreError, ClientError):
            with suppress(BotoCoreError, ClientError):
                self.release(turn, doubtful=False)
            raise

    def say(self, event: events.Event, request: TransferRequest, **fields: object) -> None:
        known = {"destination": request.destination, "by": self.by}
        fields |= {name: value for name, value in known.items() if name in event.fields}
        self.log.write(event, request.call_sid, request_id=request.request_id, **fields)


def _stands(row: Row, turn: Turn, act: Act) -> bool:
    """Whether nobody has claimed since, and nothing has come of it but that some ring who were called apart."""
    return _is(TransferState.CLAIMED, row, turn) or (isinstance(act, Summon) and _is(TransferState.DIALLED, row, turn))


def _is(state: TransferState, row: Row, turn: Turn) -> bool:
    """Whether the row's transfer is in this state by this very claim."""
    transfer, claim = row.transfer, turn.claim
    if transfer is None or transfer.state is not state:
        return False
    of_claim = (turn.request.request_id, claim.attempt, turn.transfer.hop)
    return (transfer.request.request_id, transfer.attempt, transfer.hop) == of_claim
