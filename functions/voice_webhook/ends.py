"""How a call ends: with or without a sentence, written down once, and with nobody left ringing for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from contracts import events
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import MalformedRow, Row
from contracts.store import LedgerContended
from contracts.transfer import Withdrawal
from functions.eventlog import EventLog
from functions.outbox import Outbox
from functions.voice_webhook.request import Request

LEDGER_FAILURES = (BotoCoreError, ClientError, LedgerContended, MalformedRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Writes down ends. `transfers` is the transfer queue."""

    ledger: Ledger
    transfers: Outbox
    log: EventLog

    def end(self, call_sid: str, reason: str, *, by: str) -> None:
        """The call is answered with its end."""
        self._once(self.ledger.end_call(call_sid, reason, by=by))

    def note(self, request: Request, *, by: str = "caller") -> None:
        """Twilio's word on the call; a terminal one ends it."""
        sequence = request.number("SequenceNumber", -1)
        self._once(self.ledger.call_status(request.call_sid, request.field("CallStatus"), sequence, by=by))

    def ledger_failed(self, request: Request, error: Exception) -> None:
        """The row could not be read or written."""
        self.log.fail(events.LEDGER_FAILED, request.call_sid, operation=request.route, error=type(error).__name__)
        self.log.count(Metric.LEDGER_FAILURES)

    def keep(self, request: Request, write: Callable[[], object]) -> bool:
        """Write something down; that it could not be is logged and changes no answer. Returns whether it could."""
        try:
            write()
        except LEDGER_FAILURES as error:
            self.ledger_failed(request, error)
            return False
        return True

    def _once(self, written: tuple[Row, bool] | None) -> None:
        if written is None or not written[1]:
            return
        row = written[0]
        assert row.ending is not None, "it has just ended"
        seconds = round(row.ending.at - row.call.opened_at, 1)
        self.log.write(events.CALL_ENDED, row.call_sid, reason=row.ending.reason, by=row.ending.by, seconds=seconds)
        transfer = row.open_transfer
        if transfer is not None and transfer.hunt.attended:
            gone = Withdrawal(row.call_sid, transfer.request.request_id, transfer.hop)
            self.transfers.send(gone.to_json(), row.call_sid)
