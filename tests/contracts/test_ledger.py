# ruff: noqa: C901, PLR0912 - a script of events is one long match
from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from contracts import ledger as ledger_module
from contracts import stream
from contracts.claim import AlreadyDialled, CallOver, Claimed, Held, Over, UnknownCall
from contracts.ledger import TERMINAL_STATUS, Ledger
from contracts.row import MalformedRow, Row, StreamState, TransferState, Turn, from_item, to_item
from contracts.store import LedgerContended
from contracts.transfer import Outcome, Reason, TransferRequest
from contracts.visit import Refusal, Resumes, StreamRefused
from tests.contracts.table import FakeTable

CALL_SID = "CA" + "0f" * 16
LEASE = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_000_000.5

    def __call__(self) -> float:
        return self.now


class Atomic:
    """moto, one request at a time: DynamoDB checks a condition and writes in one step, moto's threads do not."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self.exceptions = client.exceptions

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        call = getattr(self._client, operation)

        def one_at_a_time(**arguments: Any) -> Any:
            with self._lock:
                return call(**arguments)

        return one_at_a_time


class Desk:
    """A ledger, its clock, and short ways to say the usual."""

    def __init__(self, client: Any) -> None:
        self.clock = Clock()
        self.ledger = Ledger(client, "ledger", self.clock)
        self.client = client

    def open(self, call_sid: str = CALL_SID, nonce: str = "n", digest: str = "d") -> Row:
        return self.ledger.open_call(
            call_sid,
            account_sid="AC" + "1" * 32,
            caller_masked="***99",
            called="+15550100000",
            caller_id="",
            nonce=nonce,
            digest=digest,
        )

    def request(self, destination: str = "billing", *, later: float = 0.0) -> TransferRequest:
        return TransferRequest.create(
            call_sid=CALL_SID, destination=destination, reason=Reason.CALLER_ASKED, now=self.clock.now + later
        )

    def row(self) -> Row:
        row = self.ledger.read(CALL_SID)
        assert row is not None
        return row

    def claimed(self, request: TransferRequest) -> Claimed:
        answer = self.ledger.claim(request, "transfer", LEASE)
        assert isinstance(answer, Claimed)
        return answer


@pytest.fixture(params=["fake", "moto"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    if request.param == "fake":
        yield Desk(FakeTable())
        return
    with mock_aws():
        client = boto3.client(
            "dynamodb", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        client.create_table(
            TableName="ledger",
            KeySchema=[{"AttributeName": "call_sid", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "call_sid", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Desk(Atomic(client))


def test_a_row_is_opened_once_and_a_replay_gets_the_row_that_is_there(desk: Desk) -> None:
    first = desk.open(nonce="first", digest="1")
    again = desk.open(nonce="second", digest="2")
    assert again == first == desk.row()
    assert first.stream.nonce == "first"
    assert first.expires_at > desk.clock.now


def test_an_unknown_call_has_no_row_and_nothing_is_written_for_it(desk: Desk) -> None:
    ledger = desk.ledger
    assert ledger.read(CALL_SID) is None
    assert ledger.offer_stream(CALL_SID, 2, nonce="n", digest="d") is None
    assert ledger.stream_started(CALL_SID, 1, "MZ1") is None
    assert ledger.stream_ended(CALL_SID, 1, "stop") is None
    assert not ledger.remember(CALL_SID, 1, [Turn("caller", "hello")])
    assert ledger.agent_ended(CALL_SID, "goodbye") is None
    assert ledger.call_status(CALL_SID, "completed") is None
    assert ledger.end_call(CALL_SID, "x", by="agent") is None
    assert ledger.leg_seen(CALL_SID, "r", "CA2") is None
    assert ledger.transfer_over(CALL_SID, "r", Outcome.BUSY) is None
    assert not ledger.ask_transfer(desk.request())
    assert ledger.claim(desk.request(), "transfer", LEASE) == UnknownCall()
    assert ledger.read(CALL_SID) is None


class TestStream:
    def test_S6_a_token_is_taken_once(self, desk: Desk) -> None:
        desk.open()
        assert desk.ledger.take_stream(CALL_SID, "d").stream.state is StreamState.LIVE
        with pytest.raises(StreamRefused) as refused:
            desk.ledger.take_stream(CALL_SID, "d")
        assert refused.value.reason is Refusal.SPENT

    def test_S6_of_100_takers_at_once_exactly_one_wins(self, desk: Desk) -> None:
        desk.open()

        def take(_: int) -> bool:
            try:
                desk.ledger.take_stream(CALL_SID, "d")
            except StreamRefused as refused:
                assert refused.reason is Refusal.SPENT  # noqa: PT017 - each of 99 threads is asked
                return False
            return True

        with ThreadPoolExecutor(20) as pool:
            assert sum(pool.map(take, range(100))) == 1

    def test_S6_a_token_is_refused_with_its_reason(self, desk: Desk) -> None:
        def reason(digest: str) -> Refusal:
            with pytest.raises(StreamRefused) as refused:
                desk.ledger.take_stream(CALL_SID, digest)
            return refused.value.reason

        assert reason("d") is Refusal.UNKNOWN_CALL
        desk.open()
        assert reason("other") is Refusal.WRONG_TOKEN
        desk.clock.now += stream.TOKEN_SECONDS + 1
        assert reason("d") is Refusal.EXPIRED
        desk.ledger.call_status(CALL_SID, "completed")
        assert reason("d") is Refusal.CALL_OVER

    def test_the_next_visit_is_offered_once_and_the_loser_gets_the_winners_row(self, desk: Desk) -> None:
        desk.open()
        won = desk.ledger.offer_stream(CALL_SID, 2, nonce="a", digest="A", after_loss=True)
        lost = desk.ledger.offer_stream(CALL_SID, 2, nonce="b", digest="B", after_loss=True)
        assert won is not None
        assert won == lost
        assert (won.stream.nonce, won.stream.lost, won.stream.after_loss) == ("a", 1, True)
        with pytest.raises(StreamRefused):
            desk.ledger.take_stream(CALL_SID, "d")
        assert desk.ledger.take_stream(CALL_SID, "A").stream.visit == 2

    def test_a_refused_stream_says_why_keeps_its_token_and_counts_as_no_loss(self, desk: Desk) -> None:
        assert not desk.ledger.refuse_stream(CALL_SID, "d", "full"), "nothing is written of an unknown call"
        desk.open()
        desk.ledger.offer_stream(CALL_SID, 2, nonce="a", digest="A", resumes=Resumes.LISTENING)
        before = desk.ledger.read(CALL_SID)
        assert before is not None
        assert not desk.ledger.refuse_stream(CALL_SID, "d", "full"), "an earlier visit's token"
        assert desk.ledger.refuse_stream(CALL_SID, "A", "full")
        after = desk.ledger.read(CALL_SID)
        assert after is not None
        assert after == replace(before, stream=replace(before.stream, refused="full"), revision=before.revision + 1), (
            "a writer that read the row before loses its race"
        )
        again = desk.ledger.offer_stream(CALL_SID, 3, nonce="b", digest="B")
        assert again is not None
        assert (again.stream.resumes, again.stream.lost, again.stream.moved) == ("listening", 0, 1)
        assert (again.stream.refused, again.stream.refusals) == ("", 1)
        desk.ledger.take_stream(CALL_SID, "B")
        assert not desk.ledger.refuse_stream(CALL_SID, "B", "full"), "it has been taken"
        calm = desk.ledger.offer_stream(CALL_SID, 4, nonce="c", digest="C", after_loss=True)
        assert calm is not None
        assert (calm.stream.refusals, calm.stream.lost, calm.stream.resumes) == (0, 1, "")

    def test_no_visit_is_skipped_and_none_is_offered_when_the_call_is_over(self, desk: Desk) -> None:
        desk.open()
        skipped = desk.ledger.offer_stream(CALL_SID, 3, nonce="a", digest="A")
        assert skipped is not None
        assert skipped.stream.visit == 1
        desk.ledger.end_call(CALL_SID, "goodbye", by="agent")
        after = desk.ledger.offer_stream(CALL_SID, 2, nonce="a", digest="A")
        assert after is not None
        assert after.stream.visit == 1

    def test_a_stream_starts_and_ends_for_its_own_visit_and_the_first_reason_stays(self, desk: Desk) -> None:
        desk.open()
        desk.ledger.stream_started(CALL_SID, 2, "MZ9")
        desk.ledger.stream_started(CALL_SID, 1, "MZ1")
        desk.ledger.stream_started(CALL_SID, 1, "MZ2")
        desk.ledger.stream_ended(CALL_SID, 2, "other")
        desk.ledger.stream_ended(CALL_SID, 1, "stop")
        desk.ledger.stream_ended(CALL_SID, 1, "later")
        assert desk.row().stream.stream_sid == "MZ1"
        assert (desk.row().stream.state, desk.row().stream.ended_reason) == (StreamState.ENDED, "stop")


def test_the_conversation_is_kept_bounded_and_never_shortened_by_a_late_write(desk: Desk) -> None:
    desk.open()
    turns = [Turn("caller", "x" * 5000), *(Turn("agent", f"sentence {n} \ud800") for n in range(100))]
    desk.ledger.remember(CALL_SID, 1, turns[:3])
    assert len(desk.row().conversation[0].text) == ledger_module.TURN_CHARS
    desk.ledger.remember(CALL_SID, 1, turns[:2], 9.0)
    assert (len(desk.row().conversation), desk.row().spent) == (3, 0.0)
    desk.ledger.remember(CALL_SID, 1, turns, 0.125)
    assert desk.row().spent == 0.125
    assert len(desk.row().conversation) == ledger_module.TURNS
    assert desk.row().conversation[-1] == Turn("agent", "sentence 99 ?")


class TestCall:
    def test_the_agents_first_word_about_the_end_stays(self, desk: Desk) -> None:
        desk.open()
        desk.ledger.agent_ended(CALL_SID, "caller_done")
        desk.ledger.agent_ended(CALL_SID, "other")
        assert desk.row().agent_ended == "caller_done"

    def test_a_terminal_status_ends_the_call_once_and_never_regresses(self, desk: Desk) -> None:
        desk.open()
        noted = desk.ledger.call_status(CALL_SID, "in-progress", 1)
        assert noted is not None
        assert not noted[1]
        ended = desk.ledger.call_status(CALL_SID, "completed", 3)
        assert ended is not None
        assert ended[1]
        late = desk.ledger.call_status(CALL_SID, "in-progress", 9)
        assert late is not None
        assert (late[0].status.status, late[1]) == ("completed", False)
        assert late[0].over
        assert late[0].ending is not None
        assert (late[0].ending.reason, late[0].ending.by) == ("completed", "caller")

    def test_an_older_status_changes_nothing_but_an_end_always_counts(self, desk: Desk) -> None:
        desk.open()
        desk.ledger.call_status(CALL_SID, "in-progress", 5)
        desk.ledger.call_status(CALL_SID, "ringing", 2)
        desk.ledger.call_status(CALL_SID, "in-progress", 6)
        assert (desk.row().status.status, desk.row().status.sequence) == ("in-progress", 5)
        desk.ledger.call_status(CALL_SID, "completed", 0)
        assert desk.row().over

    def test_the_first_reason_for_the_end_stays(self, desk: Desk) -> None:
        desk.open()
        first = desk.ledger.end_call(CALL_SID, "bridged", by="person")
        second = desk.ledger.end_call(CALL_SID, "other", by="agent")
        status = desk.ledger.call_status(CALL_SID, "completed")
        assert first is not None
        assert second is not None
        assert status is not None
        assert (first[1], second[1], status[1]) == (True, False, False)
        assert status[0].ending == first[0].ending
        assert status[0].status.status == "completed"


class TestClaim:
    def test_a_first_claim_is_granted_and_fills_the_row(self, desk: Desk) -> None:
        desk.open()
        request = desk.request()
        assert desk.ledger.ask_transfer(request)
        claim = desk.claimed(request)
        assert (claim.attempt, claim.must_reconcile) == (1, False)
        transfer = desk.row().transfer
        assert transfer is not None
        assert (transfer.state, transfer.by, transfer.request) == (TransferState.CLAIMED, "transfer", request)

    def test_R18_of_50_claimants_at_once_exactly_one_wins(self, desk: Desk) -> None:
        desk.open()
        request = desk.request()
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: desk.ledger.claim(request, "transfer", LEASE), range(50)))
        assert sum(isinstance(answer, Claimed) for answer in answers) == 1
        assert sum(isinstance(answer, Held) for answer in answers) == 49

    def test_a_live_lease_holds_and_a_dead_one_is_taken_over_in_doubt(self, desk: Desk) -> None:
        desk.open()
        request = desk.request()
        desk.claimed(request)
        assert desk.ledger.claim(request, "webhook", LEASE) == Held(desk.clock.now + LEASE, "transfer")
        desk.clock.now += LEASE
        claim = desk.claimed(request)
        assert (claim.attempt, claim.must_reconcile) == (2, True)

    def test_only_the_holder_renews_releases_and_reports(self, desk: Desk) -> None:
        desk.open()
        request = desk.request()
        ledger, request_id = desk.ledger, request.request_id
        assert not ledger.renew(CALL_SID, request_id, 1, LEASE)
        desk.claimed(request)
        assert not ledger.renew(CALL_SID, request_id, 2, LEASE)
        assert not ledger.renew(CALL_SID, "00" * 16, 1, LEASE)
        desk.clock.now += 4
        assert ledger.renew(CALL_SID, request_id, 1, LEASE)
        transfer = desk.row().transfer
        assert transfer is not None
        assert transfer.until == desk.clock.now + LEASE
        desk.clock.now += LEASE
        assert not ledger.renew(CALL_SID, request_id, 1, LEASE)
        assert ledger.dialled(CALL_SID, request_id, 1)
        assert not ledger.dialled(CALL_SID, request_id, 1)
        assert not ledger.release(CALL_SID, request_id, 1, doubtful=False)

    @pytest.mark.parametrize("doubtful", [False, True])
    def test_a_released_claim_can_be_taken_at_once_and_doubt_outlives_it(self, desk: Desk, *, doubtful: bool) -> None:
        desk.open()
        request = desk.request()
        desk.claimed(request)
        assert desk.ledger.release(CALL_SID, request.request_id, 1, doubtful=doubtful)
        claim = desk.claimed(request)
        assert (claim.attempt, claim.must_reconcile) == (2, doubtful)
        desk.ledger.release(CALL_SID, request.request_id, 2, doubtful=False)
        assert desk.claimed(request).must_reconcile is doubtful

    def test_a_dialled_request_is_not_dialled_again_unless_it_is_known_to_be_lost(self, desk: Desk) -> None:
        desk.open()
        request = desk.request()
        desk.claimed(request)
        desk.ledger.dialled(CALL_SID, request.request_id, 1)
        dialled = AlreadyDialled(desk.clock.now)
        assert desk.ledger.claim(request, "transfer", LEASE) == dialled
        assert desk.ledger.claim(request, "webhook", LEASE, redial_after=10.0) == dialled
        desk.clock.now += 10
        assert desk.ledger.claim(request, "transfer", LEASE) == dialled
        claim = desk.ledger.claim(request, "webhook", LEASE, redial_after=10.0)
        assert isinstance(claim, Claimed)
        assert (claim.attempt, claim.must_reconcile) == (2, True)

    def test_a_leg_is_proof_of_a_dial_whatever_the_claim_says(self, desk: Desk) -> None:
        desk.open()
        request = desk.request()
        desk.ledger.ask_transfer(request)
        desk.ledger.leg_seen(CALL_SID, "00" * 16, "CA3")
        desk.ledger.leg_seen(CALL_SID, request.request_id, "CA2")
        desk.ledger.leg_seen(CALL_SID, request.request_id, "CA2")
        assert desk.ledger.claim(request, "transfer", LEASE) == AlreadyDialled(desk.clock.now)
        dialled_at = desk.clock.now
        desk.clock.now += 1
        desk.ledger.leg_seen(CALL_SID, request.request_id, "CA4")
        transfer = desk.row().transfer
        assert transfer is not None
        assert (transfer.dialled_at, transfer.child_sid) == (dialled_at, "CA4")

    def test_a_transfer_that_is_over_stays_so_and_a_newer_request_follows_it(self, desk: Desk) -> None:
        desk.open()
        first = desk.request()
        desk.claimed(first)
        desk.ledger.dialled(CALL_SID, first.request_id, 1)
        over = desk.ledger.transfer_over(CALL_SID, first.request_id, Outcome.NO_ANSWER, "CA7")
        again = desk.ledger.transfer_over(CALL_SID, first.request_id, Outcome.BRIDGED)
        assert over is not None
        assert again is not None
        assert (over[1], again[1]) == (True, False)
        (attempt,) = desk.row().attempts
        assert (attempt.outcome, attempt.child_sid, attempt.destination) == (Outcome.NO_ANSWER, "CA7", "billing")
        assert desk.row().past_legs == {"CA7"}
        assert desk.row().open_transfer is None
        assert desk.ledger.claim(first, "transfer", LEASE) == Over(Outcome.NO_ANSWER)
        assert not desk.ledger.ask_transfer(first)
        second = desk.request("support", later=1)
        assert desk.ledger.ask_transfer(second)
        assert desk.ledger.ask_transfer(second)
        assert desk.claimed(second).attempt == 1

    def test_R19_a_stale_request_is_without_effect(self, desk: Desk) -> None:
        desk.open()
        stale, present = desk.request(later=-30), desk.request("support")
        desk.ledger.ask_transfer(present)
        assert desk.ledger.claim(stale, "transfer", LEASE) == Over(None)
        desk.ledger.transfer_over(CALL_SID, present.request_id, Outcome.BUSY)
        assert desk.ledger.claim(stale, "transfer", LEASE) == Over(None)

    def test_a_newer_request_replaces_one_nobody_claimed_but_waits_for_a_claim(self, desk: Desk) -> None:
        desk.open()
        first, second = desk.request(), desk.request("support", later=1)
        desk.ledger.ask_transfer(first)
        assert not desk.ledger.ask_transfer(second)
        claim = desk.claimed(second)
        assert not claim.must_reconcile
        third = desk.request(later=2)
        assert isinstance(desk.ledger.claim(third, "transfer", LEASE), Held)
        desk.clock.now += LEASE
        claim = desk.claimed(third)
        assert (claim.attempt, claim.must_reconcile) == (2, True)

    def test_S10_a_request_that_never_landed_is_recorded_by_its_claim_on_a_live_call_only(self, desk: Desk) -> None:
        request = desk.request()
        assert desk.ledger.claim(request, "transfer", LEASE) == UnknownCall()
        desk.open()
        assert desk.claimed(request).attempt == 1
        desk.ledger.end_call(CALL_SID, "gone", by="caller")
        assert desk.ledger.claim(request, "transfer", LEASE) == CallOver()
        assert not desk.ledger.ask_transfer(desk.request(later=1))


def test_a_row_with_everything_in_it_is_read_back_the_same(desk: Desk) -> None:
    desk.open()
    first = desk.request()
    desk.claimed(first)
    desk.ledger.transfer_over(CALL_SID, first.request_id, Outcome.BUSY, "CA7")
    desk.ledger.remember(CALL_SID, 1, [Turn("caller", "hello"), Turn("agent", "")])
    desk.ledger.ask_transfer(desk.request(later=1))
    desk.ledger.end_call(CALL_SID, "x", by="agent")
    row = desk.row()
    assert from_item(to_item(row)) == row
    assert row.revision == 5


def test_a_lost_race_is_known_by_the_class_that_was_made_first() -> None:
    class Remade(FakeTable):
        """boto3 in two threads at once: each asking makes its exception classes anew."""

        made: ClassVar[list[type[Exception]]] = []

        @property
        def exceptions(self) -> Any:
            self.made.append(type("ConditionalCheckFailedException", (Exception,), {}))
            return SimpleNamespace(ConditionalCheckFailedException=self.made[-1])

        def update_item(self, **arguments: Any) -> Any:
            if len(self.made) == 1 and not self.items[CALL_SID]["agent_ended"]["S"]:
                self.items[CALL_SID]["agent_ended"] = {"S": "somebody was first"}
                raise self.made[0]
            return super().update_item(**arguments)

    desk = Desk(Remade())
    desk.open()
    row = desk.ledger.agent_ended(CALL_SID, "x")
    assert row is not None
    assert row.agent_ended == "somebody was first"


def test_a_lost_race_is_decided_again_and_an_endless_one_is_an_error() -> None:
    class Contended(FakeTable):
        races = 3

        def update_item(self, **arguments: Any) -> Any:
            self.races -= 1
            if self.races >= 0:
                raise self.exceptions.ConditionalCheckFailedException
            return super().update_item(**arguments)

    table = Contended()
    desk = Desk(table)
    desk.open()
    assert isinstance(desk.ledger.claim(desk.request(), "transfer", LEASE), Claimed)
    table.races = 10**6
    with pytest.raises(LedgerContended):
        desk.ledger.agent_ended(CALL_SID, "x")


@pytest.mark.parametrize(
    "damage",
    [{"stream": {"S": "x"}}, {"revision": {"B": b"1"}}, {"stream": {"NULL": True}}, {"status": {"M": {}}}],
)
def test_an_item_that_is_no_row_is_named_so(damage: dict[str, Any]) -> None:
    desk = Desk(FakeTable())
    desk.open()
    item = desk.client.items[CALL_SID]
    with pytest.raises(MalformedRow):
        from_item({**item, **damage})
    with pytest.raises(MalformedRow):
        from_item({name: value for name, value in item.items() if name != "transfer"})


def test_what_no_row_can_hold_is_our_own_fault() -> None:
    desk = Desk(FakeTable())
    row = replace(desk.open(), agent_ended=b"bytes")  # type: ignore[arg-type] # the point of the test
    with pytest.raises(TypeError, match="bytes"):
        to_item(row)


WORDS = st.sampled_from(
    ["ask", "claim", "renew", "release", "dialled", "leg", "over", "status", "end", "wait", "newer"]
)


@given(st.lists(st.tuples(WORDS, st.integers(0, 3)), max_size=25))
def test_R19_in_any_order_of_events_no_terminal_state_is_left_and_one_claim_holds(words: list[tuple[str, int]]) -> None:
    desk = Desk(FakeTable())
    desk.open()
    ledger, request, legs = desk.ledger, desk.request(), itertools.count()
    holders: dict[int, float] = {}
    for word, choice in words:
        before = desk.row()
        match word:
            case "ask":
                ledger.ask_transfer(request)
            case "claim":
                claim = ledger.claim(request, "transfer", LEASE)
                if isinstance(claim, Claimed):
                    assert all(until <= desk.clock.now for until in holders.values())
                    holders[claim.attempt] = desk.clock.now + LEASE
            case "renew":
                if ledger.renew(CALL_SID, request.request_id, choice, LEASE):
                    holders[choice] = desk.clock.now + LEASE
            case "release":
                if ledger.release(CALL_SID, request.request_id, choice, doubtful=bool(choice % 2)):
                    holders.pop(choice)
            case "dialled":
                if ledger.dialled(CALL_SID, request.request_id, choice):
                    holders.clear()
            case "leg":
                ledger.leg_seen(CALL_SID, request.request_id, f"CA{next(legs)}")
            case "over":
                ledger.transfer_over(CALL_SID, request.request_id, list(Outcome)[choice])
            case "status":
                ledger.call_status(CALL_SID, ["ringing", "in-progress", "completed", "failed"][choice], choice)
            case "end":
                ledger.end_call(CALL_SID, "x", by="agent")
            case "wait":
                desk.clock.now += choice * 4
            case "newer":
                request = desk.request(later=choice)
                holders.clear()
        after = desk.row()
        if before.status.status in TERMINAL_STATUS:
            assert after.status == before.status
        if before.over:
            assert after.ending == before.ending
        assert after.attempts[: len(before.attempts)] == before.attempts
        assert len({one.request_id for one in after.attempts}) == len(after.attempts)
