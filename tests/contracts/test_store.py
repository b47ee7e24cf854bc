"""A write that is sent twice, because the answer to the first was late, has changed the row all the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from contracts.claim import Claimed
from contracts.ledger import Ledger
from contracts.row import Message
from contracts.transfer import Reason, TransferRequest
from contracts.visit import StreamRefused
from tests.contracts.table import FakeTable

CALL_SID = "CA" + "0f" * 16


class SentAgain:
    """A table whose answer to the next update is late, so that boto3 sends it again; others write in between."""

    def __init__(self) -> None:
        self.table = FakeTable(self._boundary)
        self.between: list[Callable[[], object]] = []
        self.armed = False
        self.ledger = Ledger(self.table, "ledger", lambda: 1000.0)

    def _boundary(self, name: str, act: Callable[[], Any]) -> Any:
        if name != "ledger.update" or not self.armed:
            return act()
        self.armed = False
        act()
        for one in self.between:
            one()
        return act()


@pytest.fixture(params=range(8))
def desk(request: pytest.FixtureRequest) -> SentAgain:
    desk = SentAgain()
    desk.ledger.open_call(
        CALL_SID, account_sid="AC1", caller_masked="***99", called="+15550100000", caller_id="", nonce="n", digest="d"
    )
    # What others do meanwhile, none of which undoes what was written.
    desk.between = [partial(desk.ledger.call_status, CALL_SID, f"word {n}", n) for n in range(request.param)]
    desk.armed = True
    return desk


def asked() -> TransferRequest:
    return TransferRequest.create(call_sid=CALL_SID, destination="billing", reason=Reason.CALLER_ASKED, now=1000.0)


def test_R35_a_visit_that_was_taken_is_taken(desk: SentAgain) -> None:
    assert desk.ledger.take_stream(CALL_SID, "d", "relay").stream.relay == "relay"
    with pytest.raises(StreamRefused):
        desk.ledger.take_stream(CALL_SID, "d", "relay")


def test_R35_a_claim_that_was_written_may_dial_and_no_other(desk: SentAgain) -> None:
    request = asked()
    assert isinstance(desk.ledger.claim(request, "one", 10), Claimed)
    assert not isinstance(desk.ledger.claim(request, "two", 10), Claimed)


def test_R35_a_request_that_was_recorded_is_to_be_queued(desk: SentAgain) -> None:
    assert desk.ledger.ask_transfer(asked())


def test_R35_a_message_that_was_noted_is_to_be_delivered_once(desk: SentAgain) -> None:
    message = Message("RE1", "https://recordings.example.com/RE1", 3, 1000.0, "billing")
    noted = [desk.ledger.message_taken(CALL_SID, message) for _ in range(2)]
    assert [changed for _, changed in filter(None, noted)] == [True, False]


def test_R35_an_end_that_was_written_is_told_once(desk: SentAgain) -> None:
    ends = [desk.ledger.end_call(CALL_SID, "goodbye", by="agent") for _ in range(2)]
    assert [ended for _, ended in filter(None, ends)] == [True, False]
