"""Nobody waits in vain: callers and people whose other side does not come, and reports that never came.

    a person rings apart     if no report ends that ring in time, Twilio is asked what became of it
    one side has gone        a person hears so, or stops ringing; a caller alone in a room is taken out of it
    nobody took the call     a caller who is still with the agent is taken to the message or sentence that is due

All of it can be done twice, and is tried until it was done.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from twilio.twiml.voice_response import VoiceResponse

from contracts import events
from contracts.handoff import Then, TransferState
from contracts.ledger import TERMINAL_STATUS, Ledger
from contracts.metrics import Metric
from contracts.row import Row, StreamState, Transfer
from contracts.sentences import Sentence, spoken
from contracts.transfer import Outcome, TransferRequest, Withdrawal
from contracts.visit import SWEPT
from functions.eventlog import EventLog
from functions.transfer.attended import leg_over, rings_apart, with_agent
from functions.transfer.carrier import CallGone, Carrier, CarrierFailure, Refused
from functions.transfer.dial_twiml import Hop, ask_meeting_empty, ask_webhook
from functions.transfer.hunting import SCREENING_SECONDS, Hunting, transfer_of
from functions.transfer.results import REFUSED_SECONDS, SOON_SECONDS, Again, Done, Next, Result

GRACE_SECONDS = 10.0  # a ring may last 5 longer than asked for: https://www.twilio.com/docs/voice/twiml/dial#timeout
REPORT_SECONDS = 3.0
CALLER_GONE, ANOTHER = "caller gone", "another has taken the call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Looks after those who wait. `now` is in seconds since the epoch."""

    ledger: Ledger
    hunting: Hunting
    carrier: Carrier
    origin: str
    log: EventLog
    now: Callable[[], float]

    def watch(self, request: TransferRequest) -> Result | None:
        """See to it that a ring apart ends; None: there is none of this request."""
        row = self.ledger.read(request.call_sid)
        transfer = row.open_transfer if row else None
        if row is None or transfer is None or transfer.request.request_id != request.request_id:
            return None
        if transfer.joining:
            return self._see_meeting(row, transfer)
        if not rings_apart(row):
            return None
        if transfer.state is TransferState.CLAIMED:
            return Again(SOON_SECONDS)
        due = transfer.dialled_at + self._ring_seconds(row, transfer) + SCREENING_SECONDS + GRACE_SECONDS
        if self.now() < due:
            return Again(due - self.now())
        legs = transfer.hunt.legs
        if not legs:
            self.hunting.follow(row, Outcome.NO_ANSWER, with_agent=with_agent(row))
            return Next()
        over = [self._see_after(row, leg, len(legs)) for leg in legs]
        return Next() if all(over) else Again(REPORT_SECONDS)

    def see_out(self, request: TransferRequest) -> Result | None:
        """Take a caller who is still with the agent to what the transfer's end left to do; None: nothing."""
        row = self.ledger.read(request.call_sid)
        if row is None or row.over:
            return None
        # The caller stayed with an agent that is silent: nobody else will ask what is next.
        silent = row.stream.ended_reason == SWEPT and row.transfer is not None and row.transfer.hunt.attended
        if row.stream.state is not StreamState.LIVE and not silent:
            return None
        attempt = next((one for one in row.attempts if one.request_id == request.request_id), None)
        if attempt is None or attempt.visit != row.stream.visit:
            return None
        if attempt.then not in {Then.MESSAGE, Then.GOODBYE} and not silent:
            return None
        return self.redirect(row)

    def redirect(self, row: Row) -> Result:
        """Have the webhook asked what is next for the caller."""
        return self._send(row, ask_webhook(self.origin, row.stream.visit))

    def met(self, row: Row) -> None:
        """Both are in their room: log it, and let those go who rang as well."""
        transfer = transfer_of(row)
        by = transfer.answer.by if transfer.answer else ""
        self.hunting.bridged(row, by)
        for leg in transfer.hunt.legs:
            if leg not in {by, *transfer.hunt.ended}:
                with suppress(CarrierFailure):  # else it rings on for its time, and whoever answers hears the same
                    self._let_go(row, leg, ANOTHER)

    def part(self, withdrawal: Withdrawal) -> Result:
        """One side is said to be gone: see whether, and let the other go."""
        row = self.ledger.read(withdrawal.call_sid)
        transfer = row.transfer if row else None
        if row is None or transfer is None or transfer.request.request_id != withdrawal.request_id:
            return Done()
        if row.over:
            return self.withdraw(row.call_sid, withdrawal.request_id)
        if not transfer.joining or transfer.hop != withdrawal.hop:
            return Done()
        return self._see_meeting(row, transfer)

    def withdraw(self, call_sid: str, request_id: str) -> Result:
        """The caller is gone: tell the person who was called apart, or stop the ringing.

        Raises:
            CarrierFailure: it cannot be told whether that was done.
        """
        row = self.ledger.read(call_sid)
        transfer = row.open_transfer if row else None
        if row is None or transfer is None or transfer.request.request_id != request_id:
            return Done()
        if transfer.hunt.attended:
            for leg in transfer.hunt.legs:
                if leg not in transfer.hunt.ended:
                    self._let_go(row, leg, CALLER_GONE)
        self.ledger.transfer_over(call_sid, request_id, Outcome.CALLER_GONE)
        return Done()

    def _see_meeting(self, row: Row, transfer: Transfer) -> Result:
        """A person has accepted: see that neither side waits for one who is gone."""
        assert transfer.answer is not None, "acceptance is an answer"
        if not self._is_over(transfer.answer.by):
            return Done()
        hop = Hop.of(row, transfer, transfer.position.destination, origin=self.origin, dial_seconds=0)
        members = self.carrier.participants(hop.room)
        if row.call_sid not in members and transfer.state is not TransferState.DIALLED:
            self.hunting.follow(row, Outcome.FAILED, with_agent=with_agent(row))
            return Next()
        if members != [row.call_sid]:
            return Done()
        why = {"request_id": transfer.request.request_id, "why": "person gone"}
        asked = self._send(row, ask_meeting_empty(hop))
        self.log.write(events.TRANSFER_WITHDRAWN, row.call_sid, **why)
        return asked

    def _see_after(self, row: Row, leg: str, of: int) -> bool:
        """Whether a leg is over, which then is written down."""
        transfer = transfer_of(row)
        try:
            status = self.carrier.status(leg)
        except CallGone:
            status = "failed"
        if status not in TERMINAL_STATUS:
            return False
        request_id = transfer.request.request_id
        leg_over(self.hunting, row.call_sid, request_id, transfer.hop, leg=leg, status=status, of=of)
        return True

    def _is_over(self, leg: str) -> bool:
        try:
            return self.carrier.status(leg) in TERMINAL_STATUS
        except CallGone:
            return True

    def _let_go(self, row: Row, leg: str, why: str) -> None:
        """Tell the person, if there is one on the line, and end the call; it may be over already."""
        known = {"request_id": transfer_of(row).request.request_id, "child_sid": leg, "why": why}
        response = VoiceResponse()
        sentence = Sentence.GONE if why == CALLER_GONE else Sentence.TAKEN
        said = spoken(sentence, self.hunting.people(row).language)
        response.say(said.text, language=said.language)
        response.hangup()
        try:
            self.carrier.update(leg, str(response))
        except CallGone:
            with suppress(CallGone):
                self.carrier.hang_up(leg)  # it was ringing, and rings no more
        finally:
            self.log.write(events.TRANSFER_WITHDRAWN, row.call_sid, **known)

    def _send(self, row: Row, twiml: str) -> Result:
        try:
            self.carrier.update(row.call_sid, twiml)
        except CallGone:
            transfer = row.open_transfer
            if transfer is not None:
                return self.withdraw(row.call_sid, transfer.request.request_id)
        except Refused as refused:
            request_id = transfer_of(row).request.request_id
            self.log.write(events.TRANSFER_REFUSED, row.call_sid, request_id=request_id, why=refused.outcome.value)
            self.log.count(Metric.TRANSFERS_FAILED)
            return Again(REFUSED_SECONDS)
        except CarrierFailure:
            return Again(REPORT_SECONDS)  # by then it shows whether it was done
        return Done()

    def _ring_seconds(self, row: Row, transfer: Transfer) -> int:
        position = transfer.position
        targets = self.hunting.people(row).resolve(position.destination).rung_at(position.index)
        return max((target.ring_seconds for target in targets), default=0)
