"""Acceptance 4: the stack as a program, called by the carrier as another program, leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from simulators.carrier import Callee, Carrier, Line, Number
from simulators.settings import LOCAL_ACCOUNT_SID, LOCAL_AUTH_TOKEN
from tests.calls.programs import alive, free_ports, listening, program

CALLS = 20
SCRIPT = [
    {"listen": 700},
    {"say": "I would like to speak to a person, please."},
    "person",
    {"hear": 500},
    {"listen": 500},
    "hang_up",
]


@pytest.mark.timeout(180)
async def test_twenty_calls_at_once_reach_a_person_and_sigterm_leaves_nothing(tmp_path: Path) -> None:
    webhook, relay, rest = free_ports(3)
    environ = {
        "WEBHOOK_PORT": str(webhook),
        "RELAY_PORT": str(relay),
        "TWILIO_API_BASE_URL": f"http://127.0.0.1:{rest}",
    }
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    async with program("simulators", "serve", errors=tmp_path / "serve", environ=environ) as serve:
        ready = json.loads(await serve.line())
        assert ready.keys() == {"webhook", "media", "account_sid", "auth_token", "queue_url"}
        assert (ready["webhook"], ready["media"]) == (f"http://127.0.0.1:{webhook}", f"ws://127.0.0.1:{relay}")
        arguments = {
            "--webhook": f"{ready['webhook']}/voice/incoming",
            "--status-callback": f"{ready['webhook']}/voice/call-status",
            "--auth-token": ready["auth_token"],
            "--account-sid": ready["account_sid"],
            "--calls": str(CALLS),
            "--rest-port": str(rest),
            "--script": str(script),
            "--patience": "60",
            "--callee": "+15550100003=answers:2:Northwind reception, good morning.",
        }
        options = [word for pair in arguments.items() for word in pair]
        async with program("simulators.carrier", *options, errors=tmp_path / "carrier") as carrier:
            status, results = await carrier.end()
        calls = [json.loads(line) for line in results]
        assert status == 0, results
        assert [(call["status"], call["dials"], len(call["legs"])) for call in calls] == [("completed", 1, 1)] * CALLS
        children = serve.children()
        assert children, "the relay is a process of its own"
        serve.process.send_signal(signal.SIGTERM)
        assert await serve.end(30) == (0, []), serve.stderr
    assert not [pid for pid in children if alive(pid)]
    assert not [port for port in (webhook, relay) if listening(port)]
    lines = [json.loads(line) for line in serve.stderr.splitlines()]
    bridged = {line["call_sid"] for line in lines if line.get("event") == "transfer.bridged"}
    assert bridged == {call["call_sid"] for call in calls}


@pytest.mark.timeout(120)
async def test_R15_callers_of_a_relay_that_is_killed_hear_a_sentence_and_are_back_with_the_agent_or_a_person(
    tmp_path: Path,
) -> None:
    webhook, relay = free_ports(2)
    carrier = Carrier(account_sid=LOCAL_ACCOUNT_SID, auth_token=LOCAL_AUTH_TOKEN, allow_ws=True)
    await carrier.start()
    environ = {"WEBHOOK_PORT": str(webhook), "RELAY_PORT": str(relay), "TWILIO_API_BASE_URL": carrier.api_base_url}
    async with program("simulators", "serve", errors=tmp_path / "serve", environ=environ) as serve:
        ready = json.loads(await serve.line())
        carrier.numbers["+15550100000"] = Number(f"{ready['webhook']}/voice/incoming")
        carrier.callees["+15550100003"] = Callee(after=0.5, says="Reception, good morning.", hangs_up_after=2)
        waited = 0

        async def caller(line: Line) -> None:
            nonlocal waited
            await line.hears(500)
            for pid in serve.children():
                os.kill(pid, signal.SIGKILL)
            before = line.ms
            await line.hears(1500)
            waited = line.ms - before - 1500
            await line.until(lambda: len(serve.children()) == 1)
            await line.hears(3000)
            await line.press("0")
            await line.connected_to_person()

        call = carrier.place_call(from_="+15550109999", to="+15550100000", caller=caller, patience=40)
        await call.ended
        await carrier.stop()
    assert 0 < waited <= 3000, "a sentence comes within three seconds"
    assert [leg.status for leg in call.legs] == ["completed"], call.events


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_while_calls_are_awaited_or_before_is_a_clean_end(
    number: signal.Signals, tmp_path: Path
) -> None:
    webhook, relay = free_ports(2)
    environ = {"WEBHOOK_PORT": str(webhook), "RELAY_PORT": str(relay)}
    async with program("simulators", "serve", errors=tmp_path / "serve", environ=environ) as serve:
        await serve.line()
        children = serve.children()
        serve.process.send_signal(number)
        serve.process.send_signal(number)
        assert await serve.end(30) == (0, [])
    assert not [pid for pid in children if alive(pid)]
    assert "Traceback" not in serve.stderr


@pytest.mark.timeout(120)
async def test_what_cannot_start_says_so_in_one_line_and_ends_with_2(tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    (free,) = free_ports(1)
    broken = tmp_path / "agent.yaml"
    broken.write_text("greeting: [", encoding="utf-8")
    cases = {
        f"port {port}": {"WEBHOOK_PORT": str(port), "RELAY_PORT": str(free)},
        "set RELAY_PORT": {"WEBHOOK_PORT": str(free), "RELAY_PORT": str(port)},
        str(broken): {"AGENT_FILE": str(broken)},
        "TWILIO_AUTH_TOKEN": {"TWILIO_ACCOUNT_SID": LOCAL_ACCOUNT_SID},
    }

    async def refused(named: str, environ: dict[str, str], errors: Path) -> None:
        async with program("simulators", "serve", errors=errors, environ=environ) as serve:
            assert await serve.end(60) == (2, []), serve.stderr
        assert serve.stderr.count("\n") == 1, serve.stderr
        assert named in serve.stderr

    async with taken:
        await asyncio.gather(
            *(refused(named, environ, tmp_path / str(i)) for i, (named, environ) in enumerate(cases.items()))
        )
