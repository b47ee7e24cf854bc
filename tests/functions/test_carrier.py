"""The Twilio client over real HTTP: what it sends, and what each answer means."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException

from contracts.transfer import Outcome
from functions.transfer.carrier import Ambiguous, CallerGone, CarrierFailure, Refused, Throttled, TwilioCarrier, meaning
from tests.functions.world import ACCOUNT_SID, CALL_SID


class Api(ThreadingHTTPServer):
    """Answers what it is told to and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.status, self.body, self.silent = 200, "{}", threading.Event()
        self.requests: list[tuple[str, str, dict[str, list[str]], str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Exchange(BaseHTTPRequestHandler):
    server: Api
    timeout: ClassVar[int] = 5

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        form = parse_qs(self.rfile.read(length).decode())
        self.server.requests.append((self.command, self.path, form, str(self.headers["Authorization"])))
        if self.server.silent.is_set():
            self.close_connection = True
            return
        body = self.server.body.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 - the names http.server calls

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def carrier(api: Api, monkeypatch: pytest.MonkeyPatch) -> TwilioCarrier:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # S24: not used
    return TwilioCarrier(ACCOUNT_SID, lambda: ("SK1", "secret"), timeout=2.0, base_url=api.url)


def test_an_update_posts_the_document_with_the_accounts_credentials(api: Api, carrier: TwilioCarrier) -> None:
    api.body = json.dumps({"sid": CALL_SID})
    carrier.update(CALL_SID, "<Response/>")
    ((method, path, form, authorization),) = api.requests
    assert (method, path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{CALL_SID}.json")
    assert form == {"Twiml": ["<Response/>"]}
    assert authorization == "Basic " + base64.b64encode(b"SK1:secret").decode()


def test_the_legs_of_a_call_are_listed_by_its_sid(api: Api, carrier: TwilioCarrier) -> None:
    api.body = json.dumps({"calls": [{"sid": "CA1"}, {"sid": None}], "next_page_uri": None, "page": 0})
    assert carrier.legs(CALL_SID) == ["CA1"]
    query = parse_qs(urlsplit(api.requests[0][1]).query)
    assert query["ParentCallSid"] == [CALL_SID]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, 21220, CallerGone),
        (404, 20404, CallerGone),
        (429, 20429, Throttled),
        (500, 20500, Ambiguous),
        (503, 20503, Ambiguous),
        (401, 20003, Refused),
        (400, 21205, Refused),
        (404, None, Refused),
        (302, None, Refused),
    ],
)
def test_R22_R23_each_answer_has_one_meaning_and_none_is_repeated(
    api: Api, carrier: TwilioCarrier, status: int, code: int | None, kind: type[CarrierFailure]
) -> None:
    api.status = status
    api.body = json.dumps({"code": code, "message": "no", "status": status}) if code else "<html/>"
    with pytest.raises(kind) as failed:
        carrier.update(CALL_SID, "<Response/>")
    assert type(failed.value) is kind
    assert failed.value.status == status
    assert len(api.requests) == 1


def test_R22_an_answer_that_is_not_json_or_none_at_all_is_ambiguous(api: Api, carrier: TwilioCarrier) -> None:
    api.body = "<html>"
    with pytest.raises(Ambiguous):
        carrier.update(CALL_SID, "<Response/>")
    api.silent.set()
    with pytest.raises(Ambiguous):
        carrier.update(CALL_SID, "<Response/>")
    assert len(api.requests) == 2


def test_whose_fault_a_refusal_is() -> None:
    assert Refused(401, 20003).outcome is Outcome.NOT_CONFIGURED
    assert Refused(400, 21205).outcome is Outcome.CARRIER_ERROR
    assert isinstance(meaning(TwilioException("Credentials are required")), Refused)
    assert isinstance(meaning(TwilioRestException("odd", "uri", code="odd")), Refused)


def test_without_another_server_it_is_twilios() -> None:
    carrier = TwilioCarrier(ACCOUNT_SID, lambda: ("SK1", "secret"), timeout=2.0, base_url=None)
    assert carrier._client().api.base_url == "https://api.twilio.com"
