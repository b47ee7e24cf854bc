"""Crowds at the door, with real sockets: second streams, idle connections, half-proved ones, more calls than places."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from containers.media_relay import server as server_module
from containers.media_relay.silence import PATIENCE, Turn
from contracts import events
from tests.containers.media_relay.house import GUARD, ORIGIN, House, Phone, house
from tests.containers.media_relay.test_server import signed, upgrade
from tests.functions.line import Line

RACES = 1000
IDLE, MOST_SILENT = 2000, 1000
KIB = 1024


# ---- S7: one stream a call -------------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
async def test_S7_of_a_thousand_races_for_one_call_each_has_one_winner_and_the_loser_hears_nothing() -> None:
    async with house() as home:

        async def race() -> None:
            call_sid, path = home.offer()
            runners = await asyncio.gather(home.dial(path), home.dial(path), return_exceptions=True)
            (winner,) = [one for one in runners if isinstance(one, ClientConnection)]
            (loser,) = [one for one in runners if isinstance(one, InvalidStatus)]
            assert (loser.response.status_code, loser.response.body) == (403, b"")
            phone = Phone(winner, call_sid)
            await phone.start()
            await phone.hear("media")  # the winner is untouched
            await winner.close()

        for _ in range(RACES // 20):
            await asyncio.gather(*(race() for _ in range(20)))
        await home.empty()
        assert len(home.of(events.MEDIA_ACCEPTED)) == len(home.of(events.STREAM_STARTED)) == RACES
        assert len(home.model.headers) == RACES


# ---- S17: a flood of connections -------------------------------------------------------------------------------------


async def test_S17_two_thousand_idle_connections_cost_little_and_disturb_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patient = replace(server_module.STREAM_LIMITS, open_timeout=600.0)  # S16 shows that they are gone in time
    monkeypatch.setattr(server_module, "STREAM_LIMITS", patient)
    loop = asyncio.get_running_loop()
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        reached = Reached(home.server.connection)
        listener = await loop.create_server(reached, "127.0.0.1", 0)
        idle = [socket.socket() for _ in range(IDLE)]
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for one in idle:
                one.settimeout(0)
                await loop.sock_connect(one, listener.sockets[0].getsockname())
            await reached.all(IDLE)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert 0 < (after - before) / MOST_SILENT <= 15 * KIB
        for one in idle[: IDLE - MOST_SILENT]:  # the oldest are gone, so that whoever asks is let in
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(loop.sock_recv(one, 1), GUARD) == b""
        assert await home.ask(upgrade("/readyz")) == 200
        with pytest.raises(BlockingIOError):  # the control: the youngest was not cut
            idle[-1].recv(1)
        for times in range(1, 21):
            await phone.speak()
            await home.model.told("input_audio_buffer.append", times)
        assert await home.ask(upgrade("/readyz")) == 200, "what proves nothing takes no place"
        async with home.phone() as another:
            await another.start()
            await another.hear("media")
        for one in idle:
            one.close()
        listener.close()


class Reached:
    """Makes connections, and says when there are so many."""

    def __init__(self, make: Callable[[], asyncio.Protocol]) -> None:
        self._make = make
        self._made = 0
        self._one_more = asyncio.Event()

    def __call__(self) -> asyncio.Protocol:
        self._made += 1
        self._one_more.set()
        return self._make()

    async def all(self, number: int) -> None:
        async with asyncio.timeout(3 * GUARD):
            while self._made < number:
                self._one_more.clear()
                await self._one_more.wait()


# ---- R32: more calls than places -------------------------------------------------------------------------------------


def stream_of(document: ET.Element) -> tuple[str, str]:
    """The path of the stream that a document opens, and whom to ask when it has ended."""
    (connect,) = document.iter("Connect")
    (opened,) = connect.iter("Stream")
    return opened.attrib["url"].removeprefix(ORIGIN), connect.attrib["action"]


async def turned_away(home: House, line: Line, call_sid: str, document: ET.Element) -> list[list[str]]:
    """The verbs that a caller without a place goes through, document by document, as Twilio runs them."""
    verbs: list[list[str]] = []
    for _ in range(5):
        _, action = stream_of(document)
        document = line.ask(action, CallSid=call_sid)
        verbs.append([verb.tag for verb in document])
        if not list(document.iter("Connect")):
            break
        assert len(verbs) == 1, "another relay is tried once"
        path, _ = stream_of(document)
        assert await home.ask(signed(path)) == 503
    return verbs


async def test_R32_of_two_hundred_calls_at_once_a_hundred_are_served_and_the_others_ring_a_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # How soon all of it is done is the rush's question (benchmarks/RUSH.md); here a slow machine may take its time.
    monkeypatch.setattr(server_module, "STREAM_LIMITS", replace(server_module.STREAM_LIMITS, open_timeout=GUARD))
    monkeypatch.setitem(PATIENCE, Turn.START, GUARD)
    line = Line(PUBLIC_MEDIA_ORIGIN=ORIGIN)
    line.clock.now = 1000.0  # the house's
    callers = {f"CA{n:032x}": f"+1555010{n:04}" for n in range(200)}
    offered = {call_sid: line.incoming(CallSid=call_sid, From=caller) for call_sid, caller in callers.items()}
    async with house(max_calls=100, table=line.table) as home:
        decided: asyncio.Queue[str] = asyncio.Queue()
        leave = asyncio.Event()

        async def call(call_sid: str) -> None:
            try:
                async with home.dial(stream_of(offered[call_sid])[0]) as ws:
                    phone = Phone(ws, call_sid)
                    await phone.start()
                    await phone.hear("media")
                    decided.put_nowait("served")
                    await leave.wait()
            except InvalidStatus as refused:
                decided.put_nowait(f"{call_sid} {refused.response.status_code}")

        crowd = [asyncio.create_task(call(one)) for one in offered]
        outcomes = [await asyncio.wait_for(decided.get(), GUARD) for _ in offered]
        away = [one.removesuffix(" 503") for one in outcomes if one.endswith(" 503")]
        assert (outcomes.count("served"), len(away)) == (100, 100)
        for call_sid in away:
            first, *_, last = await turned_away(home, line, call_sid, offered[call_sid])
            assert first == ["Connect", "Redirect"], "another relay, without a word"
            assert "Dial" in last, "and then a person"
        leave.set()
        await asyncio.gather(*crowd)
        await home.empty()
        assert {one["why"] for one in home.of(events.MEDIA_REFUSED)} == {"full"}


async def test_R32_of_a_crowd_only_so_many_shake_hands_with_the_model_at_a_time_and_all_are_served() -> None:
    async with house(max_calls=10, at_once=3) as home:
        home.model.answers.clear()
        leave, heard = asyncio.Event(), asyncio.Queue[str]()

        async def call() -> None:
            _, path = home.offer()
            try:
                async with home.dial(path) as ws:
                    phone = Phone(ws, f"CA{int(path.split('/')[2][:32], 16):032x}")
                    await phone.start()
                    await phone.hear("media")
                    heard.put_nowait("agent")
                    await leave.wait()
            except InvalidStatus as refused:
                heard.put_nowait(str(refused.response.status_code))

        crowd = [asyncio.create_task(call()) for _ in range(20)]
        await home.logged(events.MEDIA_ACCEPTED, 10)
        assert [await asyncio.wait_for(heard.get(), GUARD) for _ in range(10)] == ["503"] * 10
        await home.logged(events.STREAM_STARTED, 10)
        await home.model.asked(3)
        assert len(home.model.headers) == 3, "the others wait for their turn"
        home.model.answers.set()
        assert [await asyncio.wait_for(heard.get(), GUARD) for _ in range(10)] == ["agent"] * 10
        await home.model.asked(10)
        leave.set()
        await asyncio.gather(*crowd)
        assert len(home.model.headers) == 10
