"""What takes the caller to a person without a tool call: their words, the agent's promises, its failures, money. Pure.

The detectors and counters of this call in one place, as the agent file switches and tunes them. They say what is due;
whether it happens, and how, is the session's to decide.
"""

from __future__ import annotations

from containers.media_relay.phrases import Phrases
from containers.media_relay.promises import Promises, called_off
from containers.media_relay.realtime import ResponseDone
from containers.media_relay.triggers import Failures, Pledge, Spending, cost, price
from contracts.agent_file import AgentFile
from contracts.transfer import Reason

ASKED_SECONDS = 4.0  # what the model gets to name the best destination for a caller who asks for a person


class Escalation:
    """One visit's triggers; `spent`, in USD, by the visits before.

    `unpriced`: the model, if a limit of cost is set that cannot be kept. `silent_to_person`: who goes on saying nothing
    may be unable to speak with a machine, or be heard by it, and goes to a person.
    """

    def __init__(self, agent: AgentFile, spent: float = 0.0) -> None:
        settings, default = agent.escalation, agent.default_destination
        names = {key: one.name for key, one in agent.destinations.items()}
        known = price(agent.model)
        self.unpriced = agent.model if settings.max_call_cost_usd and not known else ""
        self._price = known
        self.pledge = Pledge()
        self.silent_to_person = settings.silence == "person"
        self._failures = Failures(settings.failed_turns)
        self._spending = Spending(settings.max_call_cost_usd, known, spent)
        self._phrases = Phrases(names, default, settings.extra_phrases) if settings.phrases else None
        self._promises = Promises(names, default)
        self._promise_seconds = settings.promise_seconds
        self._turn: str | None = None  # the caller's present or last one
        self._answered: str | None = None  # the one that the model answered with a tool

    def caller_speaks(self) -> None:
        """The caller began to speak."""
        self.pledge.caller_speaks()

    def caller_spoke(self, item_id: str, now: float) -> Reason | None:
        """The caller's turn is over."""
        self._turn = item_id
        self.pledge.caller_spoke(now)
        return self._failures.caller_spoke(now)

    def caller_said(self, item_id: str, transcript: str, now: float) -> None:
        """The words of a turn, which may come after the model's answer to it."""
        if item_id == self._answered:
            return
        key = self._phrases.asked_for(transcript) if self._phrases else None
        if key:
            self.pledge.given(key, Reason.CALLER_ASKED, heard_at=now, seconds=ASKED_SECONDS)
        elif self.pledge.destination and called_off(transcript):
            self.pledge.settled()

    def agent_said(self, transcript: str, heard_at: float) -> None:
        """The agent's words, and when the caller will have heard them."""
        key = self._promises.made(transcript) if self._promise_seconds else None
        if key:
            self.pledge.given(key, Reason.AGENT_PROMISED, heard_at=heard_at, seconds=self._promise_seconds)

    def agent_heard(self) -> None:
        """The agent made a sound."""
        self._failures.agent_heard()

    def tool_called(self, *, followed: bool) -> Reason | None:
        """The model called a tool; one that could be followed keeps what was promised."""
        if followed:
            self._answered = self._turn
            self.pledge.settled()
        return self._failures.tool_called(worked=followed)

    def cost(self, done: ResponseDone) -> float:
        """USD for one response; 0 for a model whose price is unknown."""
        return round(cost(done.usage, self._price), 6) if self._price else 0.0

    def response_done(self, done: ResponseDone, *, failed: bool) -> Reason | None:
        """A response is over; `failed`: without a sound."""
        reason = self._spending.response_done(done.usage)
        return (self._failures.response_failed() if failed else None) or reason
