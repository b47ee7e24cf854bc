"""The documents that ring people: every kind of target, read back by the strict stand-in."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.destination import Destination, Mode, Target, TargetKind
from contracts.hunt import Ring
from functions.transfer.dial_twiml import HEADER_CHARS, MAX_TWIML_CHARS, Hop, dial, enqueue, meeting
from simulators.carrier.twiml import Element, parse
from tests.functions.line import XML_1_0
from tests.functions.world import CALL_SID, ORIGIN

PHONE = Target(TargetKind.PHONE, "+15550100001", 20)
SIP = Target(TargetKind.SIP, "sip:desk@pbx.example.com;transport=tls", 20)
CLIENT = Target(TargetKind.CLIENT, "reception-desk", 20)
EVIL = '"/></Number><Redirect>https://evil.example.com</Redirect>'


def hop(summary: str = "Invoice 4711.") -> Hop:
    return Hop(
        origin=ORIGIN,
        call_sid=CALL_SID,
        request_id="ab" * 16,
        number=2,
        visit=1,
        destination="billing",
        summary=summary,
        dial_seconds=600,
    )


def ring(*targets: Target, mode: Mode = Mode.DIRECT) -> Ring:
    destination = Destination("billing", "the billing team", "d", targets)
    return Ring(destination, 0, targets, 20, mode)


def nouns(ringing: Ring, summary: str = "Invoice 4711.") -> tuple[Element, ...]:
    document = parse(str(dial(hop(summary), ringing)))
    assert not document.warnings
    (verb,) = document.verbs
    return verb.children


def test_all_kinds_ring_at_once_and_each_is_told_as_it_can_be() -> None:
    number, sip, client = nouns(ring(PHONE, SIP, CLIENT))
    assert (number.name, number.text) == ("Number", "+15550100001")
    address, _, headers = sip.text.partition("?")
    assert (sip.name, address) == ("Sip", SIP.address)
    assert parse_qs(headers) == {"X-Call-Sid": [CALL_SID], "X-Summary": ["Invoice 4711."]}
    assert client.name == "Client"
    assert [child.text for child in client.children if child.name == "Identity"] == ["reception-desk"]
    parameters = {child.get("name"): child.get("value") for child in client.children if child.name == "Parameter"}
    assert parameters == {"call_sid": CALL_SID, "summary": "Invoice 4711."}
    assert not any("url" in noun.attributes for noun in (number, sip, client))


@pytest.mark.parametrize("mode", [Mode.SCREENED, Mode.ATTENDED])
def test_whoever_must_accept_is_asked_first_on_every_line(mode: Mode) -> None:
    for noun in nouns(ring(PHONE, SIP, CLIENT, mode=mode)):
        asked = urlsplit(noun.get("url"))
        assert asked.path == "/voice/whisper"
        assert parse_qs(asked.query) == {"call": [CALL_SID], "request": ["ab" * 16], "hop": ["2"], "to": ["billing"]}


@settings(max_examples=10_000, suppress_health_check=list(HealthCheck))
@given(summary=st.text(alphabet=st.characters(), max_size=600))
def test_S9_of_10000_summaries_none_breaks_a_document_or_a_limit(summary: str) -> None:
    twiml = str(dial(hop(summary + EVIL), ring(PHONE, SIP, CLIENT)))
    assert len(twiml) <= MAX_TWIML_CHARS
    assert not XML_1_0.search(twiml)
    number, sip, client = parse(twiml).verbs[0].children
    headers = sip.text.partition("?")[2]
    assert len(headers) <= HEADER_CHARS
    assert headers.isascii()
    assert not XML_1_0.search(unquote(headers))
    assert [child.name for child in client.children] == ["Identity", "Parameter", "Parameter"]
    assert not number.children


def test_a_queue_and_a_workflow_are_waited_in_with_an_end() -> None:
    queue = parse(str(enqueue(hop(), ring(Target(TargetKind.QUEUE, "support", 60))))).verbs[0]
    assert (queue.name, queue.text) == ("Enqueue", "support")
    assert parse_qs(urlsplit(queue.get("waitUrl")).query)["seconds"] == ["20"]
    workflow = parse(str(enqueue(hop(), ring(Target(TargetKind.WORKFLOW, "WW" + "0" * 32, 60))))).verbs[0]
    assert workflow.get("workflowSid") == "WW" + "0" * 32
    (task,) = workflow.children
    assert '"destination": "billing"' in task.text


def test_a_meeting_is_a_room_of_its_own_and_its_end_is_asked_about() -> None:
    (verb,) = parse(str(meeting(hop()))).verbs
    assert verb.children[0].text == "ab" * 16 + "-2"
    assert "/voice/dial-ended?" in verb.get("action")
    assert "timeout" not in verb.attributes
