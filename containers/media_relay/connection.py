"""How caller and agent meet, part, and meet again: what a session decides about its two connections. Pure.

An agent that is lost comes back in another session of the model, which is told the conversation as it was heard; the
times of that are in `ladder.py`. A call whose relay has to go moves to another one. Where nothing of this is possible
the caller goes to a person.
"""

from __future__ import annotations

from containers.media_relay import media_streams, people, realtime
from containers.media_relay.actions import Action, CloseModel, CloseStream, ConnectModel, Log
from containers.media_relay.agent import CARRY_ON, SAY_AGAIN, Brief, most_quiet
from containers.media_relay.energy import Caller
from containers.media_relay.handoffs import Call, Handoffs, Model
from containers.media_relay.ladder import Owed, fatal
from containers.media_relay.silence import CALLERS, NEVER, PATIENCE, QUIET_SECONDS, RING_AFTER, Turn, Watch
from contracts import events
from contracts.transfer import Reason
from contracts.visit import MOVED, Resumes

SIGN_OF_LIFE = {"type": "realtime"}  # a change of nothing, which the API answers with `session.updated`
ALONE = PATIENCE[Turn.CALLER] - 0.5  # before the caller's turn ends: half a second after the agent's, its echo is over


class Connection(Handoffs):
    """The part of a session that has to do with its sockets."""

    def __init__(self, call: Call, brief: Brief, now: float) -> None:
        super().__init__(call, brief, now)
        self.caller = Caller()
        self.most_quiet = most_quiet(brief.agent)

    # ---- the two sides come up, and go ---------------------------------------------------------------------------

    def _start(self, start: media_streams.Start, now: float) -> list[Action]:
        named = {start.call_sid, start.parameters.get("call_sid", start.call_sid)}
        if start.stream_sid == self.speech.stream_sid:  # told twice, which ends nobody's call
            return [Log(events.FRAME_MALFORMED, {"side": "twilio", "kind": "start_again"})]
        if self.speech.stream_sid or named != {self.call.call_sid} or start.account_sid != self.call.account_sid:
            return [Log(events.FRAME_MALFORMED, {"side": "twilio", "kind": "start"}), *self._close("start_mismatch")]
        self.speech.stream_sid = start.stream_sid
        started = [Log(events.STREAM_STARTED, {"stream_sid": start.stream_sid})]
        if self.escalation.unpriced:
            started.append(Log(events.LIMIT_UNPRICED, {"model": self.escalation.unpriced}))
        self.watch, self.speech.ring_at = Watch.over(Turn.MODEL, now), now + RING_AFTER
        self.model = Model.COMING
        return [*started, ConnectModel()]

    def _stop(self, stop: media_streams.Stop) -> list[Action]:
        if self.speech.stream_sid not in {"", stop.stream_sid}:  # before a start it can be of no other
            return []
        return [*self._end("stop"), CloseStream("stop")]

    def _session_updated(self, *, mu_law: bool, now: float) -> list[Action]:
        if self.model is not Model.COMING:
            return []
        if not mu_law:
            return self._model_gone("its session is not mu-law", 0, now)
        self.model, ready = Model.READY, Log(events.MODEL_READY)
        if self.ladder.out:
            return [ready, *self._resume(now)]
        self.ladder.ready(now)
        return [ready, *self._greet(now)]

    def _greet(self, now: float) -> list[Action]:
        self.watch = Watch.over(Turn.AGENT, now)
        if self.attended:
            self.attended.answered(now)
        if not self.brief.opening:
            turn = Turn.CALLER if self.attended else Turn.CALLER_MOVED
            self.watch, self.ladder.owed = Watch.over(turn, now), Owed.NOTHING
            return [*self.speech.stop_ringing(now), *self.brief.replay]
        return [*self.brief.replay, *self.speech.responses.ask(self.brief.opening)]

    def _end(self, why: str, code: int = 0) -> list[Action]:
        self.over = True
        ended = Log(events.STREAM_ENDED, {"by": "twilio", "why": why, "code": code or None})
        return [*self.speech.memory.flush(), CloseModel(), ended]

    @property
    def _between_turns(self) -> bool:
        """Whether nobody speaks: a call that moves now loses nothing."""
        waits = self._met and not self.departure and self.watch.turn is Turn.CALLER
        return waits and not self.speech.playout.playing

    def _move(self, now: float) -> list[Action]:
        """End the stream so that the call goes on at another relay, which is told whose turn it is."""
        left = list[Action]()
        if self.departure and not self.departure.left:  # the request leaves first, so the webhook finds it
            left = self._leave(self.departure, "the relay must go", now)
        callers = {Turn.CALLER, Turn.CALLER_SPEAKING, Turn.CALLER_MOVED}
        waits = self.watch.turn in callers or self.ladder.waits_for_caller
        listens = waits and not self.speech.speaking
        resumes = Resumes.LISTENING if listens else Resumes.SPEAKING
        why = next(why for why, how in MOVED.items() if how is resumes)
        return [*left, *self.speech.heard_so_far(now), *self._close(why)]

    def _unheeded(self, frame: str, now: float) -> list[Action]:
        """A caller who speaks, and of whom the model says nothing: it is asked for a sign of life.

        One that gives it and still has not noticed plain words is deaf: it is asked to answer, then replaced.
        """
        turn = self.watch.turn
        alone = turn is Turn.CALLER and now >= self.watch.at - ALONE
        spoke = self.caller.spoke(frame, alone=alone)
        if alone and self.caller.unheard and self.ladder.probe_at == NEVER:
            return self._unheard(now)
        if turn is Turn.CALLER_SPEAKING:
            spoke = self.caller.quiet_seconds >= QUIET_SECONDS
        if not (spoke or self.caller.goes_on) or turn not in CALLERS or not self.ladder.suspect(now):
            return []
        return [realtime.UpdateSession(SIGN_OF_LIFE)]

    def _unheard(self, now: float) -> list[Action]:
        """The caller hears the agent ask again; then, perhaps, that of another session; then a person."""
        misses = self.caller.missed()
        log = Log(events.SPEECH_UNHEARD, {"times": misses})
        if misses == 1:
            self.watch, self.ladder.line_at = Watch.over(Turn.AGENT_AGAIN, now), now + QUIET_SECONDS
            return [log, *self.speech.responses.ask(SAY_AGAIN)]
        if misses == 2:
            return [log, *self._model_gone("it hears nothing", 0, now, Owed.REPETITION)]
        return [log, *self._give_up(now)]

    # ---- the agent is lost, and comes back -----------------------------------------------------------------------

    def _error(self, error: realtime.Error, now: float) -> list[Action]:
        """Most errors leave the session as it is; after some it is over, and after a few every other one would be."""
        log = Log(events.MODEL_ERROR, {"code": error.code, "kind": error.kind, "client_event": error.client_event})
        if error.code == "conversation_already_has_active_response":
            self.speech.responses.rejected(error.client_event)
        elif self.model is Model.COMING or error.code == "session_expired" or fatal(f"{error.code} {error.kind}"):
            return [log, *self._model_gone(error.code or error.kind, 0, now)]
        return [log]

    def _model_gone(self, why: str, code: int, now: float, owed: Owed | None = None) -> list[Action]:
        """Before its first session, and where another try is in vain, the caller goes to a person."""
        if self.model is Model.ABSENT:
            return []
        failed = Log(events.MODEL_FAILED, {"why": why, "code": code or None})
        if self.departure:
            return [failed, *self._leave(self.departure, "the model is gone", now)]
        had_agent = self.model is Model.READY or self.ladder.out
        if self.ladder.may_try(why, code, now) and had_agent:
            return [failed, *self._reconnect("lost", owed or self._owed(), now)]
        return [failed, *self._give_up(now)]

    def _give_up(self, now: float) -> list[Action]:
        lost, self.model = self.speech.lost(), Model.ABSENT
        return [*lost, *self._to_default(Reason.AGENT_UNAVAILABLE, now)]

    def _reconnect(self, why: str, owed: Owed, now: float) -> list[Action]:
        """Another session; if this one is itself another that did not come up, within the time that runs already."""
        turn, ends_at = self.watch.turn, self.speech.playout.ends_at(now)
        if not self.ladder.out:
            silent_from = self.watch.at - PATIENCE[turn] if turn in {Turn.AGENT, Turn.AGENT_AGAIN} else ends_at
            self.ladder.begin(why, owed, silent_from, now)
            self.watch = Watch.over(Turn.MODEL_AGAIN, ends_at)
        self.model = Model.COMING
        return [*self.speech.lost(), ConnectModel()]

    def _owed(self) -> Owed:
        if self.ladder.owed is Owed.OPENING:
            return Owed.OPENING
        match self.watch.turn:
            case Turn.CALLER:
                return Owed.NOTHING
            case Turn.CALLER_SPEAKING | Turn.CALLER_AGAIN | Turn.CALLER_MOVED:
                return Owed.HALF
            case _:
                return Owed.REPETITION if self.ladder.unread else Owed.ANSWER

    def _resume(self, now: float) -> list[Action]:
        """Another session is up: it is told what was said, and goes on with what the caller waits for."""
        ladder, ms = self.ladder, round((now - self.ladder.since) * 1000)
        said = [
            realtime.CreateItem("user" if turn.role == "caller" else "assistant", turn.text)
            for turn in self.speech.memory.conversation
        ]
        if self.attended:
            said.append(realtime.CreateItem("system", people.awaited(self.attended.called)))
        replay = [*self.brief.replay, *said]
        ladder.ready(now)
        log = Log(events.MODEL_RESUMED, {"why": ladder.why, "ms": ms, "turns": len(replay)})
        asked = self._pay(ladder.owed, now)
        return [log, *replay, *asked, *(realtime.Append(frame) for frame in ladder.take())]

    def _pay(self, owed: Owed, now: float) -> list[Action]:
        """Have the agent say what is owed, and what it was to be told meanwhile."""
        ends_at, told = self.speech.playout.ends_at(now), "\n".join(self.untold)
        self.untold.clear()
        if told:
            self.watch = Watch.over(Turn.AGENT_AGAIN, ends_at)
            return [realtime.CreateItem("system", told), *self.speech.responses.ask(told)]
        what = {Owed.OPENING: self.brief.opening, Owed.ANSWER: CARRY_ON, Owed.REPETITION: SAY_AGAIN}.get(owed)
        if what is None:
            self.watch = Watch.over(Turn.CALLER if owed is Owed.NOTHING else Turn.CALLER_AGAIN, ends_at)
            return []
        self.watch = Watch.over(Turn.AGENT_AGAIN, ends_at)
        return [*self.speech.responses.ask(what)]

    def _rescue_due(self, now: float) -> list[Action]:
        ladder = self.ladder
        if now >= ladder.speech_by:
            ladder.settled()
            return self._to_default(Reason.AGENT_SILENT, now)
        if now >= ladder.probe_at:
            return self._model_gone("it hears nothing", 0, now, Owed.REPETITION)
        if ladder.renewal_due(now, between_turns=self._between_turns):
            return self._reconnect("renewed", self._owed(), now)
        if now < ladder.line_at:
            return []
        if (ends_at := self.speech.playout.ends_at(now)) > now:
            ladder.line_at = ends_at
            return []
        ladder.line_spoken()
        return [Log(events.LINE_SPOKEN), *self.speech.play(self.brief.line, now)]
