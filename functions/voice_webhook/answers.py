"""What the caller hears next: every answer to Twilio's questions about the caller's call, decided from the ledger row.

    the call is over            hang up
    a transfer is not over      dial, if the claim is ours; else wait a second and be asked again
    a person rings apart        back to the agent, until that person has answered
    the agent said goodbye      hang up
    a transfer has just ended   what it left to be done: the agent, a message, a sentence
    the agent has moved         the agent goes on at another relay, without a word
    no relay had room           another relay, once or a few times; then the default person
    the agent was lost          back to the agent, twice at most; then the default person
    the ledger cannot be read   the default person, without a claim: a second ringing is better than silence
    the ledger is slow          the same, rather than a visit: no relay waits long enough to take it

A question names the visit to the agent it is about, or the ring: one about an earlier one changes nothing. No answer
leaves the caller without a next step.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from contracts import events, stream
from contracts.breaker import Verdict as Breaking
from contracts.metrics import Metric
from contracts.row import Row, StreamState
from contracts.sentences import Sentence, spoken
from contracts.transfer import Outcome, Reason, TransferRequest
from contracts.visit import NOT_QUEUED, may_try_again, moved
from functions.transfer.attended import rings_apart
from functions.voice_webhook.circuit import Circuit
from functions.voice_webhook.ends import LEDGER_FAILURES, Ends
from functions.voice_webhook.request import Request, RequestRefused, dialable
from functions.voice_webhook.rings import OUTCOMES, QUEUED, screened
from functions.voice_webhook.transfers import LOSSES, Transfers
from functions.voice_webhook.twiml import Documents
from functions.voice_webhook.visits import Visits

SLOW_SECONDS = 1.0  # of one reading: what a relay waits at most for each of the two that taking a visit needs
_CALLER_PURPOSE = b"patchthrough caller key v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The TwiML answers to questions about the caller's call. `edition` names the file that a new one lives by."""

    transfers: Transfers
    visits: Visits
    ends: Ends
    circuit: Circuit
    edition: Callable[[], str]

    @property
    def documents(self) -> Documents:
        """What can be answered."""
        return self.transfers.documents

    def incoming(self, request: Request) -> str:
        """A call comes in. The first asking opens it; a repetition gets the same answer while its token is unspent.

        Raises:
            RequestRefused: it does not say who calls, not even that the number is hidden.
        """
        if "From" not in request.fields:
            raise RequestRefused(400, "From is missing")
        call_sid, caller, log = request.call_sid, request.field("From"), self.ends.log
        called = request.field("To") if dialable(request.field("To")) else ""
        nonce = stream.nonce()
        first_token = stream.mint(call_sid, 1, nonce, self.visits.newest_token())
        verdict = self.circuit.ask(call_sid)
        try:
            row = self.ends.ledger.open_call(
                call_sid,
                account_sid=request.field("AccountSid"),
                caller_masked=events.mask(caller) if dialable(caller) else "hidden",
                called=called,
                caller_id="" if dialable(caller) else called,
                nonce=nonce,
                digest=stream.digest(first_token),
                caller_key=_caller_key(caller, self.visits.newest_token()) if dialable(caller) else "",
                edition=self.edition(),
            )
        except LEDGER_FAILURES as error:
            return self._without_ledger(request, error)
        replay = row.stream.nonce != nonce
        log.write(
            events.CALL_RECEIVED, call_sid, caller=row.call.caller_masked, called=events.mask(called), replay=replay
        )
        if not replay:
            log.count(Metric.CALLS_RECEIVED)
            if verdict() is not Breaking.DIVERTED:
                return self.visits.begin(row, first_token, why="call received")
            return self._diverted(row, request)
        if row.over:
            return self.documents.hang_up()
        return self._diverted(row, request) if row.open_transfer else self.visits.present(row)

    def _diverted(self, row: Row, request: Request) -> str:
        """The model fails all over the fleet: the caller need not wait to learn it from the next failure."""
        try:
            wanted = row.open_transfer.request if row.open_transfer else self._agent_unavailable(row)
            return self.transfers.go_on(row, wanted)
        except LEDGER_FAILURES as error:
            return self._without_ledger(request, error)

    def stream_ended(self, request: Request) -> str:
        """The stream of a visit has ended, or could not begin."""
        try:
            row, slow = self._read(request.call_sid)
            if row is None:
                return self.default_person(request, why="unknown call")
            if request.call_is_over:
                self.ends.note(request)
                return self.documents.hang_up()
            decision, answer = self._after_stream(request, row, slow=slow)
        except LEDGER_FAILURES as error:
            return self._without_ledger(request, error)
        self.ends.log.write(events.STREAM_QUESTION, row.call_sid, decision=decision, visit=row.stream.visit)
        return answer

    def dial_ended(self, request: Request) -> str:
        """A dialled leg has ended, or a meeting."""
        status = request.field("DialCallStatus")
        outcome = OUTCOMES[status]
        return self._ring_ended(request, status, outcome, request.number("DialCallDuration"))

    def queue_ended(self, request: Request) -> str:
        """The caller has left a queue."""
        result = request.field("QueueResult")
        return self._ring_ended(request, result, QUEUED.get(result, Outcome.FAILED), request.number("QueueTime"))

    def queue_wait(self, request: Request) -> str:
        """What the caller hears in a queue."""
        waited, seconds = request.number("QueueTime"), int(request.query.get("seconds", 0))
        return self.documents.hold(waited, seconds, self._language)

    def thanks(self) -> str:
        """The caller has left a message."""
        return self.documents.hang_up(spoken(Sentence.THANKS, self._language))

    def meeting_empty(self, request: Request) -> str:
        """The caller waited in a room for a person who had left it."""
        return self._ring_ended(request, "meeting-empty", Outcome.FAILED, 0)

    def default_person(self, request: Request, *, why: str) -> str:
        """Ring the default person without a claim."""
        directory = self.transfers.hunting.people(None)
        if not directory.guards.enabled:
            return self.transfers.nobody(request.call_sid, None, why="switched off")
        self.ends.log.write(events.DEFAULT_PERSON, request.call_sid, why=why)
        self.ends.log.count(Metric.DEFAULT_PERSON_DIALLED)
        called = request.field("To")
        caller_id = called if dialable(called) and not dialable(request.field("From")) else ""
        return self.documents.default_person(directory, caller_id)

    @property
    def _language(self) -> str:
        """That of the present agent file: what needs no row is not worth reading one."""
        return self.transfers.hunting.people(None).language

    def _read(self, call_sid: str) -> tuple[Row | None, bool]:
        """The row, and whether the ledger is slow."""
        began = self.transfers.now()
        row = self.ends.ledger.read(call_sid)
        return row, self.transfers.now() - began >= SLOW_SECONDS

    def _after_stream(self, request: Request, row: Row, *, slow: bool) -> tuple[str, str]:
        """The decision in a word, and the answer."""
        visit = request.visit or row.stream.visit
        if row.over:
            return "call over", self.documents.hang_up()
        apart = rings_apart(row)
        if row.open_transfer is not None and not apart:
            return "transfer", self.transfers.go_on(row, row.open_transfer.request)
        if row.agent_ended:
            self.ends.end(row.call_sid, "agent_ended", by="agent")  # the model's own words stay in the row
            return "agent ended the call", self.documents.hang_up()
        if visit < row.stream.visit:
            return "asked before", self.visits.present(row)
        if apart:
            return "a person rings apart", self.transfers.meanwhile(row)
        last = row.attempts[-1] if row.attempts else None
        if last is not None and last.then is not None and last.visit == row.stream.visit:
            return "a transfer is over", self.transfers.after(row, last)
        if slow:
            return "the ledger is slow", self.default_person(request, why="ledger slow")
        if resumes := moved(row):
            return "moved", self.visits.offer(row, visit, why="moved", resumes=resumes)
        if row.stream.refused:
            return self._turned_away(row, visit)
        return self._lost(row, visit)

    def _lost(self, row: Row, visit: int) -> tuple[str, str]:
        self.ends.log.count(Metric.STREAMS_LOST)
        if row.stream.lost < LOSSES and row.stream.ended_reason != NOT_QUEUED:
            return "back to the agent", self.visits.offer(row, visit, why="stream lost", after_loss=True)
        return "agent lost", self.transfers.go_on(row, self._agent_unavailable(row))

    def _turned_away(self, row: Row, visit: int) -> tuple[str, str]:
        """No relay has taken the visit: another is tried at once and without a word, or a person answers."""
        why = row.stream.refused
        if may_try_again(row):
            return f"another relay: {why}", self.visits.offer(row, visit, why=f"relay {why}")
        return f"relays {why}", self.transfers.go_on(row, self._agent_unavailable(row))

    def _agent_unavailable(self, row: Row) -> TransferRequest:
        # Clocks differ: a request of ours must not look older than the one before it in the row.
        after = row.transfer.request.asked_at.timestamp() + 0.001 if row.transfer else 0.0
        return TransferRequest.create(
            call_sid=row.call_sid,
            destination=self.transfers.hunting.people(row).default.key,
            reason=Reason.AGENT_UNAVAILABLE,
            now=max(self.transfers.now(), after),
        )

    def _ring_ended(self, request: Request, status: str, outcome: Outcome, seconds: int) -> str:
        try:
            row, slow = self._read(request.call_sid)
            outcome, note = screened(request, row, outcome)
            if request.call_is_over and outcome is not Outcome.BRIDGED:
                outcome = Outcome.CALLER_GONE
            self.ends.log.write(
                events.DIAL_ENDED,
                request.call_sid,
                request_id=request.request_id or None,
                dial_status=status,
                outcome=outcome.value,
                seconds=seconds,
            )
            if row is None or (slow and not request.request_id):  # else it would be rung again and again
                return self._nobody_left(request.call_sid, outcome)
            return self._after_ring(request, self._write_down(request, row, outcome, note), outcome)
        except LEDGER_FAILURES as error:
            self.ends.ledger_failed(request, error)
            return self._nobody_left(request.call_sid, screened(request, None, outcome)[0])

    def _write_down(self, request: Request, row: Row, outcome: Outcome, note: str) -> Row:
        transfer = row.open_transfer
        asked = (request.request_id, request.hop)
        if transfer is None or (transfer.request.request_id, transfer.hop) != asked or rings_apart(row):
            return row
        # The caller has left the agent, whether or not Twilio's report of that has come.
        self.ends.ledger.stream_ended(row.call_sid, row.stream.visit, "dialled")
        said = {"note": note, "child_sid": request.field("DialCallSid")}
        written = self.transfers.hunting.follow(row, outcome, with_agent=False, **said)
        return written[0] if written else row

    def _after_ring(self, request: Request, row: Row, outcome: Outcome) -> str:
        if request.call_is_over:
            self.ends.note(request)
            return self.documents.hang_up()
        if row.over:
            return self.documents.hang_up()
        if row.open_transfer is not None:
            if rings_apart(row):
                return self.transfers.meanwhile(row)
            return self.transfers.go_on(row, row.open_transfer.request)
        attempt = next((one for one in row.attempts if one.request_id == request.request_id), None)
        if attempt is not None:
            return self.transfers.after(row, attempt)
        if outcome is Outcome.BRIDGED:
            self.ends.end(row.call_sid, "bridged", by="person")
            return self.documents.hang_up()
        if row.stream.state is not StreamState.ENDED:
            return self.visits.present(row)
        return self.transfers.back_to_agent(row, "", outcome)

    def _without_ledger(self, request: Request, error: Exception) -> str:
        self.ends.ledger_failed(request, error)
        return self.default_person(request, why="ledger failed")

    def _nobody_left(self, call_sid: str, outcome: Outcome) -> str:
        if outcome is Outcome.BRIDGED:
            return self.documents.hang_up()
        return self.transfers.nobody(call_sid, None, why="no row and no person")


def _caller_key(caller: str, token: str) -> str:
    """The same for every call of a number, until the auth token changes; it tells nobody which number it is."""
    derived = hmac.digest(token.encode(), _CALLER_PURPOSE, hashlib.sha256)
    return hmac.digest(derived, caller.encode(), hashlib.sha256).hex()[:32]
