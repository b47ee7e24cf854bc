"""The caller has left the agent for a person: who is rung, and what is done when nobody is.

the claim is ours       the step of the hunt: a ring, a queue, the meeting, or its end
somebody else's         wait a second and be asked again
the hunt is over        back to the agent, a message, a sentence, or nothing more to say
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts import events
from contracts.claim import AlreadyDialled, Claimed, Held, Over
from contracts.destination import Directory
from contracts.handoff import Then, Transfer
from contracts.hunt import Ring
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import Attempt, Row
from contracts.sentences import Sentence, spoken
from contracts.transfer import Outcome, TransferRequest
from contracts.visit import may_try_again, moved
from functions.eventlog import EventLog
from functions.transfer.hunting import Hunting, transfer_of
from functions.transfer.lease import lease_seconds
from functions.voice_webhook.ends import Ends
from functions.voice_webhook.twiml import Documents
from functions.voice_webhook.visits import Visits

LOSSES = 2
ATTEMPTS = 20
# Twilio may ask once more at the very moment an update takes the call away; asked later, the dial is not running.
REDIAL_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """Answers for callers who have left the agent. `now` gives seconds since the epoch."""

    ledger: Ledger
    hunting: Hunting
    visits: Visits
    documents: Documents
    ends: Ends
    log: EventLog
    now: Callable[[], float]

    def go_on(self, row: Row, wanted: TransferRequest) -> str:
        """The next step of a transfer that is not over."""
        call_sid, visit = row.call_sid, row.stream.visit
        claim = self.ledger.claim(wanted, "webhook", lease_seconds(), redial_after=REDIAL_SECONDS)
        if isinstance(claim, Claimed):
            return self._claimed(claim, wanted)
        if isinstance(claim, Held | AlreadyDialled):
            until = claim.until if isinstance(claim, Held) else claim.at + REDIAL_SECONDS
            seconds = round(max(0.0, until - self.now()), 1)
            self.log.write(events.TRANSFER_HELD, call_sid, request_id=wanted.request_id, by="webhook", seconds=seconds)
            return self.documents.ask_again(visit, wait_in=self.hunting.people(row).language)
        return self.documents.ask_again(visit) if isinstance(claim, Over) else self.documents.hang_up()

    def after(self, row: Row, attempt: Attempt) -> str:
        """What a transfer that is over left to be done. Asked again after the caller has moved on, it is not redone."""
        if attempt.visit < row.stream.visit:
            return self.visits.present(row)
        directory = self.hunting.people(row)
        match attempt.then:
            case Then.MESSAGE if directory.voicemail:
                return self._take_message(directory, attempt.destination)
            case Then.GOODBYE | Then.MESSAGE:
                return self._goodbye(row, directory, attempt)
            case Then.HANG_UP:
                self.ends.end(row.call_sid, attempt.outcome.value, by=_by(attempt.outcome))
                return self.documents.hang_up()
            case _:
                return self.back_to_agent(row, attempt.destination, attempt.outcome)

    def back_to_agent(self, row: Row, destination: str, outcome: Outcome) -> str:
        """Another visit; to a caller whose agent cannot be reached either, a message or a sentence."""
        if row.stream.lost < LOSSES and not row.stream.refused:
            why = "person gone" if outcome is Outcome.BRIDGED else "nobody answered"
            return self.visits.offer(row, row.stream.visit, why=why)
        directory = self.hunting.people(row)
        if directory.voicemail and outcome is not Outcome.BRIDGED:
            return self._take_message(directory, destination)
        self.ends.end(row.call_sid, outcome.value, by=_by(outcome))
        if outcome is Outcome.BRIDGED:
            return self.documents.hang_up()
        return self.nobody(row.call_sid, row, why="neither agent nor person")

    def meanwhile(self, row: Row) -> str:
        """A person rings apart, and the agent has gone: the next visit, or a wait for the end of the ringing."""
        if resumes := moved(row):
            return self.visits.offer(row, row.stream.visit, why="moved", resumes=resumes)
        if refused := row.stream.refused:
            if may_try_again(row):
                return self.visits.offer(row, row.stream.visit, why=f"relay {refused}")
            return self._wait_for_person(row)
        self.log.count(Metric.STREAMS_LOST)
        if row.stream.lost < LOSSES:
            return self.visits.offer(row, row.stream.visit, why="stream lost", after_loss=True)
        return self._wait_for_person(row)

    def _wait_for_person(self, row: Row) -> str:
        self.ledger.stream_ended(row.call_sid, row.stream.visit, "lost")
        return self.documents.ask_again(row.stream.visit, wait_in=self.hunting.people(row).language)

    def nobody(self, call_sid: str, row: Row | None, *, why: str) -> str:
        """That nobody can take the call, and the end; `row` is None if it cannot be read."""
        self.log.write(events.SENTENCE_SPOKEN, call_sid, why=why)
        return self.documents.hang_up(spoken(Sentence.NOBODY, self.hunting.people(row).language))

    def _claimed(self, claim: Claimed, wanted: TransferRequest) -> str:
        row, transfer = claim.row, transfer_of(claim.row)
        said = {"request_id": wanted.request_id, "by": "webhook", "attempt": claim.attempt}
        self.log.write(
            events.TRANSFER_CLAIMED,
            row.call_sid,
            destination=transfer.position.destination,
            reason=wanted.reason.value,
            **said,
        )
        apart_in_doubt = claim.must_reconcile and transfer.hunt.attended
        # Twilio's 429s make many claims of which nothing has come; each but those in doubt may still become a dial.
        if transfer.hunt.dials >= ATTEMPTS or (apart_in_doubt and claim.attempt > ATTEMPTS + transfer.hop):
            self.ends.end(row.call_sid, Outcome.CARRIER_ERROR.value, by="carrier")
            return self.nobody(row.call_sid, row, why="every dial was lost")
        if transfer.joining:
            return self._join(claim, transfer)
        if apart_in_doubt:
            # A person may be ringing apart, which only the transfer function can find out.
            self.ledger.release(row.call_sid, wanted.request_id, claim.attempt, doubtful=True)
            self.ends.transfers.send(wanted.to_json(), row.call_sid)
            return self.meanwhile(row)
        step = self.hunting.step(row, with_agent=False)
        if not isinstance(step, Ring):
            settled = self.hunting.settle(row, step)
            if settled is None or not settled[1]:
                return self.documents.ask_again(row.stream.visit)
            return self.after(settled[0], settled[0].attempts[-1])
        if not self.hunting.place(row, claim.attempt, step):
            return self.documents.ask_again(row.stream.visit)
        # Nobody needs to look for a leg here: had an earlier dial been taken, Twilio would run it and not ask.
        self.ledger.dialled(row.call_sid, wanted.request_id, claim.attempt)
        self._say_dialled(claim, transfer, step.destination.key, step.mode.value)
        return self.documents.ring(row, transfer, step, self.hunting.people(row))

    def _join(self, claim: Claimed, transfer: Transfer) -> str:
        row = claim.row
        self.ledger.dialled(row.call_sid, transfer.request.request_id, claim.attempt)
        self._say_dialled(claim, transfer, transfer.position.destination, "join")
        self.hunting.bridged(row, transfer.answer.by if transfer.answer else "")
        return self.documents.meeting(row, transfer, self.hunting.people(row))

    def _say_dialled(self, claim: Claimed, transfer: Transfer, destination: str, mode: str) -> None:
        said = {"request_id": transfer.request.request_id, "by": "webhook", "attempt": claim.attempt}
        self.log.write(
            events.TRANSFER_DIALLED, claim.row.call_sid, destination=destination, hop=transfer.hop, mode=mode, **said
        )
        self.log.count(Metric.TRANSFERS_DIALLED)

    def _take_message(self, directory: Directory, destination: str) -> str:
        assert directory.voicemail is not None, "asked only where there is one"
        return self.documents.take_message(
            directory.voicemail, destination or directory.default.key, directory.language
        )

    def _goodbye(self, row: Row, directory: Directory, attempt: Attempt) -> str:
        self.ends.end(row.call_sid, attempt.outcome.value, by="carrier")
        if attempt.outcome is not Outcome.CLOSED:
            return self.nobody(row.call_sid, row, why=attempt.outcome.value)
        self.log.write(events.SENTENCE_SPOKEN, row.call_sid, why=attempt.outcome.value)
        name = directory.resolve(attempt.destination).name
        return self.documents.hang_up(spoken(Sentence.CLOSED, directory.language, name=name))


def _by(outcome: Outcome) -> str:
    return "person" if outcome is Outcome.BRIDGED else "carrier"
