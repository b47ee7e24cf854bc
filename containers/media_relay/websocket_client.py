"""The connecting side of a WebSocket: one attempt, within one deadline, straight to the host that the URL names.

What a server is slow to read waits here, in order, and of what perishes only the latest: a buffer below this one drops
nothing, so each of them is kept small.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.uri import parse_uri

from containers.media_relay import names
from containers.media_relay.backlog import Backlog
from containers.media_relay.names import Resolve
from containers.media_relay.websocket import Closed, Endpoint, Limits, WebSocket, sansio_log

# Left to itself, Linux takes 2.8 MB for a peer that reads nothing: minutes of a caller's audio. This bounds what it has
# taken and not yet sent, whatever is on its way: https://man7.org/linux/man-pages/man7/tcp.7.html
MOST_UNSENT = 4096
MOST_UNWRITTEN = 1024  # octets in a transport, and in the one below TLS, before a message waits here


class ConnectFailed(Exception):  # noqa: N818 - a connection that failed, in the words of asyncio's own callbacks
    """No WebSocket was opened; `status` is the HTTP status of the refusal, or None if there was no answer."""

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(reason if status is None else f"{status} {reason}")
        self.status = status
        self.reason = reason


class ClientWebSocket(WebSocket):
    """The connecting side; made by `connect`."""

    def __init__(
        self,
        client: ClientProtocol,
        request: Request,
        limits: Limits,
        endpoint_factory: Callable[["ClientWebSocket"], Endpoint],
    ) -> None:
        super().__init__(client, limits)
        self._client = client
        self._request = request
        self._endpoint_factory = endpoint_factory
        # Holds the failure rather than raising it: nobody may be left to retrieve it.
        self._opening: asyncio.Future[ConnectFailed | None] = self._loop.create_future()
        self._backlog = Backlog()
        self._paused = False

    async def opened(self) -> None:
        """Wait for the 101; raises ConnectFailed if something else comes."""
        failure = await self._opening
        if failure is not None:
            raise failure

    def send(self, text: bytes) -> None:
        """Send one text message, UTF-8, in its order; does nothing unless the connection is open."""
        if self._paused:
            self._wait(text, perishes=False)
        else:
            super().send(text)

    def send_perishable(self, text: bytes) -> bool:
        """The same for one that is worth little when it is late; False if an older one is dropped for it."""
        if self._paused:
            return self._wait(text, perishes=True)
        super().send(text)
        return True

    def _wait(self, text: bytes, *, perishes: bool) -> bool:
        kept = self._backlog.add(text, perishes=perishes)
        if self._backlog.size > self._limits.max_buffer:
            self._cut(Closed(CloseCode.ABNORMAL_CLOSURE, "peer does not read", "network"))
        return kept

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        while self._backlog and not self._paused:
            super().send(self._backlog.take())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._client.send_request(self._request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._opening.cancelled():  # the call ended while the server's answer was on its way
            return
        if self._opening.done():
            super().data_received(data)
            return
        self._client.receive_data(data)
        events = self._client.events_received()
        if events:
            assert isinstance(events[0], Response), "the first thing a server sends is its response"
            self._response_received(events[0])
        self._deliver(events[1:])

    def _response_received(self, response: Response) -> None:
        if self._client.handshake_exc is None:
            self._opened(self._endpoint_factory(self))
            self._opening.set_result(None)
        elif response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._opening.set_result(ConnectFailed(response.status_code, response.reason_phrase))

    def _end(self, closed: Closed) -> None:
        super()._end(closed)
        if not self._opening.done():
            self._opening.set_result(ConnectFailed(None, str(self._client.handshake_exc or closed.reason)))


async def connect(
    url: str,
    *,
    headers: Mapping[str, str],
    limits: Limits,
    endpoint_factory: Callable[[ClientWebSocket], Endpoint],
    ssl_context: ssl.SSLContext | None = None,
    resolve: Resolve = names.resolve,
) -> ClientWebSocket:
    """Open a WebSocket; directly, whatever proxy the environment names, and following no redirect.

    `endpoint_factory` is called at the 101, before the first message, which may come in the same segment, and before
    this returns; it is not called when opening fails. For `wss:`, share one `ssl_context`: each costs some 300 KiB.

    Raises:
        ConnectFailed: for whatever reason there is no open WebSocket within `limits.open_timeout`.
    """
    try:
        uri = parse_uri(url)
        client = ClientProtocol(uri, max_size=limits.max_size, logger=sansio_log)
        request = client.connect()
        request.headers.update(headers)
    except (WebSocketException, ValueError):
        # Neither the URL nor a header is quoted: either may hold a key.
        raise ConnectFailed(None, "URL or headers are not valid") from None
    context = (ssl_context or ssl.create_default_context()) if uri.secure else None
    try:
        async with asyncio.timeout(limits.open_timeout):
            transport = await _reach(uri.host, uri.port, context, await resolve(uri.host))
            websocket = ClientWebSocket(client, request, limits, endpoint_factory)
            transport.set_protocol(websocket)
            websocket.connection_made(transport)
            try:
                await websocket.opened()
            except BaseException:
                transport.abort()
                raise
    except TimeoutError:
        raise ConnectFailed(None, "no answer in time") from None
    except OSError as exc:
        raise ConnectFailed(None, str(exc)) from exc
    return websocket


async def _reach(host: str, port: int, context: ssl.SSLContext | None, addresses: list[str]) -> asyncio.Transport:
    """A transport that keeps little back; with TLS in two steps, for there the lower one is out of reach later."""
    loop = asyncio.get_running_loop()
    transport = await _first(addresses, port)
    transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT)
    transport.set_write_buffer_limits(MOST_UNWRITTEN)
    if context is not None:
        try:
            secure = await loop.start_tls(transport, asyncio.Protocol(), context, server_hostname=host)
        except BaseException:
            transport.abort()
            raise
        assert secure, "None is for a transport that was never open"
        secure.set_write_buffer_limits(MOST_UNWRITTEN)
        transport = secure
    if transport.is_closing():
        raise ConnectionResetError("closed at once")
    return transport


async def _first(addresses: list[str], port: int) -> asyncio.Transport:
    """A connection to the first that takes one; raises the last one's error if none does."""
    failed = OSError("the host has no address")
    for address in addresses:
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, address, port)
        except OSError as error:
            failed = error
        else:
            return transport
    raise failed
