"""What both sides share, on a clock that stands still until told to move."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from containers.media_relay.websocket import Closed, Limits
from tests.containers.media_relay.serving import (
    HANDSHAKE,
    LIMITS,
    accepting,
    close_frame,
    frame,
    opened,
    serve,
    text,
)
from tests.containers.media_relay.wires import Line, Listener, StillLoop, still_loop


@pytest.fixture(name="loop")
def _loop() -> Iterator[StillLoop]:
    with still_loop() as loop:
        yield loop


def sent_close(line: Line) -> Close:
    written = line.take()
    assert written[0] == 0x80 | Opcode.CLOSE
    return Close.parse(written[2 : 2 + written[1]])


def test_a_websocket_opens_and_carries_text_both_ways(loop: StillLoop) -> None:
    listener = Listener()
    websocket, line = opened(loop, listener)
    line.receive(text(b'{"event":"start"}') + text("grüß".encode()))
    assert listener.messages == [b'{"event":"start"}', "grüß".encode()]
    websocket.send(b"{}")
    assert line.take() == b"\x81\x02{}"
    assert websocket.buffered == 0
    assert not listener.endings


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_segment_boundaries_mean_nothing(loop: StillLoop, size: int) -> None:
    listener = Listener()
    _, line = serve(loop, accepting(listener))
    stream = HANDSHAKE + text(b"one") + text(b"tw", fin=False) + frame(Opcode.CONT, b"o") + close_frame(1000)
    for start in range(0, len(stream), size):
        line.receive(stream[start : start + size])
    line.receive_eof()
    assert listener.messages == [b"one", b"two"]
    assert listener.endings == [Closed(1000, "", "peer")]


# Deadlines.


def test_an_open_websocket_outlives_open_timeout(loop: StillLoop) -> None:
    _, line = opened(loop, Listener())
    loop.advance(LIMITS.open_timeout + 1)
    assert not line.closing


def test_a_silent_peer_is_pinged_and_a_pong_keeps_it(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    for delay in (0.0, 0.001, LIMITS.ping_timeout - 0.001):
        loop.advance(LIMITS.ping_interval)
        assert line.take() == b"\x89\x00"
        loop.advance(delay)
        line.receive(frame(Opcode.PONG))
    assert not listener.endings


def test_a_peer_that_speaks_is_not_pinged(loop: StillLoop) -> None:
    _, line = opened(loop, Listener())
    for _ in range(20):
        loop.advance(LIMITS.ping_interval - 0.5)
        line.receive(text(b"{}"))
    assert not line.written


def test_a_half_open_connection_is_noticed(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.receive(text(b"the last word"))
    loop.advance(LIMITS.ping_interval + LIMITS.ping_timeout)
    assert line.take().startswith(b"\x89\x00\x88")
    assert not listener.endings
    loop.advance(LIMITS.close_timeout)
    assert listener.endings == [Closed(1011, "ping timeout", "network")]


def test_a_ping_is_answered_with_its_own_payload(loop: StillLoop) -> None:
    _, line = opened(loop, Listener())
    line.receive(frame(Opcode.PING, b"are you there"))
    assert line.take() == b"\x8a\x0dare you there"


# What a peer may not send.


def test_a_binary_message_closes_1003(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.receive(text(b"1") + frame(Opcode.BINARY, b"\0") + text(b"2"))
    assert sent_close(line).code == 1003
    loop.advance(LIMITS.close_timeout)
    assert listener.messages == [b"1"]
    assert listener.endings == [Closed(1003, "text messages only", "peer")]


@pytest.mark.parametrize("data", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_text_that_is_not_utf8_closes_1007(loop: StillLoop, data: bytes) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.receive(text(data))
    assert sent_close(line).code == 1007
    assert listener.messages == []


def test_a_character_may_be_split_between_fragments(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.receive(text(b"\xc3", fin=False) + frame(Opcode.PING) + frame(Opcode.CONT, b"\xbc"))
    assert listener.messages == ["ü".encode()]


@pytest.mark.parametrize("length", [LIMITS.max_size + 1, 2**30, 2**62])
def test_S14_an_oversize_frame_is_refused_by_its_header_alone(loop: StillLoop, length: int) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.receive(struct.pack("!BBQ", 0x81, 0xFF, length))
    assert sent_close(line).code == 1009
    loop.advance(LIMITS.close_timeout)
    assert [ending.code for ending in listener.endings] == [1009]


def test_S14_the_limit_holds_for_the_fragments_together(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    half = bytes(LIMITS.max_size // 2)
    line.receive(text(half, fin=False) + frame(Opcode.CONT, half))
    assert [len(message) for message in listener.messages] == [LIMITS.max_size]
    line.receive(text(half, fin=False) + frame(Opcode.CONT, half, fin=False) + frame(Opcode.CONT, b"\0"))
    assert sent_close(line).code == 1009


def test_S15_compression_is_never_negotiated_and_a_compressed_frame_is_an_error(loop: StillLoop) -> None:
    listener = Listener()
    _, line = serve(loop, accepting(listener))
    line.receive(HANDSHAKE)
    assert b"permessage-deflate" in HANDSHAKE
    assert b"extensions" not in line.take().lower()
    compressed = Frame(Opcode.TEXT, bytes(1000))
    line.receive(bytes([0xC1]) + compressed.serialize(mask=True)[1:])
    assert sent_close(line).code == 1002
    assert listener.messages == []


def test_S19_a_continuation_of_nothing_is_a_protocol_error(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.receive(frame(Opcode.CONT, b"?"))
    assert sent_close(line).code == 1002
    loop.advance(LIMITS.close_timeout)
    assert [(ending.code, ending.by) for ending in listener.endings] == [(1002, "peer")]


def test_S19_a_frame_inside_another_ones_payload_is_no_message(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    inner = text(b"smuggled")
    head = bytes([0x81, 0x80 | len(inner), 0, 0, 0, 0])
    line.receive(head)
    line.receive(inner)
    assert listener.messages == []
    assert sent_close(line).code == 1007  # for the outer message is not UTF-8


# Endings.


def test_our_close_is_a_closing_handshake(loop: StillLoop) -> None:
    listener = Listener()
    websocket, line = opened(loop, listener)
    websocket.close(1001, "going away")
    websocket.close(1000)
    websocket.send(b"too late")
    assert sent_close(line) == Close(1001, "going away")
    line.receive(text(b"too late") + close_frame(1001))
    assert line.eof_written
    line.receive_eof()
    assert (listener.messages, listener.endings) == ([], [Closed(1001, "going away", "us")])


def test_a_close_that_is_not_answered_is_cut_short(loop: StillLoop) -> None:
    listener = Listener()
    websocket, line = opened(loop, listener)
    websocket.close()
    loop.advance(LIMITS.close_timeout)
    assert line.lost
    assert listener.endings == [Closed(1000, "", "us")]


def test_messages_behind_the_one_that_made_us_close_are_not_delivered(loop: StillLoop) -> None:
    listener = Listener()
    websocket, line = opened(loop, listener)
    listener.on_message = lambda _: websocket.close()
    line.receive(text(b"stop") + text(b"media") + close_frame(1000))
    loop.advance(LIMITS.close_timeout)
    assert listener.messages == [b"stop"]
    assert len(listener.endings) == 1


def test_a_long_reason_is_cut_between_characters(loop: StillLoop) -> None:
    websocket, line = opened(loop, Listener())
    websocket.close(1000, "ü" * 100)
    assert sent_close(line) == Close(1000, "ü" * 61)


def test_closing_before_the_handshake_is_no_error(loop: StillLoop) -> None:
    websocket, line = serve(loop, lambda *_: None)
    websocket.close()
    websocket.send(b"too early")
    assert not line.written


def test_abort_cuts_at_once(loop: StillLoop) -> None:
    listener = Listener()
    websocket, line = opened(loop, listener)
    websocket.abort()
    websocket.send(b"too late")
    websocket.close()
    loop.settle()
    assert not line.written
    assert listener.endings == [Closed(1006, "aborted", "us")]


@pytest.mark.parametrize(("payload", "code"), [(b"", 1005), (Close(1001, "bye").serialize(), 1001)])
def test_the_peers_close_is_answered_and_told(loop: StillLoop, payload: bytes, code: int) -> None:
    listener = Listener()
    websocket, line = opened(loop, listener)
    line.receive(frame(Opcode.CLOSE, payload))
    assert line.take()[0] == 0x88
    assert line.eof_written
    websocket.send(b"too late")
    assert not line.written
    line.receive_eof()
    assert listener.endings == [Closed(code, payload[2:].decode(), "peer")]


def test_messages_before_the_peers_close_are_delivered_though_nothing_can_answer_them(loop: StillLoop) -> None:
    listener = Listener()
    websocket, line = opened(loop, listener)
    listener.on_message = websocket.send
    line.receive(text(b"1") + text(b"2") + close_frame(1000))
    assert listener.messages == [b"1", b"2"]
    assert sent_close(line).code == 1000


@pytest.mark.parametrize(("exc", "reason"), [(None, "no close frame"), (ConnectionResetError("reset"), "reset")])
def test_a_lost_connection_is_told_once(loop: StillLoop, exc: Exception | None, reason: str) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.break_off(exc)
    loop.advance(60)
    assert listener.endings == [Closed(1006, reason, "network")]


def test_a_peer_that_leaves_without_reading_its_rest_is_cut_off(loop: StillLoop) -> None:
    listener = Listener()
    websocket, line = opened(loop, listener)
    line.stuck = True
    websocket.send(b"unread")
    line.receive_eof()
    assert not line.lost
    loop.advance(LIMITS.close_timeout)
    assert listener.endings == [Closed(1006, "no close frame", "network")]


def test_a_peer_that_resets_while_we_half_close_is_gone(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.reset = True
    line.receive(close_frame(1000))
    assert listener.endings == [Closed(1000, "", "peer")]


def test_over_tls_the_connection_is_closed_where_it_cannot_be_half_closed(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener, tls=True)
    line.receive(close_frame(1000))
    loop.settle()
    assert (line.eof_written, listener.endings) == (False, [Closed(1000, "", "peer")])


def test_an_endpoint_that_raises_loses_its_own_connection_only(loop: StillLoop) -> None:
    def fail(_: bytes) -> None:
        raise LookupError("a defect")

    broken, whole = Listener(fail), Listener()
    _, broken_line = opened(loop, broken)
    _, whole_line = opened(loop, whole)
    broken_line.receive(text(b"1") + text(b"2"))
    whole_line.receive(text(b"1") + text(b"2"))
    assert sent_close(broken_line).code == 1011
    assert (len(loop.reported), broken.messages, whole.messages) == (1, [b"1"], [b"1", b"2"])
    loop.advance(LIMITS.close_timeout)
    assert broken.endings == [Closed(1011, "", "us")]
    assert whole.endings == []


def test_an_endpoint_that_raises_at_its_end_is_reported(loop: StillLoop) -> None:
    class Broken(Listener):
        def connection_lost(self, closed: Closed) -> None:
            raise LookupError(closed.reason)

    _, line = opened(loop, Broken())
    line.break_off()
    assert isinstance(loop.reported[0]["exception"], LookupError)


def test_a_peer_that_does_not_read_is_cut_off_before_it_costs_memory(loop: StillLoop) -> None:
    listener = Listener()
    limits = Limits(max_buffer=1000)
    websocket, line = opened(loop, listener, limits=limits)
    line.stuck = True
    websocket.send(bytes(900))
    assert websocket.buffered == 904
    websocket.send(bytes(900))
    loop.settle()
    assert listener.endings == [Closed(1006, "peer does not read", "network")]


def test_pings_cannot_make_us_write_without_end(loop: StillLoop) -> None:
    listener = Listener()
    _, line = opened(loop, listener)
    line.stuck = True
    flood = frame(Opcode.PING, bytes(125)) * 1000
    for _ in range(10):
        line.receive(flood)
    assert len(line.written) <= LIMITS.max_buffer + len(flood)
    assert [ending.reason for ending in listener.endings] == ["peer does not read"]


# Anything at all.

DATA_FRAMES = st.builds(
    frame, st.sampled_from([Opcode.TEXT, Opcode.CONT, Opcode.BINARY]), st.binary(max_size=200), fin=st.booleans()
)
CONTROL_FRAMES = st.builds(frame, st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE]), st.binary(max_size=125))
FRAMES = st.lists(DATA_FRAMES | CONTROL_FRAMES, max_size=8)


@st.composite
def hostile_streams(draw: st.DrawFn) -> list[bytes]:
    stream = bytearray(HANDSHAKE + b"".join(draw(FRAMES)))
    start = draw(st.sampled_from([0, len(HANDSHAKE)]))
    for _ in range(draw(st.integers(0, 3))):
        if len(stream) > start:
            stream[draw(st.integers(start, len(stream) - 1))] = draw(st.integers(0, 255))
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    return [bytes(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@settings(max_examples=400)
@given(segments=hostile_streams(), ending=st.sampled_from(["eof", "reset", "silence"]))
def test_S19_no_stream_of_bytes_raises_hangs_or_ends_twice(segments: list[bytes], ending: str) -> None:
    with still_loop() as loop:
        listener = Listener()
        opened_here: list[bool] = []
        _, line = serve(loop, lambda websocket, _: opened_here.append(websocket.accept(listener)))
        for segment in segments:
            line.receive(segment)
        if ending == "eof":
            line.receive_eof()
        elif ending == "reset":
            line.break_off()
        loop.advance(60)
        assert line.lost
        assert not loop.reported
        assert len(listener.endings) == (1 if opened_here == [True] else 0)
        for message in listener.messages:
            message.decode()


@settings(max_examples=200)
@given(frames=FRAMES, size=st.integers(1, 9))
def test_S19_a_frame_a_segment_and_a_few_bytes_a_segment_come_to_the_same(frames: list[bytes], size: int) -> None:
    stream = b"".join(frames)
    outcomes = []
    for segments in (frames, [stream[at : at + size] for at in range(0, len(stream), size)], [stream]):
        with still_loop() as loop:
            listener = Listener()
            _, line = opened(loop, listener)
            for segment in segments:
                line.receive(segment)
            loop.advance(60)
            outcomes.append((listener.messages, listener.endings))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(messages=st.lists(st.text(max_size=300), max_size=5), size=st.integers(1, 50), data=st.data())
@settings(max_examples=100)
def test_S19_every_valid_stream_arrives_however_it_is_fragmented_and_cut(
    messages: list[str], size: int, data: st.DataObject
) -> None:
    with still_loop() as loop:
        stream = bytearray(HANDSHAKE)
        for message in messages:
            encoded = message.encode()
            cut = data.draw(st.integers(0, len(encoded)))
            stream += text(encoded[:cut], fin=False) + frame(Opcode.CONT, encoded[cut:])
        listener = Listener()
        _, line = serve(loop, accepting(listener))
        for start in range(0, len(stream), size):
            line.receive(bytes(stream[start : start + size]))
        assert listener.messages == [message.encode() for message in messages]
