"""What Twilio reports without asking anything: streams, calls, legs and recordings, into the ledger.

The answer is always 204.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from contracts import events
from contracts.handoff import Then
from contracts.ledger import TERMINAL_STATUS, Ledger
from contracts.metrics import Metric
from contracts.recorded import Recorded
from contracts.row import Message, Row
from contracts.transfer import VERSION, Withdrawal
from functions.eventlog import EventLog
from functions.outbox import Outbox
from functions.transfer.attended import leg_over
from functions.transfer.hunting import Hunting, transfer_of
from functions.voice_webhook.ends import Ends
from functions.voice_webhook.request import Request
from functions.voice_webhook.summary import Summaries

PARTED_SECONDS = 3  # by then the caller's own question has been answered, if both have met
RECORDED_SECONDS = 10  # by then the recording's own report has come, if it comes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Takes the status callbacks. A report on a call without a row is logged and opens nothing."""

    ledger: Ledger
    hunting: Hunting
    ends: Ends
    transfers: Outbox
    messages: Outbox
    summaries: Summaries
    log: EventLog
    now: Callable[[], float]

    def stream_status(self, request: Request) -> None:
        """https://www.twilio.com/docs/voice/twiml/stream#statuscallback."""
        event, stream_sid = request.field("StreamEvent"), request.field("StreamSid")
        self.log.write(events.STREAM_STATUS, request.call_sid, stream_sid=stream_sid, stream_event=event)
        if event == "stream-started":
            self.ends.keep(request, lambda: self.ledger.stream_started(request.call_sid, request.visit, stream_sid))
        else:
            self.ends.keep(request, lambda: self.ledger.stream_ended(request.call_sid, request.visit, event))

    def call_status(self, request: Request) -> None:
        """https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent; a terminal status ends the call."""
        status = request.field("CallStatus")
        self.log.write(events.CALL_STATUS, request.call_sid, status=status, seconds=request.number("CallDuration"))
        self.ends.keep(request, lambda: self.ends.note(request, by="caller" if status == "completed" else "carrier"))

    def leg_status(self, request: Request) -> None:
        """The person's leg of a dial; its being there at all proves that the dial was taken."""
        call_sid, status = request.field("ParentCallSid"), request.field("CallStatus")
        self._say_leg(request, call_sid)

        def keep() -> None:
            row = self.ledger.leg_seen(call_sid, request.request_id, request.call_sid, request.hop)
            self._pop(request, row)
            by_key = "screened" in request.query
            if row is not None and row.transfer is not None and status == "in-progress" and not by_key:
                self.hunting.bridged(row, request.call_sid)

        self.ends.keep(request, keep)

    def attend_ended(self, request: Request) -> None:
        """The call of a person who is called apart: the proof of it, and its end."""
        self._say_leg(request, request.caller_sid)

        def keep() -> None:
            asked = (request.caller_sid, request.request_id)
            row = self.ledger.leg_seen(*asked, request.call_sid, request.hop)
            self._pop(request, row)
            status = request.field("CallStatus")
            if row is None or status not in TERMINAL_STATUS:
                return
            of = int(request.query.get("of", 1))
            moved = leg_over(self.hunting, *asked, request.hop, leg=request.call_sid, status=status, of=of)
            self._send_on(request, moved or row, moved=moved is not None)

        self.ends.keep(request, keep)

    def message(self, request: Request) -> None:
        """The caller has left a message; the recording's own report follows, as a rule."""
        self._message(request, delay=RECORDED_SECONDS)

    def recording(self, request: Request) -> None:
        """A recording can be fetched: https://www.twilio.com/docs/voice/twiml/record#recordingstatuscallback."""
        if request.field("RecordingStatus") in {"", "completed"}:
            self._message(request, delay=0)

    def _message(self, request: Request, *, delay: int) -> None:
        message = Message(
            recording_sid=request.field("RecordingSid"),
            recording_url=request.field("RecordingUrl"),
            seconds=max(0, request.number("RecordingDuration")),
            taken_at=self.now(),
            destination=request.query.get("to", ""),
        )

        def keep() -> None:
            written = self.ledger.message_taken(request.call_sid, message)
            if written is None:
                return
            row, first = written
            if first:
                said = {"recording_sid": message.recording_sid, "seconds": message.seconds}
                self.log.write(events.MESSAGE_TAKEN, row.call_sid, destination=message.destination, **said)
                self.log.count(Metric.MESSAGES_TAKEN)
            if row.message is not None and not row.message.delivered_at:
                body = json.dumps({"version": VERSION, "kind": "deliver", "call_sid": row.call_sid})
                self.messages.send(body, row.call_sid, delay=delay)

        if not self.ends.keep(request, keep):  # nobody else knows of it: it waits on the queue until the ledger is back
            self.messages.send(Recorded(request.call_sid, message).to_json(), request.call_sid, delay=delay)

    def _pop(self, request: Request, row: Row | None) -> None:
        if row is not None and row.open_transfer is not None and request.field("CallStatus") == "ringing":
            self.summaries.send(row, request.field("To"))

    def _send_on(self, request: Request, row: Row, *, moved: bool) -> None:
        """What the transfer function has to do about the end of a leg."""
        transfer = transfer_of(row)
        if moved:
            ended = row.attempts[-1] if row.open_transfer is None else None
            if ended is None or ended.then is not Then.AGENT:  # the agent learns of it from the ledger
                self.transfers.send(transfer.request.to_json(), row.call_sid)
            return
        answered_by = transfer.answer.by if transfer.answer else ""
        if row.open_transfer is not None and transfer.joining and answered_by == request.call_sid:
            gone = Withdrawal(row.call_sid, request.request_id, request.hop)
            self.transfers.send(gone.to_json(), row.call_sid, delay=PARTED_SECONDS)

    def _say_leg(self, request: Request, call_sid: str) -> None:
        said = {"request_id": request.request_id or None, "child_sid": request.call_sid}
        self.log.write(events.LEG_STATUS, call_sid, status=request.field("CallStatus"), **said)
