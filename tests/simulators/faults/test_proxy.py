"""The proxy between a client and an echoing server, with real sockets: what each of them sees of a fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from simulators.faults import CLEAR, Ending, FaultProxy, Impairment

GUARD = 10.0
BOTH = 2**20


class Echo:
    """A server that says everything back, and remembers what it got and how each connection ended."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.ended: asyncio.Queue[type[BaseException] | None] = asyncio.Queue()
        self.accepted = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        error: type[BaseException] | None = None
        try:
            while said := await reader.read(65536):
                self.got += said
                writer.write(said)
                await writer.drain()
        except ConnectionError as raised:
            error = type(raised)
        self.ended.put_nowait(error)
        writer.close()


@asynccontextmanager
async def between() -> AsyncIterator[tuple[Echo, FaultProxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.talk, "127.0.0.1", 0)
    async with asyncio.timeout(3 * GUARD), FaultProxy(*server.sockets[0].getsockname()) as proxy:
        yield echo, proxy
    server.close()


class Client:
    """A connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await asyncio.wait_for(self.reader.readexactly(len(text)), GUARD)

    async def ending(self) -> Ending:
        """What is left is read; how it ends."""
        try:
            await asyncio.wait_for(self.reader.read(), GUARD)
        except ConnectionError:
            return Ending.RESET
        return Ending.FINISH


@asynccontextmanager
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield Client(reader, writer)
    writer.close()


async def test_without_a_fault_everything_passes_both_ways_and_each_end_is_told() -> None:
    async with between() as (echo, proxy):
        await proxy.empty()
        async with client(proxy) as one:
            one.writer.write(b"x" * BOTH)
            assert await one.reader.readexactly(BOTH) == b"x" * BOTH
            one.writer.write_eof()
            assert await one.ending() is Ending.FINISH
            assert await echo.ended.get() is None
        assert len(echo.got) == BOTH
        await proxy.empty()
        assert not proxy.connections


async def test_a_reset_and_a_finish_of_the_proxy_reach_both_ends() -> None:
    async with between() as (echo, proxy):
        for act, ending, error in (
            (proxy.reset, Ending.RESET, ConnectionResetError),
            (proxy.finish, Ending.FINISH, None),
        ):
            async with client(proxy) as one:
                assert await one.ask(b"hello") == b"hello"
                act()
                assert await one.ending() is ending
                assert await echo.ended.get() is error


async def test_a_reset_of_one_end_reaches_the_other() -> None:
    async with between() as (echo, proxy), client(proxy) as one:
        await one.ask(b"hello")
        async with FaultProxy("127.0.0.1", proxy.port) as nearer, client(nearer) as two:
            await two.ask(b"hello")
            nearer.reset()
            assert await echo.ended.get() is ConnectionResetError
        assert await one.ask(b"still here") == b"still here"


async def test_one_connection_may_fail_alone() -> None:
    async with between() as (_, proxy), client(proxy) as one, client(proxy) as two:
        await one.ask(b"a")
        await two.ask(b"b")
        proxy.connections[0].reset()
        assert await one.ending() is Ending.RESET
        assert await two.ask(b"c") == b"c"


async def test_a_black_hole_swallows_words_and_ends_until_it_is_healed() -> None:
    async with between() as (echo, proxy), client(proxy) as one, client(proxy) as witness:
        await one.ask(b"before")
        await witness.ask(b"w")
        lost = proxy.connections[0]
        lost.impair(upstream=Impairment(black_hole=True), downstream=Impairment(black_hole=True))
        one.writer.write(b"into the dark")
        one.writer.write_eof()
        for _ in range(20):  # while others are heard, nothing of it is
            await witness.ask(b"w")
        assert b"dark" not in echo.got
        assert echo.ended.empty()
        lost.impair(upstream=CLEAR, downstream=CLEAR)
        assert await one.reader.readexactly(13) == b"into the dark"
        assert await echo.ended.get() is None


async def test_a_black_hole_one_way_lets_the_other_way_pass() -> None:
    async with between() as (echo, proxy), client(proxy) as one, client(proxy) as witness:
        await one.ask(b"before")
        await witness.ask(b"w")
        proxy.connections[0].impair(downstream=Impairment(black_hole=True))
        one.writer.write(b"heard, not answered")
        async with asyncio.timeout(GUARD):
            while b"answered" not in echo.got:
                await witness.ask(b"w")
        answer = asyncio.create_task(one.reader.readexactly(19))
        await witness.ask(b"w")
        assert not answer.done()
        proxy.heal()
        assert await answer == b"heard, not answered"


async def test_a_sender_into_a_black_hole_fills_its_buffer_and_then_has_to_wait() -> None:
    async with between() as (echo, proxy), client(proxy) as one:
        await one.ask(b"before")
        proxy.black_hole()
        one.writer.write(b"x" * 64 * BOTH)
        draining = asyncio.create_task(one.writer.drain())
        async with client(proxy) as two:
            two.writer.write(b"y")
            await two.writer.drain()
        assert not draining.done()
        draining.cancel()
        assert echo.got == b"before"


async def test_a_cut_in_mid_message_leaves_exactly_so_many_octets() -> None:
    for by, ending in ((Ending.RESET, Ending.RESET), (Ending.FINISH, Ending.FINISH)):
        async with between() as (echo, proxy):
            proxy.impair(upstream=Impairment(cut_after=7, cut_by=by))
            async with client(proxy) as one:
                one.writer.write(b"hello, world")
                assert await one.ending() is ending
                await echo.ended.get()
            assert echo.got[:7] == b"hello, "[: len(echo.got)]
            assert len(echo.got) <= 7
            assert by is Ending.RESET or len(echo.got) == 7  # a reset may overtake what was not read yet


async def test_a_stalled_proxy_accepts_says_nothing_and_calls_nobody_until_it_is_healed() -> None:
    async with between() as (echo, proxy), client(proxy) as before:
        await before.ask(b"before")
        proxy.stall()
        async with client(proxy) as one:
            one.writer.write(b"anybody?")
            assert await before.ask(b"still here") == b"still here"
            assert (echo.accepted, len(proxy.connections)) == (1, 2)
            proxy.heal()
            assert await one.reader.readexactly(8) == b"anybody?"


async def test_a_client_that_reads_late_holds_up_the_server_and_loses_nothing() -> None:
    async with between() as (_, proxy), client(proxy) as one, client(proxy) as witness:
        await one.ask(b"before")
        one.writer.write(b"x" * 32 * BOTH)
        async with asyncio.timeout(GUARD):
            while proxy.connections[0]._client.writable:
                await witness.ask(b"w")
        assert await one.reader.readexactly(32 * BOTH) == b"x" * 32 * BOTH


async def test_a_client_that_stops_reading_is_cut_off_with_the_proxy() -> None:
    async with between() as (_, proxy), client(proxy) as one:
        await one.ask(b"before")
        one.writer.write(b"x" * 64 * BOTH)  # comes back, and nobody reads it
        await one.reader.readexactly(BOTH)
        proxy.finish()
        await proxy.stop()
        assert await one.ending() is Ending.RESET
        assert not proxy.connections


async def test_what_is_stalled_can_be_reset() -> None:
    async with between() as (echo, proxy), client(proxy) as before:
        await before.ask(b"before")
        proxy.stall()
        async with client(proxy) as one, client(proxy) as two:
            one.writer.write(b"anybody?")
            two.writer.write(b"anybody?")
            await before.ask(b"still here")
            assert len(proxy.connections) == 3
            proxy.reset()
            assert [await one.ending(), await two.ending()] == [Ending.RESET] * 2
            await proxy.empty()
        assert echo.accepted == 1


async def test_latency_and_rate_keep_every_octet_and_its_order() -> None:
    text = bytes(range(256)) * 40
    async with between() as (_, proxy):
        proxy.impair(upstream=Impairment(latency=0.02), downstream=Impairment(rate=1e5))
        loop = asyncio.get_running_loop()
        async with client(proxy) as one:
            began = loop.time()
            assert await one.ask(text) == text
            assert loop.time() - began >= 0.02 + (len(text) - 2 * 2000) / 1e5


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    async with between() as (_, there):
        gone = there.port
    async with FaultProxy("127.0.0.1", gone) as proxy, client(proxy) as one:
        assert await one.ending() is Ending.RESET
        assert not proxy.connections


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with between() as (_, proxy):
        with pytest.raises(OSError, match="in use"):
            await FaultProxy("127.0.0.1", 1, listen=("127.0.0.1", proxy.port)).start()
