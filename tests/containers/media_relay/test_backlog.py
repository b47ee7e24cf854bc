"""What waits for a peer that does not read, by itself and between real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from containers.media_relay.backlog import MOST_PERISHABLE, Backlog
from containers.media_relay.websocket_client import MOST_UNSENT, MOST_UNWRITTEN, connect
from tests.containers.media_relay.test_websocket_client import GUARD, LIMITS, LOOPS, Inbox, run, self_signed

FRAME = 280  # octets of a message with 20 ms of audio
MINUTE = 60 * 50  # of them
PEER_TAKES = 4096  # octets, as its kernel is asked; it takes some more


@given(st.lists(st.sampled_from(["audio", "audio", "audio", "other", "take"]), max_size=300))
def test_R13_what_does_not_perish_stays_and_of_what_does_the_latest_second(kinds: list[str]) -> None:
    backlog, waiting, dropped = Backlog(), list[tuple[bytes, bool]](), 0
    for number, kind in enumerate(kinds):
        if kind == "take":
            if backlog:
                assert backlog.take() == waiting.pop(0)[0]
            continue
        message = (f"{number}" * (number % 3 + 1)).encode()
        kept = backlog.add(message, perishes=kind == "audio")
        waiting.append((message, kind == "audio"))
        audio = [one for one in waiting if one[1]]
        assert kept == (len(audio) <= MOST_PERISHABLE)
        if not kept:
            waiting.remove(audio[0])
            dropped += 1
        assert backlog.size == sum(len(one) for one, _ in waiting)
    assert [backlog.take() for _ in waiting] == [one for one, _ in waiting]
    assert (bool(backlog), backlog.size) == (False, 0)


# ---- between sockets -------------------------------------------------------------------------------------------------


def stand_still(listener: socket.socket, context: ssl.SSLContext | None, reads_on: threading.Event) -> list[bytes]:
    """A server in a thread: accepts one client, reads nothing until it is told to, and then up to "end"."""
    protocol, messages = ServerProtocol(max_size=None), list[bytes]()
    connection, _ = listener.accept()
    if context:
        connection = context.wrap_socket(connection, server_side=True)
    with connection:
        while messages[-1:] != [b"end"]:
            protocol.receive_data(connection.recv(65536))
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                    connection.sendall(b"".join(protocol.data_to_send()))
                    assert reads_on.wait(GUARD)
                elif isinstance(event, Frame):
                    messages.append(bytes(event.data))
    return messages


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("loop_factory", LOOPS)
def test_R13_after_a_minute_of_standing_still_a_model_hears_the_latest_second_and_misses_no_event(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, *, tls: bool
) -> None:
    certificate = self_signed(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    reads_on = threading.Event()

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PEER_TAKES)
            url = f"ws{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}/"
            server = asyncio.create_task(asyncio.to_thread(stand_still, listener, serving if tls else None, reads_on))
            websocket = await connect(
                url, headers={}, limits=LIMITS, endpoint_factory=lambda _: Inbox(), ssl_context=trusting
            )
            sent, kept = list[bytes](), 0
            for number in range(MINUTE):
                sent.append(b"audio %d" % number + bytes(FRAME))
                kept += websocket.send_perishable(sent[-1])
                if number % 100 == 99:
                    sent.append(b"event %d" % number)
                    websocket.send(sent[-1])
                await asyncio.sleep(0)  # a transport may write when the loop comes round
            websocket.send(b"end")
            reads_on.set()
            got = await server
            websocket.abort()
        audio, heard = ([one for one in among if one.startswith(b"audio")] for among in (sent, got))
        assert len(heard) == kept, "every other one was counted"
        assert heard[-MOST_PERISHABLE:] == audio[-MOST_PERISHABLE:]
        assert len(heard) - MOST_PERISHABLE <= (MOST_UNSENT + 2 * MOST_UNWRITTEN + 2 * PEER_TAKES) / FRAME
        arrived = {*got}
        assert got[:-1] == [one for one in sent if one in arrived or one.startswith(b"event")], "all, in their order"

    run(test, loop_factory)
