"""The connecting side, and both sides over loopback against the `websockets` library and raw sockets."""

import asyncio
import datetime as dt
import ipaddress
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.client import connect as library_connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from containers.media_relay.websocket import Closed, Endpoint, Limits
from containers.media_relay.websocket_client import ClientWebSocket, ConnectFailed, connect
from containers.media_relay.websocket_server import Request, ServerWebSocket
from tests.containers.media_relay.wires import Line, Listener, StillLoop, still_loop

LIMITS = Limits()
GUARD = 20.0
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def run(test: Callable[[], Awaitable[None]], loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Run it on that kind of loop; whatever reached the loop's exception handler fails it."""
    reported: list[dict[str, object]] = []

    async def guarded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        async with asyncio.timeout(GUARD):
            await test()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(guarded())
    assert not reported


class Inbox(Listener):
    """A listener that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self.on_message = self.queue.put_nowait

    def connection_lost(self, closed: Closed) -> None:
        super().connection_lost(closed)
        self.closed.set_result(closed)


def accept_echo(websocket: ServerWebSocket, request: Request) -> None:
    if request.path == "/healthz":
        websocket.respond(200, "ok\n")
    else:
        websocket.accept(Listener(websocket.send))


async def serve_echo(limits: Limits = LIMITS, context: ssl.SSLContext | None = None) -> tuple[asyncio.Server, int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: ServerWebSocket(limits=limits, on_request=accept_echo), "127.0.0.1", 0, ssl=context
    )
    return server, server.sockets[0].getsockname()[1]


# On a clock that stands still.


@pytest.fixture(name="loop")
def _loop() -> Iterator[StillLoop]:
    with still_loop() as loop:
        yield loop


class Opening:
    """A client on a line, and the library's Sans-I/O server to answer it with."""

    def __init__(self, loop: StillLoop, factory: Callable[[ClientWebSocket], Endpoint]) -> None:
        protocol = ClientProtocol(parse_uri("ws://example.com/v1/realtime?model=m"), max_size=LIMITS.max_size)
        self.websocket = ClientWebSocket(protocol, protocol.connect(), LIMITS, factory)
        self.line = Line(loop, self.websocket)
        self.server = ServerProtocol()
        self.server.receive_data(self.line.take())
        (request,) = self.server.events_received()
        assert isinstance(request, Request)
        self.request = request

    def failure(self) -> ConnectFailed | None:
        with pytest.raises((ConnectFailed, StopIteration)) as outcome:
            self.websocket.opened().send(None)
        return outcome.value if isinstance(outcome.value, ConnectFailed) else None

    def accept(self) -> bytes:
        self.server.send_response(self.server.accept(self.request))
        return b"".join(self.server.data_to_send())


def test_a_client_opens_and_a_message_in_the_same_segment_finds_its_endpoint(loop: StillLoop) -> None:
    listener = Listener()
    opening = Opening(loop, lambda _: listener)
    assert opening.request.path == "/v1/realtime?model=m"
    response = opening.accept()
    opening.line.receive(response[:40])
    opening.line.receive(response[40:] + Frame(Opcode.TEXT, b"session.created").serialize(mask=False))
    assert opening.failure() is None
    assert listener.messages == [b"session.created"]
    opening.websocket.send(b"session.update")
    opening.server.receive_data(opening.line.take())
    (frame,) = opening.server.events_received()
    assert isinstance(frame, Frame)
    assert frame.data == b"session.update"


def test_what_a_server_does_not_read_waits_in_its_order_and_too_much_of_it_ends_the_connection(loop: StillLoop) -> None:
    listener = Listener()
    opening = Opening(loop, lambda _: listener)
    opening.line.receive(opening.accept())
    opening.websocket.pause_writing()
    opening.websocket.send(b"first")
    assert opening.websocket.send_perishable(b"second")
    assert not opening.line.take()
    opening.websocket.resume_writing()
    opening.server.receive_data(opening.line.take())
    assert [frame.data for frame in opening.server.events_received() if isinstance(frame, Frame)] == [
        b"first",
        b"second",
    ]
    opening.websocket.pause_writing()
    for _ in range(1 + LIMITS.max_buffer // 1000):
        assert not listener.endings
        opening.websocket.send(bytes(1000))
        loop.settle()
    assert listener.endings == [Closed(1006, "peer does not read", "network")]


def test_a_client_waits_for_the_server_to_end_the_connection(loop: StillLoop) -> None:
    listener = Listener()
    opening = Opening(loop, lambda _: listener)
    opening.line.receive(opening.accept())
    opening.websocket.close(1000, "bye")
    opening.server.receive_data(opening.line.take())
    opening.line.receive(b"".join(opening.server.data_to_send()[:1]))
    assert not listener.endings
    opening.line.receive_eof()
    assert listener.endings == [Closed(1000, "bye", "us")]


@pytest.mark.parametrize("status", [302, 401, 429, 503])
def test_a_refusal_fails_with_its_status_and_makes_no_endpoint(loop: StillLoop, status: int) -> None:
    made: list[Listener] = []

    def make(_: ClientWebSocket) -> Listener:
        made.append(Listener())
        return made[-1]

    opening = Opening(loop, make)
    opening.server.send_response(opening.server.reject(status, "because"))
    opening.line.receive(b"".join(opening.server.data_to_send()))
    failure = opening.failure()
    assert failure is not None
    assert failure.status == status
    loop.advance(LIMITS.close_timeout)
    assert (opening.line.lost, made) == (True, [])


def test_an_answer_to_another_key_is_no_handshake(loop: StillLoop) -> None:
    opening = Opening(loop, lambda _: Listener())
    other = Opening(loop, lambda _: Listener())
    opening.line.receive(other.accept())
    failure = opening.failure()
    assert failure is not None
    assert failure.status is None
    assert "Sec-WebSocket-Accept" in failure.reason


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 101", b""])
def test_an_answer_that_is_no_http_fails(loop: StillLoop, answer: bytes) -> None:
    opening = Opening(loop, lambda _: Listener())
    opening.line.receive(answer)
    opening.line.receive_eof()
    failure = opening.failure()
    assert failure is not None
    assert failure.status is None


# Over loopback.


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_the_librarys_client_talks_to_our_server(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def test() -> None:
        server, port = await serve_echo()
        async with library_connect(f"ws://127.0.0.1:{port}/media/token") as client:
            for message in ("{}", "grüß", "x" * LIMITS.max_size):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["frag", "ment", "ed"])
            assert await client.recv() == "fragmented"
            await (await client.ping())
        assert client.close_code == 1000
        async with library_connect(f"ws://127.0.0.1:{port}/") as client:
            await client.send("x" * (LIMITS.max_size + 1))
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
        assert client.close_code == 1009
        server.close()

    run(test, loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_our_client_talks_to_the_librarys_server(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def echo(connection: ServerConnection) -> None:
        assert connection.request is not None
        await connection.send(connection.request.headers["Authorization"])
        async for message in connection:
            assert isinstance(message, str)
            await connection.send(message)

    async def test() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            inbox = Inbox()
            websocket = await connect(
                f"ws://127.0.0.1:{port}/v1/realtime?model=m",
                headers={"Authorization": "Bearer key"},
                limits=LIMITS,
                endpoint_factory=lambda _: inbox,
            )
            assert await inbox.queue.get() == b"Bearer key"
            websocket.send("grüß".encode())
            assert await inbox.queue.get() == "grüß".encode()
            websocket.close(1000, "bye")
            assert await inbox.closed == Closed(1000, "bye", "us")

    run(test, loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_both_sides_speak_tls(loop_factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def test() -> None:
        server, port = await serve_echo(context=serving)
        url = f"wss://127.0.0.1:{port}/"
        inbox = Inbox()
        websocket = await connect(
            url, headers={}, limits=LIMITS, endpoint_factory=lambda _: inbox, ssl_context=trusting
        )
        websocket.send(b"secret")
        assert await inbox.queue.get() == b"secret"
        websocket.close()
        assert await inbox.closed == Closed(1000, "", "us")
        with pytest.raises(ConnectFailed):
            await connect(url, headers={}, limits=LIMITS, endpoint_factory=lambda _: Listener())
        server.close()

    run(test, loop_factory)


def self_signed(directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "loopback.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_connecting_fails_in_one_way_only(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def attempt(url: str, headers: dict[str, str] | None = None, limits: Limits = LIMITS) -> ConnectFailed:
        with pytest.raises(ConnectFailed) as failed:
            await connect(url, headers=headers or {}, limits=limits, endpoint_factory=lambda _: Listener())
        return failed.value

    async def test() -> None:
        server, port = await serve_echo()
        assert (await attempt(f"ws://127.0.0.1:{port}/healthz")).status == 200
        assert (await attempt(f"http://127.0.0.1:{port}/")).status is None
        assert (await attempt("ws://127.0.0.1:notaport/")).status is None
        assert (await attempt(f"wss://127.0.0.1:{port}/")).status is None
        failure = await attempt(f"ws://127.0.0.1:{port}/", headers={"Authorization": "Bearer sk-canary\n"})
        assert "canary" not in str(failure)
        server.close()
        await server.wait_closed()
        assert (await attempt(f"ws://127.0.0.1:{port}/")).status is None
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"ws://127.0.0.1:{silent.getsockname()[1]}/"
            assert (await attempt(url, limits=Limits(open_timeout=0.05))).reason == "no answer in time"

    run(test, loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_cancelled_connect_leaves_no_connection(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def test() -> None:
        arrived, gone = asyncio.Event(), asyncio.Event()

        async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            arrived.set()
            assert await reader.read() == b""
            writer.close()
            gone.set()

        server = await asyncio.start_server(stall, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        task = asyncio.create_task(connect(url, headers={}, limits=LIMITS, endpoint_factory=lambda _: Listener()))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()
        server.close()

    run(test, loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_S24_no_proxy_is_used(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def test() -> None:
        server, port = await serve_echo()
        inbox = Inbox()
        websocket = await connect(
            f"ws://127.0.0.1:{port}/", headers={}, limits=LIMITS, endpoint_factory=lambda _: inbox
        )
        websocket.abort()
        assert (await inbox.closed).reason == "aborted"
        server.close()

    run(test, loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_an_endpoint_that_cannot_be_made_fails_the_attempt(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    def refuse(_: ClientWebSocket) -> Endpoint:
        raise LookupError

    async def test() -> None:
        reported: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        server, port = await serve_echo()
        with pytest.raises(ConnectFailed):
            await connect(f"ws://127.0.0.1:{port}/", headers={}, limits=LIMITS, endpoint_factory=refuse)
        assert [type(context["exception"]) for context in reported] == [LookupError]
        server.close()

    run(test, loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_S19_after_raw_socket_abuse_the_server_still_serves(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    dice = random.Random(19)
    handshake = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    frames = [Frame(opcode, b"payload", fin).serialize(mask=True) for opcode in Opcode for fin in (True, opcode >= 8)]

    async def abuse(port: int) -> None:
        stream = bytearray(handshake + b"".join(dice.choices(frames, k=6)))
        for _ in range(dice.randint(0, 3)):
            stream[dice.randrange(dice.choice([1, len(handshake)]), len(stream))] = dice.randrange(256)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        cut = dice.randrange(len(stream))
        try:
            writer.write(stream[:cut])
            await writer.drain()
            writer.write(stream[cut:])
            if dice.random() < 0.5:
                writer.transport.abort()
            else:
                writer.write_eof()
                await reader.read()
        except ConnectionError:
            pass  # the server may rightly hang up first
        writer.close()

    async def test() -> None:
        server, port = await serve_echo()
        tasks = len(asyncio.all_tasks())
        for _ in range(20):
            await asyncio.gather(*(abuse(port) for _ in range(25)))
        assert len(asyncio.all_tasks()) == tasks
        async with library_connect(f"ws://127.0.0.1:{port}/") as client:
            await client.send("still serving")
            assert await client.recv() == "still serving"
        server.close()

    run(test, loop_factory)


async def accepted_as_it_is_given_up() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        connecting = asyncio.create_task(
            connect(url, headers={}, limits=LIMITS, endpoint_factory=lambda _websocket: Inbox())
        )
        peer, _ = await loop.sock_accept(listener)
        protocol = ServerProtocol()
        protocol.receive_data(await loop.sock_recv(peer, 65536))
        (request,) = protocol.events_received()
        assert isinstance(request, websockets.Request)
        protocol.send_response(protocol.accept(request))
        peer.send(b"".join(protocol.data_to_send()))
        loop.call_soon(connecting.cancel)  # in the same turn of the loop, before the answer is read
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await asyncio.sleep(0)
        peer.close()


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_R9_a_call_that_ends_as_the_server_accepts_raises_nothing_in_the_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    run(accepted_as_it_is_given_up, loop_factory)
