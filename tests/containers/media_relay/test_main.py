"""The relay as a process: how it starts, refuses to start, and leaves."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from containers.media_relay import __main__ as program
from containers.media_relay import gauge, keys
from containers.media_relay.effects import Stores
from contracts import events
from contracts.heartbeats import Heartbeats
from contracts.ledger import Ledger
from simulators.cloud.emulator import Emulator, Resources, Secrets, provision
from tests.containers.media_relay.ecs_agent import ecs_agent
from tests.containers.media_relay.house import AUTH_TOKEN, GUARD, OPENAI_KEY, ORIGIN, FakeModel, FakeQueue, House
from tests.containers.media_relay.worlds import ACCOUNT_SID

ROOT = Path(__file__).parents[3]
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def cloud() -> Iterator[tuple[str, Resources]]:
    emulator = Emulator()
    url = emulator.start()
    aws = boto3.Session("test", "test", region_name="us-east-1")
    secrets = Secrets(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, openai_api_key=OPENAI_KEY)
    yield url, provision(aws, url, secrets, prefix="relay")
    emulator.stop()


@pytest.fixture
def environ(cloud: tuple[str, Resources]) -> dict[str, str]:
    url, resources = cloud
    return AWS | {
        "AWS_ENDPOINT_URL": url,
        "PUBLIC_MEDIA_ORIGIN": ORIGIN,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN_SECRET": resources.auth_token_secret,
        "OPENAI_API_KEY_SECRET": resources.openai_secret,
        "LEDGER_TABLE": resources.ledger_table,
        "TRANSFER_QUEUE_URL": resources.queue_url,
        "AGENT_FILE": str(ROOT / "agent.yaml"),
        "RELAY_PORT": str(free_port()),
        "DRAIN_SECONDS": str(int(GUARD)),
        "OPENAI_REALTIME_URL": "ws://127.0.0.1:9/v1/realtime",
    }


class Process:
    """The relay's process, its lines, and the telephones that call it."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        self.lines: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.process: asyncio.subprocess.Process
        self.reading: asyncio.Task[None]

    async def start(self, model: FakeModel) -> House:
        inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
        environ = inherited | self.environ | {"OPENAI_REALTIME_URL": await model.listen()}
        command = [sys.executable, "-m", "containers.media_relay"]
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environ, stderr=pipe)
        self.reading = asyncio.create_task(self._read())
        await self.logged("relay.started")
        aws: Any = boto3.client("dynamodb", endpoint_url=environ["AWS_ENDPOINT_URL"], region_name="us-east-1")
        ledger = Ledger(aws, environ["LEDGER_TABLE"], time.time)
        house = House(int(environ["RELAY_PORT"]), None, ledger, model, FakeQueue())  # type: ignore[arg-type]
        house.calls = int(environ["RELAY_PORT"]) << 16  # the table is shared: call SIDs of our own
        return house

    async def _read(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            self.lines.append(json.loads(line))
            self.changed.set()

    async def logged(self, name: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                found = [line for line in self.lines if line["event"] == name]
                if found:
                    return found[0]
                self.changed.clear()
                await self.changed.wait()

    async def end(self) -> int:
        async with asyncio.timeout(GUARD):
            status = await self.process.wait()
            await self.reading
        return status


@pytest.fixture
def aws_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)


async def test_R14_sigterm_refuses_new_calls_lets_the_live_one_end_and_leaves_nothing(
    environ: dict[str, str], aws_environ: None
) -> None:
    model, relay = FakeModel(), Process(environ)
    home = await relay.start(model)
    get = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await home.ask(get) == 200
    async with home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        relay.process.send_signal(signal.SIGTERM)
        await relay.logged("relay.draining")
        assert await home.ask(get) == 503
        assert await home.ask(get.replace(b"readyz", b"healthz")) == 200
        await phone.speak()
        await model.told("input_audio_buffer.append")
    assert await relay.end() == 0
    assert [line["event"] for line in relay.lines][-1] == "relay.stopped"
    assert relay.lines[-1]["live_calls"] == 0
    assert "canary" not in json.dumps(relay.lines)
    assert {line["part"] for line in relay.lines} == {"relay"}
    with pytest.raises(ProcessLookupError):
        os.kill(relay.process.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", home.port)
    await model.stop()


async def test_R14_a_second_signal_sends_live_calls_on_at_once(environ: dict[str, str], aws_environ: None) -> None:
    model, relay = FakeModel(), Process(environ)
    home = await relay.start(model)
    async with home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        relay.process.send_signal(signal.SIGTERM)
        await relay.logged("relay.draining")
        relay.process.send_signal(signal.SIGINT)
        code, why = await phone.closed()
        assert (code, why.startswith("relay_draining")) == (1000, True)
    assert await relay.end() == 0
    row = home.ledger.read(phone.call_sid)
    assert row is not None
    assert row.stream.ended_reason == why
    await model.stop()


async def beaten_with(environ: dict[str, str], call_sid: str) -> None:
    """Wait until some relay has written that it has the call."""
    aws: Any = boto3.client("dynamodb", endpoint_url=environ["AWS_ENDPOINT_URL"], region_name="us-east-1")
    heartbeats = Heartbeats(aws, environ["LEDGER_TABLE"], time.time)

    def has() -> bool:
        beats = [beat for relay in heartbeats.listed() if (beat := heartbeats.read(relay))]
        return any(sid == call_sid for beat in beats for sid, _ in beat.calls)

    async with asyncio.timeout(GUARD):
        while not await asyncio.to_thread(has):
            pass


async def test_R16_a_relay_that_stands_still_loses_its_call_to_another_and_does_no_harm_when_it_wakes_up(
    environ: dict[str, str], aws_environ: None
) -> None:
    quick = environ | {"BEAT_MILLISECONDS": "400"}
    first, second = Process(quick), Process(quick | {"RELAY_PORT": str(free_port())})
    models = FakeModel(), FakeModel()
    home, _ = await asyncio.gather(first.start(models[0]), second.start(models[1]))
    async with home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        await beaten_with(environ, phone.call_sid)
        first.process.send_signal(signal.SIGSTOP)
        swept = await second.logged("call.swept")
        assert swept["call_sid"] == phone.call_sid
        first.process.send_signal(signal.SIGCONT)
        assert await phone.closed() == (1000, "superseded")
    row = home.ledger.read(phone.call_sid)
    assert row is not None
    assert row.open_transfer is not None
    assert (row.stream.ended_reason, row.open_transfer.request.request_id) == ("relay_silent", swept["request_id"])
    assert len([line for line in second.lines if line["event"] == "call.swept"]) == 1
    assert not [line for line in first.lines if line["event"].startswith("handoff")]
    for relay, model in zip((first, second), models, strict=True):
        relay.process.send_signal(signal.SIGTERM)
        assert await relay.end() == 0
        await model.stop()


async def test_R14_R31_a_task_of_ecs_is_protected_while_it_has_a_call_and_gives_it_back_before_it_leaves(
    environ: dict[str, str], aws_environ: None
) -> None:
    with ecs_agent() as agent:
        on_ecs = {"ECS_AGENT_URI": agent.endpoint.uri, "TASK_PROTECTION_MINUTES": "32"}
        model, relay = FakeModel(), Process(environ | on_ecs)
        home = await relay.start(model)
        assert not agent.asked
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            assert agent.asked == [{"ProtectionEnabled": True, "ExpiresInMinutes": 32}]
            relay.process.send_signal(signal.SIGTERM)
            await relay.logged("relay.draining")
            assert agent.protected
        assert await relay.end() == 0
        assert agent.asked[1:] == [{"ProtectionEnabled": False}]
        assert not [line for line in relay.lines if line["event"] == "effect.failed"]
        await model.stop()


# ---- in this process -------------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> int:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    try:
        return program.main()
    finally:
        gc.unfreeze()


def test_it_listens_until_it_is_told_and_reads_its_secrets_anew(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "REFRESH_SECONDS", 0.01)
    seen, again, log_event = threading.Event(), threading.Event(), program.log_event
    read, count = keys.read, [0]

    def reading(*arguments: Any) -> keys.Keys:
        count[0] += 1
        if count[0] == 2:
            raise keys.SecretUnusable("for a moment")
        if count[0] > 3:
            again.set()
        return read(*arguments)

    def logging(call_sid: str, event: events.Event, fields: dict[str, Any]) -> None:
        log_event(call_sid, event, fields)
        if event is events.RELAY_STARTED:
            seen.set()

    monkeypatch.setattr(keys, "read", reading)
    monkeypatch.setattr(program, "log_event", logging)
    answers: list[str] = []

    def outside() -> None:
        if seen.wait(GUARD) and again.wait(GUARD):
            with urllib.request.urlopen(f"http://127.0.0.1:{environ['RELAY_PORT']}/readyz") as answer:
                answers.append(answer.read().decode())
        os.kill(os.getpid(), signal.SIGTERM)

    driver = threading.Thread(target=outside)
    driver.start()
    status = run(monkeypatch, environ)
    driver.join()
    assert (status, answers) == (0, ["ready\n"])
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["relay.started", "effect.failed", "relay.draining", "relay.stopped"]
    assert lines[1]["effect"] == "secrets"


def test_R14_it_waits_for_what_ended_calls_still_tell_before_it_leaves(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log_event, stop = program.log_event, program._stop
    made, told = list[Stores](), list[str]()
    leaving = asyncio.Event()

    def making(*arguments: Any) -> Stores:
        made.append(Stores(*arguments))
        return made[0]

    async def last_word() -> None:
        await leaving.wait()
        for _ in range(100):  # turns of the loop: more than leaving takes
            await asyncio.sleep(0)
        told.append("told")

    async def stopping(background: list[asyncio.Task[None]]) -> None:
        await stop(background)
        leaving.set()

    def logging(call_sid: str, event: events.Event, fields: dict[str, Any]) -> None:
        log_event(call_sid, event, fields)
        if event is events.RELAY_STARTED:
            made[0].under_way.add(asyncio.get_running_loop().create_task(last_word()))
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(program, "Stores", making)
    monkeypatch.setattr(program, "_stop", stopping)
    monkeypatch.setattr(program, "log_event", logging)
    assert run(monkeypatch, environ) == 0
    assert told == ["told"]


def test_a_task_of_ecs_publishes_its_gauge_on_stdout(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gauge, "PERIOD", 0.01)
    write = program._write_metric

    def writing(line: dict[str, object]) -> None:
        write(line)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(program, "_write_metric", writing)
    assert run(monkeypatch, environ | {"ECS_AGENT_URI": "http://127.0.0.1:9/api"}) == 0
    said = capfd.readouterr()
    assert json.loads(said.out.splitlines()[0])["ActiveCalls"] == 0
    assert "_aws" not in said.err


def test_a_task_that_cannot_be_protected_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    program._unprotected("DEPLOYMENT_BLOCKED")
    line = json.loads(capfd.readouterr().err)
    assert (line["event"], line["effect"], line["error"]) == ("effect.failed", "task_protection", "DEPLOYMENT_BLOCKED")


def test_a_second_signal_hurries(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave() -> list[float]:
        hurry, drained = asyncio.Event(), list[float]()

        class Door:
            async def drain(self, seconds: float) -> None:
                drained.append(seconds)
                if seconds:
                    hurry.set()
                    await asyncio.Event().wait()

        door = Door()
        await program._leave(door.drain(5.0), door, hurry)  # type: ignore[arg-type]
        return drained

    assert asyncio.run(leave()) == [5.0, 0]


def test_the_first_signal_tells_and_the_second_hurries() -> None:
    async def twice() -> None:
        told, hurry = program._signals(asyncio.get_running_loop())
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(told.wait(), GUARD)
        assert not hurry.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(hurry.wait(), GUARD)

    asyncio.run(twice())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"LEDGER_TABLE": ""}, "LEDGER_TABLE"),
        ({"AGENT_FILE": "nowhere.yaml"}, "nowhere.yaml"),
        ({"OPENAI_API_KEY_SECRET": "no-such-secret"}, "cannot be reached"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be reached"),
        ({"RELAY_HOST": "192.0.2.1"}, "RELAY_PORT"),
    ],
)
def test_what_keeps_it_from_starting_is_named_without_a_trace(
    changes: dict[str, str],
    named: str,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, environ | changes) == 2
    said = capfd.readouterr().err
    assert named in said
    assert len(said.splitlines()) == 1
    assert "canary" not in said


def test_a_port_in_use_is_named(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(monkeypatch, environ | {"RELAY_PORT": str(taken.getsockname()[1])}) == 2
    assert "is the port in use" in capfd.readouterr().err


def test_a_secret_that_holds_nothing_is_named(
    cloud: tuple[str, Resources],
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    manager: Any = boto3.Session("test", "test", region_name="us-east-1").client(
        "secretsmanager", endpoint_url=cloud[0]
    )
    manager.create_secret(Name="empty", SecretString="{}")
    assert run(monkeypatch, environ | {"OPENAI_API_KEY_SECRET": "empty"}) == 2
    assert "secret empty must be" in capfd.readouterr().err
