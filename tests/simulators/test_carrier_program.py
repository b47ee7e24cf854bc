"""`python -m simulators.carrier`, called as a program calls it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from twilio.rest import Client

from simulators import audio
from simulators.carrier.__main__ import longest_silence, main
from tests.simulators.carrier_peers import ACCOUNT, GUARD, TOKEN, Moved, world

if TYPE_CHECKING:
    from pathlib import Path


async def program(*arguments: str) -> int:
    return await asyncio.to_thread(main, list(arguments))


async def test_calls_are_placed_at_once_and_each_prints_one_json_object(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "caller.json"
    script.write_text(json.dumps([{"hear": 100}, "hang_up"]))
    async with world(**{"in": '<Play digits="1"/><Pause length="30"/>'}) as here:
        options = ["--webhook", here.app.base + "/in", "--auth-token", TOKEN, "--script", str(script)]
        status = await program(*options, "--calls", "3", "--recordings", str(tmp_path / "wav"))
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 0
    assert len({result["call_sid"] for result in results}) == 3
    assert {(result["status"], result["ended_by"]) for result in results} == {("completed", "caller")}
    assert all(asked.valid for asked in here.app.asked)
    assert len(list((tmp_path / "wav").glob("CA*.wav"))) == 3


async def test_a_call_that_went_wrong_is_exit_status_one(capsys: pytest.CaptureFixture[str]) -> None:
    async with world(**{"in": "<Fly/>"}) as here:
        assert await program("--webhook", here.app.base + "/in", "--auth-token", TOKEN) == 1
    (result,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert result["debugger"][0]["code"] == 12200


async def test_dialled_parties_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    async with world(**{"in": "<Dial>+15550100001</Dial>"}) as here:
        options = ["--webhook", here.app.base + "/in", "--auth-token", TOKEN, "--callee", "+15550100001=busy:0.1"]
        assert await program(*options) == 0
    assert json.loads(capsys.readouterr().out)["legs"] == [{"to": "+15550100001", "status": "busy"}]


@pytest.mark.parametrize(
    "options",
    [
        ["--callee", "+15550100001=sleeps"],
        ["--callee", "+15550100001=busy:soon"],
        ["--script", "/nonexistent.json"],
        ["--rest-port", "1"],
    ],
)
async def test_a_wrong_option_is_one_line_and_exit_status_two(
    options: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await program("--webhook", "http://127.0.0.1:1/in", "--auth-token", TOKEN, *options) in {1, 2}
    assert "Traceback" not in capsys.readouterr().err


async def test_without_calls_it_owns_numbers_until_it_is_told_to_stop() -> None:
    program = [sys.executable, "-m", "simulators.carrier", "--auth-token", TOKEN, "--calls", "0"]
    process = await asyncio.create_subprocess_exec(
        *program, "--owns", "+15550100077", "--owns", "+15550100078", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(GUARD):
        base = json.loads(await process.stderr.readline())["rest"]
        client = Client(ACCOUNT, TOKEN, http_client=Moved(base))
        numbers = await asyncio.to_thread(client.incoming_phone_numbers.list)
        process.send_signal(signal.SIGINT)
        status = await process.wait()
    assert {number.phone_number for number in numbers} == {"+15550100077", "+15550100078"}
    assert status == 0


async def test_calls_need_a_webhook() -> None:
    with pytest.raises(SystemExit):
        await program("--auth-token", TOKEN)


def test_the_longest_silence_is_measured_by_energy() -> None:
    ear = audio.tone([500], 100) + audio.silence(700) + audio.tone([500], 100) + audio.silence(300)
    assert longest_silence(ear) == pytest.approx(0.7)
