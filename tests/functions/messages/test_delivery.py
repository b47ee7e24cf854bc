from __future__ import annotations

import hashlib
import hmac
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from contracts.recorded import Recorded
from contracts.row import MalformedRow
from contracts.screen_pop import Link
from functions.messages import handler, letter
from functions.messages.handler import LONGEST_PAUSE_SECONDS, MalformedMessage, pause, read
from tests.functions.messages.office import (
    CALL_SID,
    EMAIL,
    FAULTS,
    MESSAGE,
    RECEIVES,
    RECORDING_SID,
    SECRET,
    TOPIC,
    URL,
    Answer,
    Office,
    denied,
)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path)
    made.take()
    return made


def check(service: str, operation: str, arguments: dict[str, Any]) -> None:
    """The arguments are those that AWS takes, by botocore's own description."""
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(operation).input_shape
    assert shape
    report = ParamValidator().validate(arguments, shape)
    assert not report.has_errors(), report.generate_report()


class TestByWebhook:
    def test_the_receiver_is_told_everything_and_the_row_that_it_was(self, office: Office) -> None:
        assert office.receive() is None
        ((url, body, _),) = office.receiver.posts
        assert url == URL
        assert json.loads(body) == {
            "call_sid": CALL_SID,
            "destination": "billing",
            "caller": "***99",
            "recording_sid": RECORDING_SID,
            "recording_url": MESSAGE.recording_url,
            "seconds": 42,
            "summary": "Invoice 4711 was charged twice.",
            "taken_at": "2026-11-18T11:06:40.000Z",
        }
        assert office.delivered
        (line,) = office.events("message.delivered")
        assert (line["part"], line["call_sid"], line["channel"]) == ("messages", CALL_SID, "webhook")
        assert line["seconds"] == 7

    def test_the_receiver_can_check_who_sent_it_and_when(self, office: Office) -> None:
        office.receive()
        ((_, body, headers),) = office.receiver.posts
        moment, _, signed = headers["X-Patchthrough-Signature"].partition(",")
        assert moment == f"t={int(office.clock.now)}"
        expected = hmac.new(SECRET.encode(), moment[2:].encode() + b"." + body, hashlib.sha256).hexdigest()
        assert signed == f"v1={expected}"
        assert SECRET not in str(headers)

    @pytest.mark.parametrize("content", [None, "{}", '{"current": ""}', '{"current": 5}', "[]"])
    def test_without_its_secret_nothing_is_posted(self, office: Office, content: str | None) -> None:
        office.secrets.content = content
        assert office.receive() == 15
        assert not office.receiver.posts
        assert not office.delivered

    @pytest.mark.parametrize("fault", FAULTS)
    def test_whatever_is_no_2xx_comes_back_and_is_delivered_then(self, office: Office, fault: Answer) -> None:
        office.receiver.answers = [fault]
        assert office.receive() == 15
        assert not office.delivered
        (line,) = office.events("message.failed")
        assert str(fault) in line["why"]
        assert "key=1" not in office.output.getvalue()
        assert office.receive(receives=2) is None
        assert office.delivered

    @pytest.mark.parametrize("status", [200, 202, 204])
    def test_any_2xx_is_taken(self, office: Office, status: int) -> None:
        office.receiver.answers = [status]
        assert office.receive() is None
        assert office.delivered

    def test_a_corrected_address_holds_for_a_message_that_waits(self, office: Office) -> None:
        office.receiver.answers = [404]
        office.receive()
        office.configure({"webhook": "https://other.example.com/"})
        assert office.receive(receives=2) is None
        assert [url for url, *_ in office.receiver.posts] == [URL, "https://other.example.com/"]


class TestAMessageThatNoRowHas:
    def test_R35_it_is_written_down_and_delivered_once_the_ledger_is_back(self, tmp_path: Path) -> None:
        office = Office(tmp_path)
        office.take(None)
        office.table.failure = denied()
        body = Recorded(CALL_SID, MESSAGE).to_json()
        assert office.receive(body) == 15
        assert "MessagesFailed" in office.output.getvalue(), "the alarm hears of it"
        office.table.failure = None
        assert office.receive(body, receives=2) is None
        assert office.delivered
        assert len(office.events("message.taken")) == 1
        assert office.receive(body) is None, "the recording's own report says the same"
        assert len(office.receiver.posts) == 1
        assert len(office.events("message.taken")) == 1

    @given(st.from_regex(r"[a-z0-9_]{0,64}", fullmatch=True), st.integers(0, 10**6), st.floats(0, 2e9))
    def test_what_is_written_is_read(self, key: str, seconds: int, taken_at: float) -> None:
        message = replace(MESSAGE, destination=key, seconds=seconds, taken_at=taken_at)
        recorded = Recorded(CALL_SID, message)
        assert read(recorded.to_json()) == recorded

    @pytest.mark.parametrize(
        "change",
        [
            *({"recording_sid": "RE1"}, {"recording_url": "file:///etc"}, {"seconds": "7"}, {"seconds": True}),
            *({"taken_at": None}, {"call_sid": "CA1"}, {"destination": ["billing"]}, {"version": 2}),
        ],
    )
    def test_S10_anything_else_is_malformed(self, change: dict[str, object]) -> None:
        with pytest.raises(MalformedMessage):
            read(json.dumps(json.loads(Recorded(CALL_SID, MESSAGE).to_json()) | change))


def test_a_topic_gets_the_same_fields_and_a_subject(tmp_path: Path) -> None:
    office = Office(tmp_path, {"topic": TOPIC})
    office.take()
    assert office.receive() is None
    ((operation, arguments),) = office.services["sns"].asked
    assert operation == "publish"
    check("sns", "Publish", arguments)
    assert arguments["TopicArn"] == TOPIC
    assert json.loads(arguments["Message"])["summary"] == "Invoice 4711 was charged twice."
    assert arguments["Subject"] == "Voicemail for the billing team from ***99, 42 s"
    assert office.delivered
    assert not office.receiver.posts


def test_an_e_mail_can_be_read(tmp_path: Path) -> None:
    office = Office(tmp_path, {"email": EMAIL})
    office.take()
    assert office.receive() is None
    ((operation, arguments),) = office.services["sesv2"].asked
    assert operation == "send_email"
    check("sesv2", "SendEmail", arguments)
    assert arguments["FromEmailAddress"] == EMAIL
    assert arguments["Destination"] == {"ToAddresses": [EMAIL]}
    text = arguments["Content"]["Simple"]["Body"]["Text"]["Data"]
    assert "Invoice 4711 was charged twice." in text
    assert MESSAGE.recording_url in text
    assert office.delivered


@pytest.mark.parametrize(("deliver", "service"), [({"topic": TOPIC}, "sns"), ({"email": EMAIL}, "sesv2")])
def test_a_service_that_refuses_is_asked_again(tmp_path: Path, deliver: dict[str, str], service: str) -> None:
    office = Office(tmp_path, deliver)
    office.take()
    office.services[service].failure = denied()
    assert office.receive() == 15
    assert office.events("message.failed")[0]["why"] == "AccessDenied"
    office.services[service].failure = None
    assert office.receive(receives=2) is None
    assert office.delivered


def test_an_e_mail_goes_out_in_its_senders_name(tmp_path: Path) -> None:
    office = Office(tmp_path, {"email": EMAIL, "sender": "calls@example.org"})
    office.take()
    assert office.receive() is None
    ((_, arguments),) = office.services["sesv2"].asked
    assert arguments["FromEmailAddress"] == "calls@example.org"
    assert arguments["Destination"] == {"ToAddresses": [EMAIL]}


class TestScreenPops:
    LINK = Link(CALL_SID, "https://voice.example.com/voice/summary?token=t", 1_795_000_907)

    def test_a_link_goes_to_where_screen_pops_go_with_the_masked_number_and_leaves_the_message(
        self, office: Office
    ) -> None:
        office.configure({"topic": TOPIC}, screen_pop={"webhook": URL})
        assert office.receive(self.LINK.to_json()) is None
        ((url, body, headers),) = office.receiver.posts
        told = json.loads(body)
        assert (url, told["kind"], told["url"], told["caller"]) == (URL, "screen_pop", self.LINK.url, "***99")
        assert headers["X-Patchthrough-Signature"]
        assert not office.delivered
        assert office.events("screen_pop.sent")
        assert self.LINK.url not in office.output.getvalue()

    def test_one_that_is_not_taken_comes_back_until_it_has_expired_and_rings_no_alarm(self, office: Office) -> None:
        office.configure({"email": EMAIL}, screen_pop={"email": EMAIL})
        office.services["sesv2"].failure = denied()
        assert office.receive(self.LINK.to_json()) == 15
        office.clock.now = self.LINK.expires
        assert office.receive(self.LINK.to_json(), receives=2) is None
        assert [line["why"] for line in office.events("screen_pop.lost")] == ["AccessDenied", "expired"]
        assert "MessagesFailed" not in office.output.getvalue()

    def test_one_that_nobody_wants_any_more_is_dropped(self, office: Office) -> None:
        assert office.receive(self.LINK.to_json()) is None
        assert not office.receiver.posts


@given(name=st.text(min_size=1), caller=st.sampled_from(["***99", "hidden"]))
def test_a_subject_is_one_line_of_at_most_100_ascii_characters(name: str, caller: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        office = Office(Path(directory))
        office.take()
        row = replace(office.row, call=replace(office.row.call, caller_masked=caller))
        people = office.consumer.courier.directory()
        billing = replace(people.default, name=name)
        subject = letter.of_message(row, MESSAGE, replace(people, default=billing, destinations={})).subject
        assert len(subject) <= 100
        assert subject.isascii()
        assert subject.isprintable()
        assert subject


class TestWhatComesTwiceOrCannotBeUsed:
    def test_a_copy_that_comes_after_delivery_sends_nothing(self, office: Office) -> None:
        office.receive()
        assert office.receive() is None
        assert len(office.receiver.posts) == 1
        assert len(office.events("message.duplicate")) == 1

    def test_a_delivery_that_the_ledger_did_not_hear_of_is_repeated(self, office: Office) -> None:
        class Heard(Exception):  # noqa: N818
            pass

        def after_the_post(name: str, act: Any) -> Any:
            if name == "ledger.update" and office.receiver.posts:
                raise Heard
            return act()

        office.table.interrupt(after_the_post)
        assert office.receive() == 15
        office.table.interrupt(lambda _, act: act())
        assert office.receive(receives=2) is None
        assert len(office.receiver.posts) == 2
        assert office.delivered

    def test_a_message_that_no_row_knows_is_not_forgotten(self, tmp_path: Path) -> None:
        office = Office(tmp_path)
        office.run()
        assert office.dead
        assert {line["why"] for line in office.events("message.failed")} == {"the call's row is gone"}
        office.take(None)
        assert office.receive() == 15
        assert office.events("message.failed")[-1]["why"] == "the call's row holds no message"

    def test_without_an_address_it_waits_until_there_is_one(self, office: Office) -> None:
        office.configure({})
        assert office.receive() == 15
        office.configure({"webhook": URL})
        assert office.receive(receives=2) is None
        assert office.delivered

    @pytest.mark.parametrize("failure", [denied(), MalformedRow("broken")])
    def test_a_ledger_that_fails_loses_nothing(self, office: Office, failure: Exception) -> None:
        office.table.failure = failure
        assert office.receive(receives=3) == 60
        office.table.failure = None
        assert office.receive(receives=4) is None
        assert office.delivered

    def test_a_visibility_that_cannot_be_changed_is_no_loss(self, office: Office) -> None:
        office.receiver.answers = [500]
        office.services["sqs"].failure = denied()
        assert office.receive() is not None
        assert not office.delivered

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "{",
            "[]",
            "5",
            "[" * 100_000,
            "{}",
            json.dumps({"version": 1, "kind": "transfer", "call_sid": CALL_SID}),
            json.dumps({"version": 2, "kind": "deliver", "call_sid": CALL_SID}),
            json.dumps({"version": 1, "kind": "deliver", "call_sid": "CA1"}),
            json.dumps({"version": 1, "kind": "deliver", "call_sid": ["x"]}),
        ],
    )
    def test_a_malformed_message_goes_to_the_dead_letters_at_once(self, office: Office, body: str) -> None:
        assert office.receive(body or " ") == 0
        assert len(office.events("message.malformed")) == 1
        assert not office.receiver.posts


@given(st.text())
def test_any_text_is_a_call_or_is_malformed(body: str) -> None:
    with pytest.raises(MalformedMessage):
        read(body)
    assert read(json.dumps({"version": 1, "kind": "deliver", "call_sid": CALL_SID, "new": body})) == CALL_SID


@given(st.integers(min_value=-1, max_value=10**9))
def test_pauses_grow_and_have_an_end(receives: int) -> None:
    assert 15 <= pause(receives) <= pause(receives + 1) <= LONGEST_PAUSE_SECONDS


@given(
    faults=st.lists(st.sampled_from([*FAULTS, "ledger before", "ledger after"]), max_size=18),
    copies=st.integers(min_value=1, max_value=3),
)
def test_whatever_fails_no_message_is_lost(faults: list[Answer | str], copies: int) -> None:
    """Delivered and known to be; or among the dead letters, undelivered, and still in the row."""
    with tempfile.TemporaryDirectory() as directory:
        office = Office(Path(directory))
        office.take()
        waiting = list(faults)
        taken = 0

        def receiver(*_: Any) -> int:
            nonlocal taken
            fault = waiting.pop(0) if waiting and not isinstance(waiting[0], str) else 204
            if isinstance(fault, Exception):
                raise fault
            assert isinstance(fault, int)
            taken += 200 <= fault < 300
            return fault

        def boundary(name: str, act: Any) -> Any:
            if waiting and waiting[0] == {"ledger.get": "ledger before", "ledger.update": "ledger after"}.get(name):
                waiting.pop(0)
                raise denied()
            return act()

        object.__setattr__(office.consumer.courier, "post", receiver)
        office.table.interrupt(boundary)
        for _ in range(copies):
            office.run()
        office.table.interrupt(lambda _, act: act())
        assert office.row.message is not None
        assert office.delivered or office.dead
        assert not office.delivered or taken >= 1
        assert office.delivered or len(faults) >= RECEIVES


def test_the_queue_is_patient_for_hours(office: Office) -> None:
    office.receiver.answers = [503] * 20
    pauses = office.run()
    assert office.dead
    assert pauses == sorted(pauses)
    assert 6 < sum(pauses[:-1]) / 3600 < 8
    assert office.row.message == MESSAGE
    assert office.row.expires_at > office.clock.now + 7 * 24 * 3600


def test_lambda_makes_its_clients_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(tmp_path)
    for name, value in {
        "AWS_DEFAULT_REGION": "us-east-1",
        "LEDGER_TABLE": "ledger",
        "MESSAGE_QUEUE_URL": "https://sqs.example.com/1/messages",
        "AGENT_FILE": str(office.agent_file),
    }.items():
        monkeypatch.setenv(name, value)
    handler._consumer.cache_clear()
    assert handler._consumer().courier.secret is None
    assert boto3.DEFAULT_SESSION is not None
    handler._consumer.cache_clear()
