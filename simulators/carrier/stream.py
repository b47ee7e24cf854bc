"""`<Connect><Stream>`: Twilio's end of the WebSocket, and what its debugger says when something is wrong with ours.

https://www.twilio.com/docs/voice/twiml/stream and the pages of errors 31901 to 31951 below
https://www.twilio.com/docs/api/errors. All that is sent goes through one outbox, whose last entry closes the socket;
so a stream can be left without waiting, and `stop` still goes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from simulators.carrier import messages
from simulators.carrier.exchange import new_sid
from simulators.carrier.playout import Playout
from simulators.carrier.signing import sign, stream_url
from simulators.carrier.twiml import resolve
from simulators.carrier.verbs import follow

if TYPE_CHECKING:
    from simulators.carrier.call import Call, Step
    from simulators.carrier.twiml import Document, Element

# Caller audio waiting for a server that does not read; beyond it audio is dropped and 31930 logged. Twilio's own
# figure is not published.
OUTBOX_FRAMES: Final = 100
_MAX_MESSAGE: Final = 2**20
_CLOSE_SECONDS: Final = 2.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class StreamFailed(Exception):  # noqa: N818  # an outcome with Twilio's code
    """A stream that could not be opened."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


async def connect(call: Call, verb: Element, document: Document) -> Step | None:
    """Carry out `<Connect>`: stream until the server ends it, then ask `action` if this carrier does."""
    stream = Stream(call, verb.children[0], document.url)
    variants = call.exchange.variants
    try:
        await stream.run()
        asks = variants.connect_action
    except StreamFailed as failure:
        stream.report(failure.code, str(failure))
        asks = variants.connect_action and variants.connect_action_after_failure
    return follow(verb, document, {}) if asks else None


class Stream:
    """One bidirectional Media Stream."""

    def __init__(self, call: Call, noun: Element, base: str) -> None:
        self.sid = new_sid("MZ")
        self.playout = Playout()
        self._call = call
        self._noun = noun
        self._base = base
        self._writer = messages.Writer(account_sid=call.exchange.account_sid, call_sid=call.sid, stream_sid=self.sid)
        self._outbox: asyncio.Queue[str | None] = asyncio.Queue()
        self._warned: set[int] = set()

    async def run(self) -> None:
        """Stream until the server or the network ends it.

        Raises:
            StreamFailed: it never began.
        """
        socket = await self._open(self._check())
        call = self._call
        self._outbox.put_nowait(messages.CONNECTED)
        parameters = {child.get("name"): child.get("value") for child in self._noun.children}
        self._outbox.put_nowait(self._writer.start(parameters))
        call.note("stream_started", self.sid)
        self._inform("stream-started")
        call.exchange.spawn(self._send(socket))
        stop = call.exchange.variants.stop_before_close
        try:
            with call.open_line.connect(source=self._play, listener=self._hear, keys=self._key):
                stop = await self._receive(socket) and stop
        finally:
            if stop:
                self._outbox.put_nowait(self._writer.stop())
            self._outbox.put_nowait(None)
            # A server that has stopped reading would otherwise keep the socket, and what waits to be sent, for ever.
            asyncio.get_running_loop().call_later(2 * _CLOSE_SECONDS, socket.transport.abort)
            call.note("stream_stopped", self.sid)
            self._inform("stream-stopped")

    def report(self, code: int, text: str) -> None:
        """Log an error of the stream and tell its status callback."""
        self._call.error(code, text)
        self._inform("stream-error", text)

    def _check(self) -> str:
        """The stream's URL, unless Twilio would not even try it."""
        try:
            parts = urlsplit(url := urljoin(self._base, self._noun.get("url")))
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            raise StreamFailed(31923, f"malformed URL: {error}") from error
        plain = parts.scheme == "ws" and (self._call.exchange.allow_ws or host in _LOOPBACK)
        if parts.scheme != "wss" and not plain:
            raise StreamFailed(31922, f"the scheme {parts.scheme!r} is not wss")
        if not host:
            raise StreamFailed(31923, f"malformed URL {url!r}")
        if parts.query:
            raise StreamFailed(31920, "a query string in the stream's URL")
        if self._noun.get("track", "inbound_track") != "inbound_track":
            raise StreamFailed(31941, f"track {self._noun.get('track')!r} under <Connect>")
        return url

    async def _open(self, url: str) -> ClientConnection:
        exchange = self._call.exchange
        signature = sign(exchange.auth_token, stream_url(url, exchange.variants))
        asked, address = exchange.fronts.resolve(url)
        at: dict[str, Any] = {"host": address[0], "port": address[1]} if address else {}
        try:
            return await open_socket(
                asked,
                **at,
                additional_headers={"X-Twilio-Signature": signature},
                user_agent_header="Twilio.TmeWs/1.0",
                compression=None,
                proxy=None,
                open_timeout=exchange.variants.handshake_seconds,
                ping_interval=None,
                close_timeout=_CLOSE_SECONDS,
                max_size=_MAX_MESSAGE,
            )
        except TimeoutError as error:
            raise StreamFailed(31901, "no answer to the handshake in time") from error
        except ConnectionRefusedError as error:
            raise StreamFailed(31902, "connection refused") from error
        except (ssl.SSLError, ConnectionAbortedError, ConnectionResetError) as error:
            raise StreamFailed(31910, f"TLS: {error}") from error
        except (InvalidURI, ValueError) as error:
            raise StreamFailed(31923, f"malformed URL: {error}") from error
        except InvalidHandshake as error:
            raise StreamFailed(31920, f"handshake: {error}") from error
        except OSError as error:
            raise StreamFailed(31901, f"no connection: {error}") from error

    async def _receive(self, socket: ClientConnection) -> bool:
        """Take what the server sends until the socket ends; whether it is still open then (it never is)."""
        try:
            while True:
                self._take(await socket.recv())
        except ConnectionClosed as closed:
            self._judge(closed)
            return False

    def _judge(self, closed: ConnectionClosed) -> None:
        if closed.rcvd is None and closed.sent is None:
            self.report(31903, "the connection broke")
        elif closed.sent is not None and not closed.rcvd_then_sent:
            self.report(31924, f"a WebSocket protocol violation: {closed.sent.code} {closed.sent.reason}")
        elif closed.rcvd is not None and (closed.rcvd.code != 1000 or self._call.exchange.variants.close_is_logged):
            self.report(31921, f"the server closed the stream: {closed.rcvd.code} {closed.rcvd.reason}".strip())

    def _take(self, message: str | bytes) -> None:
        try:
            match messages.read(message, self.sid):
                case messages.Media(audio):
                    if not self.playout.media(audio):
                        self._warn(31931, "more than ten minutes of audio are queued")
                case messages.Mark(name):
                    self._echo(self.playout.mark(name))
                case messages.Clear():
                    self._call.note("clear", str(self.playout.queued // 8))
                    self._echo(self.playout.clear())
        except messages.Refused as refused:
            self._warn(refused.code, str(refused))

    def _play(self) -> bytes:
        audio, marks = self.playout.frame()
        self._echo(marks)
        return audio

    def _hear(self, frame: bytes) -> None:
        if self._outbox.qsize() > OUTBOX_FRAMES:
            self._writer.lost()
            self._warn(31930, "the server reads too slowly; audio is dropped")
        else:
            self._outbox.put_nowait(self._writer.media(frame))

    def _key(self, digit: str) -> None:
        self._call.note("key")
        self._outbox.put_nowait(self._writer.dtmf(digit))

    def _echo(self, names: list[str]) -> None:
        for name in names:
            self._outbox.put_nowait(self._writer.mark(name))

    def _warn(self, code: int, text: str) -> None:
        """These warnings are logged once per stream."""
        if code not in self._warned:
            self._warned.add(code)
            self._call.warning(code, text)

    async def _send(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while (message := await self._outbox.get()) is not None:
                await socket.send(message)
        await socket.close()

    def _inform(self, event: str, error: str = "") -> None:
        callback = self._noun.get("statusCallback")
        if not callback:
            return
        parameters = {
            "StreamSid": self.sid,
            "StreamName": self._noun.get("name") or self.sid,
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if error:
            parameters["StreamError"] = error
        self._call.inform(resolve(self._base, callback), parameters, self._noun.get("statusCallbackMethod", "POST"))
