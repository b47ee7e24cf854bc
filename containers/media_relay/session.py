"""Every decision about a call is made here; nothing here waits, reads a clock, logs or touches a socket.

    waiting ──► talking ──► announcing ──► left ──► over
       │           ├──► attended ────────────┤       │
       └───────────┴──────────────┴──────────┴───────┘

waiting     for Twilio's `start`; then for the model, whose socket opens at it, and its session with mu-law both ways
talking     audio passes both ways; a caller who speaks while the agent does is heard at once (barge-in)
announcing  the agent says that it connects the caller, or goodbye (`departure.py`)
attended    a person is called while the agent goes on talking with the caller (`attended.py`)
left        the request is on its way; the agent is mute, the caller hears ringing
over        a socket is gone, or we end the stream: Twilio asks the webhook what next

`handle(event, now)` returns what to do, in order; `deadline` says when to call it with a `Tick`. Here is the
conversation; how caller and agent meet, and meet again, is in `connection.py`, who goes to a person, and how, in
`handoffs.py`. Small machines do the counting: what was heard
(`speech.py`), the response in progress (`responses.py`), whose turn it is (`silence.py`), what asks for a person
(`escalation.py`).
"""

from __future__ import annotations

from typing import assert_never

from containers.media_relay import actions, energy, media_streams, people, realtime
from containers.media_relay.actions import Action, CloseModel, Log, SessionEvent, ToEnd
from containers.media_relay.agent import GO_ON, SAY_AGAIN, STILL_THERE
from containers.media_relay.connection import Connection
from containers.media_relay.handoffs import Model
from containers.media_relay.ladder import LINE_AFTER, fatal
from containers.media_relay.playout import MOST_LAG
from containers.media_relay.silence import AGENTS, MOST_PROMPTS, NEVER, RING_AFTER, Turn, Watch
from contracts import events, hunt, visit
from contracts.transfer import Reason

_CONVERSATION = (
    realtime.SpeechStarted
    | realtime.SpeechStopped
    | realtime.ResponseCreated
    | realtime.FunctionCall
    | realtime.ResponseDone
)


class Session(Connection):
    """One visit of one caller to the agent."""

    @property
    def deadline(self) -> float:
        """When `handle` wants a `Tick`, at the latest."""
        if self.over:
            return NEVER
        waits = [self.watch.at, self.speech.ring_at, self.keypad.due_at]
        waits.append(self.attended.read_at if self.attended else self.escalation.pledge.deadline)
        if self.departure:
            waits.append(self.departure.deadline)
        else:
            waits.append(self.attended.ends_at if self.attended else self.call.ends_at)
            waits.append(self.ladder.deadline)
        return min(*waits, self.moves_at)

    def handle(self, event: SessionEvent, now: float) -> list[Action]:
        """What to do about `event`, in order."""
        if self.over:
            return []
        if type(event) is media_streams.Media:  # fifty times a second
            return self._hear(event, now)
        if type(event) is realtime.AudioDelta:
            return self._speak(event, now)
        if self.ladder.probe_at != NEVER and isinstance(event, realtime.ServerEvent):
            self.ladder.alive()
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
                self.caller.noticed()  # a key is no word, however it sounds
                return self._key(digit, now) if stream_sid == self.speech.stream_sid else []
            case media_streams.Stop():
                return self._stop(event)
            case actions.StreamGone(why, code):
                return self._end(why, code)
            case actions.ModelConnected():
                return [realtime.UpdateSession(self.brief.session) if self.model is Model.COMING else CloseModel()]
            case realtime.SessionUpdated(mu_law):
                return self._session_updated(mu_law=mu_law, now=now)
            case realtime.SpeechStarted(item_id):
                return self._caller_speaks(item_id, now)
            case realtime.SpeechStopped(item_id):
                return self._caller_spoke(item_id, now)
            case realtime.CallerTranscript(item_id, transcript):
                return self._caller_said(item_id, transcript, now)
            case realtime.AgentWords(item_id, words):
                self.speech.memory.agent_begins(item_id, words)
                return []
            case realtime.AgentTranscript(item_id, transcript):
                return self._agent_said(item_id, transcript, now)
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
                return [Log(events.HANDOFF_FAILED, {"why": why}), *self._close(visit.NOT_QUEUED)]
            case actions.TransferNews():
                return self._news(event, now)
            case actions.EndRecorded():
                return self._close("agent_ended")
            case actions.Drain(within):
                self.moves_at = now + within
                return []
            case actions.Superseded():
                return [*self.speech.silence(), *self._close("superseded")]
            case actions.TransferQueued() | actions.Tick():
                return []
            case media_streams.Media() | realtime.AudioDelta():
                raise AssertionError("audio takes the short path")
        assert_never(event)

    # ---- the conversation ----------------------------------------------------------------------------------------

    def _hear(self, media: media_streams.Media, now: float) -> list[Action]:
        if media.stream_sid != self.speech.stream_sid or self.departure:
            return []
        if self.model is not Model.READY:
            if self.ladder.out:
                self.ladder.keep(media.payload)
            return []
        append, unheeded = realtime.Append(media.payload), self._unheeded(media.payload, now)
        if self.watch.turn is Turn.CALLER_SPEAKING and self.caller.quiet_seconds >= self.most_quiet:
            return [append, *self._patience_ended(now)]
        return [append, *unheeded]

    def _speak(self, delta: realtime.AudioDelta, now: float) -> list[Action]:
        if not self._met:
            return []
        if (lag := self.speech.playout.lag(now)) > MOST_LAG:
            self.watch = Watch.over(Turn.AGENT, now)
            return [Log(events.PLAYOUT_LAGGED, {"seconds": round(lag, 1)}), *self.speech.cut(now, barge_in=False)]
        spoken = self.speech.say(delta, now)
        if spoken and not self.departure and energy.audible(delta.delta):
            self.watch = Watch.over(Turn.AGENT, self.speech.playout.ends_at(now))
            self.escalation.agent_heard()
            self.ladder.agent_heard()
        return spoken

    def _caller_speaks(self, item_id: str, now: float) -> list[Action]:
        started = Log(events.SPEECH_STARTED, {"item_id": item_id})
        if self.departure:  # nothing the caller says undoes a departure
            return [started]
        self.watch, self.prompts = Watch.over(Turn.CALLER_SPEAKING, now), 0
        self.escalation.caller_speaks()
        self.caller.noticed()
        self.ladder.settled()
        return [*self.speech.cut(now), started]

    def _caller_spoke(self, item_id: str, now: float) -> list[Action]:
        stopped = Log(events.SPEECH_STOPPED, {"item_id": item_id})
        if self.departure:
            return [stopped]
        self.watch, self.ladder.unread = Watch.over(Turn.AGENT, now), item_id
        return [stopped, *self._escalate(self.escalation.caller_spoke(item_id, now), now)]

    def _caller_said(self, item_id: str, transcript: str, now: float) -> list[Action]:
        if self.ladder.unread == item_id:
            self.ladder.unread = ""
        if self._talking:
            self.escalation.caller_said(item_id, transcript, now)
        return [*self.speech.memory.caller(transcript)]

    def _agent_said(self, item_id: str, transcript: str, now: float) -> list[Action]:
        """Of an item that was cut only what was heard can have been a promise."""
        remembered = self.speech.memory.agent(item_id, transcript)
        if self._talking:
            said = remembered[0].text if remembered else transcript
            self.escalation.agent_said(said, self.speech.playout.ends_at(now))
        return [*remembered]

    def _response_done(self, done: realtime.ResponseDone, now: float) -> list[Action]:
        responses = self.speech.responses
        calls = [action for call in done.calls for action in self._tool_call(call, now)]
        log = Log(events.RESPONSE_DONE, _spent(done) | {"cost_usd": self.escalation.cost(done)})
        heard = responses.audible and responses.hears(done.response_id)
        if self.departure and heard:
            responses.forget()  # it called the tool first and said so afterwards
        failed = done.status == "failed" or responses.broken_off(done, agents_turn=self.watch.turn in AGENTS)
        reason = self.escalation.response_done(done, failed=failed and not responses.audible)
        following = responses.done(done.response_id, failed=failed)
        if self.departure:
            self.departure.line_sent |= heard
        elif responses.failures > 1 or (failed and fatal(done.why)):
            return [*calls, log, *self._to_default(Reason.AGENT_UNAVAILABLE, now)]
        elif escalated := self._escalate(reason, now):
            return [*self.speech.finish(), *calls, log, *escalated]
        elif (heard or self._adds_nothing(done)) and not following:
            self.watch = Watch.over(Turn.CALLER, self.speech.playout.ends_at(now))
        elif failed and self.watch.turn in AGENTS:  # the caller who speaks waits for nothing
            self.ladder.line_at = now + LINE_AFTER
        return [*self.speech.finish(), *calls, log, *following, *self._announced(now)]

    def _adds_nothing(self, done: realtime.ResponseDone) -> bool:
        """While a person is called, an agent may be silent; a response without a sound is then no fault."""
        answered = done.status == "completed" and self.watch.turn is not Turn.CALLER_SPEAKING
        return answered and self.attended is not None

    # ---- time ----------------------------------------------------------------------------------------------------

    def _due(self, now: float) -> list[Action]:
        done: list[Action] = []
        if self.over:
            return done
        if now >= self.moves_at or (self.moves_at != NEVER and self._between_turns):
            return self._move(now)
        if now >= self.speech.ring_at:
            done.extend(self.speech.ring(now))
        if now >= self.keypad.due_at:
            done.extend(self._keys_complete(now))
        if self.attended and now >= self.attended.read_at:
            done.append(self.attended.read())
        if self.departure:
            done.extend(self._departure_due(now))
        elif person := self._person_due(now) or self._rescue_due(now):
            done.extend(person)
        elif now >= self.watch.at:
            done.extend(self._patience_ended(now))
        if self.attended and not self.over:
            self._ring_between(now)
        return done

    def _ring_between(self, now: float) -> None:
        """While a person is called and nobody speaks here, the caller hears the line ring."""
        quiet = self._met and not self.departure and self.watch.turn is not Turn.CALLER_SPEAKING
        if quiet and self.speech.ring_at == NEVER:
            self.speech.ring_at = self.speech.playout.ends_at(now) + RING_AFTER

    def _person_due(self, now: float) -> list[Action]:
        if self.attended:
            return self._release("no news in time") if now >= self.attended.ends_at else []
        if now >= self.call.ends_at and self.speech.stream_sid:
            limit = Log(events.LIMIT_REACHED, {"limit": "max_call_minutes"})
            return [limit, *self._to_default(Reason.TIME_LIMIT, now)]
        return self._pledge_due(now) if now >= self.escalation.pledge.deadline else []

    def _patience_ended(self, now: float) -> list[Action]:
        match self.watch.turn:
            case Turn.START:
                return self._close("no_start")
            case Turn.MODEL | Turn.MODEL_AGAIN:
                late = Log(events.MODEL_FAILED, {"why": "it was not ready in time"})
                return [late, *self._give_up(now)]
            case Turn.AGENT_AGAIN:
                return self._to_default(Reason.AGENT_SILENT, now)
            case Turn.AGENT | Turn.CALLER_SPEAKING:
                self.watch = Watch.over(Turn.AGENT_AGAIN, now)
                self.ladder.line_at = now
                return [*self.speech.responses.restart()]
            case Turn.CALLER_AGAIN:
                self.watch = Watch.over(Turn.AGENT_AGAIN, now)
                return [*self.speech.responses.ask(SAY_AGAIN)]
            case Turn.CALLER_MOVED:
                self.watch = Watch.over(Turn.AGENT, now)
                return [*self.speech.responses.ask(GO_ON, use_tools=False)]
            case Turn.CALLER:
                return self._caller_silent(now)
            case Turn.DEPARTURE:  # pragma: no branch - there is no other turn
                raise AssertionError("a departure has deadlines of its own")

    def _caller_silent(self, now: float) -> list[Action]:
        if self.attended:  # it waits for the person, as it was told to
            self.watch = Watch.over(Turn.AGENT, now)
            return [*self.speech.responses.ask(people.company(self.attended.called), use_tools=False)]
        self.prompts += 1
        if self.prompts > MOST_PROMPTS:
            wall, directory = now + self.call.epoch, self.brief.directory
            step = hunt.start(directory, self.brief.default, now=wall, with_agent=False)
            if self.escalation.silent_to_person and not isinstance(step, hunt.ToAgent):
                return self._to_default(Reason.CALLER_SILENT, now)
            return self._goodbye(ToEnd("caller_silent"), now)
        self.watch = Watch.over(Turn.AGENT, now)
        return [*self.speech.responses.ask(STILL_THERE, use_tools=False)]


def _spent(done: realtime.ResponseDone) -> dict[str, object]:
    usage = {name: getattr(done.usage, name) for name in done.usage.__struct_fields__}
    return {"response_id": done.response_id, "status": done.status, "why": done.why or None, **usage}
