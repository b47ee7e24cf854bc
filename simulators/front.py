"""A front before several relays, as a load balancer stands before tasks.

It asks a relay's `/readyz` at each new connection, takes them in turn, and then passes octets on both ways: a
connection stays with the relay that it was given to, ready or not. The load balancer that is deployed asks `/healthz`
instead, every few seconds, and drops a relay that ECS is stopping: there a call can still be sent to a full or leaving
relay, which refuses it, and the webhook sends it on (`another relay`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from http import HTTPStatus

_ASK_SECONDS = 0.5
_NOBODY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_QUESTION = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class Front:
    """`behind`: the relays' ports on this machine, which may be changed while it runs."""

    def __init__(self, behind: Iterable[int]) -> None:
        self.behind = list(behind)
        self._turn = 0
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1.

        Raises:
            OSError: the port is taken.
        """
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=1024)

    async def stop(self) -> None:
        """Close everything, live connections too."""
        if self._server:
            self._server.close()
        for task in set(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_on(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            port = await self.ready()
            with contextlib.suppress(OSError):
                if port is None:
                    writer.write(_NOBODY)
                    await writer.drain()
                    return
                inner, outer = await asyncio.open_connection("127.0.0.1", port)
                with contextlib.closing(outer):
                    await asyncio.gather(_copy(reader, outer), _copy(inner, writer))

    async def ready(self) -> int | None:
        """The port of a relay that takes a call now; None if there is none."""
        self._turn += 1
        turn = self._turn % max(1, len(self.behind))
        for port in [*self.behind[turn:], *self.behind[:turn]]:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_ASK_SECONDS):
                    if await _status(port) == HTTPStatus.OK:
                        return port
        return None


async def _status(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        writer.write(_QUESTION)
        line = await reader.readline()
    return int(line.split()[1]) if line else 0


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until the source ends; the end is passed on as well."""
    while octets := await source.read(64 * 1024):
        sink.write(octets)
        await sink.drain()
    sink.write_eof()
