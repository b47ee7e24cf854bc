"""`python -m simulators demo`: plays a scenario through the whole local stack and leaves a folder to listen to."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from contracts import events
from contracts.agent_file import AgentFile
from contracts.ledger import Ledger
from simulators import audio, scenarios
from simulators.carrier import Call, Carrier, Number
from simulators.event_log import Event, EventLog
from simulators.faults.plan import unfolding
from simulators.model import Prompt, Say
from simulators.model import Turn as ModelTurn
from simulators.report import page, story
from simulators.report.run import Run, Turn, moment, of_call
from simulators.report.timeline import LiveTimeline
from simulators.scenarios import Scenario
from simulators.scenarios.mind import ScenarioMind
from simulators.settings import Settings, StackError
from simulators.stack import local_stack
from simulators.voices import Voice, speak

CALLED = "+15550100000"
CALLER = "+15550109999"
CALL_SECONDS = 55.0
SETTLE_SECONDS = 5.0
_NOW = 100 * audio.BYTES_PER_MS
_BYTES_PER_SECOND = 1000 * audio.BYTES_PER_MS
# A demonstration is not disturbed by what the shell has set for real use.
_HEEDED = ("LIVE", "OPENAI_API_KEY", "OPENAI_REALTIME_URL", "AGENT_FILE")


def demo(name: str, runs: Path, environ: Mapping[str, str]) -> int:
    """Play a scenario; 0 only if the call ended as the scenario's name says.

    Raises:
        StackError: the scenario or the settings cannot be used, or the stack cannot start.
    """
    scenario = scenarios.load(name)
    heeded = {key: environ[key] for key in _HEEDED if key in environ}
    settings = replace(Settings.from_env(heeded), webhook_port=0, relay_port=0, drain_seconds=1)
    with tempfile.TemporaryDirectory() as temporary, LiveTimeline() as timeline:
        settings = replace(
            settings, agent_file=agent_file(settings.agent_file, scenario, Path(temporary) / "agent.yaml")
        )
        run = asyncio.run(_perform(scenario, settings, environ, timeline))
    folder = runs / run.call_sid
    page.write(folder, run)
    lacking = conclude(run, scenario, folder)
    _say(story.sentence(run.events))
    return 1 if lacking else 0


def conclude(run: Run, scenario: Scenario, folder: Path) -> list[str]:
    """Say what is to be known of a run whose page is in `folder`; returns what it lacks of what its name says."""
    lacking = scenarios.missing(scenario, run.events, run.turns)
    gap = page.longest_silence(run)
    if scenario.promise:
        lacking += scenarios.broken(scenario.promise, story.ended_with(run.events), gap.length)
    _say(f"longest wait in silence: {gap.length:.2f} s, {gap.start:.1f} s into the call")
    _say(f"{folder}/  call.wav  report.html  timeline.svg  transcript.jsonl  events.jsonl")
    for one in lacking:
        _say(f"✘ {one}")
    return lacking


async def _perform(scenario: Scenario, settings: Settings, environ: Mapping[str, str], timeline: LiveTimeline) -> Run:
    log = EventLog(timeline.event)
    loop = asyncio.get_running_loop()

    def tell(who: str, text: str) -> None:
        loop.call_soon_threadsafe(timeline.said, who, text, time.time())

    breakable = bool(scenario.faults)
    if breakable and settings.openai_realtime_url:
        raise StackError("the model", "is real, and the scenario breaks it", "unset LIVE and OPENAI_REALTIME_URL")
    async with local_stack(settings, environ, log, mind=lambda: ToldMind(tell), breakable=breakable) as stack:
        assert stack.carrier, "a demonstration has the stand-in carrier"
        call = place(stack.carrier, stack.webhook, scenario, settings.agent())
        if not stack.levers:
            return await play(call, scenario, log, timeline, stack.ledger)
        async with unfolding(scenario.faults, stack.levers, log, call.sid):
            return await play(call, scenario, log, timeline, stack.ledger)


async def play(call: Call, scenario: Scenario, log: EventLog, timeline: LiveTimeline, ledger: Ledger) -> Run:
    """Follow a call that was placed until it has ended and everybody has said so."""
    line = call.open_line
    timeline.levels = lambda: (audio.level(bytes(line.mouth[-_NOW:])), audio.level(bytes(line.ear[-_NOW:])))
    async with asyncio.timeout(CALL_SECONDS + SETTLE_SECONDS):
        await call.ended
    await log.first(
        lambda line: line["event"] == events.CALL_ENDED.name and line["call_sid"] == call.sid, SETTLE_SECONDS
    )
    turns = await asyncio.to_thread(transcript, scenario, ledger, call, of_call(log.events, call.sid))
    return Run(
        call_sid=call.sid,
        began_at=call.resource.created_at.timestamp(),
        events=of_call(log.events, call.sid),
        turns=turns,
        mouth=call.mouth,
        ear=call.ear,
        title=scenario.title,
    )


class ToldMind(ScenarioMind):
    """Tells what it understands and what it is about to say."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        super().__init__()
        self._tell = tell

    def hear(self, sound: bytes) -> str:
        heard = super().hear(sound)
        self._tell("caller", heard or "(not understood)")
        return heard

    def answer(self, prompt: Prompt) -> ModelTurn:
        turn = super().answer(prompt)
        for step in turn.steps:
            if isinstance(step, Say):
                self._tell("agent", step.text)
        return turn


def place(carrier: Carrier, webhook: str, scenario: Scenario, agent: AgentFile) -> Call:
    """Set the scenario's people up at the carrier and let its caller call."""
    carrier.numbers[CALLED] = Number(
        voice_url=f"{webhook}/voice/incoming", status_callback=f"{webhook}/voice/call-status"
    )
    for key, callee in scenario.callees.items():
        carrier.callees[key if key.startswith("+") else agent.destinations[key].number] = callee
    return carrier.place_call(from_=CALLER, to=CALLED, caller=scenario.script(), patience=CALL_SECONDS)


def transcript(scenario: Scenario, ledger: Ledger, call: Call, lines: Sequence[Event]) -> list[Turn]:
    """Who said what when: the script's words, found in the recordings, and the agent's as the ledger remembers them."""
    began = call.resource.created_at.timestamp()
    row = ledger.read(call.sid)
    agent = [turn.text for turn in row.conversation if turn.role == "agent"] if row else []
    voiced = [moment(line) - began for line in lines if line["event"] == events.RESPONSE_AUDIO.name]
    persons = [text for callee in scenario.callees.values() for text in callee.lines]
    turns = [
        *_found("caller", scenario.lines(), call.mouth, Voice.CALLER),
        *_found("person", persons, call.ear, Voice.PERSON),
        *_in_order("agent", agent, voiced, call.ear),
    ]
    return sorted(turns, key=lambda turn: turn.at or 0.0)


def _found(who: str, texts: Sequence[str], recording: bytes, voice: Voice) -> Iterator[Turn]:
    """Those of the texts whose sound is in the recording."""
    position = 0
    for text in texts:
        start = _find(text, voice, recording, position)
        if start >= 0:
            position = start + 1
            yield Turn(who, text, start / _BYTES_PER_SECOND)


def _in_order(who: str, texts: Sequence[str], began: Sequence[float], recording: bytes) -> Iterator[Turn]:
    """Each text where its sound is in the recording; failing that, at the next response that had sound."""
    at = 0.0
    for text in texts:
        start = _find(text, Voice.AGENT, recording, int(at * _BYTES_PER_SECOND))
        at = start / _BYTES_PER_SECOND if start >= 0 else next((one for one in began if one > at + 0.5), at)
        yield Turn(who, text, round(at, 2))


def _find(text: str, voice: Voice, recording: bytes, position: int) -> int:
    return recording.find(speak(text, voice)[: 400 * audio.BYTES_PER_MS], position)


def agent_file(original: Path, scenario: Scenario, changed: Path) -> Path:
    """Write to `changed`, which it returns, the agent file at `original` as the scenario has it."""
    content: dict[str, Any] = yaml.safe_load(original.read_text(encoding="utf-8"))
    for key, seconds in scenario.ring_seconds.items():
        if key in content["destinations"]:
            content["destinations"][key]["ring_seconds"] = seconds
    changes = scenario.agent_on(datetime.now(UTC).date())
    changed.write_text(yaml.safe_dump(_merged(content, changes), allow_unicode=True), encoding="utf-8")
    return changed


def _merged(content: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with what `other` says instead; None removes."""
    merged = {**content}
    for name, value in other.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return {name: value for name, value in merged.items() if value is not None}


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the program's output
