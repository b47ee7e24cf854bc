"""Random calls: whatever Twilio, the caller, the model and the clock do, the promises of a session hold."""

from __future__ import annotations

import copy
import itertools

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from containers.media_relay import actions, agent, media_streams, realtime
from containers.media_relay.silence import NEVER, PATIENCE, Turn
from contracts import hops
from contracts.agent_file import AgentFile
from contracts.claim import claimed, rung
from contracts.destination import Position
from contracts.handoff import Then, Transfer, Try
from contracts.transfer import Outcome
from tests.containers.media_relay.worlds import AGENT_FILE, PEOPLE_FILE, STREAM_SID, World, audio, silence, start

_LIMITS = settings(
    max_examples=200,
    stateful_step_count=60,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
_rarely, _sometimes = st.sampled_from([False] * 19 + [True]), st.sampled_from([False, False, True])
_arguments = st.sampled_from(
    [f'{{"destination": "{key}", "summary": "s"}}' for key in ("billing", "billing", "support", "sales", "director")]
    + ['{"destination": "+15550109999"}', "{broken", "[]"]
)
_agent_says = st.sampled_from(
    ["Let me see what I can do for you.", "I'll connect you to the billing team now.", "I am transferring you now."]
)
_caller_says = st.sampled_from(
    ["Let me speak to a human.", "Put me through to technical support.", "Bring out the boss!", "No, wait.", "Okay."]
)
_outcomes = st.sampled_from([Outcome.NO_ANSWER, Outcome.BUSY, Outcome.DECLINED, Outcome.VOICEMAIL])
_NO_USAGE = realtime.Usage()
_usage = st.sampled_from([_NO_USAGE] * 9 + [realtime.Usage(output_tokens=4000, audio_output_tokens=4000)])


class PoliteWorld(RuleBasedStateMachine):
    """Twilio and the model keep to their protocols; they, the caller and the network may fail at any moment."""

    polite = True

    @initialize(
        echo_delay=st.sampled_from([0.0, 0.05, 0.5]),
        met=st.booleans(),
        file=st.sampled_from([AGENT_FILE, PEOPLE_FILE, PEOPLE_FILE]),
    )
    def ring(self, echo_delay: float, file: AgentFile, *, met: bool) -> None:
        self.world = World(echo_delay, file)
        self.world.polite = self.polite
        self.names = itertools.count(1)
        self.started = False
        self.stopped = False
        self.speaking = False
        self.item = ""
        self.turn = ""
        self.calls: list[realtime.FunctionCall] = []
        if met:
            self.stream_starts()
            self.model_connects()
            self.session_is_updated(mu_law=True)

    def fresh(self, kind: str) -> str:
        return f"{kind}_{next(self.names)}"

    @property
    def model_speaks(self) -> bool:
        world = self.world
        return world.model_open and world.ready and not world.model_closed

    @property
    def stream_open(self) -> bool:
        return self.started and not self.stopped

    @property
    def called(self) -> Transfer:
        assert self.world.calling is not None
        return self.world.calling

    # ---- Twilio and the caller -----------------------------------------------------------------------------------

    @precondition(lambda self: not self.started and not self.stopped)
    @rule()
    def stream_starts(self) -> None:
        self.started = True
        self.world.tell(start())

    @precondition(lambda self: self.stream_open)
    @rule()
    def caller_sounds(self) -> None:
        self.world.tell(media_streams.Media(STREAM_SID, audio(160)))

    @precondition(lambda self: self.stream_open)
    @rule(digit=st.sampled_from("123456789#*123456789#*0"))
    def caller_presses(self, digit: str) -> None:
        self.world.tell(media_streams.Dtmf(STREAM_SID, digit))

    @precondition(lambda self: not self.stopped)
    @rule(how=st.sampled_from([media_streams.Stop(STREAM_SID), actions.StreamGone("gone", 1006)]), rarely=_rarely)
    def caller_hangs_up(self, how: media_streams.Stop | actions.StreamGone, *, rarely: bool) -> None:
        if rarely:
            self.stopped = True
            self.world.tell(how)
            assert self.world.session.over

    @rule(seconds=st.sampled_from([0.02] * 4 + [0.1] * 4 + [0.3] * 4 + [1.0, 1.0, 2.5, 5.0, 13.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    # ---- the model -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.wanted and not (self.world.model_open or self.world.model_closed))
    @rule()
    def model_connects(self) -> None:
        self.world.model_open = True
        self.world.tell(actions.ModelConnected())

    @precondition(lambda self: self.world.model_open and not self.world.ready and not self.world.model_closed)
    @rule(mu_law=_rarely.map(lambda rarely: not rarely))
    def session_is_updated(self, *, mu_law: bool) -> None:
        self.world.ready = mu_law
        self.world.tell(realtime.SessionUpdated(mu_law))

    def hear_creates(self) -> None:
        """The model reads what was asked in order: it refuses what comes while a response is active."""
        world = self.world
        while world.creates:
            create = world.creates.pop(0)
            if world.active:
                code = "conversation_already_has_active_response"
                world.tell(realtime.Error(code, "invalid_request_error", create.event_id))
            else:
                world.active = self.fresh("resp")
                self.item = self.fresh("item")
                world.tell(realtime.ResponseCreated(world.active))

    @precondition(lambda self: self.model_speaks and self.world.creates)
    @rule()
    def model_hears_what_was_asked(self) -> None:
        self.hear_creates()

    @precondition(lambda self: self.model_speaks and self.world.active)
    @rule(octets=st.sampled_from([80, 160, 3200, 3201, 8000, 40_000]))
    def agent_speaks(self, octets: int) -> None:
        self.world.tell(realtime.AudioDelta(self.world.active, self.item, audio(octets)))

    @precondition(lambda self: self.model_speaks and self.stream_open)
    @rule(
        deltas=st.lists(st.sampled_from([160, 4000]), min_size=1, max_size=4), pause=st.sampled_from([0.0, 0.05, 0.7])
    )
    def agent_answers(self, deltas: list[int], pause: float) -> None:
        """A whole turn at once, so that many runs come to what follows one."""
        self.hear_creates()
        if not self.world.active:
            if not self.speaking:
                self.caller_speaks()
            self.caller_falls_silent()
        for octets in deltas:
            if self.model_speaks:
                self.agent_speaks(octets)
                self.world.pass_time(pause)

    @precondition(lambda self: self.model_speaks and self.world.active)
    @rule(text=_agent_says)
    def agent_is_transcribed(self, text: str) -> None:
        self.world.tell(realtime.AgentTranscript(self.item, text))

    @precondition(lambda self: self.model_speaks and self.turn)
    @rule(text=_caller_says)
    def caller_is_transcribed(self, text: str) -> None:
        self.world.tell(realtime.CallerTranscript(self.turn, text))

    @precondition(lambda self: self.model_speaks and self.world.active)
    @rule(
        name=st.sampled_from([agent.TRANSFER_TOOL, agent.TRANSFER_TOOL, agent.END_TOOL, "order_pizza"]),
        arguments=_arguments,
        sometimes=_sometimes,
    )
    def agent_calls_a_tool(self, name: str, arguments: str, *, sometimes: bool) -> None:
        if sometimes:
            call = realtime.FunctionCall(self.fresh("call"), name, arguments)
            self.calls.append(call)
            self.world.told_calls.add(call.call_id)
            self.world.tell(call)

    @precondition(lambda self: self.model_speaks and self.calls)
    @rule()
    def a_tool_call_is_told_again(self) -> None:
        self.world.tell(self.calls[-1])

    @precondition(lambda self: self.model_speaks and self.world.active)
    @rule(
        status=st.sampled_from(["completed", "completed", "completed", "cancelled", "incomplete", "failed"]),
        usage=_usage,
    )
    def response_ends(self, status: str, usage: realtime.Usage) -> None:
        self.hear_creates()
        self.finish_response(status, usage)

    def finish_response(self, status: str, usage: realtime.Usage = _NO_USAGE) -> None:
        response, self.world.active, calls = self.world.active, "", tuple(self.calls)
        self.calls = []
        if self.model_speaks:
            self.world.tell(realtime.ResponseDone(response, status, "", calls, usage))

    @precondition(lambda self: self.model_speaks and self.stream_open and not self.speaking)
    @rule()
    def caller_speaks(self) -> None:
        self.speaking, self.turn = True, self.fresh("item")
        self.world.tell(realtime.SpeechStarted(self.turn))
        if self.world.active:  # interrupt_response
            self.hear_creates()
            self.finish_response("cancelled")

    @precondition(lambda self: self.model_speaks and self.speaking)
    @rule()
    def caller_falls_silent(self) -> None:
        self.speaking = False
        self.world.tell(realtime.SpeechStopped(self.turn))
        if self.model_speaks and not self.world.active:  # create_response
            self.world.active, self.item = self.fresh("resp"), self.fresh("item")
            self.world.tell(realtime.ResponseCreated(self.world.active))

    @precondition(lambda self: self.model_speaks)
    @rule(code=st.sampled_from(["invalid_value", "response_cancel_not_active", "", "server_error"]), rarely=_rarely)
    def model_objects(self, code: str, *, rarely: bool) -> None:
        if rarely or self.world.ready:
            self.world.tell(realtime.Error(code, "invalid_request_error", ""))

    @precondition(lambda self: not self.world.model_closed)
    @rule(why=st.sampled_from(["no close frame", "insufficient_quota"]), rarely=_rarely)
    def model_dies(self, why: str, *, rarely: bool) -> None:
        if rarely:
            self.world.model_closed = True
            self.world.tell(actions.ModelGone(why, 1006))

    @precondition(lambda self: self.model_speaks and self.stream_open and not self.world.left)
    @rule(away=st.sampled_from([0.0, 0.1, 0.7, 1.5, 3.0]), rarely=_rarely)
    def agent_is_lost_and_comes_back(self, away: float, *, rarely: bool) -> None:
        """At one go, so that many runs come to a conversation that goes on in another session."""
        self.world.model_closed = True
        self.world.tell(actions.ModelGone("no close frame", 1006))
        for frame in (audio(160), silence(160)):
            self.world.tell(media_streams.Media(STREAM_SID, frame))
        self.world.pass_time(away)
        self.another_session_comes(mu_law=not rarely)

    @precondition(lambda self: self.model_speaks and self.stream_open and not self.world.left)
    @rule(away=st.sampled_from([0.0, 0.5, 2.0]), late=st.booleans(), rarely=_rarely)
    def session_is_renewed(self, away: float, *, late: bool, rarely: bool) -> None:
        """Its fifty minutes are over, or so many that nobody's sentence is waited for."""
        ladder = self.world.session.ladder
        if ladder.renew_at < NEVER:
            ladder.renew_at = self.world.now
            ladder._renew_by = self.world.now if late else ladder._renew_by
            self.world.tell(actions.Tick())
            self.world.pass_time(away)
            self.another_session_comes(mu_law=not rarely)

    def another_session_comes(self, *, mu_law: bool) -> None:
        if not (self.world.model_open or self.world.model_closed):
            self.speaking, self.calls = False, []
            self.model_connects()
            self.session_is_updated(mu_law=mu_law)

    @precondition(lambda self: self.model_speaks and self.stream_open)
    @rule(answers=st.booleans(), pause=st.sampled_from([40, 120]), sometimes=_sometimes)
    def caller_talks_to_a_model_that_hears_nothing(self, *, answers: bool, pause: int, sometimes: bool) -> None:
        """It is frozen, or it is deaf and lives."""
        for frame in [audio(160)] * 60 + [silence(160)] * pause if sometimes else []:
            probes = self.world.probes
            self.world.tell(media_streams.Media(STREAM_SID, frame))
            if self.world.probes > probes and answers:
                self.world.tell(realtime.SessionUpdated(mu_law=True))

    # ---- the slow effects ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.transfers)
    @rule(queued=st.booleans())
    def queue_answers(self, *, queued: bool) -> None:
        self.world.tell(actions.TransferQueued() if queued else actions.TransferNotQueued("the queue failed"))
        assert queued or self.world.session.over

    @precondition(lambda self: self.world.ends)
    @rule()
    def end_is_recorded(self) -> None:
        self.world.tell(actions.EndRecorded())
        assert self.world.session.over or self.world.transfers

    @precondition(lambda self: self.model_speaks and self.stream_open and not self.world.left)
    @rule(octets=st.sampled_from([0, 4000]))
    def agent_asks_for_billing(self, octets: int) -> None:
        """At one go, so that many runs come to a person who is called while the agent keeps company."""
        self.agent_answers([octets] if octets else [], 0.0)
        if self.model_speaks and self.world.active:
            self.agent_calls_a_tool(agent.TRANSFER_TOOL, '{"destination": "billing", "summary": "s"}', sometimes=True)
            self.response_ends("completed", _NO_USAGE)
            self.hear_creates()

    # ---- the functions and the ledger, while a person is called -----------------------------------------------------

    @precondition(lambda self: self.world.calling)
    @rule(at=st.sampled_from(["billing", "reception"]), sometimes=_sometimes)
    def person_rings(self, at: str, *, sometimes: bool) -> None:
        transfer = claimed(self.called, "transfer", self.world.now, self.world.now + 30)
        self.world.transfer = hops.placed(transfer, Position(at), (), self.world.now, attended=True)
        if sometimes:
            self.world.transfer = rung(self.world.transfer, self.world.now, self.fresh("CA"))

    @precondition(lambda self: self.world.calling)
    @rule(outcome=_outcomes, note=st.sampled_from(["", "in a meeting"]))
    def ring_ends_in_vain(self, outcome: Outcome, note: str) -> None:
        at, now = self.called.position, self.world.now
        ring = Try(at.destination, at.index, outcome, note=note)
        self.world.transfer = hops.advanced(self.called, ring, Position("billing", 1), (), now)

    @precondition(lambda self: self.world.calling)
    @rule()
    def person_accepts(self) -> None:
        self.world.transfer = hops.joining(self.called, "CA", self.world.now) or self.world.transfer

    @precondition(lambda self: self.world.calling)
    @rule(outcome=_outcomes, then=st.sampled_from([None, *Then]))
    def nobody_is_called_any_more(self, outcome: Outcome, then: Then | None) -> None:
        self.world.then = then
        self.world.transfer, _ = hops.over(self.called, None, outcome, (), self.world.now, then)

    @precondition(lambda self: self.world.calling)
    @rule(deltas=st.integers(0, 2))
    def company_is_kept(self, deltas: int) -> None:
        """A second in which the agent answers and the ledger is read."""
        if self.model_speaks and self.stream_open and deltas:
            self.agent_answers([4000] * deltas, 0.0)
            if self.world.active and self.model_speaks:
                self.response_ends("completed", _NO_USAGE)
        self.world.pass_time(1.0)
        if self.world.reads:
            self.world.answer()

    @precondition(lambda self: self.world.reads)
    @rule(rarely=_rarely)
    def ledger_answers(self, *, rarely: bool) -> None:
        self.world.answer(readable=not rarely)

    @rule(within=st.sampled_from([0.0, 1.0, 5.0]), rarely=_rarely)
    def relay_drains(self, within: float, *, rarely: bool) -> None:
        if rarely:
            self.world.tell(actions.Drain(within))
            assert self.world.session.over or self.world.session.deadline <= self.world.now + within

    @rule(rarely=_rarely)
    def another_stream_has_the_call(self, *, rarely: bool) -> None:
        if rarely:
            self.world.tell(actions.Superseded())
            assert self.world.session.over

    # ---- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def there_is_always_a_deadline(self) -> None:
        assert self.world.session.over or self.world.session.deadline < NEVER

    @invariant()
    def an_end_of_ours_closes_the_stream(self) -> None:
        if self.world.session.over and not self.stopped:
            assert self.world.stream_closed
            assert self.world.model_closed

    @invariant()
    def nobody_goes_to_a_person_and_to_the_end(self) -> None:
        assert not (self.world.ends and self.world.unattended)

    def teardown(self) -> None:
        """From wherever this got to: if only time passes, the caller is not left in silence."""
        if hasattr(self, "world") and not self.world.session.over:
            for echo_delay, answer_delay in ((self.world.echo_delay, NEVER), (NEVER, 0.2)):
                world = copy.deepcopy(self.world)
                world.echo_delay, world.answer_delay = echo_delay, answer_delay
                self.follow_only_time(world)

    @staticmethod
    def follow_only_time(world: World) -> None:
        turn = world.session.watch.turn
        patience = min(PATIENCE[turn], PATIENCE[Turn.CALLER_SPEAKING])
        quiet_from = max(world.now, world.twilio.played_until)
        bound = quiet_from + patience + 2 * PATIENCE[Turn.AGENT] + 1 - world.now
        sounds = len(world.done)
        world.pass_time(bound)
        helped = (media_streams.Media, actions.QueueTransfer, actions.RecordEnd, actions.CloseStream)
        assert any(isinstance(action, helped) for action in world.done[sounds:]), f"silence after {turn}"
        world.pass_time(240 if world.session.attended else 120)
        assert world.session.over, "if nobody says anything any more, the visit ends"


class HostileWorld(PoliteWorld):
    """The same, and either side may say anything at any time."""

    polite = False

    @rule(
        event=st.one_of(
            st.builds(start),
            st.builds(start, call_sid=st.just("CAother")),
            st.builds(start, account_sid=st.just("ACother")),
            st.builds(start, parameters=st.just({"call_sid": "CAother"})),
            st.builds(media_streams.Media, st.sampled_from([STREAM_SID, "MZother"]), st.just(audio(160))),
            st.builds(media_streams.Mark, st.sampled_from([STREAM_SID, ""]), st.sampled_from(["g0.1", "g1.2", "x"])),
            st.builds(media_streams.Dtmf, st.sampled_from([STREAM_SID, "MZother"]), st.sampled_from("05*")),
        )
    )
    def twilio_says_anything(self, event: media_streams.FromTwilio) -> None:
        self.started |= event == start()
        self.world.tell(event)

    @precondition(lambda self: self.world.model_open and not self.world.model_closed)
    @rule(
        event=st.one_of(
            st.builds(realtime.SpeechStarted),
            st.builds(realtime.SpeechStopped),
            st.builds(realtime.ResponseCreated, st.sampled_from(["r1", "r2"])),
            st.builds(
                realtime.AudioDelta,
                st.sampled_from(["r1", "r2"]),
                st.sampled_from(["i1", "i2", "i3"]),
                st.sampled_from([1, 160, 9000]).map(audio),
            ),
            st.builds(
                realtime.ResponseDone,
                st.sampled_from(["r1", "r2"]),
                st.sampled_from(["completed", "cancelled", "failed", "new"]),
            ),
            st.builds(
                realtime.FunctionCall,
                st.sampled_from(["c1", "c2"]),
                st.sampled_from([agent.TRANSFER_TOOL, agent.END_TOOL, ""]),
                _arguments,
            ),
            st.builds(realtime.CallerTranscript, st.sampled_from(["i1", ""]), _caller_says | st.just("")),
            st.builds(realtime.AgentTranscript, st.just("i1"), _agent_says | st.just("")),
            st.builds(
                realtime.Error,
                st.sampled_from(["conversation_already_has_active_response", "session_expired", "x"]),
                st.just(""),
                st.sampled_from(["", "rc_1", "rc_2"]),
            ),
            st.builds(actions.Malformed, st.sampled_from(["twilio", "model"]), st.just("json")),
        )
    )
    def model_says_anything(self, event: actions.SessionEvent) -> None:
        if isinstance(event, realtime.FunctionCall):
            self.world.told_calls.add(event.call_id)
        self.world.tell(event)


TestPoliteWorld = PoliteWorld.TestCase
TestPoliteWorld.settings = _LIMITS
TestHostileWorld = HostileWorld.TestCase
TestHostileWorld.settings = _LIMITS
