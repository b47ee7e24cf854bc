from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulators import audio
from simulators.model import Close, Faults, Mind, Model, Occasion, Prompt, Say, ScriptedMind, Stall, Terms, Turn
from simulators.voices import Voice, speak
from tests.simulators.model_peers import TELEPHONE, conforms

Event = dict[str, Any]
KEY = {"Authorization": "Bearer sk-test"}
GREETING = Turn((Say("Hello"),), on=Occasion.GREETING)
FAST = Terms(pace=50.0)


@asynccontextmanager
async def running(mind: Callable[[], Mind] = ScriptedMind, **options: Any) -> AsyncIterator[Model]:
    model = Model(mind, **{"api_key": "sk-test", "terms": FAST, **options})
    await model.start()
    try:
        yield model
    finally:
        await model.stop()


def calling(model: Model, query: str = "?model=gpt-realtime-2.1", headers: dict[str, str] | None = None) -> connect:
    return connect(model.url + query, additional_headers=KEY if headers is None else headers, compression=None)


async def receive(socket: ClientConnection) -> Event:
    async with asyncio.timeout(10):
        event: Event = json.loads(await socket.recv())
    conforms(event)
    return event


async def until(socket: ClientConnection, kind: str) -> Event:
    while (event := await receive(socket))["type"] != kind:
        pass
    return event


async def send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Close code and reason, after whatever still came."""
    async with asyncio.timeout(10):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code or 0, socket.close_reason or ""


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?model=gpt-realtime-2.1", {}, 401),
        ("?model=gpt-realtime-2.1", {"Authorization": "Basic c2stdGVzdA=="}, 401),
        ("?model=gpt-realtime-2.1", {"Authorization": "Bearer sk-other"}, 401),
        ("", KEY, 400),
        ("?model=", KEY, 400),
        ("?model=gpt-4o-realtime-preview-2024-12-17", KEY, 404),
        ("/sessions?model=gpt-realtime-2.1", KEY, 404),
    ],
)
async def test_a_handshake_without_key_or_model_is_refused(query: str, headers: dict[str, str], status: int) -> None:
    async with running() as model:
        with pytest.raises(InvalidStatus) as refused:
            await calling(model, query, headers)
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body or b"")["error"]["message"]
        assert model.refused == [status]
        assert model.sessions == []
        async with calling(model) as socket:  # positive control
            assert (await receive(socket))["type"] == "session.created"


async def test_the_beta_header_ends_the_session_after_the_upgrade() -> None:
    async with running() as model, calling(model, headers={**KEY, "OpenAI-Beta": "realtime=v1"}) as socket:
        error = await receive(socket)
        assert error["error"]["code"] == "beta_api_shape_disabled"
        assert (await closed(socket))[0] == 4000


async def test_a_call_is_remembered_whole() -> None:
    script = [GREETING, Turn((Say("One moment."),), on=Occasion.SPEECH, heard="a person")]
    line = audio.silence(300) + speak("I want to speak to a human.", Voice.CALLER) + audio.silence(800)
    async with running(lambda: ScriptedMind(script)) as model:
        async with calling(model, headers={**KEY, "OpenAI-Safety-Identifier": "hash"}) as socket:
            await send(socket, "session.update", session=TELEPHONE)
            await send(socket, "response.create")
            await until(socket, "response.done")
            await socket.send("not json")
            assert (await until(socket, "error"))["error"]["code"] == "invalid_event"
            for start in range(0, len(line), 160):
                frame = base64.b64encode(line[start : start + 160]).decode()
                await send(socket, "input_audio_buffer.append", audio=frame)
            done = await until(socket, "response.done")
        (record,) = model.sessions
        await model.until(lambda: record.close_code is not None)
    assert done["response"]["output"][0]["content"][0]["transcript"] == "One moment."
    assert record.model == "gpt-realtime-2.1"
    assert record.headers["openai-safety-identifier"] == "hash"
    assert bytes(record.audio) == line
    assert record.received[2] == {"type": None, "raw": "not json"}
    assert [event["type"] for event in record.of_type("session.updated")] == ["session.updated"]
    assert record.violations == []
    assert record.close_code == 1000


async def test_a_binary_message_is_an_error_and_no_more() -> None:
    async with running() as model, calling(model) as socket:
        await socket.send(b"{}")
        assert (await until(socket, "error"))["error"]["code"] == "invalid_event"
        await send(socket, "session.update", session=TELEPHONE)
        await until(socket, "session.updated")


async def test_a_session_that_is_too_old_is_closed() -> None:
    async with running(terms=Terms(lifetime=0.05)) as model, calling(model) as socket:
        assert (await until(socket, "error"))["error"]["code"] == "session_expired"
        code, reason = await closed(socket)
        assert code == 1001
        assert reason.startswith("Your session hit the maximum duration")


@pytest.mark.parametrize("code", [1011, 1006])
async def test_a_script_may_close_or_cut_the_connection(code: int) -> None:
    turn = Turn((Say("Hel", until_ms=100), Close(code, "bye" if code != 1006 else "")))
    async with running(lambda: ScriptedMind([turn])) as model, calling(model) as socket:
        await send(socket, "response.create")
        assert (await closed(socket))[0] == code


async def test_a_connection_may_be_refused_and_the_next_one_accepted() -> None:
    def faults(number: int) -> Faults:
        return Faults(refuse_status=503) if number == 0 else Faults()

    async with running(faults=faults) as model:
        with pytest.raises(InvalidStatus):
            await calling(model)
        async with calling(model) as socket:
            await receive(socket)
        assert model.refused == [503]


async def test_a_connection_may_be_slow_to_accept() -> None:
    async with running(faults=Faults(accept_after=0.2)) as model:
        began = time.monotonic()
        async with calling(model) as socket:
            await receive(socket)
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("after", [0, 1, 4])
async def test_a_connection_may_close_after_so_many_events(after: int) -> None:
    async with running(faults=Faults(close_after=after, close_code=1011)) as model, calling(model) as socket:
        with suppress(ConnectionClosed):
            await send(socket, "response.create")
        assert (await closed(socket))[0] == 1011
        (record,) = model.sessions
        await model.until(lambda: record.close_code is not None)
        assert len(record.sent) == after


async def test_a_connection_may_read_slowly() -> None:
    async with running(faults=Faults(read_pause=0.05)) as model, calling(model) as socket:
        began = time.monotonic()
        for _ in range(5):
            await send(socket, "input_audio_buffer.clear")
        for _ in range(5):
            await until(socket, "input_audio_buffer.cleared")
        assert time.monotonic() - began >= 0.2


class Broken(ScriptedMind):
    def answer(self, prompt: Prompt) -> Turn:
        raise ZeroDivisionError


async def test_a_mind_that_breaks_ends_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Broken) as model, calling(model) as socket:
        await send(socket, "response.create")
        assert (await closed(socket))[0] == 1011
    assert "ZeroDivisionError" in caplog.text


async def test_stopping_closes_every_connection_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with running(lambda: ScriptedMind([Turn((Stall(),))])) as model:
        sockets = [await calling(model) for _ in range(5)]
        for socket in sockets:
            await send(socket, "response.create")
            await until(socket, "response.created")
        await model.stop()
        assert [await closed(socket) for socket in sockets] == [(1001, "")] * 5
    for socket in sockets:
        await socket.close()
    assert asyncio.all_tasks() <= before


async def test_waiting_in_vain_is_told() -> None:
    async with running() as model:
        with pytest.raises(TimeoutError):
            await model.until(lambda: model.sessions, timeout=0.01)


async def test_twenty_calls_at_once_each_get_their_answer() -> None:
    script = [Turn((Say("One moment."),), on=Occasion.SPEECH)]
    line = audio.silence(200) + speak("I want to speak to a human.", Voice.CALLER) + audio.silence(800)
    frames = [base64.b64encode(line[start : start + 160]).decode() for start in range(0, len(line), 160)]

    async def call(model: Model) -> str:
        async with calling(model) as socket:
            await send(socket, "session.update", session=TELEPHONE)
            for frame in frames:
                await send(socket, "input_audio_buffer.append", audio=frame)
            done = await until(socket, "response.done")
            return str(done["response"]["output"][0]["content"][0]["transcript"])

    async with running(lambda: ScriptedMind(script)) as model:
        assert await asyncio.gather(*(call(model) for _ in range(20))) == ["One moment."] * 20


async def program(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.model", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
async def test_it_is_a_program_of_its_own(end: signal.Signals) -> None:
    async with asyncio.timeout(60):
        process = await program("--port", "0", "--mind", "scripted", "--say", "Good morning.", "--pace", "50")
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        async with connect(f"{ready['url']}?model=m", additional_headers=KEY) as socket:
            await send(socket, "response.create")
            done = await until(socket, "response.done")
            assert done["response"]["output"][0]["content"][0]["transcript"] == "Good morning."
            process.send_signal(end)
            assert (await closed(socket))[0] == 1001
        out, err = await process.communicate()
        assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_taken_port_is_named_in_one_line() -> None:
    async with running() as model, asyncio.timeout(60):
        process = await program("--port", str(model.port))
        _, err = await process.communicate()
        assert process.returncode == 2
        assert str(model.port) in err.decode()
        assert err.decode().count("\n") == 1
