"""What opens a model's socket, which costs money, and that it ends with its call; with real sockets."""

from __future__ import annotations

import asyncio
import random
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from containers.media_relay import ringback
from containers.media_relay.agent import END_TOOL
from containers.media_relay.silence import PATIENCE, Turn
from contracts import events, stream
from tests.containers.media_relay.house import GUARD, House, Phone, house, sign
from tests.containers.media_relay.test_server import signed

HALF_PROVED = 10_000


@pytest.mark.timeout(240)
async def test_S22_of_ten_thousand_handshakes_with_one_proof_of_two_none_opens_a_models_socket() -> None:
    chance = random.Random(22)
    async with house() as home:
        offers = [home.offer() for _ in range(40)]
        _, spent = home.offer()
        await (await home.dial(spent)).close()

        def half(path: str) -> bytes:
            kind = chance.randrange(3)
            if kind == 0:  # the token is right and the signature is not
                return signed(path, sign(path, f"token {chance.random()}"))
            if kind == 1:
                return signed(spent)
            proof = stream.mint(f"CA{chance.getrandbits(128):032x}", 1, "n", f"key {chance.random()}")
            return signed(stream.MEDIA_PATH + proof)  # the other way round

        async def knock(path: str) -> set[int]:
            return {await home.ask(half(path)) for _ in range(HALF_PROVED // len(offers))}

        assert set[int]().union(*await asyncio.gather(*(knock(path) for _, path in offers))) == {403}
        await home.empty()
        assert not home.model.headers
        for call_sid, path in offers:  # the control: each of them opens one with both proofs and its `start`
            async with home.dial(path) as ws:
                phone = Phone(ws, call_sid)
                await phone.start()
                await phone.hear("media")
        await home.empty()
        assert len(home.model.headers) == len(offers)


async def crowd(home: House, ways: Sequence[Callable[[House, Phone], Any]], calls: int) -> None:
    """So many calls, each to its end, in all the ways."""

    async def call(way: Callable[[House, Phone], Any]) -> None:
        async with home.phone() as phone:
            await way(home, phone)
            await phone.closed()

    for _ in range(calls // 100):
        await asyncio.gather(*(call(ways[place % len(ways)]) for place in range(100)))
    await home.empty()


async def says_nothing(_: House, phone: Phone) -> None:
    await phone.closed()


async def speaks(_: House, phone: Phone) -> None:
    await phone.speak()
    await phone.send("dtmf", dtmf={"digit": "0"})
    await phone.closed()


async def stops(_: House, phone: Phone) -> None:
    await phone.send("stop", stop={})


async def vanishes(_: House, phone: Phone) -> None:
    phone.socket.transport.abort()


async def starts_for_another(home: House, phone: Phone) -> None:
    strangers = {"callSid": "CA" + "9" * 32}, {"accountSid": "AC" + "9" * 32}, {"customParameters": {"call_sid": "x"}}
    await phone.start(**strangers[len(home.lines) % len(strangers)])


@pytest.mark.timeout(240)
async def test_S22_of_five_hundred_streams_with_both_proofs_and_no_start_of_theirs_none_opens_a_models_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with house() as home:
        async with home.phone(), home.phone() as phone:  # the control, and one before it that has not started
            await phone.start()
            await home.model.told("session.update")
            assert len(home.model.headers) == 1
        monkeypatch.setitem(PATIENCE, Turn.START, 0.1)
        await crowd(home, (says_nothing, speaks, stops, vanishes, starts_for_another), 500)
        assert len(home.of(events.MEDIA_ACCEPTED)) == 502, "each of them had both proofs"
        assert len(home.model.headers) == 1


async def breaks_the_protocol(_: House, phone: Phone) -> None:
    await phone.start()
    await phone.socket.send(b"\x00 binary")


async def closes_while_the_model_is_called(_: House, phone: Phone) -> None:
    await phone.start()
    await phone.socket.close()


async def vanishes_while_the_model_is_called(home: House, phone: Phone) -> None:
    await phone.start()
    await vanishes(home, phone)


async def greeted(home: House, phone: Phone) -> ServerConnection:
    """The model's end of the call, by the greeting: each has one of another length."""
    await phone.start()
    payload = ringback.payload()
    while payload == ringback.payload():  # a machine that stands still for a second lets the caller hear the line ring
        payload = (await phone.hear("media"))["media"]["payload"]
    return home.model.connections[(len(b64decode(payload)) - home.model.spoken) // 8]


async def hangs_up(home: House, phone: Phone) -> None:
    await greeted(home, phone)
    await stops(home, phone)


async def goes_to_a_person(home: House, phone: Phone) -> None:
    await greeted(home, phone)
    await phone.send("dtmf", dtmf={"digit": "0"})
    await stops(home, phone)


async def loses_the_agent(home: House, phone: Phone) -> None:
    await (await greeted(home, phone)).close()
    await stops(home, phone)


async def is_told_goodbye(home: House, phone: Phone) -> None:
    agent = await greeted(home, phone)
    call = {"call_id": "call_1", "name": END_TOOL, "arguments": '{"reason": "done"}'}
    await home.model.say("response.function_call_arguments.done", agent, response_id="r", item_id="i", **call)
    assert await phone.closed() == (1000, "agent_ended")


@pytest.mark.timeout(240)
async def test_S22_after_a_thousand_calls_however_they_ended_no_models_socket_is_left() -> None:
    early = breaks_the_protocol, closes_while_the_model_is_called, vanishes_while_the_model_is_called
    async with house() as home:
        await crowd(home, (*early, hangs_up, goes_to_a_person, loses_the_agent, is_told_goodbye), 1000)
        async with asyncio.timeout(GUARD):
            for connection in home.model.connections:
                await connection.wait_closed()
        assert len(home.of(events.STREAM_STARTED)) == 1000
        assert len(home.model.connections) > 500, "the control: there were sockets to be left"
