"""Acceptance 1 and 2: every scenario, as a user plays it, side by side."""

from __future__ import annotations

import asyncio
import json
import wave
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts import events
from simulators import audio, scenarios
from simulators.report import page, story
from simulators.report.run import Run, Turn, moment
from tests.calls.programs import program

CHAIN = [
    events.CALL_RECEIVED,
    events.STREAM_OFFERED,
    events.MEDIA_ACCEPTED,
    events.STREAM_STARTED,
    events.MODEL_READY,
    events.RESPONSE_AUDIO,
    events.BARGE_IN,
    events.TOOL_CALLED,
    events.HANDOFF_ASKED,
    events.HANDOFF_ANNOUNCED,
    events.TRANSFER_CLAIMED,
    events.TRANSFER_SENT,
    events.TRANSFER_DIALLED,
    events.TRANSFER_BRIDGED,
    events.DIAL_ENDED,
    events.CALL_ENDED,
]
UNBROKEN = [name for name in scenarios.names() if not scenarios.load(name).faults]


@dataclass(frozen=True)
class Played:
    """What a demonstration left behind."""

    status: int
    printed: list[str]
    folder: Path
    run: Run


def read(folder: Path) -> Run:
    """A run from its files."""
    with wave.open(str(folder / "call.wav")) as recording:
        both = np.frombuffer(recording.readframes(recording.getnframes()), "<i2").reshape(-1, 2)
    lines: list[dict[str, Any]] = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    said = [json.loads(line) for line in (folder / "transcript.jsonl").read_text().splitlines()]
    return Run(
        call_sid=folder.name,
        began_at=moment(lines[0]),
        events=lines,
        turns=[Turn(turn["who"], turn["text"], turn["at"]) for turn in said],
        mouth=audio.encode(both[:, 0]),
        ear=audio.encode(both[:, 1]),
    )


class Machine:
    """How often everything here stood still for longer than a caller may: of such a call, nothing can be said."""

    def __init__(self) -> None:
        self.stood_still = 0

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.1)
            self.stood_still += loop.time() - before > 1


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    starting = asyncio.Semaphore(3)  # a start wants a core for seconds, a call that is up hardly anything
    machine = Machine()

    async def play(name: str) -> Played:
        before = machine.stood_still
        one = await play_once(name)
        return one if machine.stood_still == before else await play_once(name)

    async def play_once(name: str) -> Played:
        home = tmp_path_factory.mktemp(name)
        arguments = ("simulators", "demo", "--scenario", name, "--runs-dir", str(home / "runs"))
        async with AsyncExitStack() as up:
            async with starting:
                demo = await up.enter_async_context(program(*arguments, errors=home / "stderr"))
                begun = await demo.line()
            status, rest = await demo.end()
            assert "Traceback" not in demo.stderr, demo.stderr
        (folder,) = (home / "runs").iterdir()
        return Played(status, [begun, *rest], folder, read(folder))

    async def play_all() -> list[Played]:
        watching = asyncio.create_task(machine.watch())
        every = await asyncio.gather(*(play(name) for name in scenarios.names()))
        watching.cancel()
        return every

    return dict(zip(scenarios.names(), asyncio.run(play_all()), strict=True))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", scenarios.names())
def test_a_scenario_ends_as_its_name_says(played: dict[str, Played], name: str) -> None:
    one = played[name]
    assert scenarios.missing(scenarios.load(name), one.run.events, one.run.turns) == [], "\n".join(one.printed)
    assert one.status == 0
    assert one.printed[-1] == story.sentence(one.run.events)
    assert {file.name for file in one.folder.iterdir()} == {
        "call.wav",
        "events.jsonl",
        "transcript.jsonl",
        "timeline.svg",
        "report.html",
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [name for name in scenarios.names() if scenarios.load(name).promise])
def test_whatever_breaks_the_promise_of_the_scenario_is_kept(played: dict[str, Played], name: str) -> None:
    promise, run = scenarios.load(name).promise, played[name].run
    assert promise
    assert scenarios.broken(promise, story.ended_with(run.events), page.longest_silence(run).length) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", UNBROKEN)
def test_the_caller_never_waits_in_silence_for_more_than_two_and_a_half_seconds(
    played: dict[str, Played], name: str
) -> None:
    gap = page.longest_silence(played[name].run)
    assert gap.length <= 2.5, f"{gap.length:.2f} s of silence, {gap.start:.1f} s into the call"


@pytest.mark.timeout(300)
def test_billing_goes_the_whole_way_in_order_and_all_three_voices_are_heard(played: dict[str, Played]) -> None:
    run = played["billing"].run
    names = iter(str(line["event"]) for line in run.events)
    for event in CHAIN:
        assert event.name in names, f"{event.name} does not follow what should come before it"
    heard = {turn.who: turn.at for turn in run.turns if turn.at is not None}
    assert heard.keys() == {"caller", "agent", "person"}
    for who, at in heard.items():
        begin = int(at * 1000) * audio.BYTES_PER_MS
        sound = (run.mouth if who == "caller" else run.ear)[begin : begin + 800 * audio.BYTES_PER_MS]
        assert audio.level(sound) > -40, f"nothing is heard of the {who} at {at:.1f} s"


@pytest.mark.timeout(300)
def test_R24_after_no_answer_the_agent_speaks_of_the_attempt(played: dict[str, Played]) -> None:
    spoken = [turn.text for turn in played["no-answer"].run.turns if turn.who == "agent"]
    assert any("did not answer" in text for text in spoken), spoken


@pytest.mark.timeout(300)
def test_no_part_reports_a_failure(played: dict[str, Played]) -> None:
    failures = {events.HANDLER_FAILED, events.EFFECT_FAILED, events.LEDGER_FAILED, events.FRAME_MALFORMED}
    bad = {event.name for event in failures | {events.REQUEST_REFUSED, events.MODEL_ERROR, events.HANDOFF_FAILED}}
    for name, one in ((name, played[name]) for name in UNBROKEN):
        found = [line for line in one.run.events if line["event"] in bad]
        assert not found, f"{name}: {found}"


@pytest.mark.timeout(300)
def test_S13_no_telephone_number_and_nothing_said_is_in_the_events(played: dict[str, Played]) -> None:
    for one in played.values():
        ours = [line for line in one.run.events if line["part"] != "carrier"]
        text = json.dumps(ours)
        assert "+1555" not in text
        assert not [turn.text for turn in one.run.turns if turn.text in text]
