"""What Twilio reports without asking anything: streams, calls and legs, into the ledger. The answer is always 204."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts import events
from contracts.ledger import Ledger
from contracts.metrics import Metric
from functions.eventlog import EventLog
from functions.voice_webhook.answers import LEDGER_FAILURES, say_call_ended
from functions.voice_webhook.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Takes the status callbacks. A report on a call without a row is logged and opens nothing."""

    ledger: Ledger
    log: EventLog

    def stream_status(self, request: Request) -> None:
        """https://www.twilio.com/docs/voice/twiml/stream#statuscallback."""
        event, stream_sid = request.field("StreamEvent"), request.field("StreamSid")
        self.log.write(events.STREAM_STATUS, request.call_sid, stream_sid=stream_sid, stream_event=event)
        if event == "stream-started":
            self._keep(request, lambda: self.ledger.stream_started(request.call_sid, request.visit, stream_sid))
        else:
            self._keep(request, lambda: self.ledger.stream_ended(request.call_sid, request.visit, event))

    def call_status(self, request: Request) -> None:
        """https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent; a terminal status ends the call."""
        status = request.field("CallStatus")
        self.log.write(events.CALL_STATUS, request.call_sid, status=status, seconds=request.number("CallDuration"))

        def keep() -> None:
            by = "caller" if status == "completed" else "carrier"
            noted = self.ledger.call_status(request.call_sid, status, request.number("SequenceNumber", -1), by=by)
            if noted is not None and noted[1]:
                say_call_ended(self.log, noted[0])

        self._keep(request, keep)

    def leg_status(self, request: Request) -> None:
        """The person's leg; its being there at all proves that the dial was taken."""
        call_sid, child_sid, request_id = request.field("ParentCallSid"), request.call_sid, request.request_id
        status = request.field("CallStatus")
        said = {"request_id": request_id or None, "child_sid": child_sid}
        self.log.write(events.LEG_STATUS, call_sid, status=status, **said)

        def keep() -> None:
            row = self.ledger.leg_seen(call_sid, request_id, child_sid)
            if row is not None and row.transfer is not None and status == "in-progress":
                destination = row.transfer.request.destination
                self.log.write(events.TRANSFER_BRIDGED, call_sid, destination=destination, **said)
                self.log.count(Metric.TRANSFERS_BRIDGED)

        self._keep(request, keep)

    def _keep(self, request: Request, write: Callable[[], object]) -> None:
        try:
            write()
        except LEDGER_FAILURES as error:
            self.log.fail(events.LEDGER_FAILED, request.call_sid, operation=request.route, error=type(error).__name__)
            self.log.count(Metric.LEDGER_FAILURES)
