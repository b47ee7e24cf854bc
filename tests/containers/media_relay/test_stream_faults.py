"""Twilio's side of the stream fails, through a proxy with real sockets: all is given back, and nothing is doubled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from containers.media_relay import relay
from contracts import events
from contracts.events import Event
from contracts.transfer import Reason
from simulators.faults import CLEAR, FaultProxy, Impairment
from tests.containers.media_relay.house import GUARD, House, Phone, house
from tests.containers.media_relay.worlds import audio

DROPS = 1000
ABREAST = 20


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[House, FaultProxy]]:
    """A house whose telephones call through a fault proxy."""
    async with house() as home, FaultProxy("127.0.0.1", home.port) as proxy:
        home.port = proxy.port
        yield home, proxy


def sockets() -> int:
    """How many sockets this process has open."""
    found = 0
    for one in Path("/proc/self/fd").iterdir():
        try:
            found += one.readlink().name.startswith("socket:")
        except OSError:  # the one that lists them
            continue
    return found


async def drop(home: House, stage: int) -> None:
    """A call whose socket is reset at this stage of it."""
    call_sid, path = home.offer()
    async with FaultProxy("127.0.0.1", home.port) as line:
        own = House(line.port, home.server, home.ledger, home.model, home.queue)
        socket = await own.dial(path)
        phone = Phone(socket, call_sid)
        if stage >= 1:
            await phone.start()
        if stage >= 2:
            await phone.hear("media")
        if stage >= 3:
            await phone.speak()
        if stage >= 4:
            await phone.send("stop", stop={})
        line.reset()
        await phone.closed()
        socket.transport.abort()


# ---- R9: the socket drops --------------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
async def test_R9_of_a_thousand_calls_that_drop_at_any_stage_nothing_is_left_and_nobody_is_asked_for() -> None:
    chance = random.Random(9)
    async with house() as home:
        await drop(home, 3)  # what is made once, is made
        await home.empty()
        await _hung_up(home)
        tasks, open_sockets = len(asyncio.all_tasks()), sockets()
        for _ in range(DROPS // ABREAST):
            await asyncio.gather(*(drop(home, chance.randrange(5)) for _ in range(ABREAST)))
        await home.empty()
        await _hung_up(home)
        assert len(asyncio.all_tasks()) <= tasks
        assert sockets() <= open_sockets
        assert home.server.live_calls == 0
        assert len(home.of(events.MEDIA_ACCEPTED)) == DROPS + 1, "the control: each of them was a call"
        assert not home.queue.sent
        assert not home.of(events.HANDOFF_ASKED)
        assert not home.of(events.EFFECT_FAILED)


async def _hung_up(home: House) -> None:
    """Every socket to the model is closed, and what was waiting for that has gone on."""
    async with asyncio.timeout(GUARD):
        for connection in home.model.connections:
            await connection.wait_closed()
    for _ in range(10):  # a transport is gone a few turns of the loop after its protocol
        await asyncio.sleep(0)


async def test_R9_a_request_that_was_made_before_the_drop_is_queued_once() -> None:
    async with proxied() as (home, proxy):
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            await phone.send("dtmf", dtmf={"digit": "0"})
            await home.logged(events.HANDOFF_ASKED)
            proxy.reset()
            await phone.closed()
        await home.empty()
        assert [one["reason"] for one in home.queue.sent] == [Reason.CALLER_PRESSED_KEY]


# ---- R12: Twilio reads slowly ----------------------------------------------------------------------------------------


async def test_R12_a_stream_that_is_not_read_costs_a_bounded_buffer_and_then_its_call() -> None:
    async with proxied() as (home, proxy):
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            (live,) = home.server._calls
            stream = live._stream
            assert stream
            proxy.impair(downstream=Impairment(rate=1000))
            most, said = 0, 0
            where: dict[str, Any] = {
                "response_id": "resp_long",
                "item_id": "item_long",
                "output_index": 0,
                "content_index": 0,
            }
            await home.model.say("response.created", response={"id": "resp_long", "status": "in_progress"})
            while not home.of(events.STREAM_ENDED):
                await home.model.say("response.output_audio.delta", **where, delta=audio(48_000))
                most, said = max(most, stream.buffered), said + 64_000
                assert said < 64 * 2**20, "nothing bounds what waits for Twilio"
            assert home.of(events.STREAM_ENDED)[0]["why"] == "peer does not read"
            assert most <= stream._limits.max_buffer + 64_000
            assert stream._limits.max_buffer <= 2 * 2**20, "two MiB a call"
            proxy.impair(downstream=CLEAR)
            proxy.reset()
        await home.empty()
        assert home.server.live_calls == 0


async def test_R12_a_slow_stream_that_keeps_up_loses_nothing() -> None:
    async with proxied() as (home, proxy):
        proxy.impair(downstream=Impairment(rate=200_000, latency=0.02))
        home.model.spoken = 40_000
        async with home.phone() as phone:
            await phone.start()
            assert (await phone.hear("media"))["media"]["payload"] == audio(40_000)
            await phone.hear("mark")
        await home.empty()
        assert home.of(events.STREAM_ENDED)[0]["by"] == "twilio"


# ---- R28: nothing before `start` -------------------------------------------------------------------------------------


# A refusal before `start` cannot be: the model is asked for by it (S22).
@pytest.mark.parametrize(
    "order", [("key", "start", "refusal"), ("start", "key", "refusal"), ("start", "refusal", "key")], ids="-".join
)
async def test_R28_whatever_is_asked_before_the_stream_is_up_waits_for_it(
    order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.0)
    async with house() as home:
        home.model.refuse = HTTPStatus.UNAUTHORIZED
        home.model.answers.clear()
        async with home.phone() as phone:
            for step in order:
                if step == "key":
                    await phone.send("dtmf", dtmf={"digit": "0"})
                elif step == "start":
                    assert not home.queue.sent, "a call whose stream is not up cannot be updated"
                    assert not home.of(events.HANDOFF_ASKED)
                    await phone.start()
                    await home.logged(events.STREAM_STARTED)
                else:
                    home.model.answers.set()
                    await _either(home, events.MODEL_FAILED, events.HANDOFF_ASKED)  # who left needs no model
            await home.logged(events.HANDOFF_QUEUED)
        await home.empty()
        names = [line["event"] for line in home.lines]
        assert names.index(events.STREAM_STARTED.name) < names.index(events.HANDOFF_ASKED.name)
        assert len(home.queue.sent) == 1


async def _either(home: House, *wanted: Event) -> None:
    waits = [asyncio.create_task(home.logged(event)) for event in wanted]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for one in waits:
        one.cancel()


async def _asked_for(home: House, call_sid: str) -> None:
    """Wait for the call's request; on a slow machine our own line is heard before it."""
    async with asyncio.timeout(GUARD):
        while all(one["call_sid"] != call_sid for one in home.queue.sent):
            home.changed.clear()
            await home.changed.wait()


async def test_R28_in_a_race_of_start_key_and_a_failing_model_the_stream_is_always_up_first() -> None:
    chance = random.Random(28)
    async with house() as home:
        home.model.refuse = HTTPStatus.UNAUTHORIZED

        async def race() -> None:
            async with home.phone() as phone:
                steps = [
                    phone.start(),
                    phone.send("dtmf", dtmf={"digit": "0"}),
                    phone.send("dtmf", dtmf={"digit": "0"}),
                ]
                chance.shuffle(steps)
                try:
                    await asyncio.gather(*steps)
                    await _asked_for(home, phone.call_sid)
                except ConnectionClosed:
                    pass

        for _ in range(15):
            await asyncio.gather(*(race() for _ in range(20)))
        await home.empty()
        asked = [one["call_sid"] for one in home.queue.sent]
        assert len(asked) == len(set(asked)) == 300
        for call_sid in asked:
            about = [line["event"] for line in home.lines if line["call_sid"] == call_sid]
            assert about.index(events.STREAM_STARTED.name) < about.index(events.HANDOFF_QUEUED.name)
