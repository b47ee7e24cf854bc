"""What the ledger says of a person who is called, as the model is told it."""

from __future__ import annotations

from containers.media_relay.actions import ReadTransfer, ToPerson
from containers.media_relay.attended import MARGIN_SECONDS, READ_EVERY, UNCLAIMED_SECONDS, Attended
from containers.media_relay.silence import NEVER
from contracts import hops
from contracts.claim import claimed
from contracts.destination import Position
from contracts.handoff import Transfer, Try
from contracts.transfer import Outcome, Reason, TransferRequest
from tests.containers.media_relay.worlds import CALL_SID, PEOPLE_FILE, WALL

DIRECTORY = PEOPLE_FILE.directory
REQUEST = TransferRequest.create(call_sid=CALL_SID, destination="billing", reason=Reason.CALLER_ASKED, now=WALL)


def attended() -> Attended:
    return Attended(ToPerson("billing", Reason.CALLER_ASKED, ""), Position("billing"), DIRECTORY, 100.0)


def ringing(transfer: Transfer | None = None) -> Transfer:
    return claimed(transfer or Transfer(REQUEST), "transfer", WALL, WALL + 30)


def next_ring(outcome: Outcome, to: Position, note: str = "") -> Transfer:
    return hops.advanced(ringing(), Try("billing", 0, outcome, note=note), to, (), WALL)


def test_the_ledger_is_read_once_a_second_and_not_before_it_has_answered() -> None:
    one = attended()
    assert one.read_at == 100.0 + READ_EVERY
    assert one.read() == ReadTransfer()
    assert one.read_at == NEVER
    one.answered(105.0)
    assert one.read_at == 105.0 + READ_EVERY


def test_it_ends_soon_after_the_callers_patience_whatever_the_ledger_says() -> None:
    assert attended().ends_at == 100.0 + DIRECTORY.max_wait_seconds + MARGIN_SECONDS


def test_a_request_that_nobody_takes_in_time_is_unclaimed_and_one_that_was_taken_never() -> None:
    one, late = attended(), 100.0 + UNCLAIMED_SECONDS
    assert one.unclaimed(Transfer(REQUEST), late)
    assert not one.unclaimed(Transfer(REQUEST), late - 0.1)
    assert not one.unclaimed(ringing(), late)
    assert not one.unclaimed(next_ring(Outcome.BUSY, Position("reception")), late)


def test_while_it_rings_there_is_nothing_to_tell() -> None:
    assert attended().news(ringing(), WALL) == (None, "")


def test_each_ring_is_told_once_with_its_reason_and_who_is_next() -> None:
    one = attended()
    outcome, told = one.news(next_ring(Outcome.DECLINED, Position("reception"), "in a meeting"), WALL)
    assert outcome is Outcome.DECLINED
    assert "the billing team could not take the call (in a meeting)" in told
    assert "our reception is being tried next" in told
    assert one.called == "our reception"
    again = next_ring(Outcome.DECLINED, Position("reception"), "in a meeting")
    assert one.news(again, WALL) == (None, ""), "told once"


def test_who_is_called_instead_is_told_also_when_nothing_has_rung() -> None:
    elsewhere = hops.placed(ringing(), Position("reception"), (), WALL, attended=True)
    assert "our reception is being called now" in attended().news(elsewhere, WALL)[1]


def test_the_end_is_told_with_the_alternatives() -> None:
    for outcome in (Outcome.NO_ANSWER, Outcome.NOT_CONFIGURED):
        ended, _ = hops.over(ringing(), None, outcome, (), WALL)
        said, told = attended().news(ended, WALL)
        assert said is outcome
        assert told.startswith("Nobody is being called any more: the billing team ")
        assert "connect them to our reception" in told
        assert "connect them to the billing team" not in told


def test_a_later_visit_knows_what_was_told_before() -> None:
    transfer = next_ring(Outcome.BUSY, Position("reception"))
    one = Attended.resumed(transfer, DIRECTORY, 200.0)
    assert one.read_at == NEVER, "not before the model is there to be told"
    assert one.called == "our reception"
    assert one.news(transfer, WALL) == (None, "")
