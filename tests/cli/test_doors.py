from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest
from websockets.sync.server import Server, ServerConnection, serve

from cli.checks.doors import parse_places, post, read, upgrade
from cli.errors import CommandError


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked; `/away` redirects, `/cut` hangs up."""

    seen: ClassVar[list[tuple[str, str, str, str]]] = []

    def do_GET(self) -> None:
        if self.path == "/cut":
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.seen.append((self.command, self.path, str(self.headers["Host"]), body))
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Location", "https://elsewhere.example.com")
        self.send_header("X-Signature", str(self.headers.get("X-Twilio-Signature")))
        self.end_headers()
        self.wfile.write(b"<Response/>" * (100_000 if self.path == "/long" else 1))

    do_POST = do_GET  # noqa: N815 - the base class looks for these names

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen.clear()
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def socket() -> Iterator[Server]:
    def respond(connection: ServerConnection, request: object) -> object:
        path = str(getattr(request, "path", ""))
        return None if path == "/open" else connection.respond(403, "")

    made = serve(lambda connection: connection.close(), "127.0.0.1", 0, process_request=respond)  # type: ignore[arg-type] # a plain function will do
    thread = Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()


def test_a_form_is_posted_to_the_place_under_the_public_name(server: str) -> None:
    places = parse_places([f"voice.example.com={server}"])
    answer = post("https://voice.example.com/voice/x?a=1", {"CallSid": "CA 1"}, "signed", places, time.monotonic)
    assert (answer.status, answer.media_type, answer.body) == (200, "text/xml", "<Response/>")
    assert Handler.seen == [("POST", "/voice/x?a=1", "voice.example.com", "CallSid=CA+1")]


def test_the_answers_time_is_measured(server: str) -> None:
    ticks = iter((10.0, 10.5))
    assert read("GET", f"{server}/", {}, lambda: next(ticks)).seconds == 0.5


def test_a_redirect_is_an_answer_and_a_long_document_is_cut(server: str) -> None:
    assert read("GET", f"{server}/away", {}, time.monotonic).status == 302
    assert len(read("GET", f"{server}/long", {}, time.monotonic).body) == 64 * 1024


@pytest.mark.parametrize("url", ["/cut"])
def test_no_answer_is_an_error_that_names_the_host(server: str, url: str) -> None:
    with pytest.raises(CommandError, match=r"127\.0\.0\.1"):
        read("GET", server + url, {}, time.monotonic)


@pytest.mark.parametrize("url", ["", "ftp://example.com", "https://", "no address", "file:///etc/passwd"])
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(CommandError, match="no http or https address"):
        read("GET", url, {}, time.monotonic)


def test_a_refused_upgrade_is_an_answer(socket: Server) -> None:
    port = socket.socket.getsockname()[1]
    answer = upgrade("wss://media.example.com/media/x", {"media.example.com": f"http://127.0.0.1:{port}"})
    assert (answer.status, answer.media_type.split(";")[0]) == (403, "text/plain")
    assert upgrade(f"ws://127.0.0.1:{port}/open", {}).status == 101


def test_a_socket_that_nobody_answers_is_an_error() -> None:
    with pytest.raises(CommandError, match="no answer"):
        upgrade("ws://127.0.0.1:1/media/x", {})


@pytest.mark.parametrize("text", ["", "host", "host=", "=http://x", "host=x:80", "host=ws://x", "host=http://"])
def test_a_place_must_have_its_form(text: str) -> None:
    with pytest.raises(CommandError, match="has not its form"):
        parse_places([text])
