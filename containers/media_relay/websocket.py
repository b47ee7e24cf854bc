"""WebSockets under `asyncio.Protocol`: bytes arrive, a message is handed on, answers are written, in one turn.

What the protocol means is decided by `websockets`' Sans-I/O layer. Here is decided what touches the network: when a
handshake is answered, how long anything may take, how much may wait, and who learns that the connection has ended.
The side that connects is in `websocket_client.py`.
https://websockets.readthedocs.io/en/stable/howto/sansio.html

    connecting ──accept / 101──► open ──close frame, fault, silence──► closing ──► lost
         └────────refusal, deadline, peer gone───────────────────────────┴────────► lost

No extension is ever negotiated, so a peer cannot send a decompression bomb; no subprotocol; text messages only.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Literal, Protocol, TypeVar, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, Side, State
from websockets.server import ServerProtocol

from containers.media_relay.frames import masked_text, text_frame

__all__ = ["Closed", "Endpoint", "Limits", "Request", "ServerWebSocket", "WebSocket"]

_T = TypeVar("_T")

# Far above any handshake Twilio sends through CloudFront and a load balancer, far below the 1 MiB websockets allows.
_MAX_REQUEST_HEAD = 16 * 1024

# At DEBUG the Sans-I/O layer logs handshake headers, which hold signatures and keys: this logger never goes that low.
sansio_log = logging.getLogger(f"{__name__}.sansio")
sansio_log.setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a peer may take of us: times in seconds, sizes in bytes."""

    open_timeout: float = 3.0
    """Server: TCP accept to our answer. Client: name lookup to the 101."""
    close_timeout: float = 1.0
    """From our last frame, or our refusal, to the end of the TCP connection."""
    ping_interval: float = 5.0
    """How long the peer may be silent before it is sent a ping."""
    ping_timeout: float = 5.0
    """How long it may then stay silent: any byte counts as a sign of life."""
    max_size: int = 64 * 1024
    """One message, its fragments together."""
    max_buffer: int = 1024 * 1024
    """Bytes written but not yet taken by the kernel; a peer that reads less than this behind is dropped."""


@dataclass(frozen=True, slots=True)
class Closed:
    """How a connection ended: the close code of RFC 6455 (1006: no close frame), why, and who brought it about.

    `us`: our `close` or `abort`, or an endpoint that raised. `peer`: its close frame, or its breach of the protocol.
    `network`: it vanished, fell silent, or stopped reading.
    """

    code: int
    reason: str
    by: Literal["peer", "us", "network"]


class Endpoint(Protocol):
    """What stands behind a WebSocket; both methods are called from the event loop and must not block."""

    def message_received(self, text: bytes) -> None:
        """Take one whole message: valid UTF-8, undecoded."""

    def connection_lost(self, closed: Closed) -> None:
        """Learn that the connection is over: called exactly once, and nothing after it."""


class WebSocket(asyncio.Protocol):
    """What both roles share. A server makes `ServerWebSocket`s, a client calls `connect`."""

    def __init__(self, protocol: ClientProtocol | ServerProtocol, limits: Limits) -> None:
        self._protocol = protocol
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._endpoint: Endpoint | None = None
        self._fragments: bytearray | None = None
        self._heard_at = 0.0
        self._ended: Closed | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def buffered(self) -> int:
        """Bytes written that the kernel has not taken yet; what the kernel and the network hold is not counted."""
        return self._transport.get_write_buffer_size()

    def send(self, text: bytes) -> None:
        """Send one text message, UTF-8; does nothing unless the connection is open."""
        if self._ended is None and self._protocol.state is State.OPEN:
            self._transport.write(text_frame(text, masked=self._protocol.side is Side.CLIENT))
            self._check_buffer()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake; no message is delivered or sent any more. It may take `close_timeout`."""
        if self._ended is None and self._protocol.state is State.OPEN:
            # RFC 6455 5.5: "All control frames MUST have a payload length of 125 bytes or less"; the code takes two.
            self._protocol.send_close(code, reason.encode()[:123].decode(errors="ignore"))
            self._end(Closed(code, reason, "us"))
        self._flush()

    def abort(self) -> None:
        """Cut the connection now, without a closing handshake."""
        self._cut(Closed(CloseCode.ABNORMAL_CLOSURE, "aborted", "us"))

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's stream transports do not inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._protocol.receive_data(data)
        self._deliver(self._protocol.events_received())

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()
        # asyncio now closes, but only after what is still buffered has been written, which may be never.
        self._end(self._closed_by_peer())

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.receive_eof()
        self._end(self._closed_by_peer(exc))
        self._cancel_timer()
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None and self._ended is not None:
            self._guard(endpoint.connection_lost, self._ended)

    # Frames.

    def _opened(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._heard_at = self._loop.time()
        self._arm(self._limits.ping_interval, self._ping)

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            assert isinstance(event, Frame), "the handshake comes before every frame"
            self._frame_received(event)
        self._flush()

    def _frame_received(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT and frame.fin:
            self._message_received(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._fragments = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += frame.data
            if frame.fin:
                text, self._fragments = bytes(self._fragments), None
                self._message_received(text)
        elif frame.opcode is Opcode.BINARY:
            self._fail(Closed(CloseCode.UNSUPPORTED_DATA, "text messages only", "peer"))

    def _message_received(self, text: bytes) -> None:
        if self._ended is not None or self._endpoint is None:
            return
        if not text.isascii():
            try:
                text.decode()
            except UnicodeDecodeError:
                self._fail(Closed(CloseCode.INVALID_DATA, "not UTF-8", "peer"))
                return
        self._guard(self._endpoint.message_received, text)

    def _guard(self, callback: Callable[[_T], None], argument: _T) -> None:
        """Call outward: what is raised there is reported and ends this connection, and reaches no other call."""
        try:
            callback(argument)
        except Exception as exc:  # noqa: BLE001 - the edge between the network and one call: that call alone ends
            self._loop.call_exception_handler({"message": f"{callback!r} failed", "exception": exc, "protocol": self})
            self._fail(Closed(CloseCode.INTERNAL_ERROR, "", "us"))

    # Endings. `_ended` is written once, by whichever cause comes first.

    def _fail(self, closed: Closed) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.fail(closed.code, closed.reason)
        self._end(closed)
        self._flush()

    def _end(self, closed: Closed) -> None:
        if self._ended is None:
            self._ended = closed
            self._arm(self._limits.close_timeout, self._transport.abort)

    def _cut(self, closed: Closed) -> None:
        self._end(closed)
        self._transport.abort()

    def _closed_by_peer(self, exc: Exception | None = None) -> Closed:
        # The Sans-I/O layer closes on its own for two reasons: the peer's close frame, and the peer's mistake.
        if close := self._protocol.close_rcvd or self._protocol.close_sent:
            return Closed(close.code, close.reason, "peer")
        return Closed(CloseCode.ABNORMAL_CLOSURE, str(exc or "no close frame"), "network")

    # Writing and waiting.

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._half_close()
            else:
                self._transport.close()
        if self._protocol.close_expected():
            self._end(self._closed_by_peer())
        self._check_buffer()

    def _check_buffer(self) -> None:
        if self._transport.get_write_buffer_size() > self._limits.max_buffer:
            self._cut(Closed(CloseCode.ABNORMAL_CLOSURE, "peer does not read", "network"))

    def _half_close(self) -> None:
        try:
            self._transport.write_eof()
        except OSError:
            # asyncio shuts the socket down here and now, and a peer may have reset it a moment before.
            self._transport.abort()

    def _ping(self) -> None:
        quiet = self._loop.time() - self._heard_at
        if quiet < self._limits.ping_interval:
            self._arm(self._limits.ping_interval - quiet, self._ping)
        else:
            self._protocol.send_ping(b"")
            self._arm(self._limits.ping_timeout, partial(self._pong_due, self._heard_at))
            self._flush()

    def _pong_due(self, heard_at: float) -> None:
        if self._heard_at != heard_at:
            self._ping()
        else:
            self._fail(Closed(CloseCode.INTERNAL_ERROR, "ping timeout", "network"))

    def _arm(self, delay: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(delay, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ServerWebSocket(WebSocket):
    """The accepting side; hand `lambda: ServerWebSocket(...)` to `loop.create_server`.

    `on_request` is called once, with a well-formed GET, and answers it by `accept` or `respond`, at once or within
    `open_timeout` of the TCP connection. What is not a well-formed GET is answered here: 400, 405, 414 or 431.
    """

    def __init__(self, *, limits: Limits, on_request: Callable[["ServerWebSocket", Request], None]) -> None:
        self._server = ServerProtocol(max_size=limits.max_size, logger=sansio_log)
        super().__init__(self._server, limits)
        self._on_request = on_request
        self._request: Request | None = None
        self._answered = False
        self._unread = bytearray()
        self._unparsed = 0  # octets that the Sans-I/O layer holds of a frame it has not had to its end

    def accept(self, endpoint: Endpoint) -> bool:
        """Answer 101 and connect the endpoint, whose first message comes after this has returned.

        Returns:
            Whether the WebSocket is open. False: the peer is gone or was answered before, or its request was no valid
            WebSocket handshake and has been refused with the status that says why (400, 426, 505).
        """
        if self._request is None or not self._may_answer():
            return False
        response = self._server.accept(self._request)
        opened = response.status_code == 101
        if opened:
            self._opened(endpoint)
            if self._unread:
                self._loop.call_soon(self._read_on)
        self._answer(response)
        return opened

    def respond(self, status: int, text: str = "") -> bool:
        """Answer with a plain HTTP response and close. False: the peer is gone or was answered before."""
        if not self._may_answer():
            return False
        response = self._server.reject(status, text)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = "GET"
        self._answer(response)
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        late = Closed(CloseCode.ABNORMAL_CLOSURE, "no handshake in time", "network")
        self._arm(self._limits.open_timeout, partial(self._cut, late))

    def data_received(self, data: bytes) -> None:
        if self._answered and not self._unread:
            self._frames_received(data)
            return
        self._unread += data
        if self._request is None:
            self._read_head()
        elif len(self._unread) > self._limits.max_size:
            # A client must not send before it has its answer; what it sends in hope is kept, but not without end.
            self._cut(Closed(CloseCode.MESSAGE_TOO_BIG, "sent too much before the answer", "peer"))

    def _frames_received(self, data: bytes) -> None:
        if not self._unparsed and self._fragments is None:
            text = masked_text(data)
            if text is not None and len(text) <= self._limits.max_size:
                self._heard_at = self._loop.time()
                self._message_received(text)
                return
        self._unparsed += len(data)
        super().data_received(data)

    def _frame_received(self, frame: Frame) -> None:
        length = len(frame.data)
        self._unparsed -= length + (6 if length < 126 else 8 if length < 65536 else 14)
        super()._frame_received(frame)

    def _read_head(self) -> None:
        head, blank_line, rest = self._unread.partition(b"\r\n\r\n")
        if len(head) > _MAX_REQUEST_HEAD:
            self.respond(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif blank_line:
            self._unread = rest
            self._server.receive_data(head + blank_line)
            for event in self._server.events_received():
                assert isinstance(event, Request), "a request head holds a request"
                self._request_received(event)
            if self._request is None:
                self._refuse_head()

    def _request_received(self, request: Request) -> None:
        self._request = request
        if request.method != "GET":
            self.respond(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        self._guard(partial(self._on_request, self), request)
        if self._ended is not None:
            self.respond(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _refuse_head(self) -> None:
        self._answered = True
        self._unread.clear()
        # The Sans-I/O layer answers what is too long, but closes without a word on what it cannot read.
        if isinstance(self._server.handshake_exc, InvalidMessage):
            self._transport.write(self._server.reject(HTTPStatus.BAD_REQUEST, "malformed request\n").serialize())
        self._flush()

    def _may_answer(self) -> bool:
        if self._answered or self._transport.is_closing():
            return False
        self._answered = True
        return True

    def _answer(self, response: Response) -> None:
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._unread.clear()
        self._server.send_response(response)
        self._flush()

    def _read_on(self) -> None:
        data, self._unread = bytes(self._unread), bytearray()
        if self._server.state is State.OPEN:
            self._frames_received(data)
