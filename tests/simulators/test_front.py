"""The front before several relays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from simulators.front import Front
from simulators.stack import free_port

GUARD = 10.0


class Relay:
    """Says whether it is ready, and answers all else with its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = True
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if b"/readyz" in line:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if self.ready else b"HTTP/1.1 503 No\r\n\r\n")
        else:
            writer.write(f"{self.name} got {line.decode()}".encode())
            await writer.drain()
            await reader.read()
        writer.close()


@asynccontextmanager
async def behind(*relays: Relay) -> AsyncIterator[tuple[Front, int]]:
    servers = [await asyncio.start_server(relay.serve, "127.0.0.1", 0) for relay in relays]
    for relay, server in zip(relays, servers, strict=True):
        relay.port = server.sockets[0].getsockname()[1]
    front, port = Front(relay.port for relay in relays), free_port(0, "")
    await front.start(port)
    yield front, port
    await front.stop()
    for server in servers:
        server.close()


async def ask(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    answer = await asyncio.wait_for(reader.readline(), GUARD)
    writer.close()
    return answer.decode().strip()


async def test_connections_go_to_relays_that_are_ready_in_turn_and_stay_where_they_are() -> None:
    one, two = Relay("one"), Relay("two")
    async with behind(one, two) as (_, port):
        assert {await ask(port), await ask(port)} == {"one got hello", "two got hello"}
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"first\n")
        held = (await asyncio.wait_for(reader.readline(), GUARD)).decode().split()[0]
        left = one if held == "one" else two
        left.ready = False
        assert {await ask(port) for _ in range(3)} == {f"{'two' if left is one else 'one'} got hello"}
        assert not reader.at_eof(), "a relay that is not ready keeps what it has"
        writer.close()


async def test_with_nobody_ready_a_connection_is_told_so() -> None:
    one = Relay("one")
    one.ready = False
    async with behind(one) as (_, port):
        assert (await ask(port)).startswith("HTTP/1.1 503")


async def test_an_end_is_passed_on() -> None:
    async with behind(Relay("one")) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        writer.write_eof()
        assert (await asyncio.wait_for(reader.read(), GUARD)).decode() == "one got hello\n"
        writer.close()
