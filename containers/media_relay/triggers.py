"""What takes a caller to a person without a key or a tool: failures in a row, money, a promise's clock. Pure.

Each machine is told what happened and answers with a reason when its limit is crossed; the session decides what to do.
A limit of 0 switches a machine off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from containers.media_relay.realtime import Usage
from containers.media_relay.silence import NEVER
from contracts.transfer import Reason

CHANCE_SECONDS = 2.0  # the agent must have had so long to answer; a caller who only hesitates starts no new turn


class Failures:
    """In a row: turns that the agent let pass without a sound, and tool calls that could not be followed."""

    def __init__(self, limit: int) -> None:
        self.turns = 0
        self.tools = 0
        self._limit = limit
        self._asked_at = NEVER  # since when the agent has had the turn without a sound

    def caller_spoke(self, now: float) -> Reason | None:
        """The caller's turn is over: if the agent has not answered the one before, that one failed."""
        reason = self._failed_turn() if now - self._asked_at >= CHANCE_SECONDS else None
        self._asked_at = now
        return reason

    def agent_heard(self) -> None:
        """The agent made a sound that reaches the caller."""
        self.turns, self._asked_at = 0, NEVER

    def response_failed(self) -> Reason | None:
        """A response came to nothing; a turn fails once, however often it is tried."""
        if self._asked_at == NEVER:
            return None
        return self._failed_turn()

    def tool_called(self, *, worked: bool) -> Reason | None:
        """The model called a tool; `worked`: the call could be followed."""
        self.tools = 0 if worked else self.tools + 1
        return self._crossed(self.tools)

    def _failed_turn(self) -> Reason | None:
        self._asked_at = NEVER
        self.turns += 1
        return self._crossed(self.turns)

    def _crossed(self, count: int) -> Reason | None:
        return Reason.AGENT_FAILING if self._limit and count >= self._limit else None


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens. Cached input counts at the dearer of the text and the audio price."""

    text_in: float
    audio_in: float
    cached: float
    text_out: float
    audio_out: float


PRICES_AS_OF = "2026-11-22"  # https://developers.openai.com/api/docs/models/gpt-realtime-2.1 and its siblings
PRICES = {
    "gpt-realtime-2.1": Price(4, 32, 0.40, 24, 64),
    "gpt-realtime-2": Price(4, 32, 0.40, 24, 64),
    "gpt-realtime-2.1-mini": Price(0.60, 10, 0.30, 2.40, 20),
    "gpt-realtime-1.5": Price(4, 32, 0.40, 16, 64),
}
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def price(model: str) -> Price | None:
    """What a model or a dated snapshot of it costs; None for one that is not in the table."""
    return PRICES.get(_SNAPSHOT.sub("", model))


class Spending:
    """What the responses of one call cost, in USD; the transcription of the caller is billed apart and not in it.

    `spent` so far; `limit` is switched off by 0, or by `price` None: of a model whose price is unknown.
    """

    def __init__(self, limit: float, price: Price | None, spent: float = 0.0) -> None:
        self.spent = spent
        self._limit = limit if price else 0.0
        self._price = price or Price(0, 0, 0, 0, 0)

    def response_done(self, usage: Usage) -> Reason | None:
        """A response is billed, whatever became of it."""
        self.spent += cost(usage, self._price)
        return Reason.SPEND_LIMIT if self._limit and self.spent >= self._limit else None


def cost(usage: Usage, price: Price) -> float:
    """USD for one response. Text stands first in what is cached: instructions and tools open every conversation."""
    text = max(0, usage.input_tokens - usage.audio_input_tokens)
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_text = min(cached, text)
    cached_audio = min(cached - cached_text, usage.audio_input_tokens)
    millionths = (
        (text - cached_text) * price.text_in
        + (usage.audio_input_tokens - cached_audio) * price.audio_in
        + (cached_text + cached_audio) * price.cached
        + max(0, usage.output_tokens - usage.audio_output_tokens) * price.text_out
        + usage.audio_output_tokens * price.audio_out
    )
    return millionths / 1_000_000


class Pledge:
    """A person was asked for by the caller, or promised by the agent, and the tool call that does it is waited for.

    `deadline`: when the session does it instead, by a transfer to `destination` for `reason`. While the caller speaks
    it rests.
    """

    def __init__(self) -> None:
        self.deadline = NEVER
        self.destination = ""
        self.reason = Reason.AGENT_PROMISED
        self._seconds = 0.0
        self._resting = False

    def given(self, destination: str, reason: Reason, *, heard_at: float, seconds: float) -> None:
        """Wait `seconds` from when it was heard; 0 is not to wait for it at all. The first reason and time stand."""
        if not seconds:
            return
        if not self.destination:
            self.reason, self._seconds = reason, seconds
            self.deadline = NEVER if self._resting else heard_at + seconds
        self.destination = destination

    def caller_speaks(self) -> None:
        """The caller began to speak."""
        self.deadline, self._resting = NEVER, True

    def caller_spoke(self, now: float) -> None:
        """The caller's turn is over; an 'okay' does not undo a promise."""
        self._resting = False
        if self.destination:
            self.deadline = now + self._seconds

    def settled(self) -> None:
        """A tool did it, the caller leaves, or has called it off."""
        self.deadline, self.destination = NEVER, ""
