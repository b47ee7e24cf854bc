"""The accepting side of a WebSocket: what is a handshake, when it is answered, and what may come before the answer.

Whom to let in is decided by whoever owns `on_request`.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from websockets.exceptions import InvalidMessage
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from containers.media_relay.frames import masked_text
from containers.media_relay.websocket import Closed, Endpoint, Limits, WebSocket, sansio_log

__all__ = ["Request", "ServerWebSocket"]

# Far above any handshake Twilio sends through CloudFront and a load balancer, far below the 1 MiB websockets allows.
_MAX_REQUEST_HEAD = 16 * 1024


class ServerWebSocket(WebSocket):
    """The accepting side; hand `lambda: ServerWebSocket(...)` to `loop.create_server`.

    `on_request` is called once, with a well-formed GET, and answers it by `accept` or `respond`, at once or within
    `open_timeout` of the TCP connection. What is not a well-formed GET is answered here: 400, 405, 414 or 431.
    `silent` holds all connections without a request, oldest first, `most_silent` at most: one more, and the oldest is
    cut. Whoever means to ask does so at once, and a flood that shut the door instead would keep the callers out.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        on_request: Callable[["ServerWebSocket", Request], None],
        silent: dict["ServerWebSocket", None] | None = None,
        most_silent: int = 1000,
    ) -> None:
        self._server = ServerProtocol(max_size=limits.max_size, logger=sansio_log)
        super().__init__(self._server, limits)
        self._on_request = on_request
        self._silent = {} if silent is None else silent
        self._most_silent = most_silent
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
        if len(self._silent) >= self._most_silent:
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            oldest._cut(Closed(CloseCode.ABNORMAL_CLOSURE, "too many without a request", "us"))  # noqa: SLF001 - its kind
        self._silent[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._silent.pop(self, None)
        super().connection_lost(exc)

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
            self._silent.pop(self, None)
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
