"""WebSockets under `asyncio.Protocol`: bytes arrive, a message is handed on, answers are written, in one turn.

What the protocol means is decided by `websockets`' Sans-I/O layer. Here is decided what touches the network: when a
handshake is answered, how long anything may take, how much may wait, and who learns that the connection has ended.
The side that accepts is in `websocket_server.py`, the side that connects in `websocket_client.py`.
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
from typing import Literal, Protocol, TypeVar, cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event, Side, State
from websockets.server import ServerProtocol

from containers.media_relay.frames import text_frame

_T = TypeVar("_T")

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
