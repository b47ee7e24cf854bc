"""What `deploy-local` does when it cannot go on: one line that says why, and nothing left behind."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import pytest

from contracts.agent_file import load
from simulators.demo import agent_file
from simulators.deployed import emulator
from simulators.deployed.cdk import Cdk
from simulators.deployed.program import GREETING, MAX_CALL_MINUTES, calls_of
from simulators.settings import ROOT, StackError
from tests.calls.programs import alive, program


def files(folder: Path, pattern: str) -> set[Path]:
    return set(folder.glob(pattern))


async def test_without_the_emulator_it_says_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="make deploy-local"):
        await emulator.start(tmp_path, tmp_path / "python")


async def test_an_emulator_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    # This Python has no MiniStack.
    with pytest.raises(StackError, match="No module named 'ministack'"):
        await emulator.start(tmp_path, Path(sys.executable))


@pytest.mark.timeout(180)
async def test_an_emulator_that_is_stopped_leaves_no_process_and_writes_below_its_folder_alone(tmp_path: Path) -> None:
    cloud = await emulator.start(tmp_path)
    assert cloud.runs
    await cloud.stop()
    assert not cloud.runs
    await cloud.stop()
    assert not files(Path(tempfile.gettempdir()), f"ministack*{cloud.port}*")


@pytest.mark.timeout(180)
async def test_a_synthesis_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    cdk = Cdk(environ={}, folder=tmp_path)
    with pytest.raises(StackError, match="there is no stage 'nowhere'") as caught:
        await cdk.synth(tmp_path / "cdk.out", {"stage": "nowhere"})
    assert "\n" not in str(caught.value)


@pytest.mark.timeout(180)
async def test_a_signal_ends_it_and_leaves_neither_process_nor_folder(tmp_path: Path) -> None:
    folders = files(ROOT / ".build", "deployed-*")
    async with program("simulators", "deploy-local", errors=tmp_path / "errors") as deploying:
        assert (await deploying.line()).startswith("▸ MiniStack")
        children = deploying.children()
        assert children
        deploying.process.send_signal(signal.SIGTERM)
        assert await deploying.end(30) == (128 + signal.SIGTERM, [])
        assert "Traceback" not in deploying.stderr
    assert not [pid for pid in children if alive(pid)]
    assert files(ROOT / ".build", "deployed-*") == folders


def test_the_second_call_finds_an_agent_that_says_something_else_and_whose_task_is_told_something_else(
    tmp_path: Path,
) -> None:
    first, second = (
        load(agent_file(ROOT / "agent.yaml", scenario, tmp_path / f"{name}.yaml"))
        for name, scenario in calls_of([]).items()
    )
    assert (second.greeting, second.limits.max_call_minutes) == (GREETING, MAX_CALL_MINUTES)
    assert first.greeting != GREETING
    assert first.limits.max_call_minutes != MAX_CALL_MINUTES
    assert first.destinations == second.destinations


def test_scenarios_are_played_in_the_order_in_which_they_are_named() -> None:
    assert [*calls_of(["hunt", "attended"])] == ["hunt", "attended"]
    with pytest.raises(StackError, match="choose one of"):
        calls_of(["nowhere"])
