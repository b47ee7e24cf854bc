"""The link that is sent when a telephone rings, and the page that it opens in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import EndpointConnectionError

from contracts import screen_pop, stream
from contracts.row import Turn
from contracts.transfer import Reason, TransferRequest
from functions.voice_webhook.summary import AWAY, EXPIRED, UNKNOWN
from tests.functions.line import CALLER, Line, asked_next, gateway_event, token_of
from tests.functions.world import AUTH_TOKEN, CALL_SID, ORIGIN

PERSON = "CA" + "e5" * 16
FILE = """
destinations:
  billing: {name: the <billing> team, description: d, number: "+15550100001", mode: MODE}
  client: {name: a client, description: d, targets: [client: desk]}
default_destination: billing
screen_pop: {deliver: {email: desk@example.com}, minutes: 5}
"""
SUMMARY = "Invoice 4711 & <script>alert(1)</script>, call back at +1 (555) 010-9999."


class Desk:
    """A caller for whom a desk phone rings, and the browser beside it."""

    def __init__(self, folder: Path, mode: str = "direct", destination: str = "billing", file: str = FILE) -> None:
        agent = folder / "agent.yaml"
        agent.write_text(file.replace("MODE", mode))
        self.line = Line(AGENT_FILE=str(agent))
        document = self.line.incoming()
        self.line.ledger.take_stream(CALL_SID, stream.digest(token_of(document)))
        said = (Turn("caller", "I was charged twice <b>!"), Turn("agent", "I see."))
        self.line.ledger.remember(CALL_SID, 1, said)
        request = TransferRequest.create(
            call_sid=CALL_SID,
            destination=destination,
            reason=Reason.CALLER_ASKED,
            now=self.line.clock.now,
            summary=SUMMARY,
        )
        self.line.ledger.ask_transfer(request)
        self.dial = self.line.ask(asked_next(document))

    def ring(self, status: str = "ringing", to: str = "+15550100001") -> None:
        leg = next(one for one in self.dial.iter() if "statusCallback" in one.attrib)
        url = leg.attrib["statusCallback"]
        answer = self.line.post(url, CallSid=PERSON, ParentCallSid=CALL_SID, CallStatus=status, To=to)
        assert answer["statusCode"] == 204

    @property
    def links(self) -> list[dict[str, Any]]:
        sent = [json.loads(one["MessageBody"]) for one in self.line.sqs.sent]
        return [one for one in sent if one.get("kind") == "screen_pop"]

    def browse(self, url: str) -> dict[str, Any]:
        event = gateway_event(url, "", {})
        event["requestContext"]["http"]["method"] = "GET"
        query = parse_qs(urlsplit(url).query)
        return self.line.send(event | {"queryStringParameters": {name: one[0] for name, one in query.items()}})

    def open(self, token: str) -> dict[str, Any]:
        return self.browse(f"{ORIGIN}{screen_pop.PAGE}?token={token}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_link_is_sent_when_the_telephone_begins_to_ring_and_opens_the_calls_page(desk: Desk) -> None:
    desk.ring("initiated")
    assert desk.links == []
    desk.ring()
    (link,) = desk.links
    assert link["expires"] == int(desk.line.clock.now) + 300
    page = desk.browse(link["url"])
    assert page["statusCode"] == 200
    assert "I was charged twice &lt;b&gt;!" in page["body"]
    assert "the &lt;billing&gt; team" in page["body"]
    assert "caller asked" in page["body"]


def test_S13_the_page_and_the_log_have_no_number_and_the_log_no_word_and_no_token(desk: Desk) -> None:
    desk.ring()
    page = desk.browse(desk.links[0]["url"])["body"]
    assert "***99" in page
    assert CALLER not in page
    assert "010-9999" not in page
    log = desk.line.output.getvalue()
    for secret in (CALLER, "charged", "4711", desk.links[0]["url"].rpartition("=")[2]):
        assert secret not in log
    assert desk.line.events("summary.shown")


def test_the_page_runs_no_script_loads_nothing_and_is_kept_by_nobody(desk: Desk) -> None:
    page = desk.open(screen_pop.mint(CALL_SID, int(desk.line.clock.now) + 9, AUTH_TOKEN))
    headers = {name: str(value) for name, value in (page.get("headers") or page["multiValueHeaders"]).items()}
    assert "no-store" in headers["Cache-Control"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "no-referrer" in headers["Referrer-Policy"]
    assert "<script" not in page["body"]
    assert "&lt;script&gt;" in page["body"]


def test_an_expired_link_says_so_and_nothing_else(desk: Desk) -> None:
    desk.ring()
    desk.line.clock.now += 300
    page = desk.browse(desk.links[0]["url"])
    assert page["statusCode"] == 410
    assert EXPIRED in page["body"]
    assert "charged" not in page["body"]


@pytest.mark.parametrize("token", ["", "x", "%00", "7e.1.a", screen_pop.mint(CALL_SID, 2_000_000_000, "another key")])
def test_a_link_that_is_not_ours_opens_nothing_and_rings_no_alarm(desk: Desk, token: str) -> None:
    page = desk.open(token)
    assert page["statusCode"] == 404
    assert UNKNOWN in page["body"]
    assert "charged" not in page["body"]
    assert "RequestsRefused" not in desk.line.counts()


def test_a_true_link_to_a_call_that_is_gone_is_no_different(desk: Desk) -> None:
    token = screen_pop.mint("CA" + "0" * 32, 2_000_000_000, AUTH_TOKEN)
    assert desk.open(token)["body"] == desk.open("x")["body"]


def test_a_ledger_out_of_reach_is_said_in_a_sentence(desk: Desk) -> None:
    desk.ring()
    desk.line.table.failure = EndpointConnectionError(endpoint_url="ledger")
    page = desk.browse(desk.links[0]["url"])
    assert page["statusCode"] == 503
    assert AWAY in page["body"]


def test_the_page_is_for_browsers_and_answers_no_post(desk: Desk) -> None:
    assert desk.line.post(screen_pop.PAGE)["statusCode"] == 404


def test_a_client_has_its_parameters_and_is_sent_no_link(tmp_path: Path) -> None:
    desk = Desk(tmp_path, destination="client")
    desk.ring(to="client:desk")
    assert desk.links == []


def test_without_the_setting_no_link_is_sent(tmp_path: Path) -> None:
    desk = Desk(tmp_path, file=FILE.partition("screen_pop")[0])
    desk.ring()
    assert desk.links == []
