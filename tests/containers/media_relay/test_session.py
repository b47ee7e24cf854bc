"""What a session decides, case by case; `test_session_machine.py` looks for what nobody thought of."""

from __future__ import annotations

import itertools
import json

import pytest

from containers.media_relay import actions, agent, media_streams, realtime
from containers.media_relay.actions import CloseModel, CloseStream, Log, QueueTransfer, RecordEnd, Remember
from containers.media_relay.departure import ANNOUNCE_SECONDS, GOODBYE_SECONDS, TAKE_AWAY_SECONDS
from containers.media_relay.session import Session
from containers.media_relay.silence import NEVER, PATIENCE, RING_AFTER, Turn, Watch
from contracts import events
from contracts.transfer import Reason
from tests.containers.media_relay.worlds import (
    ACCOUNT_SID,
    CALL_SECONDS,
    CALL_SID,
    STREAM_SID,
    World,
    audio,
    session,
    start,
)

TOOL = realtime.FunctionCall("call_1", agent.TRANSFER_TOOL, json.dumps({"destination": "billing", "summary": "s"}))
GOODBYE = realtime.FunctionCall("call_2", agent.END_TOOL, '{"reason": "done"}')
CREATE = realtime.CreateResponse


def talking() -> World:
    """A call whose greeting is being generated: response `resp_1`, item `item_1`."""
    world = World()
    world.tell(start())
    world.model_open = True
    world.tell(actions.ModelConnected())
    world.ready = True
    world.tell(realtime.SessionUpdated(mu_law=True))
    return created(world, "resp_1")


def created(world: World, response_id: str) -> World:
    world.creates.clear()
    world.active = response_id
    world.tell(realtime.ResponseCreated(response_id))
    return world


def say(world: World, octets: int = 8000, number: int = 1) -> list[actions.Action]:
    return world.tell(realtime.AudioDelta(f"resp_{number}", f"item_{number}", audio(octets)))


def done(
    world: World, number: int = 1, status: str = "completed", *calls: realtime.FunctionCall
) -> list[actions.Action]:
    world.active = ""
    world.told_calls |= {call.call_id for call in calls}
    return world.tell(realtime.ResponseDone(f"resp_{number}", status, "", calls))


def call(world: World, tool: realtime.FunctionCall = TOOL) -> list[actions.Action]:
    world.told_calls.add(tool.call_id)
    return world.tell(tool)


def greeted() -> World:
    """A call whose greeting has been heard."""
    world = talking()
    say(world)
    done(world)
    world.pass_time(1.0)
    return world


def only(performed: list[actions.Action], kind: type[actions.Action]) -> list[actions.Action]:
    return [action for action in performed if isinstance(action, kind)]


def logged(performed: list[actions.Action]) -> list[str]:
    return [action.event.name for action in performed if isinstance(action, Log)]


def reason(world: World) -> Reason:
    (transfer,) = world.transfers
    return transfer.to.reason


# ---- coming up -------------------------------------------------------------------------------------------------------


def test_the_settings_are_sent_when_the_models_socket_opens_and_the_greeting_when_both_sides_are_up() -> None:
    world = World()
    world.tell(start())
    world.model_open = True
    (update,) = world.tell(actions.ModelConnected())
    assert isinstance(update, realtime.UpdateSession)
    world.ready = True
    (greeting,) = only(world.tell(realtime.SessionUpdated(mu_law=True)), CREATE)
    assert isinstance(greeting, CREATE)
    assert "Greet the caller" in greeting.instructions
    assert not only(world.tell(realtime.SessionUpdated(mu_law=True)), CREATE), "greeted once"


def test_S22_a_models_socket_is_opened_by_a_start_that_names_the_call_and_by_nothing_before() -> None:
    world = World()
    world.tell(media_streams.Media(STREAM_SID, audio(160)))
    assert not only(world.done, actions.ConnectModel)
    assert len(only(world.tell(start()), actions.ConnectModel)) == 1
    stranger = World()
    stranger.tell(start(call_sid="CA" + "9" * 32))
    assert not only(stranger.done, actions.ConnectModel)


def test_no_audio_goes_to_the_model_before_both_sides_are_up_nor_from_another_stream() -> None:
    world = World()
    world.tell(start())
    assert world.tell(media_streams.Media(STREAM_SID, audio(160))) == []
    world.model_open = world.ready = True
    world.tell(realtime.SessionUpdated(mu_law=True))
    assert world.tell(media_streams.Media("MZother", audio(160))) == []
    assert world.tell(media_streams.Media(STREAM_SID, audio(160))) == [realtime.Append(audio(160))]


def test_a_caller_who_waits_for_the_model_hears_ringing_until_the_agent_speaks() -> None:
    world = World()
    world.tell(start())
    world.pass_time(RING_AFTER)
    assert only(world.done, media_streams.Media)
    world.model_open = world.ready = True
    world.tell(realtime.SessionUpdated(mu_law=True))
    created(world, "resp_1")
    assert isinstance(say(world)[0], media_streams.Clear)


@pytest.mark.parametrize("changes", [{"call_sid": "CAother"}, {"account_sid": "AC"}, {"parameters": {"call_sid": "x"}}])
def test_S6_a_start_that_names_another_call_ends_the_visit(changes: dict[str, object]) -> None:
    performed = World().tell(start(**changes))
    assert logged(performed) == ["frame.malformed", "stream.ended"]
    assert only(performed, CloseStream) == [CloseStream("start_mismatch")]


def test_a_start_that_comes_twice_is_counted_and_the_call_goes_on() -> None:
    world = talking()
    assert logged(world.tell(start())) == ["frame.malformed"]
    assert only(say(world), media_streams.Media)


def test_the_start_of_another_stream_ends_the_visit() -> None:
    world = talking()
    assert only(world.tell(start(stream_sid="MZother")), CloseStream)


def test_R11_a_stream_that_never_starts_is_closed() -> None:
    world = World()
    world.pass_time(PATIENCE[Turn.START])
    assert world.stream_closed


def test_R2_a_model_that_is_not_ready_in_time_is_replaced_by_a_person() -> None:
    world = World()
    world.tell(start())
    world.pass_time(PATIENCE[Turn.MODEL])
    assert reason(world) is Reason.AGENT_UNAVAILABLE


def test_R1_R28_a_model_that_cannot_be_had_is_replaced_by_a_person_once() -> None:
    world = World()
    world.tell(start())
    assert logged(world.tell(actions.ModelGone("401 Unauthorized", 401)))[0] == "model.failed"
    assert world.tell(actions.ModelGone("again")) == []
    assert reason(world) is Reason.AGENT_UNAVAILABLE


def test_a_socket_that_opens_for_a_model_that_was_given_up_is_closed() -> None:
    world = World()
    world.tell(start())
    world.tell(actions.ModelGone("no answer in time"))
    assert world.session.handle(actions.ModelConnected(), world.now) == [CloseModel()]


def test_a_session_with_any_other_audio_than_mu_law_is_given_up() -> None:
    world = World()
    world.tell(start())
    world.model_open = True
    world.tell(actions.ModelConnected())
    world.tell(realtime.SessionUpdated(mu_law=False))
    assert reason(world) is Reason.AGENT_UNAVAILABLE


def test_what_a_model_says_before_it_is_set_up_counts_for_nothing() -> None:
    world = World()
    world.tell(start())
    world.model_open = True
    before = world.session.deadline
    for event in (
        realtime.SpeechStarted(),
        realtime.SpeechStopped(),
        realtime.ResponseCreated("r"),
        realtime.AudioDelta("r", "i", audio(160)),
        TOOL,
        realtime.ResponseDone("r", "failed"),
    ):
        assert world.tell(event) == []
    assert world.session.deadline == before


def test_keys_before_the_agent_is_there_are_not_gathered_but_zero_asks_for_a_person() -> None:
    world = World()
    assert world.tell(media_streams.Dtmf(STREAM_SID, "0")) == [], "the stream has not begun"
    world.tell(start())
    world.tell(media_streams.Dtmf(STREAM_SID, "5"))
    world.pass_time(1.5)
    assert not only(world.done, realtime.CreateItem)
    world.tell(media_streams.Dtmf(STREAM_SID, "0"))
    assert reason(world) is Reason.CALLER_PRESSED_KEY


# ---- the conversation ------------------------------------------------------------------------------------------------


def test_barge_in_clears_at_once_and_truncates_to_what_was_heard() -> None:
    world = talking()
    say(world, 16_000)
    world.pass_time(0.5)
    performed = world.tell(realtime.SpeechStarted("item_c"))
    assert performed[:2] == [media_streams.Clear(STREAM_SID), realtime.Truncate("item_1", 500)]
    assert say(world) == [], "the rest of that response is not heard"


def test_nothing_is_cleared_or_truncated_when_all_was_heard() -> None:
    world = greeted()
    assert logged(world.tell(realtime.SpeechStarted("item_c"))) == ["speech.started"]
    assert not only(world.done, media_streams.Clear)


def test_marks_echoed_by_a_clear_do_not_count_as_heard() -> None:
    world = talking()
    say(world, 16_000)
    world.tell(realtime.AgentTranscript("item_1", "one two three four"))
    world.tell(realtime.SpeechStarted("c"))
    created(world, "resp_2")
    say(world, 16_000, 2)
    world.pass_time(0.0)  # the echoes of the clear
    assert world.tell(realtime.SpeechStarted("c"))[1] == realtime.Truncate("item_2", 0)


def test_what_was_heard_is_remembered_and_of_what_was_cut_only_that_part() -> None:
    world = talking()
    say(world, 16_000)
    world.tell(realtime.AgentTranscript("item_1", "one two three four"))
    world.pass_time(1.0)
    assert only(world.tell(realtime.SpeechStarted("c")), Remember) == [Remember("agent", "one two …")]
    assert world.tell(realtime.CallerTranscript("c", "stop")) == [Remember("caller", "stop")]


def test_a_caller_who_says_nothing_is_asked_twice_and_then_the_call_ends() -> None:
    world = greeted()
    for number in (2, 3):
        world.pass_time(PATIENCE[Turn.CALLER])
        assert "still there" in world.creates[-1].instructions
        created(world, f"resp_{number}")
        say(world, 800, number)
        done(world, number)
        world.pass_time(0.1)
    world.pass_time(PATIENCE[Turn.CALLER])
    assert "goodbye" in world.creates[-1].instructions
    created(world, "resp_4")
    say(world, 800, 4)
    done(world, 4)
    world.pass_time(0.1)
    assert world.ends == [RecordEnd("caller_silent")]
    world.tell(actions.EndRecorded())
    assert world.session.over


def test_keys_are_gathered_for_the_model_and_are_a_sign_of_life() -> None:
    world = greeted()
    world.session.prompts = 2
    for key in "12":
        world.tell(media_streams.Dtmf(STREAM_SID, key))
    world.pass_time(1.0)
    (item,) = only(world.done, realtime.CreateItem)
    assert isinstance(item, realtime.CreateItem)
    assert "12" in item.text
    assert world.creates
    assert world.session.prompts == 0


def test_R7_an_agent_that_stays_silent_is_asked_again_after_four_seconds_and_replaced_after_eight() -> None:
    world = talking()
    world.pass_time(4.0)
    assert only(world.done, realtime.CancelResponse) == [realtime.CancelResponse("resp_1")]
    world.pass_time(4.0)
    assert reason(world) is Reason.AGENT_SILENT


def test_a_greeting_that_was_asked_for_twice_is_said_once() -> None:
    world = talking()
    fresh = World()
    fresh.tell(start())
    fresh.model_open = fresh.ready = True
    fresh.tell(realtime.SessionUpdated(mu_law=True))
    fresh.pass_time(4.0)
    first, second = fresh.creates
    assert isinstance(first, CREATE)
    assert first.instructions == second.instructions
    created(fresh, "resp_1")
    fresh.tell(realtime.Error("conversation_already_has_active_response", "x", second.event_id))
    say(fresh)
    assert not only(done(fresh), CREATE)
    assert world.session.deadline < NEVER


def test_a_speech_that_never_stops_does_not_silence_the_agent_for_ever() -> None:
    world = greeted()
    world.tell(realtime.SpeechStarted("c"))
    world.pass_time(PATIENCE[Turn.CALLER_SPEAKING])
    assert world.creates


def test_after_the_caller_has_spoken_the_agent_is_awaited() -> None:
    world = greeted()
    world.tell(realtime.SpeechStarted("c"))
    assert logged(world.tell(realtime.SpeechStopped("c"))) == ["speech.stopped"]
    assert world.session.watch.turn is Turn.AGENT


def test_R6_a_response_that_fails_is_asked_for_once_more_and_then_a_person_takes_over() -> None:
    world = talking()
    (again,) = only(done(world, 1, "failed"), CREATE)
    assert isinstance(again, CREATE)
    assert "Greet" in again.instructions
    created(world, "resp_2")
    done(world, 2, "failed")
    assert reason(world) is Reason.AGENT_UNAVAILABLE


def test_R6_a_response_that_breaks_off_before_a_word_is_asked_for_at_once() -> None:
    world = talking()
    assert only(done(world, 1, "incomplete"), CREATE)


@pytest.mark.parametrize("status", ["incomplete", "cancelled", "failed"])
def test_R6_of_a_sentence_that_breaks_off_the_rest_is_asked_for_and_then_a_person_takes_over(status: str) -> None:
    world = talking()
    say(world, 1600)
    (rest,) = only(done(world, 1, status), CREATE)
    assert isinstance(rest, CREATE)
    assert rest.instructions == agent.CARRY_ON
    created(world, "resp_2")
    say(world, 1600, 2)
    done(world, 2, status)
    assert reason(world) is Reason.AGENT_UNAVAILABLE


def test_R7_an_end_without_a_beginning_is_no_answer_though_the_one_before_was_heard() -> None:
    world = greeted()
    world.tell(realtime.SpeechStarted("c"))
    world.tell(realtime.SpeechStopped("c"))
    world.tell(realtime.ResponseDone("resp_2", "completed"))
    assert world.session.watch.turn is Turn.AGENT


def test_R6_a_sentence_that_the_caller_broke_off_is_not_asked_for_again() -> None:
    for status in ("incomplete", "cancelled"):
        world = talking()
        say(world, 1600)
        world.tell(realtime.SpeechStarted("c"))
        assert not only(done(world, 1, status), CREATE)
        assert world.session.watch.turn is Turn.CALLER_SPEAKING


def test_R5_an_error_is_logged_and_changes_nothing_except_at_the_start_or_the_end_of_a_session() -> None:
    world = greeted()
    for code in ("response_cancel_not_active", "invalid_value", "", "never_seen_before"):
        assert logged(world.tell(realtime.Error(code, "t", ""))) == ["model.error"]
    world.tell(realtime.Error("session_expired", "t", ""))
    assert world.connects == 1
    starting = World()
    starting.tell(start())
    starting.tell(realtime.Error("", "invalid_request_error", ""))
    assert reason(starting) is Reason.AGENT_UNAVAILABLE


def test_the_calls_time_limit_hands_it_to_a_person() -> None:
    world = talking()
    world.session.call = type(world.session.call)(CALL_SID, ACCOUNT_SID, world.now + 1)
    say(world, 80_000)
    world.pass_time(1.5)
    assert reason(world) is Reason.TIME_LIMIT
    assert CALL_SECONDS > 1


def test_a_malformed_frame_is_logged_and_the_call_goes_on() -> None:
    assert logged(talking().tell(actions.Malformed("twilio", "twilio.json"))) == ["frame.malformed"]


# ---- tools and departures --------------------------------------------------------------------------------------------


def test_a_tool_call_is_acted_on_once_however_often_it_is_told() -> None:
    world = talking()
    first = call(world)
    assert len(only(first, realtime.FunctionOutput)) == 1
    assert call(world) == []
    assert not only(done(world, 1, "completed", TOOL), realtime.FunctionOutput)


def test_R27_a_second_tool_call_during_a_departure_is_answered_and_changes_nothing() -> None:
    world = talking()
    call(world)
    (_, answer) = call(world, realtime.FunctionCall("call_9", agent.TRANSFER_TOOL, '{"destination": "support"}'))
    assert isinstance(answer, realtime.FunctionOutput)
    assert "already" in answer.output


def test_an_unknown_tool_is_refused_and_the_agent_goes_on_speaking() -> None:
    world = talking()
    performed = call(world, realtime.FunctionCall("call_3", "order_pizza", "{}"))
    assert len(only(performed, realtime.FunctionOutput)) == 1
    assert only(done(world), CREATE)


def test_an_agent_that_says_so_while_it_calls_the_tool_is_not_asked_to_say_it_again() -> None:
    world = talking()
    say(world)
    call(world)
    assert not only(done(world), CREATE)
    assert not world.transfers, "the sentence is not heard yet"
    world.pass_time(1.0)
    assert [transfer.to.destination for transfer in world.transfers] == ["billing"]


def test_an_agent_that_calls_the_tool_before_it_says_so_is_not_asked_to_say_it_again() -> None:
    world = talking()
    call(world)
    say(world)
    assert not only(done(world), CREATE)
    world.pass_time(1.0)
    assert [transfer.to.destination for transfer in world.transfers] == ["billing"]


def test_a_silent_tool_call_is_followed_by_a_farewell_and_the_request_leaves_when_that_was_heard() -> None:
    world = talking()
    call(world)
    (farewell,) = only(done(world), CREATE)
    assert isinstance(farewell, CREATE)
    assert "the billing team" in farewell.instructions
    assert not farewell.use_tools
    created(world, "resp_2")
    say(world, 8000, 2)
    done(world, 2)
    world.pass_time(0.9)
    assert not world.transfers
    world.pass_time(0.2)
    assert world.transfers
    assert say(world, 80, 2) == [], "the agent is mute once the request has left"


def test_a_hand_off_line_that_is_not_heard_in_four_seconds_does_not_hold_the_request() -> None:
    world = talking()
    call(world)
    world.pass_time(ANNOUNCE_SECONDS)
    assert world.transfers
    assert Log(events.HANDOFF_ANNOUNCED, {"how": "timeout", "ms": 4000}) in world.done


def test_nothing_the_caller_says_undoes_a_departure() -> None:
    world = talking()
    say(world)
    call(world)
    assert logged(world.tell(realtime.SpeechStarted("c"))) == ["speech.started"]
    assert logged(world.tell(realtime.SpeechStopped("c"))) == ["speech.stopped"]
    assert logged(world.tell(media_streams.Dtmf(STREAM_SID, "0"))) == ["key.pressed"]
    world.pass_time(4.0)
    assert reason(world) is Reason.CALLER_ASKED


def test_a_model_that_dies_while_it_announces_does_not_stop_the_request() -> None:
    world = talking()
    call(world)
    assert len(only(world.tell(actions.ModelGone("gone")), QueueTransfer)) == 1


def test_a_waiting_caller_hears_ringing_with_pauses_under_two_and_a_half_seconds() -> None:
    world = talking()
    world.tell(media_streams.Dtmf(STREAM_SID, "0"))
    world.pass_time(TAKE_AWAY_SECONDS - 0.1)
    rings = [(begins, ends) for item, begins, ends in world.twilio.frames if item == "ringback"]
    assert len(rings) == 2
    assert rings[1][0] - rings[0][1] < 2.5


def test_a_caller_who_is_not_taken_away_in_eight_seconds_is_given_to_the_webhook() -> None:
    world = talking()
    world.tell(media_streams.Dtmf(STREAM_SID, "0"))
    assert world.tell(actions.TransferQueued()) == []
    world.pass_time(TAKE_AWAY_SECONDS)
    assert CloseStream("not_taken_away") in world.done


def test_R17_a_request_that_cannot_be_queued_ends_the_stream() -> None:
    world = talking()
    world.tell(media_streams.Dtmf(STREAM_SID, "0"))
    assert only(world.tell(actions.TransferNotQueued("the queue failed")), CloseStream)


def test_a_goodbye_is_heard_to_its_end_but_not_for_ever() -> None:
    for seconds, ends in ((6.0, 6.0), (60.0, GOODBYE_SECONDS)):
        world = talking()
        say(world, int(seconds * 8000))
        call(world, GOODBYE)
        done(world)
        began = world.now
        world.pass_time(ends - 0.1)
        assert not world.ends
        world.pass_time(0.2)
        assert world.ends == [RecordEnd("done")]
        assert world.now - began < GOODBYE_SECONDS + 1


def test_an_end_that_the_ledger_does_not_confirm_closes_the_stream_all_the_same() -> None:
    world = talking()
    call(world, GOODBYE)
    world.pass_time(ANNOUNCE_SECONDS)
    assert world.ends
    world.pass_time(2.0)
    assert CloseStream("agent_ended") in world.done
    assert "handoff.released" not in logged(world.done)


def test_key_zero_turns_a_goodbye_into_a_transfer_and_other_keys_do_not_disturb_it() -> None:
    world = talking()
    say(world)
    call(world, GOODBYE)
    world.tell(media_streams.Dtmf(STREAM_SID, "5"))
    world.pass_time(1.5)
    assert not only(world.done, realtime.CreateItem)
    world.tell(media_streams.Dtmf(STREAM_SID, "0"))
    assert reason(world) is Reason.CALLER_PRESSED_KEY
    assert not world.ends


# ---- ends ------------------------------------------------------------------------------------------------------------


def test_a_drain_ends_the_stream() -> None:
    world = talking()
    assert only(world.tell(actions.Drain()), CloseStream) == [CloseStream("relay_draining")]
    assert world.session.deadline == NEVER


def test_a_stop_ends_the_visit_and_our_side_of_the_stream() -> None:
    performed = talking().tell(media_streams.Stop(STREAM_SID))
    assert performed[0] == CloseModel()
    assert performed[-1] == CloseStream("stop")


def test_S23_a_stop_of_another_stream_ends_nothing() -> None:
    world = talking()
    assert world.tell(media_streams.Stop("MZ" + "f" * 32)) == []
    assert only(world.tell(media_streams.Stop(STREAM_SID)), CloseStream)


def test_a_stream_that_is_lost_ends_the_visit_with_its_code() -> None:
    (_, log) = talking().tell(actions.StreamGone("no close frame", 1006))
    assert isinstance(log, Log)
    assert log.fields == {"by": "twilio", "why": "no close frame", "code": 1006}


def test_R10_connected_start_media_stop_and_close_in_every_order_end_without_an_exception() -> None:
    stream = {"streamSid": STREAM_SID, "sequenceNumber": "1"}
    begin = {
        "accountSid": ACCOUNT_SID,
        "callSid": CALL_SID,
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    messages = [
        {"event": "connected"},
        {"event": "start", **stream, "start": begin},
        {"event": "media", **stream, "media": {"payload": audio(160)}},
        {"event": "stop", **stream},
    ]
    script: list[actions.SessionEvent | None] = [media_streams.decode(json.dumps(one).encode()) for one in messages]
    script.append(actions.StreamGone("closed", 1000))
    brief, call_ = session().brief, session().call
    for length in range(1, 7):
        for order in itertools.product(script, repeat=length):
            one = Session(call_, brief, 0.0)
            for event in order:
                after_the_end = one.over
                performed = [] if event is None else one.handle(event, 0.0)
                assert not (after_the_end and performed)
            assert one.over or one.deadline < NEVER
            if any(isinstance(event, actions.StreamGone | media_streams.Stop) for event in order):
                assert one.over


def test_what_cannot_be_is_asserted() -> None:
    with pytest.raises(AssertionError):
        session()._decide(media_streams.Media(STREAM_SID, ""), 0.0)
    with pytest.raises(AssertionError):
        session()._decide(object(), 0.0)  # type: ignore[arg-type]
    world = talking()
    world.session.watch = Watch.over(Turn.DEPARTURE, 0.0)
    with pytest.raises(AssertionError):
        world.session._patience_ended(0.0)
