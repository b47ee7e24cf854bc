"""A served WebSocket whose peer is a script of bytes: what the tests of `websocket*.py` stand on."""

from collections.abc import Callable

from websockets.frames import Close, Frame, Opcode

from containers.media_relay.websocket import Limits
from containers.media_relay.websocket_server import Request, ServerWebSocket
from tests.containers.media_relay.wires import Line, Listener, StillLoop

LIMITS = Limits()
HANDSHAKE = (
    b"GET /media/token HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def text(data: bytes, *, fin: bool = True) -> bytes:
    return frame(Opcode.TEXT, data, fin=fin)


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(Opcode.CLOSE, Close(code, reason).serialize())


def serve(
    loop: StillLoop,
    on_request: Callable[[ServerWebSocket, Request], None],
    *,
    limits: Limits = LIMITS,
    tls: bool = False,
) -> tuple[ServerWebSocket, Line]:
    websocket = ServerWebSocket(limits=limits, on_request=on_request)
    return websocket, Line(loop, websocket, half_close=not tls)


def accepting(listener: Listener) -> Callable[[ServerWebSocket, Request], None]:
    def on_request(websocket: ServerWebSocket, _: Request) -> None:
        assert websocket.accept(listener)

    return on_request


def answering(status: int, body: str = "") -> Callable[[ServerWebSocket, Request], None]:
    def on_request(websocket: ServerWebSocket, _: Request) -> None:
        assert websocket.respond(status, body)

    return on_request


def opened(
    loop: StillLoop, listener: Listener, *, limits: Limits = LIMITS, tls: bool = False
) -> tuple[ServerWebSocket, Line]:
    websocket, line = serve(loop, accepting(listener), limits=limits, tls=tls)
    line.receive(HANDSHAKE)
    assert line.take().startswith(b"HTTP/1.1 101 ")
    return websocket, line
