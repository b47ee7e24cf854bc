"""Whose turn it is to make a sound, and until when. Pure.

There is always one watch with a deadline: no state of a call lets the caller wait in silence for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

NEVER = float("inf")


class Turn(Enum):
    """What is waited for."""

    START = auto()  # Twilio's `start`
    MODEL = auto()  # the model's session
    MODEL_AGAIN = auto()  # the same, after it was lost or renewed
    AGENT = auto()  # the agent's voice
    AGENT_AGAIN = auto()  # the same, asked for a second time
    CALLER = auto()  # the caller's voice
    CALLER_SPEAKING = auto()  # the end of the caller's turn
    CALLER_AGAIN = auto()  # the same, of a turn that a lost model heard in part
    CALLER_MOVED = auto()  # the caller's voice, which nobody heard while the call moved
    DEPARTURE = auto()  # the departure has deadlines of its own


PATIENCE = {  # seconds
    Turn.START: 3.0,
    Turn.MODEL: 2.8,
    Turn.MODEL_AGAIN: 3.5,
    Turn.AGENT: 4.0,
    Turn.AGENT_AGAIN: 4.0,
    Turn.CALLER: 12.0,
    Turn.CALLER_SPEAKING: 60.0,
    Turn.CALLER_AGAIN: 1.0,
    Turn.CALLER_MOVED: 1.0,
    Turn.DEPARTURE: NEVER,
}
AGENTS = frozenset({Turn.AGENT, Turn.AGENT_AGAIN})
CALLERS = frozenset({Turn.CALLER, Turn.CALLER_SPEAKING})
QUIET_SECONDS = 2.0  # of a caller who spoke; then a model that says nothing is asked for a sign of life
RING_AFTER = 1.0  # seconds without a model before the caller hears that something goes on
MOST_PROMPTS = 2  # times the agent asks whether the caller is still there


@dataclass(frozen=True, slots=True)
class Watch:
    """Someone's turn, and when patience with them ends."""

    turn: Turn
    at: float

    @classmethod
    def over(cls, turn: Turn, since: float) -> Watch:
        """It is `turn`'s turn since `since`, which may be the end of audio that still plays."""
        return cls(turn, since + PATIENCE[turn])
