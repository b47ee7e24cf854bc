"""Claim, look, act: how each ring of one request happens exactly once.

    claim --> (doubt: look whether it has happened) --> dial, or call the person apart, or let both meet --> dialled
      429: nothing happened; let go, wait a little, claim again
      timeout, 5xx: it may have happened; look for as long as Twilio may hide it, then send once more
      21220, 20404: the caller is gone; done
      a person who cannot be called apart: the next one
      any other refusal: let go; the queue brings the request back, and in the end the last resort does

A killed claimant needs no cleaning up: its lease ends, and whoever claims next looks before acting. What is no ring of
ours (a queue, a message, a sentence) is left to the webhook, whose answer Twilio asks for and so never doubts. Time is
passed in; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from contracts import events
from contracts.claim import AlreadyDialled, CallOver, Claimed, Held, Over, UnknownCall
from contracts.destination import Mode
from contracts.hunt import Ring
from contracts.metrics import Metric
from contracts.row import Transfer
from contracts.transfer import TransferRequest, Withdrawal
from functions.transfer.acting import Acting, Turn
from functions.transfer.acts import Dial, Join, Summon
from functions.transfer.attended import with_agent
from functions.transfer.carrier import Throttled
from functions.transfer.dial_twiml import MAX_TWIML_CHARS, Hop, dial
from functions.transfer.results import SOON_SECONDS, Again, Done, Next, Result
from functions.transfer.wording import opening


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialer(Acting):
    """Brings requests to their end. `by`, in the events and the row: transfer or last_resort."""

    def dial(self, request: TransferRequest, *, suspicious: bool, remaining: Callable[[], float]) -> Done | Again:
        """Bring a request as far as the seconds left of this invocation allow.

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
                result = self._without_claim(request, claim)
            else:
                self.say(events.TRANSFER_CLAIMED, request, reason=request.reason.value, attempt=claim.attempt)
                try:
                    result = self._with_claim(Turn(request, claim, remaining), suspicious=suspicious)
                except Throttled:
                    pause = self.timing.jitter()
                    if remaining() < pause + self.timing.round:
                        return Again(SOON_SECONDS)
                    self.timing.sleep(pause)
                    continue
            if not isinstance(result, Next):
                return result
            if remaining() < self.timing.round:
                return Again(SOON_SECONDS)

    def part(self, withdrawal: Withdrawal, *, remaining: Callable[[], float]) -> Done | Again:
        """One side of a meeting is gone; what else is asked of the transfer then is done at once."""
        result = self.watching.part(withdrawal)
        if not isinstance(result, Next):
            return result
        row = self.ledger.read(withdrawal.call_sid)
        assert row is not None, "it has just been written"
        assert row.transfer is not None, "and says what is next"
        return self.dial(row.transfer.request, suspicious=False, remaining=remaining)

    def _without_claim(
        self, request: TransferRequest, claim: Held | AlreadyDialled | Over | CallOver | UnknownCall
    ) -> Result:
        match claim:
            case Held(until=until):
                seconds = max(0.0, until - self.timing.now())
                self.say(events.TRANSFER_HELD, request, seconds=round(seconds, 1))
                return Again(seconds)
            case UnknownCall():
                self.say(events.TRANSFER_REFUSED, request, why="unknown call")
                return Done()
            case CallOver():
                if not self._ended_before(request):
                    self.caller_gone(request)
                return self.watching.withdraw(request.call_sid, request.request_id)
        result = self.watching.watch(request) if isinstance(claim, AlreadyDialled) else self.watching.see_out(request)
        if result is None:
            why = "already dialled" if isinstance(claim, AlreadyDialled) else "over"
            self.say(events.TRANSFER_DUPLICATE, request, why=why)
            self.log.count(Metric.TRANSFERS_DUPLICATE)
            return Done()
        return result

    def _with_claim(self, turn: Turn, *, suspicious: bool) -> Result:
        row, transfer, in_doubt = turn.row, turn.transfer, turn.claim.must_reconcile
        if transfer.joining:
            return self.act(
                turn, Join(self.carrier, row, self._hop(turn, transfer.position.destination)), look_first=in_doubt
            )
        if suspicious or in_doubt:
            found = self.look(turn, Dial(self.carrier, row, "", ""))
            if found is not None:
                return found
        # Whom an earlier claim may have called apart is not dialled as well, wherever the caller has gone since.
        apart = with_agent(row) or (in_doubt and transfer.hunt.attended)
        step = self.hunting.step(row, with_agent=apart)
        if not isinstance(step, Ring) or step.targets[0].kind.queues:
            return self._leave_to_webhook(turn)
        hop = self._hop(turn, step.destination.key)
        if step.mode is Mode.ATTENDED:
            summon = Summon(self.carrier, row, step, hop, since=_since(transfer), holds=partial(self.holds, turn))
            return self.act(turn, summon, look_first=in_doubt) if self._place(turn, step) else Again(SOON_SECONDS)
        sentence = opening(transfer, step.destination, self.hunting.people(row).language)
        twiml = str(dial(hop, step, sentence=sentence))
        if len(twiml) > MAX_TWIML_CHARS:
            return self._leave_to_webhook(turn)
        return (
            self.act(turn, Dial(self.carrier, row, twiml, step.mode.value), look_first=False)
            if self._place(turn, step)
            else Again(SOON_SECONDS)
        )

    def _leave_to_webhook(self, turn: Turn) -> Result:
        self.release(turn, doubtful=False)
        return self.watching.redirect(turn.row)

    def _place(self, turn: Turn, step: Ring) -> bool:
        with self.letting_go(turn):
            return self.hunting.place(turn.row, turn.claim.attempt, step)

    def _hop(self, turn: Turn, destination: str) -> Hop:
        dial_seconds = self.hunting.people(turn.row).dial_seconds
        return Hop.of(turn.row, turn.transfer, destination, origin=self.watching.origin, dial_seconds=dial_seconds)

    def _ended_before(self, request: TransferRequest) -> bool:
        row = self.ledger.read(request.call_sid)
        return row is not None and any(one.request_id == request.request_id for one in row.attempts)


def _since(transfer: Transfer) -> float:
    """A time before any call of this hop, by clocks that agree to a few seconds."""
    return max([transfer.request.asked_at.timestamp(), *(one.at for one in transfer.hunt.tries)]) - 3.0
