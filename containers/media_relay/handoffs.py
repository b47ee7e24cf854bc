"""How a caller gets from the agent to a person, whoever asks for it: half of the decisions of a session. Pure.

Each wish becomes a destination's key and takes one of four ways, chosen by the hunt's first step (`contracts/hunt.py`):

told          nobody can be called: the agent stays, and is told why, until when, and who else there is
attended      the person is called while the agent keeps the caller company (`attended.py`)
announced     the agent says where the caller goes, and the request leaves when that was heard (`departure.py`); so does
              who would rather leave a message, and is connected to nobody
at once       the request leaves now, because the agent cannot help or the caller has pressed a key

At most one request is open at a time. What the caller or the model asks for meanwhile changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, auto

from containers.media_relay import keypad, people, realtime, tools
from containers.media_relay.actions import (
    Action,
    CloseModel,
    CloseStream,
    Log,
    QueueTransfer,
    ToEnd,
    ToPerson,
    TransferNews,
)
from containers.media_relay.agent import GOODBYE, Brief
from containers.media_relay.attended import Attended
from containers.media_relay.departure import Departure
from containers.media_relay.escalation import Escalation
from containers.media_relay.keypad import Keypad
from containers.media_relay.ladder import Ladder
from containers.media_relay.silence import NEVER, Turn, Watch
from containers.media_relay.speech import Speech
from contracts import events, hunt
from contracts.handoff import Then, TransferState
from contracts.hunt import Ring
from contracts.transfer import Reason


@dataclass(frozen=True, slots=True)
class Call:
    """Which call a session is for. `ends_at`: when its time is up, on the clock of `now`.

    `epoch`: what to add to that clock for the seconds since the epoch, by which opening hours go.
    """

    call_sid: str
    account_sid: str
    ends_at: float
    epoch: float = 0.0


class Model(Enum):
    """How far the model's session has come."""

    ABSENT = auto()  # not wanted yet, lost, or not wanted any more
    COMING = auto()
    READY = auto()  # set up, with mu-law both ways


class Handoffs:
    """The half of a session that leads away from the agent; the other half is `Session`."""

    def __init__(self, call: Call, brief: Brief, now: float) -> None:
        self.call = call
        self.brief = brief
        self.speech = Speech()
        self.model = Model.ABSENT
        self.departure: Departure | None = None
        self.attended = Attended.resumed(brief.calling, brief.directory, now) if brief.calling else None
        self.escalation = Escalation(brief.agent, brief.spent)
        self.ladder = Ladder()
        self.watch = Watch.over(Turn.START, now)
        self.keypad = Keypad()
        self.prompts = 0  # times in a row that a silent caller was spoken to
        self.untold: list[str] = []  # what an agent that is away shall pass on
        self.moves_at = NEVER  # when the call goes on elsewhere, at the latest
        self.over = False

    @property
    def _met(self) -> bool:
        """Whether caller and agent are connected: before and after that, nothing the model says counts."""
        return self.model is Model.READY

    @property
    def _talking(self) -> bool:
        """Whether caller and agent are connected, and nobody else is on the way to either."""
        return self._met and not self.departure and not self.attended

    def _close(self, why: str) -> list[Action]:
        self.over = True
        ended = Log(events.STREAM_ENDED, {"by": "relay", "why": why})
        return [*self.speech.memory.flush(), CloseModel(), CloseStream(why), ended]

    def _release(self, why: str, close: str = "not_taken_away") -> list[Action]:
        """Leave an open request to the webhook, which asks the ledger what is to be done for the caller."""
        return [Log(events.HANDOFF_RELEASED, {"why": why}), *self._close(close)]

    # ---- who asks ------------------------------------------------------------------------------------------------

    def _tool_call(self, call: realtime.FunctionCall, now: float) -> list[Action]:
        """Act on a tool call once, however many events tell of it."""
        if not self.speech.responses.first_told(call.call_id):
            return []
        asked = tools.read(call, self.brief)
        log = Log(events.TOOL_CALLED, {"tool": asked.tool, "accepted": asked.accepted, "why": asked.why or None})
        failing = self.escalation.tool_called(followed=asked.to is not None)
        if self.departure:
            return [log, _output(call, {"status": "already under way"})]
        if isinstance(asked.to, ToEnd):
            return [log, _output(call, asked.answer), *self._goodbye(asked.to, now)]
        told, done = self._stay(asked.to, now) if asked.to else ("", [])
        if asked.to and not told:
            return [log, _output(call, asked.answer), *self._announce(asked.to, now)]
        output = _output(call, {"status": told} if told else asked.answer)
        if failing and self._talking:
            return [log, output, *self._to_default(failing, now)]
        self.watch = Watch.over(Turn.AGENT, now)
        return [log, output, *done, *self.speech.responses.ask(told)]

    def _key(self, digit: str, now: float) -> list[Action]:
        """`0` acts at once, as does any key that asks for a person while no agent is there; others after a pause."""
        key, departure = self.brief.directory.digits.get(digit, ""), self.departure
        at_once = bool(key) and (digit == "0" or not self._met)
        log = Log(events.KEY_PRESSED, {"asks_for_person": at_once})
        if departure and (departure.left or isinstance(departure.to, ToPerson)):
            return [log]
        if at_once:
            return [log, *self._pressed(key, now)]
        if self._met and not departure:
            self.keypad.press(digit, now)
            self.prompts = 0
        return [log]

    def _keys_complete(self, now: float) -> list[Action]:
        if not self._met:  # an agent that is away will read them
            self.keypad.due_at = now + keypad.PAUSE
            return []
        keys = self.keypad.take()
        if key := self.brief.directory.digits.get(keys):
            return self._pressed(key, now)
        self.watch = Watch.over(Turn.AGENT, now)
        return [keypad.item(keys), *self.speech.responses.ask()]

    def _pressed(self, key: str, now: float) -> list[Action]:
        to = ToPerson(key, Reason.CALLER_PRESSED_KEY, "")
        if not self._met:
            return self._release(to.reason.value, to.reason.value) if self.attended else self._at_once(to, now)
        self.departure = None  # a goodbye, if any
        told, done = self._stay(to, now)
        return [*done, *self._tell_agent(told, now)] if told else self._at_once(to, now)

    def _pledge_due(self, now: float) -> list[Action]:
        """The caller asked, or the agent promised, and no tool call has followed."""
        pledge = self.escalation.pledge
        to = ToPerson(pledge.destination, pledge.reason, "")
        pledge.settled()
        if not self._met:
            return self._at_once(to, now)
        told, done = self._stay(to, now)
        if told:
            return [*done, *self._tell_agent(told, now)]
        if to.reason is not Reason.AGENT_PROMISED:
            return self._announce(to, now)
        departure = self._depart(to, now)  # its line has been heard
        return [*departure.asked(), *self._leave(departure, "promised", now)]

    def _escalate(self, reason: Reason | None, now: float) -> list[Action]:
        """A limit was crossed; while a person is on the way already, that is enough."""
        if reason is None or not self._talking:
            return []
        cost = reason is Reason.SPEND_LIMIT
        limit = [Log(events.LIMIT_REACHED, {"limit": "max_call_cost_usd"})] if cost else []
        return [*limit, *self._to_default(reason, now)]

    def _to_default(self, reason: Reason, now: float) -> list[Action]:
        """To a person without the agent's help, or if one is being called already, to that one."""
        if self.attended:
            return self._release(reason.value, reason.value)
        return self._at_once(ToPerson(self.brief.default, reason, ""), now)

    # ---- the ways ------------------------------------------------------------------------------------------------

    def _stay(self, to: ToPerson, now: float) -> tuple[str, list[Action]]:
        """What the agent is told if the caller stays with it, "" if not; and what is to be done then."""
        if self.attended:
            return people.company(self.attended.called), []
        wall, directory = now + self.call.epoch, self.brief.directory
        step = self._first_step(to, now)
        told = people.stays(directory, to.destination, step, wall)
        if not told or not isinstance(step, Ring):
            return told, []
        self.attended = Attended(to, step.position, directory, now)
        self.escalation.pledge.settled()
        asked = {"destination": to.destination, "reason": to.reason.value}
        return told, [Log(events.HANDOFF_ASKED, asked), QueueTransfer(to)]

    def _tell_agent(self, told: str, now: float) -> list[Action]:
        """Tell the model something that it passes on, after the caller's turn if there is one."""
        if not self._met:
            self.untold.append(told)
            return []
        item = realtime.CreateItem("system", told)
        if self.watch.turn is Turn.CALLER_SPEAKING:
            return [item]
        self.watch = Watch.over(Turn.AGENT, self.speech.playout.ends_at(now))
        return [item, *self.speech.responses.ask(told)]

    def _announce(self, to: ToPerson, now: float) -> list[Action]:
        farewell = people.farewell(self.brief.directory, self._first_step(to, now))
        return self._depart(to, now).announce(farewell, now)

    def _first_step(self, to: ToPerson, now: float) -> hunt.Step:
        directory, wants_message = self.brief.directory, to.reason is Reason.CALLER_LEAVES_MESSAGE
        if wants_message and (taken := hunt.message(directory, to.destination)):
            return taken
        return hunt.start(directory, to.destination, now=now + self.call.epoch, with_agent=True)

    def _goodbye(self, to: ToEnd, now: float) -> list[Action]:
        return self._depart(to, now).announce(GOODBYE, now)

    def _at_once(self, to: ToPerson, now: float) -> list[Action]:
        cut = self.speech.cut(now, barge_in=to.reason is Reason.CALLER_PRESSED_KEY)
        departure = self._depart(to, now)
        return [*cut, *departure.asked(), *self._leave(departure, "not announced", now)]

    def _depart(self, to: ToPerson | ToEnd, now: float) -> Departure:
        self.departure = departure = Departure(to, self.speech, now)
        self.escalation.pledge.settled()
        self.watch, self.keypad = Watch.over(Turn.DEPARTURE, now), Keypad()
        return departure

    def _leave(self, departure: Departure, how: str, now: float) -> list[Action]:
        self.model = Model.ABSENT
        return departure.leave(how, now)

    def _announced(self, now: float) -> list[Action]:
        departure = self.departure
        return self._leave(departure, "heard", now) if departure and departure.announced() else []

    def _departure_due(self, now: float) -> list[Action]:
        departure = self.departure
        if not departure or not departure.due(now):
            return []
        if not departure.left:
            return self._leave(departure, "timeout", now)
        if isinstance(departure.to, ToEnd):
            return self._close("agent_ended")
        return self._release("not taken away in time")

    # ---- a person is being called --------------------------------------------------------------------------------

    def _news(self, news: TransferNews, now: float) -> list[Action]:
        attended, transfer = self.attended, news.transfer
        if attended is None:
            return []
        attended.answered(now)
        if transfer is None or (self.departure and isinstance(self.departure.to, ToEnd)):
            return []
        over = transfer.state is TransferState.OVER
        if self.departure:  # the person has accepted
            gone = (over and news.then in {None, Then.AGENT}) or not (over or transfer.accepted_at)
            return self._release("the person is gone", "person_gone") if gone else []
        if transfer.accepted_at and not over:
            return self._join(attended, "accepted", now)
        if attended.unclaimed(transfer, now):
            return self._release("not claimed in time")
        if over and news.then not in {None, Then.AGENT}:  # a message is taken, or a sentence ends the call
            return self._join(attended, news.then or "", now)
        outcome, told = attended.news(transfer, now + self.call.epoch)
        if not told:
            return []
        said = {"destination": attended.to.destination, "outcome": outcome.value if outcome else "calling"}
        log, still = Log(events.HANDOFF_NEWS, said), list[Action]()
        if over:
            self.attended, still = None, self.speech.stop_ringing(now)
        return [log, *still, *self._tell_agent(told, now)]

    def _join(self, attended: Attended, outcome: str, now: float) -> list[Action]:
        """Twilio takes the caller away now; the agent says nothing more."""
        log = Log(events.HANDOFF_NEWS, {"destination": attended.to.destination, "outcome": outcome})
        departure = self._depart(attended.to, now)
        self.model = Model.ABSENT
        return [log, *departure.join(now)]


def _output(call: realtime.FunctionCall, answer: dict[str, str]) -> realtime.FunctionOutput:
    return realtime.FunctionOutput(call.call_id, json.dumps(answer))
