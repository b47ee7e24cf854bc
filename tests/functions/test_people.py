"""What the person hears, asked as Twilio asks it: keys, their words, and a ledger that is not there."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import stream
from contracts.claim import Claimed
from contracts.destination import Channel, Delivery, Voicemail
from contracts.handoff import Verdict
from contracts.recorded import Recorded
from contracts.row import Answer, Transfer
from contracts.sentences import LANGUAGES, Sentence, as_written, spoken
from contracts.transfer import Reason, TransferRequest
from contracts.visit import MOVED, TRIED_AGAIN
from functions.transfer.wording import WHISPER_CHARS, cut
from functions.voice_webhook.twiml import Documents
from simulators.carrier.twiml import parse
from tests.functions.line import XML_1_0, Line, asked_next, token_of, verbs
from tests.functions.world import CALL_SID, ORIGIN

PERSON, OTHER = "CA" + "e5" * 16, "CA" + "f6" * 16
FILE = """
language: LANGUAGE
destinations:
  billing:
    {name: the billing team, description: d, number: "+15550100001", mode: MODE, whisper: "A caller about an invoice."}
  reception: {name: our reception, description: d, number: "+15550100003"}
default_destination: reception
voicemail: {greeting: Please leave a message., deliver: {webhook: "https://example.com/m"}}
"""
GONE, TAKEN, KEYS, UNREACHABLE = (
    spoken(one, "en").text for one in (Sentence.GONE, Sentence.TAKEN, Sentence.KEYS, Sentence.UNREACHABLE)
)
SUMMARY = "Invoice 4711 was charged twice and the caller would like to have the money back today."


class Rung:
    """A caller for whom the billing desk is rung."""

    def __init__(self, folder: Path, mode: str = "screened", summary: str = SUMMARY, language: str = "en") -> None:
        file = folder / "agent.yaml"
        file.write_text(FILE.replace("MODE", mode).replace("LANGUAGE", language))
        self.line = Line(AGENT_FILE=str(file))
        document = self.line.incoming()
        self.line.ledger.take_stream(CALL_SID, stream.digest(token_of(document)))
        self.request = TransferRequest.create(
            call_sid=CALL_SID,
            destination="billing",
            reason=Reason.CALLER_ASKED,
            now=self.line.clock.now,
            summary=summary,
        )
        self.line.ledger.ask_transfer(self.request)
        self.dial = self.line.ask(asked_next(document))

    @property
    def transfer(self) -> Transfer:
        transfer = self.line.row.transfer
        assert transfer is not None
        return transfer

    @property
    def answer(self) -> Answer | None:
        return self.transfer.answer

    def whisper(self, by: str = PERSON) -> ET.Element:
        number = self.dial.find("Dial/Number")
        assert number is not None
        return self.line.ask(number.attrib["url"], CallSid=by, ParentCallSid=CALL_SID)

    def press(self, document: ET.Element, key: str, by: str = PERSON) -> ET.Element:
        gather = document.find("Gather")
        assert gather is not None
        return self.line.ask(gather.attrib["action"], CallSid=by, ParentCallSid=CALL_SID, Digits=key)

    def ended(self, status: str, **fields: str) -> ET.Element:
        return self.line.ask(asked_next(self.dial), DialCallStatus=status, DialCallSid=PERSON, **fields)


@pytest.fixture
def rung(tmp_path: Path) -> Rung:
    return Rung(tmp_path)


def said(document: ET.Element) -> str:
    return " ".join(one.text or "" for one in document.iter("Say"))


class TestWhisper:
    def test_the_caller_hears_ringing_while_the_person_is_asked(self, rung: Rung) -> None:
        dial = rung.dial.find("Dial")
        assert dial is not None
        assert dial.attrib["answerOnBridge"] == "true"
        assert parse_qs(urlsplit(dial.attrib["action"]).query)["screened"] == ["1"]

    def test_it_says_who_and_why_in_five_seconds_and_ends_with_hanging_up(self, rung: Rung) -> None:
        document = rung.whisper()
        assert verbs(document) == ["Gather", "Hangup"]
        text = said(document).removesuffix(f" {KEYS}")
        assert text == "A caller about an invoice. Invoice 4711 was charged twice and the caller"
        assert len(text) <= WHISPER_CHARS

    def test_1_connects_both_and_the_ledger_knows(self, rung: Rung) -> None:
        assert verbs(rung.press(rung.whisper(), "1")) == []
        assert rung.answer == Answer(Verdict.ACCEPTED, rung.line.clock.now, PERSON)
        (bridged,) = rung.line.events("transfer.bridged")
        assert bridged["child_sid"] == PERSON
        assert rung.line.counts().count("TimeToPersonMs") == 1
        assert verbs(rung.ended("completed", DialBridged="true")) == ["Hangup"]

    @pytest.mark.parametrize(("key", "note"), [("2", ""), ("3", "in a meeting")])
    @pytest.mark.parametrize("status", ["completed", "no-answer"])
    def test_who_declines_is_not_connected_whatever_twilio_calls_it(
        self, rung: Rung, key: str, note: str, status: str
    ) -> None:
        assert verbs(rung.press(rung.whisper(), key)) == ["Hangup"]
        back = rung.ended(status, DialBridged="false")
        assert verbs(back) == ["Connect", "Redirect"]
        (attempt,) = rung.line.row.attempts
        assert (attempt.outcome.value, attempt.tries[0].note) == ("declined", note)

    @pytest.mark.parametrize("status", ["completed", "no-answer"])
    def test_R24_a_voicemail_presses_nothing_and_is_never_connected(self, rung: Rung, status: str) -> None:
        assert verbs(rung.press(rung.whisper(), "")) == ["Hangup"]
        assert verbs(rung.ended(status, DialBridged="false")) == ["Connect", "Redirect"]
        assert rung.line.row.attempts[0].outcome.value == "voicemail"

    def test_a_voicemail_that_hangs_up_by_itself_is_none_the_less(self, rung: Rung) -> None:
        rung.whisper()
        assert verbs(rung.ended("completed")) == ["Connect", "Redirect"]
        assert rung.line.row.attempts[0].outcome.value == "voicemail"

    def test_a_wrong_key_is_asked_about_once_more(self, rung: Rung) -> None:
        again = rung.press(rung.whisper(), "7")
        assert said(again) == KEYS
        assert verbs(rung.press(again, "7")) == ["Hangup"]
        assert rung.answer is not None
        assert rung.answer.verdict is Verdict.NO_KEY

    def test_a_wrong_key_may_be_followed_by_the_right_one(self, rung: Rung) -> None:
        assert verbs(rung.press(rung.press(rung.whisper(), "7"), "1")) == []

    def test_of_two_who_accept_the_second_hears_so(self, rung: Rung) -> None:
        first, second = rung.whisper(), rung.whisper(OTHER)
        rung.press(first, "1")
        assert said(rung.press(second, "1", OTHER)) == TAKEN
        assert said(rung.whisper(OTHER)) == TAKEN

    def test_a_person_whose_caller_is_gone_hears_so(self, rung: Rung) -> None:
        document = rung.whisper()
        rung.line.post("/voice/call-status", CallStatus="completed")
        assert said(rung.press(document, "1")) == GONE
        assert said(rung.whisper()) == GONE
        assert not rung.line.events("transfer.bridged")

    def test_R35_without_a_ledger_whoever_accepts_is_connected_and_whoever_does_not_is_not(self, rung: Rung) -> None:
        rung.line.table.failure = EndpointConnectionError(endpoint_url="https://dynamodb")
        document = rung.whisper()
        assert said(document) == f"A caller about an invoice. {KEYS}"
        assert verbs(rung.press(document, "1")) == []
        assert verbs(rung.press(document, "2")) == ["Hangup"]
        assert verbs(rung.ended("completed", DialBridged="true")) == ["Hangup"]
        assert said(rung.ended("completed", DialBridged="false")).startswith("I am sorry")

    def test_a_key_that_could_not_be_written_down_is_believed_by_the_bridge(self, rung: Rung) -> None:
        assert verbs(rung.ended("completed", DialBridged="true")) == ["Hangup"]
        assert rung.line.row.attempts[0].outcome.value == "bridged"

    def test_our_own_failure_connects_nobody(self, rung: Rung) -> None:
        rung.line.table.failure = ZeroDivisionError("a bug")
        assert verbs(rung.whisper()) == ["Hangup"]

    def test_a_leg_that_answers_is_not_yet_the_bridge(self, rung: Rung) -> None:
        number = rung.dial.find("Dial/Number")
        assert number is not None
        fields = {"CallSid": PERSON, "ParentCallSid": CALL_SID, "CallStatus": "in-progress"}
        assert rung.line.post(number.attrib["statusCallback"], **fields)["statusCode"] == 204
        assert not rung.line.events("transfer.bridged")


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(summary=st.text(alphabet=st.characters(), max_size=700))
def test_S9_whatever_the_summary_says_the_whisper_is_short_and_has_the_same_form(tmp_path: Path, summary: str) -> None:
    rung = Rung(tmp_path, summary=summary + "</Say><Dial>+15550109999</Dial>")
    document = rung.whisper()
    assert [one.tag for one in document.iter()] == ["Response", "Gather", "Say", "Hangup"]
    assert not XML_1_0.search(said(document))
    assert len(said(document)) <= WHISPER_CHARS + 1 + len(KEYS)


@given(st.text(), st.integers(1, 100))
def test_a_cut_text_is_a_beginning_that_fits(text: str, chars: int) -> None:
    clean = cut(text, 10_000)
    assert len(cut(text, chars)) <= chars
    assert clean.startswith(cut(text, chars))
    assert clean.isprintable()


class TestAttended:
    def url(self, rung: Rung, question: str, **more: str) -> str:
        query = {"call": CALL_SID, "request": rung.request.request_id, "hop": "0", "to": "billing"} | more
        return f"/voice/{question}?" + "&".join(f"{name}={value}" for name, value in query.items())

    @pytest.fixture
    def rung(self, tmp_path: Path) -> Rung:
        rung = Rung.__new__(Rung)
        (tmp_path / "agent.yaml").write_text(FILE.replace("MODE", "attended"))
        rung.line = Line(AGENT_FILE=str(tmp_path / "agent.yaml"))
        document = rung.line.incoming()
        rung.line.ledger.take_stream(CALL_SID, stream.digest(token_of(document)))
        rung.request = TransferRequest.create(
            call_sid=CALL_SID, destination="billing", reason=Reason.CALLER_ASKED, now=rung.line.clock.now
        )
        ledger = rung.line.ledger
        ledger.ask_transfer(rung.request)
        claim = ledger.claim(rung.request, "transfer", 10.0)
        assert isinstance(claim, Claimed)
        mine = (CALL_SID, rung.request.request_id, claim.attempt)
        ledger.place(*mine, rung.transfer.position, attended=True)
        ledger.dialled(*mine, PERSON)
        return rung

    @pytest.mark.parametrize(("why", "tries"), [*TRIED_AGAIN.items()])
    def test_R32_a_caller_whom_relays_refuse_while_a_person_rings_is_told_of_no_loss(
        self, rung: Rung, why: str, tries: int
    ) -> None:
        line = rung.line
        line.ledger.stream_ended(CALL_SID, 1, next(iter(MOVED)))
        document = line.ask("/voice/stream-ended?visit=1")
        for _ in range(tries):
            assert line.ledger.refuse_stream(CALL_SID, stream.digest(token_of(document)), why)
            document = line.ask(asked_next(document))
            assert verbs(document) == ["Connect", "Redirect"], "another relay, without a word"
        line.ledger.refuse_stream(CALL_SID, stream.digest(token_of(document)), why)
        for _ in range(2):
            document = line.ask(asked_next(document))
            assert "Connect" not in verbs(document), "the person still rings, so the caller waits for them"
        assert (line.row.stream.lost, "StreamsLost" in line.counts()) == (0, False)

    def test_1_brings_the_person_to_the_room_and_asks_for_the_caller(self, rung: Rung) -> None:
        document = rung.line.ask(self.url(rung, "attend"), CallSid=PERSON)
        room = rung.press(document, "1")
        assert verbs(room) == ["Dial"]
        conference = room.find("Dial/Conference")
        assert conference is not None
        assert conference.text == f"{rung.request.request_id}-0"
        assert conference.attrib == {
            "startConferenceOnEnter": "true",
            "endConferenceOnExit": "true",
            "beep": "false",
            "waitUrl": "",
        }
        (sent,) = rung.line.sqs.sent
        assert TransferRequest.from_json(sent["MessageBody"]) == rung.request
        assert rung.transfer.joining

    def test_the_stream_that_ends_then_leads_the_caller_to_the_room(self, rung: Rung) -> None:
        rung.press(rung.line.ask(self.url(rung, "attend"), CallSid=PERSON), "1")
        document = rung.line.ask("/voice/stream-ended?visit=1")
        assert document.findtext("Dial/Conference") == f"{rung.request.request_id}-0"

    def test_the_stream_that_ends_before_leads_back_to_the_agent(self, rung: Rung) -> None:
        assert verbs(rung.line.ask("/voice/stream-ended?visit=1")) == ["Say", "Connect", "Redirect"]
        assert rung.line.row.open_transfer is not None

    def test_without_a_ledger_nobody_waits_in_a_room(self, rung: Rung) -> None:
        document = rung.line.ask(self.url(rung, "attend"), CallSid=PERSON)
        rung.line.table.failure = EndpointConnectionError(endpoint_url="https://dynamodb")
        assert said(rung.press(document, "1")) == UNREACHABLE

    def test_a_caller_who_hangs_up_has_the_person_withdrawn(self, rung: Rung) -> None:
        rung.line.post("/voice/call-status", CallStatus="completed")
        (sent,) = rung.line.sqs.sent
        assert '"kind": "withdraw"' in sent["MessageBody"]

    def test_a_queue_that_does_not_take_a_message_is_logged_and_counted(self, rung: Rung) -> None:
        rung.line.sqs.failure = EndpointConnectionError(endpoint_url="https://sqs")
        rung.press(rung.line.ask(self.url(rung, "attend"), CallSid=PERSON), "1")
        (failed,) = rung.line.events("effect.failed")
        assert (failed["effect"], failed["error"]) == ("send_message", "EndpointConnectionError")
        assert "HandlerFailures" in rung.line.counts()

    @pytest.mark.parametrize("question", ["attend", "attend-key", "whisper", "whisper-key"])
    def test_a_question_about_another_ring_or_call_changes_nothing(self, rung: Rung, question: str) -> None:
        for other in ({"hop": "1"}, {"request": "ab" * 16}, {"call": OTHER}):
            document = rung.line.ask(self.url(rung, question, **other), CallSid=PERSON, Digits="1")
            assert said(document) == GONE
        assert rung.answer is None


@pytest.mark.parametrize("language", [*LANGUAGES, "it"])
def test_caller_and_person_hear_our_words_in_the_agents_language(tmp_path: Path, language: str) -> None:
    """What is not known is said in English, and each `<Say>` names the language of its words."""

    def heard(document: ET.Element) -> tuple[str | None, str | None]:
        (say,) = document.iter("Say")
        return say.text, say.get("language")

    rung = Rung(tmp_path, summary="", language=language)
    first, second = rung.whisper(), rung.whisper(OTHER)
    keys = spoken(Sentence.KEYS, language).text
    assert heard(first) == as_written(f"A caller about an invoice. {keys}", language)
    rung.press(first, "1")
    assert heard(rung.press(second, "1", OTHER)) == spoken(Sentence.TAKEN, language)
    line = rung.line
    waiting = line.ask("/voice/queue-wait?seconds=60", QueueTime="5")
    assert heard(waiting) == spoken(Sentence.HOLD, language)
    thanks = line.ask("/voice/message?to=billing", Digits="#", **TestMessages.FIELDS)
    assert heard(thanks) == spoken(Sentence.THANKS, language)


def test_a_caller_whose_agent_was_lost_is_reconnected_in_the_agents_language(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(FILE.replace("MODE", "direct").replace("LANGUAGE", "fr-CA"))
    line = Line(AGENT_FILE=str(file))
    document = line.incoming()
    assert document.find("Say") is None
    line.ledger.take_stream(CALL_SID, stream.digest(token_of(document)))
    again = line.ask(asked_next(document))
    (say,) = again.iter("Say")
    assert (say.text, say.get("language")) == spoken(Sentence.RECONNECTING, "fr")


class TestMessages:
    def test_the_recording_is_asked_for_and_an_empty_one_is_answered(self) -> None:
        voicemail = Voicemail("Hello.", 90, Delivery(Channel.WEBHOOK, "https://example.com/m"))
        twiml = Documents(ORIGIN, "wss://media.example.com").take_message(voicemail, "billing", "de")
        greeting, record, nothing, _ = parse(twiml).verbs
        assert (greeting.text, nothing.text) == ("Hello.", spoken(Sentence.NOTHING_RECORDED, "de").text)
        assert greeting.get("language") == nothing.get("language") == "de-DE"
        assert record.get("action") == f"{ORIGIN}/voice/message?to=billing"
        assert record.get("recordingStatusCallback") == f"{ORIGIN}/voice/recording?to=billing"
        assert (record.get("maxLength"), record.get("finishOnKey"), record.get("timeout")) == ("90", "#", "5")

    FIELDS: ClassVar = {
        "RecordingSid": "RE" + "1" * 32,
        "RecordingUrl": "https://api.twilio.com/2010-04-01/Accounts/AC" + "b2" * 16 + "/Recordings/RE" + "1" * 32,
        "RecordingDuration": "7",
    }

    def test_a_message_is_kept_once_and_sent_on_by_whichever_report_comes(self, rung: Rung) -> None:
        line = rung.line
        thanks = line.ask("/voice/message?to=billing", Digits="#", **self.FIELDS)
        assert verbs(thanks) == ["Say", "Hangup"]
        assert line.post("/voice/recording?to=billing", RecordingStatus="completed", **self.FIELDS)["statusCode"] == 204
        assert [one["DelaySeconds"] for one in line.sqs.sent] == [10, 0]
        assert line.row.message is not None
        assert line.row.message.recording_url == self.FIELDS["RecordingUrl"]
        assert len(line.events("message.taken")) == 1
        assert line.ledger.message_delivered(CALL_SID, self.FIELDS["RecordingSid"])
        line.post("/voice/recording?to=billing", RecordingStatus="completed", **self.FIELDS)
        assert len(line.sqs.sent) == 2

    def test_R35_a_message_that_the_ledger_does_not_take_waits_on_the_queue_with_all_that_is_known(
        self, rung: Rung
    ) -> None:
        line = rung.line
        line.table.failure = EndpointConnectionError(endpoint_url="https://dynamodb")
        thanks = line.ask("/voice/message?to=billing", Digits="#", **self.FIELDS)
        assert verbs(thanks) == ["Say", "Hangup"]
        (sent,) = line.sqs.sent
        recorded = Recorded.read(json.loads(sent["MessageBody"]))
        assert recorded
        assert recorded.call_sid == CALL_SID
        assert recorded.message.recording_url == self.FIELDS["RecordingUrl"]
        assert (recorded.message.seconds, recorded.message.destination) == (7, "billing")

    def test_a_recording_that_failed_is_no_message(self, rung: Rung) -> None:
        rung.line.post("/voice/recording?to=billing", RecordingStatus="absent", **self.FIELDS)
        assert rung.line.row.message is None

    def test_S2_a_recording_elsewhere_is_refused(self, rung: Rung) -> None:
        fields = self.FIELDS | {"RecordingUrl": "https://api.twilio.com.example.com/2010-04-01/Accounts/x"}
        assert rung.line.post("/voice/recording?to=billing", **fields)["statusCode"] == 400


class TestQueues:
    def test_a_caller_in_a_queue_hears_words_and_leaves_when_the_time_is_over(self, rung: Rung) -> None:
        assert verbs(rung.line.ask("/voice/queue-wait?visit=1&hop=0&seconds=30", QueueTime="10")) == ["Say", "Pause"]
        assert verbs(rung.line.ask("/voice/queue-wait?visit=1&hop=0&seconds=30", QueueTime="30")) == ["Leave"]
