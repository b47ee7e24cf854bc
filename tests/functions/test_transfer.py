"""The queue's consumer: what is acknowledged, what comes back and when, and who is dialled."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import UnexpectedBatchTypeError
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.claim import Claimed
from contracts.directory import DirectoryRefused, load
from contracts.transfer import Outcome, Reason, TransferRequest
from functions.environment import EnvironmentRefused
from functions.transfer import handler
from functions.transfer.dial_twiml import MAX_TWIML_CHARS
from functions.transfer.lease import REST_TIMEOUT_SECONDS, VISIBILITY_LAG_SECONDS, lease_seconds
from tests.contracts.table import FakeTable
from tests.functions.line import XML_1_0
from tests.functions.world import CALL_SID, ENVIRONMENT, PEOPLE, Context, Fault, World, sqs_event

NUMBERS = {"+15550100001", "+15550100002", "+15550100003"}


@pytest.fixture
def world() -> World:
    world = World()
    world.open_call()
    return world


def invoke(
    world: World, body: str, *, receives: int = 1, last_resort: bool = False, remaining: float = 60.0, **more: Any
) -> list[str]:
    """One invocation, as a task; answers the messages that must come back."""
    failed: list[str] = []
    event = sqs_event(body, receives=receives, sent_at=world.timeline.now, **more)
    take = world.handlers.last_resort if last_resort else world.handlers.handler

    def run() -> None:
        answer = take(event, Context(lambda: remaining))
        failed.extend(one["itemIdentifier"] for one in answer["batchItemFailures"])

    world.timeline.at(0, run)
    world.timeline.run()
    return failed


def events(world: World, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in world.output.getvalue().splitlines()]
    return [line for line in lines if line.get("event") == name]


def test_R18_the_lease_outlives_what_can_be_in_flight_under_it() -> None:
    assert lease_seconds() > 2 * REST_TIMEOUT_SECONDS + VISIBILITY_LAG_SECONDS
    assert lease_seconds(20.0) > 2 * REST_TIMEOUT_SECONDS + 20.0


def test_a_dial_is_told_step_by_step(world: World) -> None:
    request = world.request()
    assert invoke(world, request.to_json()) == []
    chain = [json.loads(line).get("event") for line in world.output.getvalue().splitlines()]
    told = [event for event in chain if event]
    assert told == ["transfer.claimed", "transfer.sent", "transfer.dialled"]
    (dialled,) = events(world, "transfer.dialled")
    assert dialled["by"] == "transfer"
    assert dialled["part"] == "transfer"
    assert not any(number in world.output.getvalue() for number in NUMBERS)
    assert request.summary not in world.carrier.updates[0] or not request.summary


def test_S8_an_unknown_key_rings_the_default_person(world: World) -> None:
    assert invoke(world, world.request("sales").to_json()) == []
    assert [dial.number for dial in world.carrier.dials] == ["+15550100003"]
    assert events(world, "transfer.redirected")


def test_S10_an_unknown_call_is_dropped_without_a_request_to_the_carrier() -> None:
    world = World()
    assert invoke(world, world.request().to_json()) == []
    assert world.carrier.updates == []
    assert events(world, "transfer.refused")[0]["why"] == "unknown call"


def test_S10_of_10000_fuzzed_bodies_none_reaches_the_carrier_and_none_raises() -> None:
    world, rng = World(), random.Random(5)
    good = world.request().to_json()

    def run() -> None:
        for _ in range(10_000):
            spot = rng.randrange(len(good))
            body = good[:spot] + rng.choice(['"', "{", "}", "\x00", "9", "é", "\\", "[" * 2000]) + good[spot + 1 :]
            world.handlers.handler(sqs_event(body, sent_at=world.timeline.now), Context(lambda: 60.0))

    world.timeline.at(0, run)
    world.timeline.run()
    assert world.carrier.updates == []


def test_S8_of_10000_hostile_destinations_none_is_dialled_outside_the_directory() -> None:
    rng, people = random.Random(6), load(PEOPLE).directory
    hostile = [
        "+15550109999",
        "sip:x@y.z",
        "billing ",
        "Billing",
        "\uff42\uff49\uff4c\uff4c\uff49\uff4e\uff47",
        "billing\n",
        "../billing",
        "١٢٣",
        "911",
        "",
    ]
    for _ in range(10_000):
        key = rng.choice(hostile) + rng.choice(["", "0", "-", "_", "\u200b", "<Dial>"])
        resolved = people.resolve(key)
        assert resolved.number in NUMBERS
        assert resolved.key in {key, "reception"}
    world = World()
    world.open_call()
    for key in ("billing-0", "x", "a" * 32):
        invoke(world, world.request(key).to_json())
    assert {dial.number for dial in world.carrier.dials} <= NUMBERS


@settings(max_examples=200, suppress_health_check=list(HealthCheck))  # 10,000 in test_dial_twiml.py
@given(summary=st.text(alphabet=st.characters(), max_size=700))
def test_S9_whatever_the_summary_says_the_document_is_the_same(world: World, summary: str) -> None:
    world.table.items.clear()  # one world for every summary, and off its timeline, since nothing here waits
    world.table.quotas.clear()
    world.carrier.updates.clear()
    world.open_call()
    request = TransferRequest.create(
        call_sid=CALL_SID,
        destination="billing",
        reason=Reason.CALLER_ASKED,
        now=world.timeline.now,
        summary=summary + "</Number><Redirect>https://evil.example.com</Redirect>",
    )
    event = sqs_event(request.to_json(), sent_at=world.timeline.now)
    assert world.handlers.handler(event, Context(lambda: 60.0)) == {"batchItemFailures": []}
    (twiml,) = world.carrier.updates
    assert len(twiml) <= MAX_TWIML_CHARS
    assert not XML_1_0.search(twiml)
    assert [verb.tag for verb in ET.fromstring(twiml).iter()] == ["Response", "Dial", "Number"]
    assert "evil" not in twiml


class TestComingBack:
    def test_a_duplicate_under_a_live_lease_comes_back_at_its_end(self, world: World) -> None:
        request = world.request()
        world.ledger.claim(request, "webhook", lease_seconds())
        assert invoke(world, request.to_json()) == ["receipt"]
        assert world.queue.visibility["receipt"] == 10
        assert events(world, "transfer.held")

    def test_a_duplicate_of_a_dialled_request_is_acknowledged(self, world: World) -> None:
        request = world.request()
        invoke(world, request.to_json())
        assert invoke(world, request.to_json(), receives=2) == []
        world.ledger.transfer_over(CALL_SID, request.request_id, Outcome.BUSY)
        assert invoke(world, request.to_json(), receives=3) == []
        assert [one["why"] for one in events(world, "transfer.duplicate")] == ["already dialled", "over"]
        assert len(world.carrier.updates) == 1

    def test_R23_a_caller_who_is_gone_is_a_success_without_retry(self, world: World) -> None:
        world.carrier.live = False
        request = world.request()
        assert invoke(world, request.to_json()) == []
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert [attempt.outcome for attempt in row.attempts] == [Outcome.CALLER_GONE]
        world.ledger.call_status(CALL_SID, "completed")
        assert invoke(world, world.request().to_json()) == []
        assert len(world.carrier.updates) == 1
        assert len(events(world, "transfer.over")) == 2

    def test_R22_a_429_is_tried_again_within_the_invocation(self, world: World) -> None:
        world.carrier.faults = [Fault.THROTTLED, Fault.THROTTLED]
        before = world.timeline.now
        assert invoke(world, world.request().to_json()) == []
        assert len(world.carrier.dials) == 1
        assert 0.4 < world.timeline.now - before < 4

    def test_R22_a_429_without_time_left_comes_back_soon(self, world: World) -> None:
        world.carrier.faults = [Fault.THROTTLED]
        assert invoke(world, world.request().to_json(), remaining=5.0) == ["receipt"]
        assert world.queue.visibility["receipt"] == 1
        assert events(world, "transfer.answered")[0]["ambiguous"] is False

    def test_R22_two_timeouts_come_back_in_doubt(self, world: World) -> None:
        world.carrier.faults = [Fault.LOST_THEN_TIMEOUT, Fault.LOST_THEN_TIMEOUT]
        request = world.request()
        assert invoke(world, request.to_json()) == ["receipt"]
        assert len(world.carrier.updates) == 2
        claim = world.ledger.claim(request, "transfer", 1.0)
        assert getattr(claim, "must_reconcile", False)

    def test_R22_a_timeout_without_time_left_is_not_followed_by_a_second_update(self, world: World) -> None:
        world.carrier.faults = [Fault.LOST_THEN_TIMEOUT]
        assert invoke(world, world.request().to_json(), remaining=5.0) == ["receipt"]
        assert len(world.carrier.updates) == 1

    def test_when_the_carrier_cannot_be_asked_nobody_dials_before_the_lease_ends(self, world: World) -> None:
        world.carrier.faults, world.carrier.listing_faults = [Fault.LOST_THEN_TIMEOUT], 99
        assert invoke(world, world.request().to_json()) == ["receipt"]
        assert world.queue.visibility["receipt"] == 10
        assert len(world.carrier.updates) == 1

    def test_a_redelivered_message_that_cannot_look_first_comes_back(self, world: World) -> None:
        world.carrier.listing_faults = 1
        assert invoke(world, world.request().to_json(), receives=2) == ["receipt"]
        assert world.carrier.updates == []

    def test_R35_a_redelivered_message_finds_the_leg_that_was_dialled_without_a_claim(self, world: World) -> None:
        world.max_lag = 0.0
        world.carrier.execute("<Response><Dial action='x'><Number>+15550100003</Number></Dial></Response>")
        assert invoke(world, world.request().to_json(), receives=2) == []
        assert world.carrier.updates == []
        assert events(world, "transfer.reconciled")

    def test_a_lease_lost_while_looking_is_not_used(self, world: World) -> None:
        request, listing = world.request(), world.carrier.legs

        def slow(call_sid: str) -> list[str]:
            world.timeline.sleep(lease_seconds() + 1)
            legs: list[str] = listing(call_sid)
            return legs

        world.carrier.legs = slow
        assert invoke(world, request.to_json(), receives=2) == ["receipt"]
        assert world.carrier.updates == []

    @pytest.mark.parametrize("becomes", ["over", "call over"])
    def test_what_ends_while_a_leg_is_looked_for_ends_the_looking(self, world: World, becomes: str) -> None:
        request = world.request()
        world.carrier.faults = [Fault.LOST_THEN_TIMEOUT]

        def end() -> None:
            if becomes == "over":
                world.ledger.transfer_over(CALL_SID, request.request_id, Outcome.BUSY)
            else:
                world.ledger.end_call(CALL_SID, "completed", by="caller")

        world.timeline.at(3.0, end)
        assert invoke(world, request.to_json()) == []
        assert len(world.carrier.updates) == 1

    def test_a_refusal_is_counted_and_comes_back_for_the_last_resort(self, world: World) -> None:
        world.carrier.faults = [Fault.REFUSED]
        assert invoke(world, world.request().to_json()) == ["receipt"]
        assert events(world, "transfer.refused")[0]["why"] == "not_configured"
        assert "TransfersFailed" in world.output.getvalue()

    def test_a_ledger_out_of_reach_brings_the_message_back(self, world: World) -> None:
        world.table.failure = EndpointConnectionError(endpoint_url="https://dynamodb")
        assert invoke(world, world.request().to_json()) == ["receipt"]
        assert world.queue.visibility["receipt"] == 2
        assert world.carrier.updates == []
        assert events(world, "handler.failed")[0]["error"] == "EndpointConnectionError"

    @pytest.mark.parametrize(("destination", "receives"), [("billing", 2), ("sales", 1)])
    @pytest.mark.parametrize("request_of_it", ["ledger.get", "ledger.update"])
    def test_R35_a_ledger_that_fails_before_the_dial_leaves_the_claim_to_whoever_asks_next(
        self, world: World, destination: str, receives: int, request_of_it: str
    ) -> None:
        """A look renews the claim; a ring elsewhere than asked for is written down first: a get and an update each."""
        seen: list[str] = []

        def second_fails(name: str, act: Callable[[], Any]) -> Any:
            seen.append(name)
            if name == request_of_it and seen.count(name) == 2:
                raise ReadTimeoutError(endpoint_url="https://dynamodb")
            return act()

        world.table.interrupt(second_fails)
        request = world.request(destination)
        assert invoke(world, request.to_json(), receives=receives) == ["receipt"]
        assert events(world, "transfer.claimed")
        assert not world.carrier.updates
        assert isinstance(world.ledger.claim(request, "webhook", 1.0), Claimed)

    def test_a_visibility_that_cannot_be_changed_only_delays(self, world: World) -> None:
        world.queue.failure = ClientError({"Error": {"Code": "x", "Message": "y"}}, "ChangeMessageVisibility")
        assert invoke(world, "garbage") == ["receipt"]

    def test_R20_a_poison_message_does_not_hold_up_the_others(self, world: World) -> None:
        event = sqs_event("garbage", receipt="poison")
        event["Records"].append(sqs_event(world.request().to_json(), receipt="good")["Records"][0])
        failed: list[Any] = []
        world.timeline.at(
            0, lambda: failed.extend(world.handlers.handler(event, Context(lambda: 60.0))["batchItemFailures"])
        )
        world.timeline.run()
        assert failed == [{"itemIdentifier": "poison"}]
        assert len(world.carrier.dials) == 1


class TestLastResort:
    def test_R20_a_malformed_message_reaches_the_default_person_by_its_attribute(self, world: World) -> None:
        assert invoke(world, "garbage") == ["receipt"]
        assert world.queue.visibility["receipt"] == 0
        for _ in range(2):
            assert invoke(world, "garbage", last_resort=True, queue="transfers-dlq") == []
        assert [dial.number for dial in world.carrier.dials] == ["+15550100003"]

    def test_a_malformed_message_of_a_call_with_an_open_request_dials_for_that_request(self, world: World) -> None:
        world.ledger.ask_transfer(world.request("support"))
        assert invoke(world, "garbage", last_resort=True) == []
        assert [dial.number for dial in world.carrier.dials] == ["+15550100002"]

    @pytest.mark.parametrize("attribute", ["", "CA1", "+15550109999"])
    def test_a_malformed_message_that_names_no_call_is_dropped(self, world: World, attribute: str) -> None:
        assert invoke(world, "garbage", last_resort=True, attribute=attribute) == []
        assert world.carrier.updates == []
        assert events(world, "transfer.malformed")

    def test_a_good_message_is_dialled_at_its_own_destination(self, world: World) -> None:
        assert invoke(world, world.request("support").to_json(), last_resort=True, receives=11) == []
        assert [dial.number for dial in world.carrier.dials] == ["+15550100002"]


class TestBuilding:
    @pytest.mark.parametrize(
        "name",
        ["PUBLIC_WEBHOOK_ORIGIN", "TWILIO_ACCOUNT_SID", "TWILIO_REST_SECRET", "LEDGER_TABLE", "TRANSFER_QUEUE_URL"],
    )
    def test_a_missing_variable_is_named(self, name: str) -> None:
        environ = {key: value for key, value in ENVIRONMENT.items() if key != name}
        with pytest.raises(EnvironmentRefused, match=name):
            handler.build(environ, dynamodb=object(), sqs=object(), secrets=object())

    @pytest.mark.parametrize("lag", ["soon", "-1", "61", "nan"])
    def test_a_lag_that_is_no_number_of_seconds_is_refused(self, lag: str) -> None:
        with pytest.raises(EnvironmentRefused, match="CHILD_LEG_LAG_SECONDS"):
            handler.build(
                {**ENVIRONMENT, "CHILD_LEG_LAG_SECONDS": lag}, dynamodb=FakeTable(), sqs=object(), secrets=object()
            )

    def test_lambda_builds_both_entry_points_once_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {**ENVIRONMENT, "AWS_DEFAULT_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        nothing_to_do = sqs_event("garbage", attribute="")
        handler._handlers.cache_clear()
        try:
            assert handler.last_resort(nothing_to_do, Context(lambda: 60.0)) == {"batchItemFailures": []}
            with pytest.raises(UnexpectedBatchTypeError):
                handler.handler({"Records": []}, None)
            assert handler._handlers.cache_info().misses == 1
        finally:
            handler._handlers.cache_clear()


class TestDirectory:
    def test_a_key_is_a_number_and_anything_else_is_the_default_person(self) -> None:
        people = load(PEOPLE).directory
        assert people.resolve("support").number == "+15550100002"
        assert people.resolve("nobody") is people.default
        assert (people.default.key, people.default.ring_seconds, people.dial_seconds) == ("reception", 20, 2700)

    def test_the_repositorys_own_agent_file_has_a_directory(self) -> None:
        assert load(Path("agent.yaml")).directory.default.number.startswith("+")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"+15550100001"', '"0800 BILLING"'),
            ("billing:", "BILLING:"),
            ("ring_seconds: 20", "ring_seconds: 2"),
            ("ring_seconds: 20", "ring_seconds: long"),
            ("default_destination: reception", "default_destination: nobody"),
            ("default_destination: reception", ""),
            ("destinations:", "destinations: ["),
            ("limits: {max_dial_minutes: 45}", "limits: {max_dial_minutes: many}"),
        ],
    )
    def test_a_file_without_a_usable_directory_is_refused(self, tmp_path: Path, old: str, new: str) -> None:
        text = PEOPLE.read_text()
        assert old in text
        broken = tmp_path / "agent.yaml"
        broken.write_text(text.replace(old, new))
        with pytest.raises(DirectoryRefused, match=r"agent\.yaml"):
            load(broken)

    def test_a_missing_or_empty_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DirectoryRefused):
            load(tmp_path / "agent.yaml")
        (tmp_path / "agent.yaml").write_text("")
        with pytest.raises(DirectoryRefused):
            load(tmp_path / "agent.yaml")


@pytest.mark.parametrize("reason", list(Reason))
def test_a_hand_off_the_agent_could_not_announce_begins_with_a_sentence(world: World, reason: Reason) -> None:
    request = TransferRequest.create(call_sid=CALL_SID, destination="billing", reason=reason, now=world.timeline.now)
    invoke(world, request.to_json())
    (twiml,) = world.carrier.updates
    said = [one.text for one in ET.fromstring(twiml) if one.tag == "Say"]
    by_tool = {Reason.CALLER_ASKED, Reason.AGENT_DECIDED, Reason.CALLER_LEAVES_MESSAGE}
    agent_spoke = reason in by_tool | {Reason.AGENT_PROMISED}
    assert said == ([] if agent_spoke else ["One moment please, I am connecting you to the billing team."])
