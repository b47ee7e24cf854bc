"""What a transfer does next, for whoever holds its claim: the step of its position, as far as the guards let it.

    its first ring        the guards are asked; whom they refuse is rung once at the default person, or hears a sentence
    a later ring          where the ledger says the hunt stands
    a ring has ended      the next one, or what becomes of the caller; written down once, whoever is told first

The guards hold whatever asked for the transfer, and wherever it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from contracts import events, hunt
from contracts.destination import Directory, Mode, Position, Target, TargetKind
from contracts.handoff import Then, Transfer, Try
from contracts.hunt import MINIMUM_RING_SECONDS, Goodbye, HangUp, Ring, Step, TakeMessage, ToAgent
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import Row
from contracts.transfer import Outcome, Reason
from functions.eventlog import EventLog
from functions.transfer.quota import Quota

SCREENING_SECONDS = 12
"""A whisper and the time to press a key: part of the caller's waiting, so of the ring's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunting:
    """Decides steps. `people` gives the directory of a call (None: of no known one); `now` is in seconds."""

    ledger: Ledger
    people: Callable[[Row | None], Directory]
    quota: Quota
    log: EventLog
    now: Callable[[], float]

    def step(self, row: Row, *, with_agent: bool) -> Step:
        """What the claimed transfer of this row does now.

        Args:
            row: as it was claimed.
            with_agent: the caller is still with the agent, so that a person may be asked meanwhile.
        """
        transfer, directory = transfer_of(row), self.people(row)
        if transfer.request.reason is Reason.CALLER_LEAVES_MESSAGE:
            taken = hunt.message(directory, transfer.request.destination)
            if taken:  # nobody is rung, so there is nothing to guard
                return taken
        with_agent = with_agent and transfer.request.reason.agent_stays and bool(row.call.called)
        why = "" if transfer.hop else self._refusal(row, directory)
        if why:
            self.log.write(events.TRANSFER_REFUSED, row.call_sid, request_id=transfer.request.request_id, why=why)
            self.log.count(Metric.TRANSFERS_REFUSED)
            return self._instead(row, directory, why)
        if not transfer.hop and transfer.position.destination not in directory.destinations:
            self.log.write(
                events.TRANSFER_REDIRECTED,
                row.call_sid,
                request_id=transfer.request.request_id,
                why="unknown destination",
            )
        return self._at(row, directory, transfer.position, with_agent=with_agent)

    def follow(
        self, row: Row, outcome: Outcome, *, with_agent: bool, note: str = "", child_sid: str = ""
    ) -> tuple[Row, bool] | None:
        """The ring at which the row's open transfer stands has ended: write down what follows.

        Returns:
            The row, and whether it was this word that moved it on; None if the call is unknown.
        """
        transfer = transfer_of(row)
        position, directory = transfer.position, self.people(row)
        step = hunt.after(
            directory,
            position,
            outcome,
            now=self.now(),
            asked_at=transfer.hunt.begun_at,
            visited=transfer.hunt.visited,
            with_agent=with_agent,
        )
        step = self._permitted(transfer, directory, step, with_agent=with_agent)
        ring = Try(position.destination, position.index, outcome, child_sid, note=note)
        return self._write(row, transfer, step, ring)

    def settle(self, row: Row, step: Step) -> tuple[Row, bool] | None:
        """The row's open transfer rings nobody (any more): write down what becomes of the caller."""
        assert not isinstance(step, Ring), "a ring is not the end"
        return self._write(row, transfer_of(row), step, None)

    def bridged(self, row: Row, child_sid: str) -> None:
        """Tell that the caller and the person on this leg hear each other, and how long that took."""
        transfer = transfer_of(row)
        seconds = round(self.now() - transfer.request.asked_at.timestamp(), 1)
        self.log.write(
            events.TRANSFER_BRIDGED,
            row.call_sid,
            request_id=transfer.request.request_id,
            destination=transfer.position.destination,
            child_sid=child_sid,
            seconds=seconds,
        )
        self.log.count(Metric.TRANSFERS_BRIDGED)
        self.log.measure(Metric.TIME_TO_PERSON_MS, 1000 * seconds)

    def place(self, row: Row, attempt: int, step: Ring) -> bool:
        """Write down what this claim is about to ring. False: the claim is not held any more."""
        transfer = transfer_of(row)
        attended = step.mode is Mode.ATTENDED
        as_written = (step.position, step.passed, attended) == (transfer.position, (), transfer.hunt.attended)
        if as_written:
            return True
        return self.ledger.place(
            row.call_sid,
            transfer.request.request_id,
            attempt,
            step.position,
            passed=step.passed,
            attended=attended,
        )

    def _at(self, row: Row, directory: Directory, position: Position, *, with_agent: bool) -> Step:
        transfer = transfer_of(row)
        step = hunt.at(
            directory,
            position,
            now=self.now(),
            asked_at=transfer.hunt.begun_at,
            visited=transfer.hunt.visited,
            with_agent=with_agent,
        )
        return self._permitted(transfer, directory, step, with_agent=with_agent)

    def _permitted(self, transfer: Transfer, directory: Directory, step: Step, *, with_agent: bool) -> Step:
        """The step without numbers in countries that are not permitted, and no longer than its time."""
        been = transfer.hunt.visited
        while isinstance(step, Ring):
            # The same line twice would ring against itself.
            once = {(one.kind, one.address): one for one in step.targets}
            targets = tuple(one for one in once.values() if _permits(directory, one))
            if targets:
                return replace(step, targets=targets, seconds=self._seconds(transfer, directory, step))
            been = (*been, *step.passed, step.destination.key)
            step = hunt.after(
                directory,
                step.position,
                Outcome.NOT_CONFIGURED,
                now=self.now(),
                asked_at=transfer.hunt.begun_at,
                visited=been,
                with_agent=with_agent,
            )
        return step

    def _seconds(self, transfer: Transfer, directory: Directory, step: Ring) -> int:
        if step.mode is Mode.DIRECT:
            return step.seconds
        left = int(transfer.hunt.begun_at + directory.max_wait_seconds - self.now()) - SCREENING_SECONDS
        return max(MINIMUM_RING_SECONDS, min(step.seconds, left))

    def _refusal(self, row: Row, directory: Directory) -> str:
        """Why no transfer is permitted now; "" if one is."""
        guards, request = directory.guards, transfer_of(row).request
        if not guards.enabled:
            return "switched off"
        if len(row.attempts) >= guards.transfers_per_call:
            return "transfers_per_call"
        if not row.call.caller_key:
            return ""
        try:
            admitted = self.quota.admits(row.call.caller_key, request.request_id, guards.transfers_per_caller_per_day)
        except (BotoCoreError, ClientError) as error:
            self.log.write(events.LEDGER_FAILED, row.call_sid, operation="quota", error=type(error).__name__)
            return ""  # a caller too many is better than one too few
        return "" if admitted else "transfers_per_caller_per_day"

    def _instead(self, row: Row, directory: Directory, why: str) -> Step:
        """What a caller gets instead: the default person once a call, then the agent, who can still help; or words."""
        default, request = directory.default.key, transfer_of(row).request
        too_often = len(row.attempts) >= directory.guards.transfers_per_call
        if why == "transfers_per_call" and not any(
            _rang(attempt.destination, attempt.tries, default) for attempt in row.attempts
        ):
            return self._at(row, directory, Position(default), with_agent=False)
        if request.reason.agent_stays and not too_often:
            return ToAgent(request.destination, Outcome.NOT_CONFIGURED)
        return Goodbye(request.destination, Outcome.NOT_CONFIGURED)

    def _write(self, row: Row, transfer: Transfer, step: Step, ring: Try | None) -> tuple[Row, bool] | None:
        request, hop = transfer.request, transfer.hop
        advance = partial(self.ledger.advance, row.call_sid, request.request_id, hop, ring)
        known: dict[str, object] = {"request_id": request.request_id, "hop": hop}
        if isinstance(step, Ring):
            assert ring is not None, "a ring follows upon a ring"
            written = advance(step.position, ring.outcome, step.passed)
            if written and written[1]:
                known |= {"destination": step.destination.key, "outcome": ring.outcome.value}
                self.log.write(events.TRANSFER_ADVANCED, row.call_sid, **known)
            return written
        written = advance(None, step.outcome, step.passed, _then(step))
        if written and written[1]:
            over = written[0].attempts[-1]
            known |= {"destination": over.destination, "outcome": over.outcome.value, "then": over.then}
            self.log.write(events.TRANSFER_OVER, row.call_sid, reason=request.reason.value, **known)
            if over.outcome is not Outcome.BRIDGED and request.reason is not Reason.CALLER_LEAVES_MESSAGE:
                self.log.count(Metric.TRANSFERS_UNANSWERED)
        return written


def transfer_of(row: Row) -> Transfer:
    """The transfer of a row that is known to have one."""
    assert row.transfer is not None, "asked only about a row with a transfer"
    return row.transfer


def _permits(directory: Directory, target: Target) -> bool:
    return target.kind is not TargetKind.PHONE or directory.guards.permits(target.address)


def _rang(destination: str, tries: tuple[Try, ...], key: str) -> bool:
    return key in {destination, *(one.destination for one in tries)}


def _then(step: ToAgent | TakeMessage | Goodbye | HangUp) -> Then:
    match step:
        case ToAgent():
            return Then.AGENT
        case TakeMessage():
            return Then.MESSAGE
        case Goodbye():
            return Then.GOODBYE
        case HangUp():
            return Then.HANG_UP
