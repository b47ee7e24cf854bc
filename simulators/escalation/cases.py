"""The cases: what asks for a person, in which mode, what the person does, and whether the caller stays.

A telephone number stands for a way of answering: a caller of the line of `decline` finds a person who declines. So all
cases of a mode share one agent file and one stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.destination import Mode
from simulators import audio
from simulators.carrier import Callee, Line

PERSON_NUMBER, SECOND_NUMBER = "+15550100031", "+15550100032"
PERSON_HZ, SECOND_HZ, VOICEMAIL_HZ = 1000, 1200, 1900
PERSON, SECOND, VOICEMAIL = (audio.tone([hz], 500) for hz in (PERSON_HZ, SECOND_HZ, VOICEMAIL_HZ))
RING_SECONDS = 5
LATE_SECONDS = 3.0
SPEND_LIMIT_USD = 0.08


class Trigger(StrEnum):
    """What takes the caller to a person."""

    TOOL = "the agent's tool"
    KEY = "a key"
    PHRASE = "the caller's words"
    PROMISE = "the agent's promise"
    FAILED_TURN = "a failed turn"
    TOOL_ERROR = "a tool error"
    SILENT = "a silent agent"
    LOST = "a lost agent"
    SPEND = "the spend limit"
    QUIET = "a silent caller"
    TIME = "the time limit"


class Human(StrEnum):
    """What the person does."""

    ACCEPTS = "accepts"
    DECLINES = "declines"
    MEETING = "declines with a reason"
    BUSY = "is busy"
    NO_ANSWER = "does not answer"
    FAILED = "cannot be reached"
    VOICEMAIL = "has a voicemail"
    LEAVES = "hangs up during the whisper"
    LATE = "answers late"
    TWO = "is one of two who answer at once"


_NOT_TAKEN = (Human.DECLINES, Human.MEETING, Human.VOICEMAIL, Human.LEAVES)


@dataclass(frozen=True, slots=True)
class Case:
    """One call.

    `stays`: the caller waits for whatever comes; else hangs up while the person's phone rings. `completed`: the carrier
    reports a leg that was answered and not taken as completed, not as unanswered.
    """

    trigger: Trigger
    mode: Mode
    human: Human
    stays: bool
    completed: bool = False


def cases() -> Iterator[Case]:
    """All of them, those first that take longest."""
    for trigger in reversed(Trigger):
        for mode in Mode:
            for human in Human:
                for stays in (True, False):
                    yield Case(trigger, mode, human, stays)
    for human in _NOT_TAKEN:  # whatever asked for the person, the report is read by the same function
        for stays in (True, False):
            yield Case(Trigger.TOOL, Mode.SCREENED, human, stays, completed=True)


def line_of(human: Human) -> str:
    """The number whose callers find a person who does this."""
    return f"+155501002{list(Human).index(human):02d}"


def callees(mode: Mode) -> dict[str, Callee]:
    """Who picks up, by the number rung and the number called."""
    found = {f"{PERSON_NUMBER} via {line_of(human)}": _callee(human, mode) for human in Human}
    return found | {f"{SECOND_NUMBER} via {line_of(Human.TWO)}": _accepts(1.2, SECOND, mode)}


@dataclass(frozen=True, slots=True)
class Prompt(Callee):
    """Speaks the moment there is somebody to hear it, so that a gap in the recording is none of its own making."""

    async def _talk(self, line: Line, speech: bytes) -> None:
        await line.say(speech)


def _accepts(after: float, says: bytes, mode: Mode) -> Callee:
    presses = "" if mode is Mode.DIRECT else "1"
    return Prompt(after=after, says=says, presses=presses, hangs_up_after=1.5)


def _callee(human: Human, mode: Mode) -> Callee:
    """Nobody whispers to who is rung directly: such a person declines on the phone itself, or leaves at once."""
    by_phone = mode is Mode.DIRECT
    match human:
        case Human.DECLINES | Human.MEETING if by_phone:
            return Callee(answer="declines", after=1.2)
        case Human.DECLINES | Human.MEETING:
            return Callee(after=1.2, presses="2" if human is Human.DECLINES else "3")
        case Human.LEAVES:
            return Callee(after=1.2, hangs_up_after=0.3) if by_phone else Callee(after=1.2, leaves_whisper=True)
        case Human.BUSY:
            return Callee(answer="busy", after=1.2)
        case Human.NO_ANSWER:
            return Callee(answer="no-answer")
        case Human.FAILED:
            return Callee(answer="failed", after=1.2)
        case Human.VOICEMAIL:
            return Callee(answer="voicemail", after=1.2, says=VOICEMAIL * 6, hangs_up_after=4)
        case _:
            after = LATE_SECONDS if human is Human.LATE else 1.2
            return _accepts(after, PERSON, mode)


def agent_file(mode: Mode, *, two: bool) -> dict[str, Any]:
    """One destination, the default and with a key, where every trigger leads; `two` are rung at once."""
    numbers = (PERSON_NUMBER, SECOND_NUMBER) if two else (PERSON_NUMBER,)
    person = {
        "name": "our person",
        "description": "Everything",
        "mode": mode.value,
        "ring": "at_once" if two else "in_order",
        "ring_seconds": RING_SECONDS,
        "key": "1",
        "targets": [{"phone": number} for number in numbers],
    }
    return {
        "persona": "You are a telephone agent.",
        "greeting": "Hello.",
        "destinations": {"person": person},
        "default_destination": "person",
        "escalation": {
            "promise_seconds": 1,
            "failed_turns": 1,
            "max_call_cost_usd": SPEND_LIMIT_USD,
            "silence": "person",
        },
        "guards": {"transfers_per_caller_per_day": 1000},
        "limits": {"max_call_minutes": 1},
    }
