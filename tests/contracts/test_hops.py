# ruff: noqa: C901, PLR0912 - a script of events is one long match
"""From one ring to the next: what the ledger lets happen to a transfer's hunt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.claim import AlreadyDialled, Claimed, Held, Over
from contracts.destination import Position
from contracts.ledger import MESSAGE_SECONDS, Ledger
from contracts.row import Message, Then, Transfer, TransferState, Try, Verdict, from_item, to_item
from contracts.transfer import Outcome, TransferRequest
from contracts.transfers import NOTE_CHARS
from tests.contracts.table import FakeTable
from tests.contracts.test_ledger import CALL_SID, LEASE, Desk

SECOND = Position("billing", 1)


class Hunt:
    """A live call with a request, and short ways to say what happens to it."""

    def __init__(self) -> None:
        self.desk = Desk(FakeTable())
        self.desk.open()
        self.request = self.desk.request()
        self.ledger.ask_transfer(self.request)

    @property
    def ledger(self) -> Ledger:
        return self.desk.ledger

    @property
    def transfer(self) -> Transfer:
        transfer = self.desk.row().transfer
        assert transfer is not None
        return transfer

    def stands(self, state: TransferState) -> bool:
        return self.transfer.state is state

    def dial(self, leg: str = "") -> int:
        attempt = self.desk.claimed(self.request).attempt
        assert self.ledger.dialled(CALL_SID, self.request.request_id, attempt, leg)
        return attempt

    def seen(self, leg: str, hop: int) -> None:
        self.ledger.leg_seen(CALL_SID, self.request.request_id, leg, hop)

    def advance(
        self, hop: int, outcome: Outcome = Outcome.BUSY, to: Position | None = SECOND, passed: tuple[str, ...] = ()
    ) -> bool:
        at = self.transfer.position
        ring = Try(at.destination, at.index, outcome)
        said = self.ledger.advance(CALL_SID, self.request.request_id, hop, ring, to, outcome, passed)
        assert said is not None
        return said[1]

    def screened(self, verdict: Verdict, leg: str = "CA2", hop: int = 0, note: str = "") -> bool:
        return self.ledger.screened(CALL_SID, self.request.request_id, hop, verdict, note, leg)

    def accepted(self, leg: str = "CA2", hop: int = 0) -> bool:
        return self.ledger.accepted(CALL_SID, self.request.request_id, hop, leg)

    def place(self, attempt: int, *, attended: bool = False, passed: tuple[str, ...] = ()) -> bool:
        return self.ledger.place(
            CALL_SID, self.request.request_id, attempt, Position("support"), passed=passed, attended=attended
        )


@pytest.fixture
def hunt() -> Hunt:
    return Hunt()


def test_a_ring_in_vain_asks_for_the_next_one_and_a_replayed_question_does_not_again(hunt: Hunt) -> None:
    hunt.dial("CA2")
    assert hunt.transfer.position == Position("billing", 0)
    assert hunt.advance(0, Outcome.NO_ANSWER)
    assert not hunt.advance(0, Outcome.BUSY)
    transfer = hunt.transfer
    assert (transfer.state, transfer.hop, transfer.position) == (TransferState.ASKED, 1, SECOND)
    (ring,) = transfer.hunt.tries
    assert (ring.destination, ring.index, ring.outcome, ring.child_sid) == ("billing", 0, Outcome.NO_ANSWER, "CA2")
    assert ring.at == hunt.desk.clock.now
    assert hunt.desk.row().past_legs == {"CA2"}


def test_R18_each_hop_is_dialled_once_whoever_claims_it(hunt: Hunt) -> None:
    for hop in range(3):
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: hunt.ledger.claim(hunt.request, "transfer", LEASE), range(20)))
        claims = [answer for answer in answers if isinstance(answer, Claimed)]
        assert len(claims) == 1
        assert sum(isinstance(answer, Held) for answer in answers) == 19
        assert claims[0].attempt == hop + 1
        assert not claims[0].must_reconcile
        assert hunt.ledger.dialled(CALL_SID, hunt.request.request_id, claims[0].attempt)
        assert isinstance(hunt.ledger.claim(hunt.request, "transfer", LEASE), AlreadyDialled)
        assert hunt.advance(hop, to=Position("billing", hop + 1))
        assert not hunt.ledger.dialled(CALL_SID, hunt.request.request_id, claims[0].attempt)


def test_the_last_word_ends_the_transfer_with_all_its_rings(hunt: Hunt) -> None:
    hunt.dial("CA2")
    hunt.advance(0)
    hunt.dial("CA3")
    assert hunt.advance(1, Outcome.NO_ANSWER, None, passed=("support",))
    assert not hunt.advance(1, Outcome.NO_ANSWER, None)
    (attempt,) = hunt.desk.row().attempts
    assert (attempt.outcome, attempt.child_sid, attempt.destination) == (Outcome.NO_ANSWER, "CA3", "support")
    assert [(one.destination, one.outcome) for one in attempt.tries] == [
        ("billing", Outcome.BUSY),
        ("billing", Outcome.NO_ANSWER),
        ("support", Outcome.CLOSED),
    ]
    assert hunt.ledger.claim(hunt.request, "transfer", LEASE) == Over(Outcome.NO_ANSWER)
    later = hunt.desk.request(later=1)
    assert isinstance(hunt.ledger.claim(later, "transfer", LEASE), Claimed)
    assert hunt.desk.row().past_legs == {"CA2", "CA3"}
    assert (hunt.transfer.hop, hunt.transfer.hunt.tries) == (0, ())


def test_nothing_rung_at_all_ends_where_it_was_closed(hunt: Hunt) -> None:
    hunt.desk.claimed(hunt.request)
    over = hunt.ledger.advance(CALL_SID, hunt.request.request_id, 0, None, None, Outcome.CLOSED, ("billing", "support"))
    assert over is not None
    (attempt,) = over[0].attempts
    assert (attempt.destination, attempt.outcome, len(attempt.tries)) == ("support", Outcome.CLOSED, 2)


def test_R19_a_leg_of_a_hop_that_is_over_proves_nothing_about_the_next(hunt: Hunt) -> None:
    hunt.dial()
    hunt.seen("CA2", 0)
    hunt.seen("CA3", 0)  # two that rang at once
    hunt.advance(0)
    hunt.seen("CA2", 0)
    hunt.seen("CA4", 0)
    assert hunt.stands(TransferState.ASKED)
    assert hunt.desk.row().past_legs == {"CA2", "CA3", "CA4"}
    hunt.seen("CA5", 1)
    assert hunt.stands(TransferState.DIALLED)
    assert hunt.desk.row().past_legs == {"CA2", "CA3", "CA4"}
    hunt.seen("CA6", 2)
    assert hunt.transfer.hunt.legs == ("CA5",)


def test_a_late_leg_is_kept_with_its_own_ring_and_not_with_those_that_were_closed(hunt: Hunt) -> None:
    attempt = hunt.desk.claimed(hunt.request).attempt
    assert hunt.place(attempt, passed=("billing",))
    hunt.advance(0, to=Position("reception"))
    hunt.seen("CA9", 0)
    assert [(one.destination, one.legs) for one in hunt.transfer.hunt.tries] == [("billing", ()), ("support", ("CA9",))]


def test_what_is_about_to_ring_is_written_down_by_the_claimant_alone(hunt: Hunt) -> None:
    attempt = hunt.desk.claimed(hunt.request).attempt
    assert not hunt.place(attempt + 1)
    assert hunt.place(attempt, passed=("billing",), attended=True)
    assert (hunt.transfer.position, hunt.transfer.hunt.visited) == (Position("support"), ("billing", "support"))
    assert hunt.transfer.hunt.attended
    hunt.desk.clock.now += LEASE
    assert not hunt.place(attempt)
    hunt.advance(0, to=Position("reception"))
    assert hunt.transfer.hunt.visited == ("billing", "support", "reception")
    assert not hunt.transfer.hunt.attended


def test_waiting_begins_with_the_last_claim_of_the_first_ring(hunt: Hunt) -> None:
    hunt.desk.clock.now += 100
    hunt.dial()
    began = hunt.desk.clock.now
    hunt.desk.clock.now += 20
    hunt.advance(0)
    hunt.dial()
    assert hunt.transfer.hunt.begun_at == began


def test_a_newer_request_keeps_the_legs_of_the_one_it_replaces(hunt: Hunt) -> None:
    hunt.dial("CA2")
    hunt.advance(0)
    newer = hunt.desk.request("support", later=1)
    claim = hunt.desk.claimed(newer)
    assert claim.attempt == 2
    assert hunt.transfer.position == Position("support")
    assert claim.row.past_legs == {"CA2"}


class TestScreened:
    def test_the_first_verdict_of_a_leg_stays(self, hunt: Hunt) -> None:
        hunt.dial()
        assert hunt.screened(Verdict.DECLINED, note="in a meeting")
        assert hunt.screened(Verdict.DECLINED, note="in a meeting")
        assert not hunt.screened(Verdict.ACCEPTED)
        assert not hunt.screened(Verdict.NO_KEY)
        assert hunt.transfer.accepted_at == 0
        hunt.advance(0, Outcome.DECLINED)
        assert hunt.transfer.hunt.tries[0].note == "in a meeting"
        assert hunt.transfer.answer is None

    def test_R18_of_those_that_ring_at_once_one_takes_the_call_and_another_may_decline(self, hunt: Hunt) -> None:
        hunt.dial()
        assert hunt.screened(Verdict.DECLINED, "CA2")
        assert hunt.screened(Verdict.ACCEPTED, "CA3")
        assert hunt.screened(Verdict.ACCEPTED, "CA3")
        assert not hunt.screened(Verdict.ACCEPTED, "CA4")
        assert not hunt.screened(Verdict.NO_KEY, "CA5")
        assert hunt.transfer.accepted_at == hunt.desk.clock.now

    def test_a_verdict_on_a_hop_that_is_over_or_without_a_caller_does_not_stand(self, hunt: Hunt) -> None:
        hunt.dial()
        hunt.advance(0)
        assert not hunt.screened(Verdict.ACCEPTED, hop=0)
        assert hunt.screened(Verdict.NO_KEY, hop=1)
        hunt.ledger.call_status(CALL_SID, "completed")
        assert not hunt.screened(Verdict.NO_KEY, hop=1)
        assert not hunt.screened(Verdict.ACCEPTED, "CA3", hop=1)

    def test_a_reason_is_kept_short_and_storable(self, hunt: Hunt) -> None:
        hunt.screened(Verdict.DECLINED, note="\ud800" + "x" * 1000)
        assert hunt.transfer.answer is not None
        assert hunt.transfer.answer.note == "?" + "x" * (NOTE_CHARS - 1)


class TestAttended:
    def ring(self, hunt: Hunt) -> None:
        attempt = hunt.desk.claimed(hunt.request).attempt
        assert hunt.place(attempt, attended=True)
        assert hunt.ledger.dialled(CALL_SID, hunt.request.request_id, attempt)

    def test_R18_acceptance_lets_the_meeting_be_claimed_once(self, hunt: Hunt) -> None:
        self.ring(hunt)
        assert isinstance(hunt.ledger.claim(hunt.request, "transfer", LEASE), AlreadyDialled)
        assert hunt.accepted()
        assert hunt.accepted()
        assert not hunt.accepted("CA3")
        answers = [hunt.ledger.claim(hunt.request, by, LEASE) for by in ("transfer", "webhook", "last_resort")]
        assert [type(answer) for answer in answers] == [Claimed, Held, Held]
        assert isinstance(answers[0], Claimed)
        assert answers[0].row.transfer is not None
        assert answers[0].row.transfer.joining
        assert not answers[0].must_reconcile
        hunt.ledger.dialled(CALL_SID, hunt.request.request_id, answers[0].attempt)
        assert hunt.accepted()
        assert isinstance(hunt.ledger.claim(hunt.request, "webhook", LEASE), AlreadyDialled)

    def test_acceptance_before_the_answer_to_the_call_was_heard_counts_and_fences_the_caller_of_it(
        self, hunt: Hunt
    ) -> None:
        attempt = hunt.desk.claimed(hunt.request).attempt
        assert hunt.accepted()
        assert not hunt.ledger.dialled(CALL_SID, hunt.request.request_id, attempt)
        assert hunt.desk.claimed(hunt.request).attempt == attempt + 1

    def test_the_persons_own_leg_is_no_proof_of_the_meeting(self, hunt: Hunt) -> None:
        self.ring(hunt)
        hunt.accepted("CA2")
        hunt.seen("CA2", 0)
        assert hunt.stands(TransferState.ASKED)
        hunt.seen("CA3", 0)
        assert hunt.stands(TransferState.DIALLED)

    def test_a_question_about_the_caller_says_nothing_of_a_line_that_rings_apart(self, hunt: Hunt) -> None:
        self.ring(hunt)
        hunt.desk.clock.now += 60
        assert isinstance(hunt.ledger.claim(hunt.request, "webhook", LEASE, redial_after=10), AlreadyDialled)
        hunt.accepted()
        hunt.ledger.dialled(CALL_SID, hunt.request.request_id, hunt.desk.claimed(hunt.request).attempt)
        hunt.desk.clock.now += 60
        assert isinstance(hunt.ledger.claim(hunt.request, "webhook", LEASE, redial_after=10), Claimed)

    def test_nobody_takes_the_place_of_one_who_has_accepted(self, hunt: Hunt) -> None:
        self.ring(hunt)
        hunt.accepted()
        newer = hunt.desk.request("support", later=1)
        assert hunt.ledger.claim(newer, "transfer", LEASE) == AlreadyDialled(hunt.desk.clock.now)
        assert not hunt.ledger.ask_transfer(newer)

    def test_nobody_accepts_for_a_caller_who_is_gone_or_a_hop_that_is_over_or_after_declining(self, hunt: Hunt) -> None:
        self.ring(hunt)
        hunt.screened(Verdict.DECLINED)
        assert not hunt.accepted()
        hunt.advance(0, Outcome.DECLINED)
        assert not hunt.accepted()
        assert not hunt.accepted(hop=2)
        hunt.ledger.end_call(CALL_SID, "completed", by="caller")
        assert not hunt.accepted(hop=1)

    def test_one_whose_key_was_noted_first_may_still_join(self, hunt: Hunt) -> None:
        self.ring(hunt)
        hunt.screened(Verdict.ACCEPTED)
        assert hunt.accepted()
        assert hunt.transfer.joining


def test_a_leg_that_is_over_is_counted_once_and_in_its_own_ring_only(hunt: Hunt) -> None:
    hunt.dial("CA2")
    request_id = hunt.request.request_id
    for leg in ("CA2", "CA3", "CA2"):
        hunt.ledger.leg_over(CALL_SID, request_id, 0, leg)
    assert hunt.transfer.hunt.ended == ("CA2", "CA3")
    assert hunt.transfer.hunt.legs == ("CA2", "CA3")
    hunt.advance(0)
    hunt.ledger.leg_over(CALL_SID, request_id, 0, "CA4")
    assert not hunt.transfer.hunt.ended
    assert hunt.ledger.leg_over("CA" + "9" * 32, request_id, 0, "CA2") is None


def test_what_a_transfer_leaves_to_be_done_is_kept_with_the_visit_it_came_from(hunt: Hunt) -> None:
    hunt.dial("CA2")
    request_id = hunt.request.request_id
    hunt.ledger.advance(CALL_SID, request_id, 0, None, None, Outcome.CLOSED, ("billing",), Then.MESSAGE)
    row = hunt.desk.row()
    assert [(one.then, one.visit) for one in row.attempts] == [(Then.MESSAGE, 1)]
    assert from_item(to_item(row)) == row


def test_the_first_message_of_a_call_stays_and_outlives_its_row_until_it_is_delivered(hunt: Hunt) -> None:
    ledger = hunt.ledger
    first = Message("RE1", "https://api.twilio.com/RE1", 7, hunt.desk.clock.now, "billing")
    ledger.call_status(CALL_SID, "completed")
    assert [taken[1] for _ in range(2) if (taken := ledger.message_taken(CALL_SID, first))] == [True, False]
    assert ledger.message_taken(CALL_SID, replace(first, recording_sid="RE2")) == (hunt.desk.row(), False)
    row = hunt.desk.row()
    assert row.message == first
    assert from_item(to_item(row)) == row
    assert row.expires_at == int(hunt.desk.clock.now) + MESSAGE_SECONDS
    assert not ledger.message_delivered(CALL_SID, "RE2")
    assert [ledger.message_delivered(CALL_SID, "RE1") for _ in range(2)] == [True, False]
    assert hunt.desk.row().message == replace(first, delivered_at=hunt.desk.clock.now)
    assert ledger.message_taken("CA" + "9" * 32, first) is None
    item = to_item(row)
    del item["message"]
    assert from_item(item).message is None


def test_what_concerns_an_unknown_call_or_request_changes_nothing() -> None:
    desk = Desk(FakeTable())
    request_id = desk.request().request_id
    assert desk.ledger.advance(CALL_SID, request_id, 0, None, None, Outcome.BUSY) is None
    assert not desk.ledger.screened(CALL_SID, request_id, 0, Verdict.ACCEPTED)
    assert not desk.ledger.accepted(CALL_SID, request_id, 0)
    assert not desk.ledger.place(CALL_SID, request_id, 1, SECOND)
    row = desk.open()
    assert desk.ledger.advance(CALL_SID, request_id, 0, None, None, Outcome.BUSY) == (row, False)
    assert not desk.ledger.accepted(CALL_SID, request_id, 0)
    assert desk.row() == row


def test_a_row_with_a_hunt_is_read_back_the_same_and_one_from_before_is_read_too(hunt: Hunt) -> None:
    hunt.dial("CA2")
    hunt.advance(0, passed=("support",))
    hunt.screened(Verdict.DECLINED, hop=1, note="in a meeting")
    row = hunt.desk.row()
    assert from_item(to_item(row)) == row
    hunt.advance(1, to=None)
    row = hunt.desk.row()
    assert from_item(to_item(row)) == row
    item = to_item(row)
    for name in ("hunt", "answer", "joining"):
        del item["transfer"]["M"][name]
    del item["attempts"]["L"][0]["M"]["tries"]
    old = from_item(item)
    assert old.transfer is not None
    assert (old.transfer.hop, old.transfer.position) == (0, Position("billing"))
    assert old.attempts == (replace(row.attempts[0], tries=()),)


WORDS = st.sampled_from(["claim", "dialled", "release", "leg", "advance", "end", "accept", "screen", "wait", "newer"])


@given(st.lists(st.tuples(WORDS, st.integers(0, 3)), max_size=30))
def test_R19_in_any_order_of_events_each_hop_has_one_holder_and_none_is_left_twice(
    words: list[tuple[str, int]],
) -> None:
    hunt = Hunt()
    ledger, holders = hunt.ledger, dict[int, float]()
    advanced: set[tuple[str, int]] = set()
    for word, choice in words:
        before, request_id = hunt.transfer, hunt.request.request_id
        match word:
            case "claim":
                claim = ledger.claim(hunt.request, "transfer", LEASE, redial_after=choice * 5 if choice else None)
                if isinstance(claim, Claimed):
                    assert all(until <= hunt.desk.clock.now for until in holders.values())
                    assert claim.attempt not in holders
                    holders[claim.attempt] = hunt.desk.clock.now + LEASE
            case "dialled":
                if ledger.dialled(CALL_SID, request_id, choice):
                    assert choice == before.attempt
                    holders.clear()
            case "release":
                if ledger.release(CALL_SID, request_id, choice, doubtful=False):
                    holders.pop(choice)
            case "leg":
                hunt.seen(f"CA{choice}", choice)
            case "advance":
                if hunt.advance(choice, to=Position("billing", choice + 1)):
                    assert (request_id, choice) not in advanced
                    advanced.add((request_id, choice))
                    holders.clear()
            case "end":
                if hunt.advance(choice, to=None):
                    holders.clear()
            case "accept":
                if hunt.accepted(f"CA{choice}", hop=before.hop) and not before.joining:
                    holders.clear()
            case "screen":
                hunt.screened([*Verdict][choice % 3], f"CA{choice}", hop=before.hop)
            case "wait":
                hunt.desk.clock.now += choice * 4
            case "newer":
                hunt.request = TransferRequest.create(
                    call_sid=CALL_SID,
                    destination="support",
                    reason=hunt.request.reason,
                    now=hunt.desk.clock.now + 1 + choice,
                )
                holders.clear()
        after, row = hunt.transfer, hunt.desk.row()
        if after.request == before.request:
            assert after.hop >= before.hop
            assert after.attempt >= before.attempt
            assert after.hunt.tries[: len(before.hunt.tries)] == before.hunt.tries or word == "leg"
        if before.joining and after.request == before.request and after.hop == before.hop:
            assert after.joining
            assert after.answer == before.answer
        assert len({one.request_id for one in row.attempts}) == len(row.attempts)
