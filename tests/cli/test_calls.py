from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from contracts import events
from contracts.events import Part
from simulators.cloud.emulator import Emulator
from tests.cli.cloud import Cloud, line

SID = "CA" + "a1" * 16
OTHER = "CA" + "b2" * 16


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    emulator = Emulator()
    try:
        yield emulator.start()
    finally:
        emulator.stop()


@pytest.fixture
def cloud(endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cloud:
    made = Cloud(endpoint, monkeypatch, capsys)
    made.deploy()
    return made


def play(cloud: Cloud, sid: str = SID, ago: float = 100.0) -> float:
    """A call from its first ring to its end, in the logs of all three parts; when it began."""
    start = time.time() - ago
    webhook, transfer, relay = Part.WEBHOOK, Part.TRANSFER, Part.RELAY
    received = line(events.CALL_RECEIVED, part=webhook, now=start, call_sid=sid, caller="***99", called="***00")
    ended = line(
        events.CALL_ENDED, part=webhook, now=start + 42, call_sid=sid, reason="bridged", by="person", seconds=42.0
    )
    bridged = line(
        events.TRANSFER_BRIDGED, part=webhook, now=start + 12, call_sid=sid, request_id="r", destination="billing"
    )
    wrapped = json.dumps({"level": "INFO", "message": json.loads(bridged)})
    asked = line(
        events.HANDOFF_ASKED, part=relay, now=start + 9, call_sid=sid, destination="billing", reason="caller_asked"
    )
    dialled = line(events.TRANSFER_DIALLED, part=transfer, now=start + 10, call_sid=sid, destination="billing")
    cloud.log(0, start, f"START RequestId: {sid}", ended, wrapped, received)
    cloud.log(1, start, dialled)
    cloud.log(2, start, line(events.STREAM_STARTED, part=relay, now=start + 1, call_sid=sid), asked)
    return start


def test_a_call_is_told_in_order_out_of_the_logs_of_all_parts(cloud: Cloud) -> None:
    play(cloud)
    play(cloud, OTHER)
    ran = cloud.run("calls", "show", SID)
    assert ran.status == 0, ran.err
    told = ran.out.splitlines()
    assert [text.split()[0] for text in told[:-1]] == ["0.00", "1.00", "9.00", "10.00", "12.00", "42.00"]
    assert "***99 calls ***00" in told[0]
    assert "relay" in told[1]
    assert told[-1] == "The call has ended: bridged, by person, after 42.0 s; the caller spoke with billing."
    assert OTHER not in ran.out


def test_json_is_the_events(cloud: Cloud) -> None:
    play(cloud)
    found = json.loads(cloud.run("calls", "show", SID, "--json").out)
    assert found[0]["event"] == "call.received"
    assert {event["call_sid"] for event in found} == {SID}
    assert {event["part"] for event in found} == {"webhook", "transfer", "relay"}


def test_a_call_that_nobody_logged_says_what_to_check(cloud: Cloud) -> None:
    play(cloud, OTHER)
    ran = cloud.run("calls", "show", SID)
    assert ran.status == 1
    assert "has logged nothing about it in the last 24h" in ran.err
    assert "--since 7d" in ran.err


def test_a_call_older_than_asked_for_is_not_found(cloud: Cloud) -> None:
    play(cloud, ago=7200)
    assert cloud.run("calls", "show", SID, "--since", "1h").status == 1
    assert cloud.run("calls", "show", SID, "--since", "3h").status == 0


def test_an_invalid_sid_stops_before_anything_is_asked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    ran = cloud.run("calls", "show", "CA123", "--json")
    assert ran.status == 1
    assert json.loads(ran.err)["why"] == "it is not a call SID"


def test_a_stage_that_is_not_deployed_says_so(cloud: Cloud) -> None:
    cloud.aws("cloudformation").delete_stack(StackName="patchthrough-dev")
    ran = cloud.run("calls", "show", SID)
    assert ran.status == 1
    assert "make deploy" in ran.err


def test_recent_calls_are_listed_the_newest_first(cloud: Cloud) -> None:
    play(cloud, ago=300)
    play(cloud, OTHER, ago=200)
    calls = json.loads(cloud.run("calls", "list", "--json").out)
    assert [call["call_sid"] for call in calls] == [OTHER, SID]
    assert (calls[0]["reason"], calls[0]["person"], calls[0]["seconds"]) == ("bridged", "billing", 42.0)
    assert SID in cloud.run("calls", "list").out
    assert "No call came in" in cloud.run("calls", "list", "--since", "1m").out
