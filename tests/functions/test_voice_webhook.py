"""What the caller hears next, asked as Twilio asks it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from contracts import stream
from contracts.edition import KEY_START
from contracts.row import TransferState
from contracts.sentences import Sentence, spoken
from contracts.transfer import Outcome, Reason, TransferRequest
from contracts.visit import MOST_MOVES, MOVED, NOT_QUEUED, TRIED_AGAIN, Resumes
from functions.voice_webhook import transfers
from tests.contracts.table import FakeTable
from tests.functions.line import CALLED, CALLER, Line, asked_next, token_of, verbs
from tests.functions.world import ACCOUNT_SID, AUTH_TOKEN, CALL_SID, ORIGIN

CHILD_SID = "CA" + "c3" * 16
STREAM_SID = "MZ" + "d4" * 16


class Meeting(FakeTable):
    """A table that answers nobody before two have asked."""

    def __init__(self) -> None:
        super().__init__()
        self._both = Barrier(2, timeout=5)

    def get_item(self, **arguments: Any) -> Any:
        self._both.wait()
        return super().get_item(**arguments)


@pytest.fixture
def line() -> Line:
    return Line()


def start_stream(line: Line, document: ET.Element) -> None:
    line.ledger.take_stream(CALL_SID, stream.digest(token_of(document)))


def ask_transfer(line: Line, destination: str = "billing") -> TransferRequest:
    request = TransferRequest.create(
        call_sid=CALL_SID, destination=destination, reason=Reason.CALLER_ASKED, now=line.clock.now
    )
    assert line.ledger.ask_transfer(request)
    return request


def slowly(line: Line, seconds: float) -> None:
    """Have the ledger take so long for each reading."""

    def boundary(name: str, act: Callable[[], Any]) -> Any:
        if name == "ledger.get":
            line.clock.now += seconds
        return act()

    line.table.interrupt(boundary)


def dial_of(document: ET.Element) -> ET.Element:
    dial = document.find("Dial")
    assert dial is not None, ET.tostring(document)
    return dial


class TestIncoming:
    def test_a_call_is_connected_to_the_agent_with_a_question_behind_it(self, line: Line) -> None:
        document = line.incoming()
        assert verbs(document) == ["Connect", "Redirect"]
        connect = document.find("Connect")
        media = document.find("Connect/Stream")
        assert connect is not None
        assert media is not None
        assert connect.attrib == {"action": f"{ORIGIN}/voice/stream-ended?visit=1"}
        assert document.findtext("Redirect") == connect.attrib["action"]
        assert media.attrib["url"].startswith("wss://media.example.com/media/")
        assert media.attrib["statusCallback"] == f"{ORIGIN}/voice/stream-status?visit=1"
        parameters = {one.attrib["name"]: one.attrib["value"] for one in media}
        assert parameters == {"call_sid": CALL_SID, "visit": "1"}
        call_sid, token = stream.parse("/media/" + token_of(document))
        assert call_sid == CALL_SID
        assert line.row.stream.digest == stream.digest(token)
        assert line.row.call.account_sid == ACCOUNT_SID

    def test_the_row_and_the_log_know_the_caller_masked_only(self, line: Line) -> None:
        line.incoming()
        assert line.row.call.caller_masked == "***99"
        assert CALLER not in line.output.getvalue()
        assert CALLER not in str(line.table.items)
        (received,) = line.events("call.received")
        assert received["part"] == "webhook"
        assert received["call_sid"] == CALL_SID
        assert list(received)[:4] == ["event", "at", "part", "call_sid"]
        assert line.counts() == ["CallsReceived", "StreamsOffered"]

    def test_a_base64_body_is_the_same_request(self, line: Line) -> None:
        assert line.post("/voice/incoming", encode="base64")["statusCode"] == 200

    @pytest.mark.parametrize(
        "caller",
        [
            "anonymous",
            "Anonymous",
            "restricted",
            "unavailable",
            "unknown",
            "Anonymous User",
            "+266696687",
            "client:a.b",
            "sip:x@y.z",
            "",
        ],
    )
    def test_a_caller_without_a_number_is_served_and_shown_as_the_called_number(self, line: Line, caller: str) -> None:
        assert verbs(line.incoming(From=caller)) == ["Connect", "Redirect"]
        assert (line.row.call.caller_masked, line.row.call.caller_id) == ("hidden", CALLED)

    def test_a_called_address_without_a_number_gives_no_caller_id(self, line: Line) -> None:
        line.incoming(From="anonymous", To="sip:agent@example.com")
        assert (line.row.call.caller_id, line.row.call.called) == ("", "")

    def test_S4_of_1000_replays_each_gets_the_same_token_and_nothing_new_opens(self, line: Line) -> None:
        first = ET.tostring(line.incoming())
        row = line.row
        assert {ET.tostring(line.incoming()) for _ in range(1000)} == {first}
        assert line.row == row
        assert line.counts().count("StreamsOffered") == 1

    def test_S4_without_the_condition_on_the_first_write_the_check_turns_red(self, line: Line) -> None:
        tokens = set()
        for _ in range(3):
            tokens.add(token_of(line.incoming()))
            line.table.items.clear()
        assert len(tokens) == 3

    def test_S4_of_100_requests_at_once_all_get_one_token(self, line: Line) -> None:
        with ThreadPoolExecutor(20) as pool:
            documents = set(pool.map(lambda _: ET.tostring(line.incoming()), range(100)))
        assert len(documents) == 1
        assert [key for key in line.table.items if not key.startswith(KEY_START)] == [CALL_SID]

    def test_S4_after_the_token_is_spent_a_replay_gets_no_stream_but_the_present_question(self, line: Line) -> None:
        start_stream(line, line.incoming())
        row = line.row
        replay = line.incoming()
        assert verbs(replay) == ["Redirect"]
        assert asked_next(replay) == f"{ORIGIN}/voice/stream-ended?visit=1"
        assert line.row == row

    def test_S4_an_expired_token_is_not_repeated(self, line: Line) -> None:
        line.incoming()
        line.clock.now += stream.TOKEN_SECONDS + 1
        assert verbs(line.incoming()) == ["Redirect"]

    def test_S4_a_replay_after_the_call_hangs_up(self, line: Line) -> None:
        line.incoming()
        line.post("/voice/call-status", CallStatus="completed")
        assert verbs(line.incoming()) == ["Hangup"]

    def test_R34_a_replay_across_a_rotation_finds_the_token_made_with_the_previous_key(self) -> None:
        line = Line()
        first = token_of(line.incoming())
        rotated = Line()
        rotated.table.items = line.table.items
        rotated.secrets.content = '{"current": "a new auth token", "previous": "an auth token for tests"}'
        assert token_of(rotated.incoming()) == first
        gone = Line()
        gone.table.items = line.table.items
        gone.secrets.content = '{"current": "a new auth token"}'
        assert verbs(ET.fromstring(gone.post("/voice/incoming", token="a new auth token")["body"])) == ["Redirect"]

    def test_R35_without_a_ledger_the_default_person_is_dialled_and_a_hidden_caller_still_rings(
        self, line: Line
    ) -> None:
        line.table.failure = EndpointConnectionError(endpoint_url="https://dynamodb")
        dial = dial_of(line.incoming(From="anonymous"))
        assert dial.findtext("Number") == "+15550100003"
        assert dial.attrib["callerId"] == CALLED
        assert dial.attrib["action"] == f"{ORIGIN}/voice/dial-ended"
        assert "callerId" not in dial_of(line.incoming()).attrib
        assert "LedgerFailures" in line.counts()
        assert line.events("default_person.dialled")[0]["why"] == "ledger failed"


class TestStreamEnded:
    def test_a_lost_stream_goes_back_to_the_agent_twice_and_then_to_the_default_person(self, line: Line) -> None:
        document = line.incoming()
        tokens = {token_of(document)}
        for visit in (2, 3):
            start_stream(line, document)
            document = line.ask(asked_next(document))
            assert verbs(document) == ["Say", "Connect", "Redirect"]
            assert document.findtext("Say") == spoken(Sentence.RECONNECTING, "en").text
            assert line.row.stream.visit == visit
            tokens.add(token_of(document))
        assert len(tokens) == 3
        document = line.ask(asked_next(document))
        dial = dial_of(document)
        assert dial.findtext("Number") == "+15550100003"
        transfer = line.row.transfer
        assert transfer is not None
        assert (transfer.state, transfer.by) == (TransferState.DIALLED, "webhook")
        assert transfer.request.reason is Reason.AGENT_UNAVAILABLE
        assert line.counts().count("StreamsLost") == 3

    @pytest.mark.parametrize(("why", "how"), [*MOVED.items()])
    def test_R14_a_moved_stream_goes_on_without_a_word_and_is_no_loss(self, line: Line, why: str, how: Resumes) -> None:
        document = line.incoming()
        for visit in range(1, MOST_MOVES + 1):
            start_stream(line, document)
            line.ledger.stream_ended(CALL_SID, visit, why)
            document = line.ask(asked_next(document))
            assert verbs(document) == ["Connect", "Redirect"]
            assert (line.row.stream.resumes, line.row.stream.lost) == (how.value, 0)
        assert "StreamsLost" not in line.counts()
        start_stream(line, document)
        line.ledger.stream_ended(CALL_SID, line.row.stream.visit, why)
        assert verbs(line.ask(asked_next(document)))[0] == "Say", "a call that no relay keeps is lost"
        assert line.row.stream.resumes == ""

    @pytest.mark.parametrize(("why", "tries"), [*TRIED_AGAIN.items()])
    def test_R32_a_refused_call_tries_another_relay_without_a_word_and_then_reaches_a_person(
        self, line: Line, why: str, tries: int
    ) -> None:
        document = line.incoming()
        for _ in range(tries):
            assert line.ledger.refuse_stream(CALL_SID, stream.digest(token_of(document)), why)
            document = line.ask(asked_next(document))
            assert verbs(document) == ["Connect", "Redirect"]
            assert not line.row.stream.after_loss
        line.ledger.refuse_stream(CALL_SID, stream.digest(token_of(document)), why)
        dial = dial_of(line.ask(asked_next(document)))
        assert dial.findtext("Number") == "+15550100003"
        assert "StreamsLost" not in line.counts()
        decisions = [one["decision"] for one in line.events("stream.question")]
        assert decisions == [f"another relay: {why}"] * tries + [f"relays {why}"]
        answer = line.ask(dial.attrib["action"], DialCallStatus="busy")
        assert answer.findtext("Say") == spoken(Sentence.NOBODY, "en").text, (
            "there is no room at the agent either, so no way back to it"
        )

    def test_R32_a_refused_visit_is_offered_again_as_what_it_was(self, line: Line) -> None:
        document = line.incoming()
        start_stream(line, document)
        document = line.ask(asked_next(document))
        assert line.ledger.refuse_stream(CALL_SID, stream.digest(token_of(document)), "draining")
        said = {"StreamEvent": "stream-error", "StreamSid": STREAM_SID}
        line.post(f"/voice/stream-status?visit={line.row.stream.visit}", **said)
        assert verbs(line.ask(asked_next(document))) == ["Connect", "Redirect"], "Twilio's report changes nothing"
        assert (line.row.stream.after_loss, line.row.stream.lost) == (True, 1)

    def test_R14_a_move_amid_a_hand_off_goes_on_with_the_hand_off(self, line: Line) -> None:
        document = line.incoming()
        start_stream(line, document)
        ask_transfer(line)
        line.ledger.stream_ended(CALL_SID, 1, next(iter(MOVED)))
        assert dial_of(line.ask(asked_next(document))).findtext("Number") == "+15550100001"

    def test_a_question_asked_twice_about_one_visit_is_answered_with_one_stream(self, line: Line) -> None:
        first = line.incoming()
        start_stream(line, first)
        second = line.ask(asked_next(first))
        again = line.ask(asked_next(first))
        assert ET.tostring(second) == ET.tostring(again)
        assert line.row.stream.lost == 1
        start_stream(line, second)
        assert asked_next(line.ask(asked_next(first))) == f"{ORIGIN}/voice/stream-ended?visit=2"
        assert line.row.stream.visit == 2

    def test_a_question_that_names_no_visit_is_about_the_present_one(self, line: Line) -> None:
        line.incoming()
        assert "Connect" in verbs(line.ask("/voice/stream-ended"))
        assert line.row.stream.visit == 2

    def test_an_asked_transfer_is_dialled_under_the_claim_and_the_question_is_not_answered_twice(
        self, line: Line
    ) -> None:
        document = line.incoming()
        start_stream(line, document)
        request = ask_transfer(line)
        dial = dial_of(line.ask(asked_next(document)))
        assert dial.attrib == {
            "action": f"{ORIGIN}/voice/dial-ended?request={request.request_id}&visit=1&hop=0",
            "answerOnBridge": "true",
            "timeout": "20",
            "timeLimit": "2700",
        }
        number = dial.find("Number")
        assert number is not None
        assert number.text == "+15550100001"
        assert number.attrib == {
            "statusCallback": f"{ORIGIN}/voice/leg-status?request={request.request_id}&visit=1&hop=0",
            "statusCallbackEvent": "initiated ringing answered completed",
        }
        again = line.ask(asked_next(document))
        assert verbs(again) == ["Say", "Pause", "Redirect"]
        line.clock.now += transfers.REDIAL_SECONDS
        assert verbs(line.ask(asked_next(again))) == ["Dial"]

    def test_a_claim_that_somebody_holds_is_waited_for_and_taken_when_its_lease_ends(self, line: Line) -> None:
        document = line.incoming()
        request = ask_transfer(line)
        line.ledger.claim(request, "transfer", 10.0)
        waiting = line.ask(asked_next(document))
        assert verbs(waiting) == ["Say", "Pause", "Redirect"]
        assert waiting.find("Pause").attrib == {"length": "1"}  # type: ignore[union-attr] # it is there
        line.clock.now += 10
        assert verbs(line.ask(asked_next(waiting))) == ["Dial"]

    def test_an_unknown_destination_rings_the_default_person_and_says_so(self, line: Line) -> None:
        document = line.incoming(From="anonymous")
        ask_transfer(line, "sales")
        dial = dial_of(line.ask(asked_next(document)))
        assert dial.findtext("Number") == "+15550100003"
        assert dial.attrib["callerId"] == CALLED
        assert line.events("transfer.redirected")

    def test_when_every_dial_is_lost_the_caller_hears_a_sentence(self, line: Line) -> None:
        document = line.incoming()
        ask_transfer(line)
        for _ in range(transfers.ATTEMPTS):
            assert verbs(line.ask(asked_next(document))) == ["Dial"]
            line.clock.now += transfers.REDIAL_SECONDS
        assert verbs(line.ask(asked_next(document))) == ["Say", "Hangup"]
        assert line.row.over

    def test_an_agent_that_said_goodbye_ends_the_call(self, line: Line) -> None:
        document = line.incoming()
        line.ledger.agent_ended(CALL_SID, "Jo Bloggs said goodbye")
        assert verbs(line.ask(asked_next(document))) == ["Hangup"]
        (ended,) = line.events("call.ended")
        assert (ended["reason"], ended["by"]) == ("agent_ended", "agent")
        assert "Jo Bloggs" not in line.output.getvalue()
        assert verbs(line.ask(asked_next(document))) == ["Hangup"]
        assert len(line.events("call.ended")) == 1

    def test_a_call_that_is_over_is_hung_up_whatever_was_asked(self, line: Line) -> None:
        document = line.incoming()
        ask_transfer(line)
        assert verbs(line.ask(asked_next(document), CallStatus="completed")) == ["Hangup"]
        assert line.row.over
        assert verbs(line.ask(asked_next(document), CallStatus="completed")) == ["Hangup"]
        assert len(line.events("call.ended")) == 1

    def test_an_unknown_call_is_connected_to_the_default_person_and_opens_nothing(self, line: Line) -> None:
        assert verbs(line.ask("/voice/stream-ended?visit=1")) == ["Dial"]
        assert line.table.items == {}

    def test_R35_without_a_ledger_the_default_person_is_dialled(self, line: Line) -> None:
        document = line.incoming()
        line.table.failure = EndpointConnectionError(endpoint_url="https://dynamodb")
        assert dial_of(line.ask(asked_next(document))).findtext("Number") == "+15550100003"

    def test_R35_a_ledger_too_slow_for_a_relay_to_take_a_visit_leads_to_the_default_person(self, line: Line) -> None:
        document = line.incoming()
        slowly(line, 0.9)
        assert "Connect" in verbs(line.ask(asked_next(document))), "a relay still can"
        slowly(line, 1.1)
        dial = dial_of(line.ask("/voice/stream-ended?visit=2"))
        assert dial.findtext("Number") == "+15550100003"
        assert line.events("default_person.dialled")[0]["why"] == "ledger slow"
        unanswered = line.ask(dial.get("action", ""), DialCallStatus="no-answer")
        assert verbs(unanswered) == ["Say", "Hangup"], "nobody is rung again and again"

    def test_R17_whose_request_reached_neither_queue_nor_ledger_goes_to_a_person_not_to_the_agent(
        self, line: Line
    ) -> None:
        document = line.incoming()
        start_stream(line, document)
        line.ledger.stream_ended(CALL_SID, 1, NOT_QUEUED)
        assert dial_of(line.ask(asked_next(document))).findtext("Number") == "+15550100003"
        assert line.row.open_transfer is not None

    def test_R35_what_was_asked_for_is_done_however_slow_the_ledger_is(self, line: Line) -> None:
        document = line.incoming()
        ask_transfer(line)
        slowly(line, 1.1)
        assert dial_of(line.ask(asked_next(document))).findtext("Number") == "+15550100001"

    def test_R29_a_request_of_ours_is_newer_than_the_one_before_it_whatever_the_clocks_say(self, line: Line) -> None:
        document = line.incoming()
        line.clock.now += 300
        request = ask_transfer(line)
        line.ledger.transfer_over(CALL_SID, request.request_id, Outcome.BUSY)
        line.clock.now -= 300
        for _ in range(3):
            document = line.ask(asked_next(document))
        assert verbs(document) == ["Say", "Dial"]


class TestDialEnded:
    def reach_a_dial(self, line: Line) -> ET.Element:
        document = line.incoming()
        start_stream(line, document)
        ask_transfer(line)
        return line.ask(asked_next(document))

    @pytest.mark.parametrize("status", ["completed", "answered"])
    def test_R25_a_person_who_hangs_up_ends_the_call_and_is_never_dialled_again(self, line: Line, status: str) -> None:
        document = self.reach_a_dial(line)
        ended = {"DialCallStatus": status, "DialCallSid": CHILD_SID, "DialCallDuration": "42"}
        assert verbs(line.ask(asked_next(document), **ended)) == ["Hangup"]
        assert verbs(line.ask(asked_next(document), **ended)) == ["Hangup"]
        (attempt,) = line.row.attempts
        assert (attempt.outcome, attempt.child_sid) == (Outcome.BRIDGED, CHILD_SID)
        (over,) = line.events("transfer.over")
        assert (over["outcome"], over["destination"]) == ("bridged", "billing")
        assert line.events("dial.ended")[0]["seconds"] == 42
        assert [one["by"] for one in line.events("call.ended")] == ["person"]

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [("busy", "busy"), ("no-answer", "no_answer"), ("failed", "failed"), ("canceled", "failed")],
    )
    def test_R24_a_person_who_is_not_reached_sends_the_caller_back_to_the_agent(
        self, line: Line, status: str, outcome: str
    ) -> None:
        document = self.reach_a_dial(line)
        back = line.ask(asked_next(document), DialCallStatus=status)
        assert verbs(back) == ["Connect", "Redirect"]
        assert [attempt.outcome.value for attempt in line.row.attempts] == [outcome]
        assert (line.row.stream.visit, line.row.stream.lost) == (2, 0)
        assert ET.tostring(line.ask(asked_next(document), DialCallStatus=status)) == ET.tostring(back)
        assert line.counts().count("TransfersUnanswered") == 1
        start_stream(line, back)
        assert verbs(line.ask(asked_next(document), DialCallStatus=status)) == ["Redirect"]

    @pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled"])
    def test_R24_three_hops_without_anybody_are_no_dead_end(self, line: Line, status: str) -> None:
        document = line.incoming()
        for destination in ("billing", "support", "reception"):
            start_stream(line, document)
            ask_transfer(line, destination)
            dial = line.ask(asked_next(document))
            assert verbs(dial) == ["Dial"]
            document = line.ask(asked_next(dial), DialCallStatus=status)
            assert verbs(document) == ["Connect", "Redirect"]
            line.clock.now += 30
        assert [attempt.destination for attempt in line.row.attempts] == ["billing", "support", "reception"]

    def test_R24_with_neither_agent_nor_person_the_caller_hears_a_sentence(self, line: Line) -> None:
        document = line.incoming()
        for _ in range(3):
            document = line.ask(asked_next(document))
        last = line.ask(asked_next(document), DialCallStatus="no-answer")
        assert verbs(last) == ["Say", "Hangup"]
        assert last.findtext("Say") == spoken(Sentence.NOBODY, "en").text
        assert line.row.over
        assert verbs(line.ask(asked_next(document), DialCallStatus="no-answer")) == ["Hangup"]

    def test_R26_a_caller_who_hangs_up_while_it_rings_is_gone(self, line: Line) -> None:
        document = self.reach_a_dial(line)
        answer = line.ask(asked_next(document), DialCallStatus="canceled", CallStatus="completed")
        assert verbs(answer) == ["Hangup"]
        assert [attempt.outcome for attempt in line.row.attempts] == [Outcome.CALLER_GONE]
        assert line.row.over

    def test_R35_after_a_dial_without_a_claim_the_row_decides_if_it_can_be_read(self, line: Line) -> None:
        line.incoming()
        line.ledger.stream_ended(CALL_SID, 1, "stop")
        back = line.ask("/voice/dial-ended", DialCallStatus="busy")
        assert verbs(back) == ["Connect", "Redirect"]
        assert ET.tostring(line.ask("/voice/dial-ended", DialCallStatus="busy")) == ET.tostring(back)
        ask_transfer(line)
        assert verbs(line.ask("/voice/dial-ended", DialCallStatus="busy")) == ["Dial"]

    @pytest.mark.parametrize(("status", "answer"), [("completed", ["Hangup"]), ("busy", ["Say", "Hangup"])])
    def test_R35_after_a_dial_of_a_call_nobody_knows_there_is_no_dead_end(
        self, line: Line, status: str, answer: list[str]
    ) -> None:
        assert verbs(line.ask("/voice/dial-ended", DialCallStatus=status)) == answer
        target = f"/voice/dial-ended?request={'ab' * 16}&visit=1"
        assert verbs(line.ask(target, DialCallStatus=status)) == answer
        line.table.failure = EndpointConnectionError(endpoint_url="https://dynamodb")
        assert verbs(line.ask(target, DialCallStatus=status)) == answer


class TestReports:
    def test_a_stream_starts_and_stops(self, line: Line) -> None:
        line.incoming()
        for event in ("stream-started", "stream-stopped"):
            answer = line.post("/voice/stream-status?visit=1", StreamSid=STREAM_SID, StreamEvent=event)
            assert (answer["statusCode"], answer.get("body") or "") == (204, "")
        assert (line.row.stream.stream_sid, line.row.stream.ended_reason) == (STREAM_SID, "stream-stopped")

    def test_a_call_ends_once_and_no_late_status_revives_it(self, line: Line) -> None:
        line.incoming()
        line.clock.now += 61.5
        line.post("/voice/call-status", CallStatus="completed", SequenceNumber="3", CallDuration="61")
        line.post("/voice/call-status", CallStatus="in-progress", SequenceNumber="2")
        line.post("/voice/call-status", CallStatus="failed", SequenceNumber="4")
        assert line.row.status.status == "completed"
        (ended,) = line.events("call.ended")
        assert (ended["reason"], ended["by"], ended["seconds"]) == ("completed", "caller", 61.5)

    def test_a_call_that_fails_ended_by_the_carriers_hand(self, line: Line) -> None:
        line.incoming()
        line.post("/voice/call-status", CallStatus="failed")
        assert line.events("call.ended")[0]["by"] == "carrier"

    def test_a_persons_leg_is_seen_and_its_answering_is_the_bridge(self, line: Line) -> None:
        line.incoming()
        request = ask_transfer(line)
        target = f"/voice/leg-status?request={request.request_id}&visit=1"
        for status in ("initiated", "ringing", "in-progress", "completed"):
            answer = line.post(target, CallSid=CHILD_SID, ParentCallSid=CALL_SID, CallStatus=status)
            assert answer["statusCode"] == 204
        transfer = line.row.transfer
        assert transfer is not None
        assert (transfer.state, transfer.child_sid) == (TransferState.DIALLED, CHILD_SID)
        (bridged,) = line.events("transfer.bridged")
        assert (bridged["destination"], bridged["call_sid"]) == ("billing", CALL_SID)

    @pytest.mark.parametrize(
        ("target", "fields"),
        [
            ("/voice/stream-status?visit=1", {"StreamSid": STREAM_SID, "StreamEvent": "stream-error"}),
            ("/voice/call-status", {"CallStatus": "completed"}),
            (f"/voice/leg-status?request={'ab' * 16}", {"ParentCallSid": CALL_SID, "CallStatus": "in-progress"}),
            ("/voice/leg-status", {"ParentCallSid": CALL_SID, "CallStatus": "in-progress"}),
        ],
    )
    def test_a_report_on_an_unknown_call_or_without_a_ledger_is_logged_and_opens_nothing(
        self, line: Line, target: str, fields: dict[str, Any]
    ) -> None:
        assert line.post(target, **fields)["statusCode"] == 204
        assert line.table.items == {}
        line.table.failure = EndpointConnectionError(endpoint_url="https://dynamodb")
        assert line.post(target, **fields)["statusCode"] == 204
        assert line.counts() == ["LedgerFailures"]
        assert line.events("ledger.failed")[0]["error"] == "EndpointConnectionError"


class TestTheEdge:
    def test_our_own_failure_rings_the_default_person_and_is_logged_with_its_traceback(self, line: Line) -> None:
        line.table.failure = ZeroDivisionError("a bug")
        assert verbs(line.incoming()) == ["Dial"]
        (failed,) = line.events("handler.failed")
        assert (failed["call_sid"], failed["route"]) == (CALL_SID, "/voice/incoming")
        assert "ZeroDivisionError" in str(failed["exception"])
        assert "HandlerFailures" in line.counts()

    def test_secrets_out_of_reach_ring_the_default_person_and_open_nothing(self, line: Line) -> None:
        line.secrets.content = None
        assert verbs(line.incoming()) == ["Dial"]
        assert line.table.items == {}

    def test_a_forged_report_is_refused(self, line: Line) -> None:
        line.incoming()
        assert line.post("/voice/call-status", token="another token", CallStatus="completed")["statusCode"] == 403
        assert not line.row.over

    def test_a_route_that_is_not_is_not_found(self, line: Line) -> None:
        assert line.post("/voice/other")["statusCode"] == 404
        assert line.events("request.refused")[0]["status"] == 404

    def test_no_question_waits_for_the_ledger_of_another(self) -> None:
        line = Line(Meeting())
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(line.post, "/voice/stream-ended", CallSid=sid) for sid in (CALL_SID, CHILD_SID)]
        assert [one.result()["statusCode"] for one in asked] == [200, 200]
        assert len(line.events("default_person.dialled")) == 2
        assert not [*line.events("ledger.failed"), *line.events("handler.failed")]

    def test_two_calls_that_offer_the_next_visit_at_once_are_answered_with_one_stream(self, line: Line) -> None:
        document = line.incoming()
        with ThreadPoolExecutor(10) as pool:
            documents = set(pool.map(lambda _: ET.tostring(line.ask(asked_next(document))), range(20)))
        assert len(documents) == 1
        assert line.row.stream.visit == 2


class TestRaces:
    """What somebody else does between our reading of the row and our writing of it."""

    def asked_while(self, line: Line, happens: Callable[[], object], target: str) -> list[str]:
        waiting = [happens]

        def boundary(name: str, act: Callable[[], Any]) -> Any:
            result = act()
            if name == "ledger.get" and waiting:
                waiting.pop()()
            return result

        line.table.interrupt(boundary)
        return verbs(line.ask(target))

    def test_a_transfer_that_ends_meanwhile_is_asked_about_again(self, line: Line) -> None:
        target = asked_next(line.incoming())
        request = ask_transfer(line)
        over = partial(line.ledger.transfer_over, CALL_SID, request.request_id, Outcome.BUSY)
        assert self.asked_while(line, over, target) == ["Redirect"]

    @pytest.mark.parametrize("asked", ["a person", "nothing"])
    def test_a_call_that_ends_meanwhile_gets_neither_dial_nor_stream(self, line: Line, asked: str) -> None:
        target = asked_next(line.incoming())
        if asked == "a person":
            ask_transfer(line)
        end = partial(line.ledger.end_call, CALL_SID, "completed", by="caller")
        assert self.asked_while(line, end, target) == ["Hangup"]

    def test_a_stream_that_somebody_else_offers_meanwhile_is_the_one_that_is_answered(self, line: Line) -> None:
        target = asked_next(line.incoming())
        token = stream.mint(CALL_SID, 2, "theirs", AUTH_TOKEN)
        offer = partial(
            line.ledger.offer_stream, CALL_SID, 2, nonce="theirs", digest=stream.digest(token), after_loss=True
        )
        assert self.asked_while(line, offer, target) == ["Say", "Connect", "Redirect"]
        assert line.row.stream.nonce == "theirs"
