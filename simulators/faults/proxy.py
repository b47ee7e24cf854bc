"""The proxy's sockets: what is read, what is written, and how an end is told. What passes when is `flow.py`'s.

A fault may be switched while connections live, for all of them or for one. A stalled proxy accepts and says nothing:
it does not even call the server, until it is told to go on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Self, cast

from simulators.faults.flow import CLEAR, NEVER, Ending, Flow, Impairment

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER for no time: close(2) sends RST, whatever is still buffered


class _End(asyncio.Protocol):
    """One socket of a connection. `on_open` and `say` tell the connection what happens there."""

    def __init__(self, on_open: Callable[[_End], None]) -> None:
        self._on_open = on_open
        self.say: Callable[[bytes | Ending], None] = lambda _piece: None
        self.flowing: Callable[[], None] = lambda: None
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self.writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        self.say(data)

    def eof_received(self) -> bool:
        self.say(Ending.FINISH)
        return True  # the other direction goes on

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if exc is not None:
            self.say(Ending.RESET)
        self.flowing()

    def pause_writing(self) -> None:
        self.writable = False  # only our own writing does this, and it looks here afterwards

    def resume_writing(self) -> None:
        self.writable = True
        self.flowing()

    def read(self, *, on: bool) -> None:
        """Let the socket be read, or not."""
        if self.transport and not self.closed and not self.transport.is_closing():
            (self.transport.resume_reading if on else self.transport.pause_reading)()

    def write(self, piece: bytes | Ending) -> None:
        """Say it to whoever is at this end."""
        if self.transport is None or self.closed:
            return
        if piece is Ending.RESET:
            self.reset()
        elif piece is Ending.FINISH:
            if not self.transport.is_closing():
                self.transport.write_eof()
        else:
            self.transport.write(piece)

    def reset(self) -> None:
        """RST, now."""
        if self.transport and not self.closed:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()

    def finish(self) -> None:
        """FIN, after what was written."""
        if self.transport and not self.closed:
            self.transport.close()


class _Direction:
    """From one end to the other, through a flow. `on_ending` hears of every end that comes out of it."""

    def __init__(self, source: _End, sink: _End, flow: Flow, on_ending: Callable[[Ending], None]) -> None:
        self.flow = flow
        self.over = False
        self._source = source
        self._sink = sink
        self._on_ending = on_ending
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        source.say = self._said

    def _said(self, piece: bytes | Ending) -> None:
        ready = self._sink.transport is not None and self._sink.writable
        if ready and isinstance(piece, bytes) and self.flow.passes(piece):
            self._sink.write(piece)
            if not self._sink.writable:
                self._source.read(on=False)
            return
        self.flow.receive(piece, self._loop.time())
        self.go_on()

    def go_on(self) -> None:
        """Let pass what may pass by now; nothing, until there is somebody at the other end."""
        self.stop()
        if self._sink.transport is None:
            return
        for piece in self.flow.due(self._loop.time()):
            self._sink.write(piece)
            if isinstance(piece, Ending):
                self.over = True
                self._on_ending(piece)
        if (at := self.flow.deadline) != NEVER:
            self._timer = self._loop.call_at(at, self.go_on)
        self._source.read(on=not self.flow.full and self._sink.writable)

    def stop(self) -> None:
        """Let nothing pass by itself any more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None


class Connection:
    """One client's connection and ours to the server behind it."""

    def __init__(self, client: _End, impairments: tuple[Impairment, Impairment], on_end: Callable[[], None]) -> None:
        self._client = client
        self._server = _End(lambda _end: self._open())
        self._on_end = on_end
        self._up = _Direction(client, self._server, Flow(impairments[0]), self._ending)
        self._down = _Direction(self._server, client, Flow(impairments[1]), self._ending)
        client.flowing = self._server.flowing = self._flow
        self._calling: asyncio.Task[None] | None = None

    def impair(self, *, upstream: Impairment | None = None, downstream: Impairment | None = None) -> None:
        """Exchange what is wrong with this connection; None leaves that direction as it is."""
        self._up.flow.impairment = upstream or self._up.flow.impairment
        self._down.flow.impairment = downstream or self._down.flow.impairment
        self._flow()

    def reset(self) -> None:
        """RST to both ends, now, also out of a black hole."""
        for end in (self._client, self._server):
            end.reset()
        self._give_up_calling()

    def finish(self) -> None:
        """FIN to both ends, after what was passed on so far."""
        for end in (self._client, self._server):
            end.finish()
        self._give_up_calling()

    def call(self, host: str, choose: Callable[[], Awaitable[int | None]]) -> None:
        """Call the server on the port that is chosen; its refusal, and that there is none, the client sees as RST."""

        async def calling() -> None:
            try:
                port = await choose() or 0
                await asyncio.get_running_loop().create_connection(lambda: self._server, host, port)
            except OSError:
                self.reset()

        if self._calling is None:
            self._calling = asyncio.create_task(calling())

    def _open(self) -> None:
        if self._client.closed:
            self._server.reset()
        self._flow()

    def _ending(self, ending: Ending) -> None:
        directions = (self._up, self._down)
        if ending is Ending.RESET:
            self.reset()
        elif any(one.flow.cut for one in directions) or all(one.over for one in directions):
            self.finish()

    def _flow(self) -> None:
        called = self._server.transport is not None
        for direction in (self._up, self._down) if called else ():
            direction.go_on()
        if self._client.closed and (self._server.closed or not called):
            for direction in (self._up, self._down):
                direction.stop()
            self._on_end()

    def _give_up_calling(self) -> None:
        if self._calling and self._calling is not asyncio.current_task():
            self._calling.cancel()


class FaultProxy:
    """Listens for clients and passes them on to one server: `async with FaultProxy(host, port) as proxy`.

    Args:
        host: the server's, and
        port: its port.
        listen: where to listen; port 0 takes a free one, which is then `port`.

    `choose` gives the server's port for each connection, and may be exchanged.
    """

    def __init__(self, host: str, port: int, *, listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._host = host
        self.choose: Callable[[], Awaitable[int | None]] = partial(_always, port)
        self._listen = listen
        self._impairments = (CLEAR, CLEAR)
        self._stalled = False
        self._listener: asyncio.Server | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.connections: list[Connection] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._listener, "the proxy is started first"
        return int(self._listener.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises OSError if that cannot be."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _End(self._accepted), *self._listen, backlog=1024)

    async def stop(self) -> None:
        """Listen no more, and reset what is left."""
        if self._listener:
            self._listener.close()
        self.reset()
        await asyncio.sleep(0)  # the transports are closed by the loop

    async def empty(self) -> None:
        """Wait until there is no connection."""
        await self._empty.wait()

    def impair(self, *, upstream: Impairment | None = None, downstream: Impairment | None = None) -> None:
        """Exchange what is wrong, for all connections and those to come; None leaves that direction as it is."""
        self._impairments = (upstream or self._impairments[0], downstream or self._impairments[1])
        for connection in list(self.connections):
            connection.impair(upstream=upstream, downstream=downstream)

    def black_hole(self) -> None:
        """Nothing passes any more, either way, and nobody is told."""
        self.impair(upstream=Impairment(black_hole=True), downstream=Impairment(black_hole=True))

    def stall(self) -> None:
        """Accept from now on, and say nothing."""
        self._stalled = True

    def heal(self) -> None:
        """Nothing is wrong any more; who was stalled is connected."""
        self._stalled = False
        self.impair(upstream=CLEAR, downstream=CLEAR)
        for connection in list(self.connections):
            connection.call(self._host, self.choose)

    def reset(self) -> None:
        """RST to both ends of every connection."""
        for connection in list(self.connections):
            connection.reset()

    def finish(self) -> None:
        """FIN to both ends of every connection."""
        for connection in list(self.connections):
            connection.finish()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _accepted(self, client: _End) -> None:
        def ended() -> None:
            self.connections.remove(connection)
            if not self.connections:
                self._empty.set()

        connection = Connection(client, self._impairments, ended)
        self.connections.append(connection)
        self._empty.clear()
        if not self._stalled:
            connection.call(self._host, self.choose)


async def _always(port: int) -> int | None:
    return port
