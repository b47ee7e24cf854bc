"""The accepting side until it has answered, on a clock that stands still until told to move."""

import logging
from collections.abc import Iterator

import pytest

from containers.media_relay.websocket import Closed, sansio_log
from containers.media_relay.websocket_server import Request, ServerWebSocket
from tests.containers.media_relay.serving import (
    HANDSHAKE,
    LIMITS,
    answering,
    close_frame,
    opened,
    serve,
    text,
)
from tests.containers.media_relay.wires import Listener, StillLoop, still_loop


@pytest.fixture(name="loop")
def _loop() -> Iterator[StillLoop]:
    with still_loop() as loop:
        yield loop


def test_the_request_is_handed_on_with_its_path_and_headers(loop: StillLoop) -> None:
    seen: list[Request] = []
    _, line = serve(loop, lambda _, request: seen.append(request))
    line.receive(HANDSHAKE)
    assert (seen[0].path, seen[0].headers["host"]) == ("/media/token", "example.com")
    assert not line.written


def test_frames_behind_the_request_in_its_segment_are_delivered_after_accept_has_returned(loop: StillLoop) -> None:
    listener = Listener()
    trace: list[str] = []
    listener.on_message = lambda _: trace.append("message")

    def on_request(websocket: ServerWebSocket, _: Request) -> None:
        websocket.accept(listener)
        trace.append("accepted")

    _, line = serve(loop, on_request)
    stream = HANDSHAKE + text(b"1") + text(b"2")
    line.websocket.data_received(stream[:-3])
    line.websocket.data_received(stream[-3:])
    loop.settle()
    assert trace == ["accepted", "message", "message"]
    assert listener.messages == [b"1", b"2"]


def test_what_arrives_before_an_answer_given_later_waits_in_order(loop: StillLoop) -> None:
    websocket, line = serve(loop, lambda *_: None)
    line.receive(HANDSHAKE + text(b"1"))
    line.receive(text(b"2"))
    listener = Listener()
    assert websocket.accept(listener)
    line.websocket.data_received(text(b"3"))
    loop.settle()
    assert listener.messages == [b"1", b"2", b"3"]


def test_what_waits_for_an_answer_is_dropped_if_the_peer_leaves_first(loop: StillLoop) -> None:
    websocket, line = serve(loop, lambda *_: None)
    line.receive(HANDSHAKE + text(b"1"))
    listener = Listener()
    assert websocket.accept(listener)
    line.websocket.eof_received()
    line.close()
    loop.settle()
    assert listener.messages == []
    assert listener.endings == [Closed(1006, "no close frame", "network")]


def test_a_peer_that_pours_data_in_before_its_answer_is_cut_off(loop: StillLoop) -> None:
    websocket, line = serve(loop, lambda *_: None)
    line.receive(HANDSHAKE)
    line.receive(bytes(LIMITS.max_size))
    assert not line.lost
    line.receive(b"\0")
    assert line.lost
    assert not websocket.accept(Listener())


def test_an_answer_is_given_once(loop: StillLoop) -> None:
    websocket, line = opened(loop, Listener())
    assert not websocket.accept(Listener())
    assert not websocket.respond(200)
    assert not line.written


def test_nothing_is_accepted_before_it_was_asked_for(loop: StillLoop) -> None:
    websocket, _ = serve(loop, lambda *_: None)
    assert not websocket.accept(Listener())


def test_an_answer_to_a_peer_that_has_gone_is_no_error(loop: StillLoop) -> None:
    websocket, line = serve(loop, lambda *_: None)
    line.receive(HANDSHAKE)
    line.break_off(ConnectionResetError())
    listener = Listener()
    assert not websocket.accept(listener)
    assert not websocket.respond(403)
    assert listener.endings == []
    assert not loop.reported


def test_a_plain_get_is_answered_and_the_connection_closed(loop: StillLoop) -> None:
    _, line = serve(loop, answering(200, "ok\n"))
    line.receive(b"GET /healthz HTTP/1.1\r\nHost: example.com\r\n\r\n")
    head, _, body = line.take().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in head
    assert (body, line.eof_written) == (b"ok\n", True)
    line.receive_eof()
    assert line.lost


def test_a_refused_peer_that_stays_is_cut_off_after_close_timeout(loop: StillLoop) -> None:
    _, line = serve(loop, answering(403))
    line.receive(HANDSHAKE + b"behind it")
    line.receive(b"and more")
    loop.advance(LIMITS.close_timeout - 0.01)
    assert not line.lost
    loop.advance(0.01)
    assert line.lost


def test_accepting_what_is_no_websocket_handshake_refuses_it(loop: StillLoop) -> None:
    listener = Listener()
    outcome: list[bool] = []
    _, line = serve(loop, lambda websocket, _: outcome.append(websocket.accept(listener)))
    line.receive(b"GET /media/token HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert line.take().startswith(b"HTTP/1.1 426 ")
    loop.advance(LIMITS.close_timeout)
    assert (outcome, line.lost, listener.endings) == ([False], True, [])


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\n\r\n", 405),
        (b"HEAD / HTTP/1.1\r\n\r\n", 405),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"x: x\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"x: " + b"x" * 17_000, 431),
    ],
)
def test_a_request_that_is_no_get_is_refused_without_asking_anyone(
    loop: StillLoop, request_head: bytes, status: int
) -> None:
    asked: list[Request] = []
    _, line = serve(loop, lambda _, request: asked.append(request))
    line.receive(request_head)
    line.receive(b"more")
    assert line.take().startswith(b"HTTP/1.1 %d " % status)
    loop.advance(LIMITS.close_timeout)
    assert (asked, line.lost) == ([], True)


def test_a_refused_method_names_the_one_that_is_allowed(loop: StillLoop) -> None:
    _, line = serve(loop, lambda *_: None)
    line.receive(b"PUT / HTTP/1.1\r\n\r\n")
    assert b"\r\nAllow: GET\r\n" in line.take()


def test_a_failing_request_handler_answers_500_and_is_reported(loop: StillLoop) -> None:
    def on_request(websocket: ServerWebSocket, request: Request) -> None:
        raise LookupError(request.path)

    _, line = serve(loop, on_request)
    line.receive(HANDSHAKE)
    assert line.take().startswith(b"HTTP/1.1 500 ")
    assert isinstance(loop.reported[0]["exception"], LookupError)
    loop.advance(LIMITS.close_timeout)
    assert line.lost


def test_S12_handshake_headers_are_not_logged_even_at_debug(loop: StillLoop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, line = opened(loop, Listener())
    line.receive(close_frame(1000))
    assert "dGhlIHNhbXBsZSBub25jZQ" not in caplog.text
    sansio_log.warning("positive control")
    assert "positive control" in caplog.text


# Deadlines.


def test_S16_slow_sockets_are_gone_after_open_timeout_and_hold_up_nobody(loop: StillLoop) -> None:
    lines = [serve(loop, lambda *_: None)[1] for _ in range(1000)]
    for tick in range(29):
        for line in lines:
            line.receive(HANDSHAKE[tick : tick + 1])
        loop.advance(0.1)
    assert not any(line.lost for line in lines)
    listener = Listener()
    _, prompt = opened(loop, listener)
    loop.advance(0.1)
    assert all(line.lost for line in lines)
    prompt.receive(text(b"still here"))
    assert listener.messages == [b"still here"]


def test_S16_an_answer_not_given_in_time_cuts_the_connection(loop: StillLoop) -> None:
    websocket, line = serve(loop, lambda *_: None)
    line.receive(HANDSHAKE)
    loop.advance(LIMITS.open_timeout)
    assert line.lost
    assert not websocket.accept(Listener())
