"""What the caller hears next: every answer to Twilio's questions, decided from the ledger row.

    the call is over            hang up
    a transfer is not over      dial, if the claim is ours; else wait a second and be asked again
    the agent said goodbye      hang up
    the agent was lost          back to the agent, twice at most; then the default person
    nobody answered             back to the agent, who knows what was tried; or a sentence, if the agent is lost too
    the ledger cannot be read   the default person, without a claim: a second ringing is better than silence

A question names the visit to the agent it is about. One about an earlier visit changes nothing: it gets the same stream
again while that is unspent, else it is sent to ask about the present visit. So a replayed question opens nothing, and
no answer leaves the caller without a next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from contracts import events, stream
from contracts.claim import AlreadyDialled, Claimed, Held, Over
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import MalformedRow, Row, StreamState
from contracts.store import LedgerContended
from contracts.transfer import Outcome, Reason, TransferRequest
from functions.eventlog import EventLog
from functions.transfer.directory import Directory
from functions.transfer.lease import lease_seconds
from functions.voice_webhook.request import Request, RequestRefused, dialable
from functions.voice_webhook.twiml import NOBODY, RECONNECTING, Documents

LEDGER_FAILURES = (BotoCoreError, ClientError, LedgerContended, MalformedRow)
LOSSES = 2
ATTEMPTS = 20
# Twilio may ask once more at the very moment an update takes the call away; asked later, the dial is not running.
REDIAL_SECONDS = 10.0
OUTCOMES = {
    "completed": Outcome.BRIDGED,
    "answered": Outcome.BRIDGED,
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,
    "canceled": Outcome.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The TwiML answers. `tokens` gives the auth tokens in force, newest first; `now` seconds since the epoch."""

    ledger: Ledger
    directory: Directory
    documents: Documents
    tokens: Callable[[], Iterable[str]]
    log: EventLog
    now: Callable[[], float]

    def incoming(self, request: Request) -> str:
        """A call comes in. The first asking opens it; a repetition gets the same answer while its token is unspent.

        Raises:
            RequestRefused: it does not say who calls, not even that the number is hidden.
        """
        if "From" not in request.fields:
            raise RequestRefused(400, "From is missing")
        call_sid, caller = request.call_sid, request.field("From")
        called = request.field("To") if dialable(request.field("To")) else ""
        nonce = stream.nonce()
        first_token = stream.mint(call_sid, 1, nonce, self._newest_token())
        try:
            row = self.ledger.open_call(
                call_sid,
                account_sid=request.field("AccountSid"),
                caller_masked=events.mask(caller) if dialable(caller) else "hidden",
                called=called,
                caller_id="" if dialable(caller) else called,
                nonce=nonce,
                digest=stream.digest(first_token),
            )
        except LEDGER_FAILURES as error:
            return self._without_ledger(request, error)
        replay = row.stream.nonce != nonce
        self.log.write(
            events.CALL_RECEIVED, call_sid, caller=row.call.caller_masked, called=events.mask(called), replay=replay
        )
        if not replay:
            self.log.count(Metric.CALLS_RECEIVED)
            return self._stream(row, first_token, why="call received")
        return self._hang_up() if row.over else self._present_visit(row)

    def stream_ended(self, request: Request) -> str:
        """The stream of a visit has ended, or could not begin."""
        try:
            row = self.ledger.read(request.call_sid)
            if row is None:
                return self.default_person(request, why="unknown call")
            if request.call_is_over:
                self._note_end(request, row.status.sequence)
                return self._hang_up()
            decision, answer = self._after_stream(row, request.visit or row.stream.visit)
        except LEDGER_FAILURES as error:
            return self._without_ledger(request, error)
        self.log.write(events.STREAM_QUESTION, row.call_sid, decision=decision, visit=row.stream.visit)
        return answer

    def dial_ended(self, request: Request) -> str:
        """A dialled leg has ended."""
        status = request.field("DialCallStatus")
        outcome = OUTCOMES[status]
        if request.call_is_over and outcome is not Outcome.BRIDGED:
            outcome = Outcome.CALLER_GONE
        self.log.write(
            events.DIAL_ENDED,
            request.call_sid,
            request_id=request.request_id or None,
            dial_status=status,
            outcome=outcome.value,
            seconds=request.number("DialCallDuration"),
        )
        try:
            row = self._dial_over(request, outcome)
            if row is None:
                return self._nobody_left(request.call_sid, outcome)
            return self._after_dial(request, row, outcome)
        except LEDGER_FAILURES as error:
            self._ledger_failed(request, error)
            return self._nobody_left(request.call_sid, outcome)

    def default_person(self, request: Request, *, why: str) -> str:
        """Ring the default person without a claim."""
        self.log.write(events.DEFAULT_PERSON, request.call_sid, why=why)
        self.log.count(Metric.DEFAULT_PERSON_DIALLED)
        called = request.field("To")
        caller_id = called if dialable(called) and not dialable(request.field("From")) else ""
        return self.documents.dial(self.directory.default, caller_id=caller_id)

    def _after_stream(self, row: Row, visit: int) -> tuple[str, str]:
        """The decision in a word, and the answer."""
        if row.over:
            return "call over", self._hang_up()
        if row.open_transfer is not None:
            return "transfer", self._transfer(row, row.open_transfer.request)
        if row.agent_ended:
            self._end(row.call_sid, "agent_ended", by="agent")  # the model's own words stay in the row
            return "agent ended the call", self._hang_up()
        if visit < row.stream.visit:
            return "asked before", self._present_visit(row)
        self.log.count(Metric.STREAMS_LOST)
        if row.stream.lost < LOSSES:
            return "back to the agent", self._offer(row, visit, after_loss=True)
        return "agent lost", self._transfer(row, self._agent_unavailable(row))

    def _agent_unavailable(self, row: Row) -> TransferRequest:
        # Clocks differ: a request of ours must not look older than the one before it in the row.
        after = row.transfer.request.asked_at.timestamp() + 0.001 if row.transfer else 0.0
        return TransferRequest.create(
            call_sid=row.call_sid,
            destination=self.directory.default.key,
            reason=Reason.AGENT_UNAVAILABLE,
            now=max(self.now(), after),
        )

    def _after_dial(self, request: Request, row: Row, outcome: Outcome) -> str:
        if request.call_is_over:
            self._note_end(request, row.status.sequence)
            return self._hang_up()
        if outcome is Outcome.BRIDGED:
            self._end(row.call_sid, "bridged", by="person")
            return self._hang_up()
        if row.over:
            return self._hang_up()
        if row.open_transfer is not None:
            return self._transfer(row, row.open_transfer.request)
        asked_before = request.visit < row.stream.visit if request.visit else row.stream.state is not StreamState.ENDED
        if asked_before:
            return self._present_visit(row)
        if row.stream.lost >= LOSSES:
            self._end(row.call_sid, outcome.value, by="carrier")
            return self._sentence(row.call_sid, why="neither agent nor person")
        return self._offer(row, row.stream.visit, after_loss=False)

    def _dial_over(self, request: Request, outcome: Outcome) -> Row | None:
        if not request.request_id:
            return self.ledger.read(request.call_sid)
        ended = self.ledger.transfer_over(request.call_sid, request.request_id, outcome, request.field("DialCallSid"))
        if ended is None:
            return None
        row, first = ended
        if first:
            self.log.write(
                events.TRANSFER_OVER,
                row.call_sid,
                request_id=request.request_id,
                destination=row.attempts[-1].destination,
                outcome=outcome.value,
            )
            if outcome is not Outcome.BRIDGED:
                self.log.count(Metric.TRANSFERS_UNANSWERED)
        return row

    def _transfer(self, row: Row, wanted: TransferRequest) -> str:
        call_sid, visit = row.call_sid, row.stream.visit
        claim = self.ledger.claim(wanted, "webhook", lease_seconds(), redial_after=REDIAL_SECONDS)
        if isinstance(claim, Claimed):
            return self._dial(claim, wanted)
        if isinstance(claim, Held | AlreadyDialled):
            until = claim.until if isinstance(claim, Held) else claim.at + REDIAL_SECONDS
            seconds = round(max(0.0, until - self.now()), 1)
            self.log.write(events.TRANSFER_HELD, call_sid, request_id=wanted.request_id, by="webhook", seconds=seconds)
            return self.documents.ask_again(visit, wait=True)
        return self.documents.ask_again(visit) if isinstance(claim, Over) else self._hang_up()

    def _dial(self, claim: Claimed, wanted: TransferRequest) -> str:
        call_sid, row = claim.row.call_sid, claim.row
        destination = self.directory.resolve(wanted.destination)
        said = {"request_id": wanted.request_id, "destination": destination.key, "by": "webhook"}
        self.log.write(events.TRANSFER_CLAIMED, call_sid, reason=wanted.reason.value, attempt=claim.attempt, **said)
        if claim.attempt > ATTEMPTS:
            self._end(call_sid, Outcome.CARRIER_ERROR.value, by="carrier")
            return self._sentence(call_sid, why="every dial was lost")
        # Nobody needs to look for a leg here: had an earlier dial been taken, Twilio would run it and not ask.
        self.ledger.dialled(call_sid, wanted.request_id, claim.attempt)
        if destination.key != wanted.destination:
            self.log.write(
                events.TRANSFER_REDIRECTED, call_sid, request_id=wanted.request_id, why="unknown destination"
            )
        self.log.write(events.TRANSFER_DIALLED, call_sid, attempt=claim.attempt, **said)
        self.log.count(Metric.TRANSFERS_DIALLED)
        return self.documents.dial(
            destination,
            request_id=wanted.request_id,
            visit=row.stream.visit,
            caller_id=row.call.caller_id,
            announce=not wanted.reason.announced,
        )

    def _offer(self, row: Row, visit: int, *, after_loss: bool) -> str:
        nonce = stream.nonce()
        token = stream.mint(row.call_sid, visit + 1, nonce, self._newest_token())
        offered = self.ledger.offer_stream(
            row.call_sid, visit + 1, nonce=nonce, digest=stream.digest(token), after_loss=after_loss
        )
        if offered is None or offered.over:
            return self._hang_up()
        if offered.stream.nonce != nonce:
            return self._present_visit(offered)
        why = "stream lost" if after_loss else "nobody answered"
        return self._stream(offered, token, why=why, sentence=RECONNECTING if after_loss else "")

    def _present_visit(self, row: Row) -> str:
        """The same stream again while its token is unspent; else a question about the visit that spent it."""
        present = row.stream
        if present.state is StreamState.OFFERED and self.now() - present.offered_at <= stream.TOKEN_SECONDS:
            for key in self.tokens():
                token = stream.mint(row.call_sid, present.visit, present.nonce, key)
                if stream.digest(token) == present.digest:
                    sentence = RECONNECTING if present.after_loss else ""
                    return self.documents.stream(row.call_sid, present.visit, token, sentence=sentence)
        return self.documents.ask_again(present.visit)

    def _stream(self, row: Row, token: str, *, why: str, sentence: str = "") -> str:
        self.log.write(events.STREAM_OFFERED, row.call_sid, visit=row.stream.visit, why=why)
        self.log.count(Metric.STREAMS_OFFERED)
        return self.documents.stream(row.call_sid, row.stream.visit, token, sentence=sentence)

    def _end(self, call_sid: str, reason: str, *, by: str) -> None:
        ended = self.ledger.end_call(call_sid, reason, by=by)
        if ended is not None and ended[1]:
            say_call_ended(self.log, ended[0])

    def _note_end(self, request: Request, sequence: int) -> None:
        noted = self.ledger.call_status(request.call_sid, request.field("CallStatus"), sequence)
        if noted is not None and noted[1]:
            say_call_ended(self.log, noted[0])

    def _without_ledger(self, request: Request, error: Exception) -> str:
        self._ledger_failed(request, error)
        return self.default_person(request, why="ledger failed")

    def _ledger_failed(self, request: Request, error: Exception) -> None:
        self.log.fail(events.LEDGER_FAILED, request.call_sid, operation=request.route, error=type(error).__name__)
        self.log.count(Metric.LEDGER_FAILURES)

    def _nobody_left(self, call_sid: str, outcome: Outcome) -> str:
        return self._hang_up() if outcome is Outcome.BRIDGED else self._sentence(call_sid, why="no row and no person")

    def _sentence(self, call_sid: str, *, why: str) -> str:
        self.log.write(events.SENTENCE_SPOKEN, call_sid, why=why)
        return self.documents.hang_up(NOBODY)

    def _hang_up(self) -> str:
        return self.documents.hang_up()

    def _newest_token(self) -> str:
        return next(iter(self.tokens()))


def say_call_ended(log: EventLog, row: Row) -> None:
    """Log how and by whom the call ended, and how long it was in seconds."""
    assert row.ending is not None, "asked only for a call that has just ended"
    seconds = round(row.ending.at - row.call.opened_at, 1)
    log.write(events.CALL_ENDED, row.call_sid, reason=row.ending.reason, by=row.ending.by, seconds=seconds)
