"""The Twilio client over real HTTP: what it sends, and what each answer means."""

from __future__ import annotations

import base64
import json
import logging
import threading
import traceback
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException

from contracts.transfer import Outcome
from functions.clients import aws
from functions.secrets import Secret, auth_tokens
from functions.transfer.carrier import Ambiguous, CallGone, CarrierFailure, Refused, Throttled, TwilioCarrier, meaning
from tests.functions.world import ACCOUNT_SID, CALL_SID


class Api(ThreadingHTTPServer):
    """Answers what it is told to and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.status, self.body, self.silent = 200, "{}", threading.Event()
        self.bodies: dict[str, str] = {}
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
        known = (body for part, body in self.server.bodies.items() if part in self.path)
        body = next(known, self.server.body).encode()
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


def kept(api: Api, monkeypatch: pytest.MonkeyPatch, secret: str) -> list[str]:
    """The auth tokens as they are read with a client of our own from `api`, which keeps this one."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", api.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "testing")
    api.status, api.body = 200, json.dumps({"SecretString": json.dumps({"current": secret})})
    return auth_tokens(Secret("token", aws("secretsmanager")))


def test_S24_no_proxy_of_the_environment_learns_what_aws_is_asked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert kept(api, monkeypatch, "canary") == ["canary"]


def test_S12_S13_neither_a_librarys_logger_nor_a_traceback_tells_a_number_or_a_secret(
    api: Api, carrier: TwilioCarrier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    number, secret = "+1555010" + "9876", "canary" + "secret"  # in two, as a traceback quotes this file
    caplog.set_level(logging.DEBUG)
    api.status, api.body = 400, json.dumps({"code": 21211, "message": f"{number} is not valid"})
    with pytest.raises(CarrierFailure) as refused:
        carrier.calls(to=number, from_=number, since=0)
    assert kept(api, monkeypatch, secret) == [secret]
    logging.getLogger("control").debug("heard")
    written = caplog.text + "".join(traceback.format_exception(refused.value))
    assert "heard" in written
    assert number in parse_qs(urlsplit(api.requests[0][1]).query)["To"]
    assert number[1:] not in written
    assert secret not in written


def test_the_legs_of_a_call_are_listed_by_its_sid(api: Api, carrier: TwilioCarrier) -> None:
    api.body = json.dumps({"calls": [{"sid": "CA1"}, {"sid": None}], "next_page_uri": None, "page": 0})
    assert carrier.legs(CALL_SID) == ["CA1"]
    query = parse_qs(urlsplit(api.requests[0][1]).query)
    assert query["ParentCallSid"] == [CALL_SID]


def test_a_call_apart_is_made_from_the_number_that_was_called(api: Api, carrier: TwilioCarrier) -> None:
    api.body = json.dumps({"sid": CALL_SID})
    made = carrier.call(
        to="+15550100001", from_="+15550100000", url="https://x/a?b=1&c=2", status_url="https://x/s", seconds=20
    )
    assert made == CALL_SID
    ((method, path, form, _),) = api.requests
    assert (method, path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json")
    assert form == {
        "To": ["+15550100001"],
        "From": ["+15550100000"],
        "Url": ["https://x/a?b=1&c=2"],
        "Timeout": ["20"],
        "StatusCallback": ["https://x/s"],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    }


def test_the_calls_made_since_then_are_found_by_both_their_ends(api: Api, carrier: TwilioCarrier) -> None:
    since = 1_795_000_000.0

    def listed(sid: str, seconds: float, direction: str = "outbound-api") -> dict[str, object]:
        return {"sid": sid, "date_created": formatdate(since + seconds), "direction": direction}

    calls = [
        listed("CA1", 5),
        listed("CA2", -5),
        listed("CA3", 5, "outbound-dial"),
        {**listed("CA4", 0), "date_created": None},
    ]
    api.body = json.dumps({"calls": calls, "next_page_uri": None, "page": 0})
    assert carrier.calls(to="+15550100001", from_="+15550100000", since=since) == ["CA1", "CA4"]
    query = parse_qs(urlsplit(api.requests[0][1]).query)
    assert (query["To"], query["From"]) == (["+15550100001"], ["+15550100000"])


def test_a_call_is_fetched_and_ended(api: Api, carrier: TwilioCarrier) -> None:
    api.body = json.dumps({"sid": CALL_SID, "status": "in-progress"})
    assert carrier.status(CALL_SID) == "in-progress"
    carrier.hang_up(CALL_SID)
    assert [(one[0], one[2]) for one in api.requests] == [("GET", {}), ("POST", {"Status": ["completed"]})]


def test_who_is_in_a_room_is_asked_for_by_its_name(api: Api, carrier: TwilioCarrier) -> None:
    nothing_more = {"next_page_uri": None, "page": 0}
    api.body = json.dumps({"conferences": [{"sid": "CF1"}], **nothing_more})
    api.bodies["Participants"] = json.dumps(
        {"participants": [{"call_sid": "CA1"}, {"call_sid": "CA2"}], **nothing_more}
    )
    assert carrier.participants("room-0") == ["CA1", "CA2"]
    rooms, participants = (urlsplit(one[1]) for one in api.requests)
    assert parse_qs(rooms.query)["FriendlyName"] == ["room-0"]
    assert participants.path.endswith("/Conferences/CF1/Participants.json")
    api.body = json.dumps({"conferences": [], **nothing_more})
    assert carrier.participants("room-1") == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, 21220, CallGone),
        (404, 20404, CallGone),
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
