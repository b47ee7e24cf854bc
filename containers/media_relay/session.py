"""Every decision about a call is made here; nothing here waits, reads a clock, logs or touches a socket.

    waiting ──► talking ──► announcing ──► left ──► over
       └───────────┴──────────────┴──────────┴───────┘

waiting     for Twilio's `start` and for the model's session with mu-law both ways, whichever comes last
talking     audio passes both ways; a caller who speaks while the agent does is heard at once (barge-in)
announcing  the agent says that it connects the caller, or goodbye (`departure.py`)
left        the request is on its way; the agent is mute, the caller hears ringing
over        a socket is gone, or we end the stream: Twilio asks the webhook what next

`handle(event, now)` returns what to do, in order; `deadline` says when to call it with a `Tick`. Small machines do the
counting: what was heard (`speech.py`), the response in progress (`responses.py`), whose turn it is (`silence.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from containers.media_relay import actions, media_streams, realtime, tools
from containers.media_relay.actions import Action, CloseModel, CloseStream, Log, SessionEvent, ToEnd, ToPerson
from containers.media_relay.agent import Brief
from containers.media_relay.departure import Departure
from containers.media_relay.keypad import Keypad
from containers.media_relay.silence import MOST_PROMPTS, NEVER, RING_AFTER, Turn, Watch
from containers.media_relay.speech import Speech
from contracts import events
from contracts.transfer import Reason

_CONVERSATION = (
    realtime.SpeechStarted
    | realtime.SpeechStopped
    | realtime.ResponseCreated
    | realtime.FunctionCall
    | realtime.ResponseDone
)


@dataclass(frozen=True, slots=True)
class Call:
    """Which call a session is for. `ends_at`: when its time is up, on the clock of `now`."""

    call_sid: str
    account_sid: str
    ends_at: float


class Model(Enum):
    """How far the model's session has come."""

    COMING = auto()
    READY = auto()  # set up, with mu-law both ways
    GONE = auto()  # lost, or not wanted any more


class Session:
    """One visit of one caller to the agent."""

    def __init__(self, call: Call, brief: Brief, now: float) -> None:
        self.call = call
        self.brief = brief
        self.speech = Speech()
        self.model = Model.COMING
        self.departure: Departure | None = None
        self.watch = Watch.over(Turn.START, now)
        self.keypad = Keypad()
        self.prompts = 0  # times in a row that a silent caller was spoken to
        self.over = False

    @property
    def deadline(self) -> float:
        """When `handle` wants a `Tick`, at the latest."""
        if self.over:
            return NEVER
        departure = self.departure.deadline if self.departure else self.call.ends_at
        return min(self.watch.at, self.speech.ring_at, self.keypad.due_at, departure)

    @property
    def _met(self) -> bool:
        """Whether caller and agent are connected: before and after that, nothing the model says counts."""
        return self.model is Model.READY and bool(self.speech.stream_sid)

    def handle(self, event: SessionEvent, now: float) -> list[Action]:
        """What to do about `event`, in order."""
        if self.over:
            return []
        if type(event) is media_streams.Media:  # fifty times a second
            talking = self.model is Model.READY and self.departure is None
            return [realtime.Append(event.payload)] if talking and event.stream_sid == self.speech.stream_sid else []
        if type(event) is realtime.AudioDelta:
            return self._speak(event, now)
        if isinstance(event, _CONVERSATION) and not self._met:
            return self._due(now)
        return [*self._decide(event, now), *self._due(now)]

    def _decide(self, event: SessionEvent, now: float) -> list[Action]:  # noqa: C901, PLR0911, PLR0912 - the table of events
        match event:
            case media_streams.Start():
                return self._start(event, now)
            case media_streams.Mark(stream_sid, name):
                marked = self.speech.marked(name, now) if stream_sid == self.speech.stream_sid else []
                return [*marked, *self._announced(now)]
            case media_streams.Dtmf(stream_sid, digit):
                return self._key(digit, now) if stream_sid == self.speech.stream_sid else []
            case media_streams.Stop():
                return [*self._end("stop"), CloseStream("stop")]
            case actions.StreamGone(why, code):
                return self._end(why, code)
            case actions.ModelConnected():
                return [realtime.UpdateSession(self.brief.session) if self.model is Model.COMING else CloseModel()]
            case realtime.SessionUpdated(mu_law):
                return self._session_updated(mu_law=mu_law, now=now)
            case realtime.SpeechStarted(item_id):
                return self._caller_speaks(item_id, now)
            case realtime.SpeechStopped(item_id):
                if not self.departure:
                    self.watch = Watch.over(Turn.AGENT, now)
                return [Log(events.SPEECH_STOPPED, {"item_id": item_id})]
            case realtime.CallerTranscript(_, transcript):
                return [*self.speech.memory.caller(transcript)]
            case realtime.AgentTranscript(item_id, transcript):
                return [*self.speech.memory.agent(item_id, transcript)]
            case realtime.ResponseCreated(response_id):
                self.speech.responses.created(response_id)
                return [Log(events.RESPONSE_STARTED, {"response_id": response_id})]
            case realtime.FunctionCall():
                return self._tool_call(event, now)
            case realtime.ResponseDone():
                return self._response_done(event, now)
            case realtime.Error():
                return self._error(event, now)
            case actions.ModelGone(why, code):
                return self._model_gone(why, code, now)
            case actions.Malformed(side, kind):
                return [Log(events.FRAME_MALFORMED, {"side": side, "kind": kind})]
            case actions.TransferNotQueued(why):
                return [Log(events.HANDOFF_FAILED, {"why": why}), *self._close("transfer_not_queued")]
            case actions.EndRecorded():
                return self._close("agent_ended")
            case actions.Drain():
                return self._close("relay_draining")
            case actions.TransferQueued() | actions.Tick():
                return []
            case media_streams.Media() | realtime.AudioDelta():
                raise AssertionError("audio takes the short path")
        assert_never(event)

    # ---- the two sides come up, and go ---------------------------------------------------------------------------

    def _start(self, start: media_streams.Start, now: float) -> list[Action]:
        named = {start.call_sid, start.parameters.get("call_sid", start.call_sid)}
        if self.speech.stream_sid or named != {self.call.call_sid} or start.account_sid != self.call.account_sid:
            return [Log(events.FRAME_MALFORMED, {"side": "twilio", "kind": "start"}), *self._close("start_mismatch")]
        self.speech.stream_sid = start.stream_sid
        started = Log(events.STREAM_STARTED, {"stream_sid": start.stream_sid})
        if self.model is Model.GONE:
            return [started, *self._to_default(Reason.AGENT_UNAVAILABLE, now)]
        self.watch, self.speech.ring_at = Watch.over(Turn.MODEL, now), now + RING_AFTER
        return [started, *self._greet(now)]

    def _session_updated(self, *, mu_law: bool, now: float) -> list[Action]:
        if not mu_law:
            return self._model_gone("its session is not mu-law", 0, now)
        if self.model is not Model.COMING:
            return []
        self.model = Model.READY
        return [Log(events.MODEL_READY), *self._greet(now)]

    def _greet(self, now: float) -> list[Action]:
        if self.model is not Model.READY or not self.speech.stream_sid or self.departure:
            return []
        self.watch = Watch.over(Turn.AGENT, now)
        return [*self.brief.replay, *self.speech.responses.ask(self.brief.opening)]

    def _model_gone(self, why: str, code: int, now: float) -> list[Action]:
        """Before the first word the caller goes to a person; later back to an agent, which remembers."""
        if self.model is Model.GONE:
            return []
        was, self.model = self.model, Model.GONE
        failed = Log(events.MODEL_FAILED, {"why": why, "code": code or None})
        if self.departure:
            return [failed, *self._leave(self.departure, "the model is gone", now)]
        if was is Model.READY:
            return [failed, *self._close("model_lost")]
        if not self.speech.stream_sid:  # a live call can be transferred once its stream is up, not before
            return [failed, CloseModel()]
        return [failed, *self._to_default(Reason.AGENT_UNAVAILABLE, now)]

    def _close(self, why: str) -> list[Action]:
        self.over = True
        ended = Log(events.STREAM_ENDED, {"by": "relay", "why": why})
        return [*self.speech.memory.flush(), CloseModel(), CloseStream(why), ended]

    def _end(self, why: str, code: int = 0) -> list[Action]:
        self.over = True
        ended = Log(events.STREAM_ENDED, {"by": "twilio", "why": why, "code": code or None})
        return [*self.speech.memory.flush(), CloseModel(), ended]

    # ---- the conversation ----------------------------------------------------------------------------------------

    def _speak(self, delta: realtime.AudioDelta, now: float) -> list[Action]:
        if not self._met:
            return []
        spoken = self.speech.say(delta, now)
        if spoken and not self.departure:
            self.watch = Watch.over(Turn.AGENT, self.speech.playout.ends_at(now))
        return spoken

    def _caller_speaks(self, item_id: str, now: float) -> list[Action]:
        started = Log(events.SPEECH_STARTED, {"item_id": item_id})
        if self.departure:  # nothing the caller says undoes a departure
            return [started]
        self.watch, self.prompts = Watch.over(Turn.CALLER_SPEAKING, now), 0
        return [*self.speech.cut(now), started]

    def _response_done(self, done: realtime.ResponseDone, now: float) -> list[Action]:
        responses = self.speech.responses
        calls = [action for call in done.calls for action in self._tool_call(call, now)]
        log = Log(events.RESPONSE_DONE, _spent(done))
        heard = responses.audible and responses.hears(done.response_id)
        if self.departure and heard:
            responses.forget()  # it called the tool first and said so afterwards
        broken_off = done.status == "incomplete" and not responses.audible and not done.calls
        following = responses.done(done.response_id, failed=done.status == "failed" or broken_off)
        if self.departure:
            self.departure.line_sent |= heard
        elif responses.failures > 1:
            return [*calls, log, *self._to_default(Reason.AGENT_UNAVAILABLE, now)]
        elif heard and not following:
            self.watch = Watch.over(Turn.CALLER, self.speech.playout.ends_at(now))
        return [*self.speech.finish(), *calls, log, *following, *self._announced(now)]

    def _error(self, error: realtime.Error, now: float) -> list[Action]:
        log = Log(events.MODEL_ERROR, {"code": error.code, "kind": error.kind, "client_event": error.client_event})
        if error.code == "conversation_already_has_active_response":
            self.speech.responses.rejected(error.client_event)
        elif self.model is Model.COMING or error.code == "session_expired":
            return [log, *self._model_gone(error.code or error.kind, 0, now)]
        return [log]

    # ---- keys and tools ------------------------------------------------------------------------------------------

    def _key(self, digit: str, now: float) -> list[Action]:
        log = Log(events.KEY_PRESSED, {"asks_for_person": digit == "0"})
        departure = self.departure
        if digit == "0" and not (departure and (departure.left or isinstance(departure.to, ToPerson))):
            return [log, *self._to_default(Reason.CALLER_PRESSED_KEY, now)]
        if self._met and not departure:
            self.keypad.press(digit, now)
            self.prompts = 0
        return [log]

    def _tool_call(self, call: realtime.FunctionCall, now: float) -> list[Action]:
        """Act on a tool call once, however many events tell of it."""
        if not self.speech.responses.first_told(call.call_id):
            return []
        asked = tools.read(call, self.brief)
        log = Log(events.TOOL_CALLED, {"tool": asked.tool, "accepted": asked.accepted, "why": asked.why or None})
        answer = {"status": "already under way"} if self.departure else asked.answer
        done: list[Action] = [log, realtime.FunctionOutput(call.call_id, json.dumps(answer))]
        if self.departure:
            return done
        if asked.to is not None:
            return [*done, *self._announce(asked.to, now)]
        self.watch = Watch.over(Turn.AGENT, now)
        return [*done, *self.speech.responses.ask()]

    # ---- departures ----------------------------------------------------------------------------------------------

    def _announce(self, to: ToPerson | ToEnd, now: float) -> list[Action]:
        return self._depart(to, now).announce(self.brief.farewell(to), now)

    def _to_default(self, reason: Reason, now: float) -> list[Action]:
        """To a person without the agent's help: what it says stops, and the request leaves at once."""
        cut = self.speech.cut(now)
        departure = self._depart(ToPerson(self.brief.default, reason, ""), now)
        return [*cut, *departure.asked(), *self._leave(departure, "not announced", now)]

    def _depart(self, to: ToPerson | ToEnd, now: float) -> Departure:
        self.departure = departure = Departure(to, self.speech, now)
        self.watch, self.keypad = Watch.over(Turn.DEPARTURE, now), Keypad()
        return departure

    def _announced(self, now: float) -> list[Action]:
        departure = self.departure
        return self._leave(departure, "heard", now) if departure and departure.announced() else []

    def _leave(self, departure: Departure, how: str, now: float) -> list[Action]:
        self.model = Model.GONE
        return departure.leave(how, now)

    # ---- time ----------------------------------------------------------------------------------------------------

    def _due(self, now: float) -> list[Action]:
        done: list[Action] = []
        if self.over:
            return done
        if now >= self.speech.ring_at:
            done.extend(self.speech.ring(now))
        if now >= self.keypad.due_at:
            self.watch = Watch.over(Turn.AGENT, now)
            done.extend([self.keypad.item(), *self.speech.responses.ask()])
        if self.departure:
            done.extend(self._departure_due(self.departure, now))
        elif now >= self.call.ends_at and self.speech.stream_sid:
            done.append(Log(events.LIMIT_REACHED, {"limit": "max_call_minutes"}))
            done.extend(self._to_default(Reason.TIME_LIMIT, now))
        elif now >= self.watch.at:
            done.extend(self._patience_ended(now))
        return done

    def _departure_due(self, departure: Departure, now: float) -> list[Action]:
        if not departure.due(now):
            return []
        if not departure.left:
            return self._leave(departure, "timeout", now)
        if isinstance(departure.to, ToEnd):
            return self._close("agent_ended")
        return [Log(events.HANDOFF_RELEASED, {"why": "not taken away in time"}), *self._close("not_taken_away")]

    def _patience_ended(self, now: float) -> list[Action]:
        match self.watch.turn:
            case Turn.START:
                return self._close("no_start")
            case Turn.MODEL:
                return self._model_gone("it was not ready in time", 0, now)
            case Turn.AGENT_AGAIN:
                return self._to_default(Reason.AGENT_SILENT, now)
            case Turn.AGENT | Turn.CALLER_SPEAKING:
                self.watch = Watch.over(Turn.AGENT_AGAIN, now)
                return [*self.speech.responses.restart()]
            case Turn.CALLER:
                return self._caller_silent(now)
            case Turn.DEPARTURE:  # pragma: no branch - there is no other turn
                raise AssertionError("a departure has deadlines of its own")

    def _caller_silent(self, now: float) -> list[Action]:
        self.prompts += 1
        if self.prompts > MOST_PROMPTS:
            return self._announce(ToEnd("caller_silent"), now)
        self.watch = Watch.over(Turn.AGENT, now)
        return [*self.speech.responses.ask(self.brief.still_there, use_tools=False)]


def _spent(done: realtime.ResponseDone) -> dict[str, object]:
    usage = {name: getattr(done.usage, name) for name in done.usage.__struct_fields__}
    return {"response_id": done.response_id, "status": done.status, "why": done.why or None, **usage}
