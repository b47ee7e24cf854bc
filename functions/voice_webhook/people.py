"""What the person hears who is rung for a caller: who is calling and why, and what each key does.

    screened    the key lets Twilio connect both, or not
    attended    the key is written down, and the transfer function brings the caller to the room where the person waits

A voicemail presses nothing, so nobody is ever connected to one. What a key said is in the ledger before Twilio hears
the answer. Without a ledger a screened person is connected all the same; an attended one cannot be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts import events
from contracts.handoff import Verdict
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import Row, Transfer
from contracts.sentences import Sentence, spoken
from functions.eventlog import EventLog
from functions.outbox import Outbox
from functions.transfer.hunting import Hunting
from functions.transfer.wording import whisper
from functions.voice_webhook.ends import LEDGER_FAILURES, Ends
from functions.voice_webhook.request import Request
from functions.voice_webhook.twiml import Documents

ACCEPT = "1"
REASONS = {"2": "", "3": "in a meeting"}


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Answers for the people who are rung. `transfers` is the transfer queue."""

    ledger: Ledger
    hunting: Hunting
    documents: Documents
    ends: Ends
    transfers: Outbox
    log: EventLog

    def whisper(self, request: Request) -> str:
        """A screened person has answered."""
        return self._ask(request, "whisper-key")

    def attend(self, request: Request) -> str:
        """An attended person has answered."""
        return self._ask(request, "attend-key")

    def whisper_key(self, request: Request) -> str:
        """A screened person has pressed a key, or none."""
        return self._key(request, "whisper-key", self._accept_screened)

    def attend_key(self, request: Request) -> str:
        """An attended person has pressed a key, or none."""
        return self._key(request, "attend-key", self._accept_attended)

    def _ask(self, request: Request, question: str) -> str:
        try:
            row = self.ledger.read(request.caller_sid)
        except LEDGER_FAILURES as error:
            self.ends.ledger_failed(request, error)
            return self._whisper(request, question, None, "")
        transfer = _standing(row, request)
        if row is None or transfer is None:
            return self._part(row, Sentence.GONE)
        if transfer.accepted_at:
            return self._part(row, Sentence.TAKEN)
        return self._whisper(request, question, row, transfer.request.summary)

    def _whisper(self, request: Request, question: str, row: Row | None, summary: str) -> str:
        directory = self.hunting.people(row)
        destination, language = directory.resolve(request.query.get("to", "")), directory.language
        told = whisper(destination, summary, language) if "again" not in request.query else ""
        return self.documents.whisper(self._key_url(request, question), language, told)

    def _key(self, request: Request, question: str, accept: Callable[[Request], str]) -> str:
        key = request.field("Digits")
        if key == ACCEPT:
            return accept(request)
        if key and key not in REASONS and "again" not in request.query:
            language = self.hunting.people(None).language
            return self.documents.whisper(self._key_url(request, question, again=True), language)
        verdict = Verdict.DECLINED if key in REASONS else Verdict.NO_KEY
        note = REASONS.get(key, "")
        self.ends.keep(
            request,
            lambda: self.ledger.screened(
                request.caller_sid, request.request_id, request.hop, verdict, note, request.call_sid
            ),
        )
        self._say(events.TRANSFER_DECLINED, request, verdict=verdict.value)
        self.log.count(Metric.TRANSFERS_DECLINED)
        return self.documents.hang_up()

    def _accept_screened(self, request: Request) -> str:
        asked = (request.caller_sid, request.request_id, request.hop)
        try:
            taken = self.ledger.screened(*asked, Verdict.ACCEPTED, child_sid=request.call_sid)
            row = self.ledger.read(request.caller_sid)
        except LEDGER_FAILURES as error:
            self.ends.ledger_failed(request, error)
            return self.documents.consent()
        transfer = _standing(row, request)
        if row is None or transfer is None or not taken:
            return self._too_late(row, transfer)
        self._say(events.TRANSFER_ACCEPTED, request)
        self.hunting.bridged(row, request.call_sid)
        return self.documents.consent()

    def _accept_attended(self, request: Request) -> str:
        asked = (request.caller_sid, request.request_id, request.hop)
        try:
            taken = self.ledger.accepted(*asked, request.call_sid)
            row = self.ledger.read(request.caller_sid)
        except LEDGER_FAILURES as error:
            self.ends.ledger_failed(request, error)
            return self._part(None, Sentence.UNREACHABLE)
        transfer = _standing(row, request)
        if row is None or transfer is None or not taken:
            return self._too_late(row, transfer)
        self._say(events.TRANSFER_ACCEPTED, request)
        self.transfers.send(transfer.request.to_json(), row.call_sid)
        return self.documents.meeting_of_person(row, transfer, self.hunting.people(row))

    def _too_late(self, row: Row | None, transfer: Transfer | None) -> str:
        taken = transfer is not None and transfer.accepted_at
        return self._part(row, Sentence.TAKEN if taken else Sentence.GONE)

    def _part(self, row: Row | None, sentence: Sentence) -> str:
        return self.documents.hang_up(spoken(sentence, self.hunting.people(row).language))

    def _key_url(self, request: Request, question: str, *, again: bool = False) -> str:
        return self.documents.of_person(question, request.query, again=again)

    def _say(self, event: events.Event, request: Request, **fields: object) -> None:
        said = {"request_id": request.request_id, "hop": request.hop, "child_sid": request.call_sid}
        self.log.write(event, request.caller_sid, destination=request.query.get("to"), **said, **fields)


def _standing(row: Row | None, request: Request) -> Transfer | None:
    """The transfer that this person is rung for, if the caller is still there to be met."""
    transfer = row.open_transfer if row and not row.over else None
    if transfer is None or (transfer.request.request_id, transfer.hop) != (request.request_id, request.hop):
        return None
    return transfer
