"""Calls as data: what the caller does, who picks up, and what must have happened in the end.

A scenario file says it in the words of `Scenario`; `python -m simulators demo --scenario NAME` plays it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.hours import DAYS
from simulators import audio
from simulators.carrier import BadScript, Callee, Line, LineDropped, ScriptedCaller
from simulators.carrier.exchange import Exchange
from simulators.faults.plan import Fault
from simulators.report.run import Turn
from simulators.settings import StackError

_FILES = resources.files(__name__)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Person(Callee):
    """A callee who converses: says each of `lines` once the other has answered the one before, then hangs up."""

    lines: tuple[str, ...] = ()

    async def live(self, line: Line, exchange: Exchange) -> None:
        """Be on the line from answering to the end."""
        if self.answer == "voicemail":
            await Callee.live(self, line, exchange)
            return
        try:
            await self.screened(line)
            await line.connected_to_person()
            for position, text in enumerate(self.lines):
                if position:
                    await line.quiet(600)
                await line.say(audio.silence(300) + await exchange.speech(text, "PERSON"))
            await line.say(audio.silence(400))
            await line.hang_up()
        except LineDropped:
            pass


class Said(_Strict):
    """A sentence that must have been spoken."""

    who: Literal["caller", "agent", "person"]
    matches: str


class Promise(_Strict):
    """What the caller is promised whatever breaks: with whom the call ends, and the longest silence in seconds."""

    ends_with: tuple[Literal["person", "agent", "sentence"], ...]
    silence: float


class Scenario(_Strict):
    """One call.

    Attributes:
        title: What happens, for the report.
        caller: The caller's steps, as `ScriptedCaller.from_data` takes them; after the last the caller stays.
        callees: Destination key, or telephone number, to what that phone does.
        ring_seconds: Destination key to how long it rings here, to keep a demonstration short.
        agent: What the agent file says differently here; mappings are merged, all else replaces. Of opening hours,
            `tomorrow` is the day after the call's.
        said: Who must have said something that matches a regular expression, in this order.
        expect: Events, with some of their fields, that must have happened in this order (others may lie between).
        never: Events that must not have happened.
        faults: What breaks, and when.
        promise: What holds in spite of it.
    """

    title: str
    caller: tuple[Any, ...]
    callees: Mapping[str, Person] = {}
    ring_seconds: Mapping[str, int] = {}
    agent: Mapping[str, Any] = {}
    said: tuple[Said, ...] = ()
    expect: tuple[Mapping[str, Any], ...]
    never: tuple[Mapping[str, Any], ...] = ()
    faults: tuple[Fault, ...] = ()
    promise: Promise | None = None

    def script(self) -> ScriptedCaller:
        """The caller."""
        return ScriptedCaller.from_data(self.caller)

    def agent_on(self, day: date) -> dict[str, Any]:
        """`agent` for a call on `day`."""
        tomorrow = DAYS[(day + timedelta(days=1)).weekday()]
        agent = copy.deepcopy(dict(self.agent))
        for hours in agent.get("hours", {}).values():
            hours["open"] = {tomorrow if name == "tomorrow" else name: spans for name, spans in hours["open"].items()}
        return agent

    def lines(self) -> list[str]:
        """What the caller says, in order."""
        steps = [step for step in self.caller if isinstance(step, Mapping)]
        return [str(step["say"] if "say" in step else step["interrupt"]["say"]) for step in steps if _speaks(step)]


def names() -> list[str]:
    """The scenarios there are."""
    return sorted(Path(entry.name).stem for entry in _FILES.iterdir() if entry.name.endswith(".yaml"))


def load(name: str) -> Scenario:
    """Read a scenario by name.

    Raises:
        StackError: there is none of that name, or its file breaks a rule.
    """
    if name not in names():
        raise StackError(f"scenario {name!r}", "there is none of that name", f"choose one of {', '.join(names())}")
    try:
        text = _FILES.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        scenario = Scenario.model_validate(yaml.safe_load(text))
        scenario.script()
    except (ValidationError, BadScript, yaml.YAMLError) as error:
        raise StackError(f"scenario {name!r}", " ".join(str(error).split()), "correct its file") from error
    return scenario


def missing(scenario: Scenario, lines: Sequence[Mapping[str, Any]], turns: Sequence[Turn] = ()) -> list[str]:
    """What a call lacks of what the scenario promises, one sentence each; empty if it ended as its name says."""
    complaints, position = [], 0
    for pattern in scenario.expect:
        found = next((i for i in range(position, len(lines)) if _matches(lines[i], pattern)), None)
        if found is None:
            anywhere = any(_matches(line, pattern) for line in lines)
            complaints.append(f"{_text(pattern)} happened {'too early' if anywhere else 'never'}")
        else:
            position = found + 1
    complaints += [
        f"{_text(pattern)} happened, and must not"
        for pattern in scenario.never
        if any(_matches(line, pattern) for line in lines)
    ]
    unsaid = iter(turns)
    complaints += [
        f"the {wanted.who} never said anything like {wanted.matches!r}"
        for wanted in scenario.said
        if not any(turn.who == wanted.who and re.search(wanted.matches, turn.text) for turn in unsaid)
    ]
    return complaints


def broken(promise: Promise, ended_with: str, silence: float) -> list[str]:
    """What a call did not keep of a promise, one sentence each; `silence` is the longest, in seconds."""
    complaints = []
    if ended_with not in promise.ends_with:
        complaints.append(f"the call ended with {ended_with}, and {' or '.join(promise.ends_with)} is promised")
    if silence > promise.silence:
        complaints.append(f"{silence:.2f} s of silence, and at most {promise.silence:.2f} s are promised")
    return complaints


def _speaks(step: Mapping[str, Any]) -> bool:
    return "say" in step or "interrupt" in step


def _matches(line: Mapping[str, Any], pattern: Mapping[str, Any]) -> bool:
    return all(line.get(name) == value for name, value in pattern.items())


def _text(pattern: Mapping[str, Any]) -> str:
    fields = ", ".join(f"{name} {value}" for name, value in pattern.items() if name != "event")
    return f"{pattern['event']}{f' ({fields})' if fields else ''}"
