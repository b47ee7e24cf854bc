"""A call that comes in while the model fails all over the fleet."""

from __future__ import annotations

import threading

import pytest
from botocore.exceptions import EndpointConnectionError

from contracts.breaker import FAILURES, OPEN_SECONDS, Breakers
from contracts.transfer import Reason
from functions.voice_webhook import circuit
from tests.functions.line import Line, verbs
from tests.functions.world import CALL_SID

OTHER = "CA" + "c9" * 16


@pytest.fixture
def line() -> Line:
    return Line()


def break_model(line: Line) -> Breakers:
    breakers = Breakers(line.table, "ledger", line.clock)
    for _ in range(FAILURES):
        breakers.failed()
    return breakers


def test_R1_while_the_breaker_is_open_a_caller_rings_a_person_at_once(line: Line) -> None:
    assert verbs(line.incoming(CallSid=OTHER)) == ["Connect", "Redirect"], "the control: it is closed"
    break_model(line)
    document = line.incoming()
    assert document.findtext("Dial/Number") == "+15550100003"
    transfer = line.row.transfer
    assert transfer is not None
    assert transfer.request.reason is Reason.AGENT_UNAVAILABLE
    assert line.events("breaker.met")[0]["verdict"] == "diverted"
    assert line.counts().count("CallsDiverted") == 1
    assert line.counts().count("StreamsOffered") == 1


def test_S4_a_replay_of_a_diverted_call_neither_dials_twice_nor_opens_a_stream(line: Line) -> None:
    break_model(line)
    line.incoming()
    row = line.row
    assert "Connect" not in verbs(again := line.incoming())
    assert "Dial" not in verbs(again)
    assert line.row == row


def test_half_open_lets_one_call_through_and_a_replay_of_it_uses_up_no_other(line: Line) -> None:
    breakers = break_model(line)
    line.clock.now += OPEN_SECONDS
    first = line.incoming()
    assert verbs(first) == ["Connect", "Redirect"]
    assert verbs(line.incoming()) == ["Connect", "Redirect"]
    assert "Dial" in verbs(line.incoming(CallSid=OTHER))
    assert [one["verdict"] for one in line.events("breaker.met")] == ["probe", "diverted"]
    breakers.worked()
    assert "Connect" in verbs(line.incoming(CallSid="CA" + "d7" * 16))


def test_R35_a_breaker_that_cannot_be_read_counts_as_closed(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    break_model(line)

    def fail_to_read() -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    line.table.interrupt(lambda name, act: fail_to_read() if name == "ledger.get" else act())
    assert verbs(line.incoming()) == ["Connect", "Redirect"]
    assert line.events("ledger.failed")[0]["operation"] == "breaker"
    hang = threading.Event()
    line.table.interrupt(lambda name, act: (hang.wait(10.0), act())[1] if name == "ledger.get" else act())
    monkeypatch.setattr(circuit, "PATIENCE", 0.01)
    assert verbs(line.incoming(CallSid=OTHER)) == ["Connect", "Redirect"]
    hang.set()
    assert line.events("ledger.failed")[1]["error"] == "TimeoutError"
    assert CALL_SID != OTHER
