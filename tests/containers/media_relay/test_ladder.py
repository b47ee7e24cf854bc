"""An agent that is lost, mute, frozen or an hour old, rung by rung, in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from containers.media_relay import actions, agent, clips, ladder, media_streams, realtime
from containers.media_relay.actions import Action, ConnectModel
from containers.media_relay.silence import PATIENCE, QUIET_SECONDS, Turn
from contracts import events
from contracts.agent_file import SemanticVad
from contracts.transfer import Reason
from contracts.visit import MOVED, Resumes
from tests.containers.media_relay.test_session import created, done, greeted, logged, only, reason, say, talking
from tests.containers.media_relay.worlds import AGENT_FILE, PEOPLE_FILE, STREAM_SID, World, audio, silence, start

LINE = clips.one_moment("en")


def lose(world: World, why: str = "no close frame", code: int = 1006) -> list[Action]:
    world.model_closed = True
    return world.tell(actions.ModelGone(why, code))


def back(world: World) -> list[Action]:
    """Another session is up: what it is told."""
    world.model_open = True
    world.tell(actions.ModelConnected())
    world.ready = True
    return world.tell(realtime.SessionUpdated(mu_law=True))


def items(performed: list[Action]) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in performed if isinstance(one, realtime.CreateItem)]


def asked(performed: list[Action]) -> list[str]:
    return [one.instructions for one in performed if isinstance(one, realtime.CreateResponse)]


def lines(world: World) -> int:
    return sum(isinstance(one, media_streams.Media) and one.payload == LINE.payload for one in world.done)


def question(world: World, *, words: str = "What about my bill?") -> World:
    """The caller has asked something."""
    world.tell(realtime.SpeechStarted("item_q"))
    world.pass_time(1.0)
    world.tell(realtime.SpeechStopped("item_q"))
    if words:
        world.tell(realtime.CallerTranscript("item_q", words))
    return world


def frames(world: World, *frame: str) -> list[Action]:
    performed = []
    for one in frame:
        performed += world.tell(media_streams.Media(STREAM_SID, one))
        world.pass_time(0.02)
    return performed


# ---- another session, in silence -------------------------------------------------------------------------------------


def test_R3_a_lost_agent_comes_back_with_the_conversation_and_says_the_rest_of_its_sentence() -> None:
    world = question(greeted())
    created(world, "resp_2")
    world.tell(realtime.AgentWords("item_2", "Your bill is thirty"))
    say(world, 8000, 2)
    world.pass_time(0.3)
    assert len(only(lose(world), ConnectModel)) == 1
    world.pass_time(0.5)
    told = back(world)
    assert items(told) == [("user", "What about my bill?"), ("assistant", "Your bill is thirty …")]
    assert asked(told) == [agent.CARRY_ON]
    assert logged(told) == ["model.ready", "model.resumed"]
    created(world, "resp_3")
    say(world, 8000, 3)
    done(world, 3)
    world.pass_time(5.0)
    assert (lines(world), world.connects, world.transfers) == (0, 1, [])


def test_R3_on_the_callers_turn_the_agent_that_is_back_says_nothing() -> None:
    world = greeted()
    lose(world)
    world.pass_time(0.5)
    assert asked(back(world)) == []
    world.pass_time(5.0)
    assert lines(world) == 0
    assert world.session.watch.turn is Turn.CALLER


def test_R3_a_greeting_that_was_lost_before_a_sound_is_said_by_the_next_agent() -> None:
    world = talking()
    lose(world)
    assert "Greet the caller" in asked(back(world))[0]


def test_R3_what_the_caller_says_meanwhile_is_kept_and_heard_by_the_next_agent_the_latest_of_it() -> None:
    world = greeted()
    lose(world)
    said = [audio(octets) for octets in range(100, 100 + ladder.KEPT_FRAMES + 5)]
    for frame in said:
        assert world.tell(media_streams.Media(STREAM_SID, frame)) == []
    heard = [one.audio for one in back(world) if isinstance(one, realtime.Append)]
    assert heard == said[-ladder.KEPT_FRAMES :]
    assert world.tell(media_streams.Media(STREAM_SID, audio(160))) == [realtime.Append(audio(160))]


def test_R3_a_caller_who_was_cut_in_the_middle_is_asked_again_unless_there_is_more_to_hear() -> None:
    for goes_on in (True, False):
        world = greeted()
        world.tell(realtime.SpeechStarted("item_q"))
        lose(world)
        assert asked(back(world)) == []
        if goes_on:
            world.tell(realtime.SpeechStarted("item_r"))
        before = len(world.done)
        world.pass_time(2.0)
        assert asked(world.done[before:]) == ([] if goes_on else [agent.SAY_AGAIN])


def test_R3_a_question_that_nobody_has_the_words_of_is_asked_for_again() -> None:
    world = question(greeted(), words="")
    lose(world)
    assert asked(back(world)) == [agent.SAY_AGAIN]


def test_R3_a_sentence_of_a_lost_session_is_cut_without_telling_the_next_one() -> None:
    world = talking()
    world.tell(realtime.AgentTranscript("item_1", "Welcome to the company"))
    say(world, 32_000)
    lose(world)
    back(world)
    world.pass_time(2.0)
    cut = world.tell(realtime.SpeechStarted("item_q"))
    assert only(cut, media_streams.Clear)
    assert not only(cut, realtime.Truncate)
    assert world.session.speech.memory.turns[-1].text == "Welcome to …", "the memory knows how far it was heard"


# ---- our own line, and a person --------------------------------------------------------------------------------------


@pytest.mark.parametrize("owes", [True, False], ids=["agents_turn", "callers_turn"])
def test_R3_the_caller_hears_our_line_within_a_second_and_a_person_is_asked_for_within_four(*, owes: bool) -> None:
    world = question(greeted()) if owes else greeted()
    lose(world)
    world.pass_time(1.0)
    assert lines(world) == 1
    world.pass_time(2.9)
    assert reason(world) is Reason.AGENT_UNAVAILABLE
    assert lines(world) == 1


def test_R4_silence_that_is_older_than_its_discovery_is_ended_by_our_line_at_once() -> None:
    world = question(greeted())
    world.pass_time(3.5)  # in which the pings were not answered
    lose(world, "ping timeout")
    world.pass_time(ladder.LINE_LEAST + 0.01)
    assert lines(world) == 1


def test_R3_our_line_waits_for_what_the_caller_still_hears() -> None:
    world = talking()
    say(world, 24_000)
    lose(world)
    world.pass_time(3.0)
    assert lines(world) == 0
    world.pass_time(1.0)
    assert lines(world) == 1
    assert not world.transfers


def test_R3_an_agent_that_is_back_after_our_line_goes_on_or_asks() -> None:
    world = greeted()
    lose(world)
    world.pass_time(1.0)
    assert asked(back(world)) == [], "the caller may have spoken meanwhile"
    before = len(world.done)
    world.pass_time(4.0)
    assert asked(world.done[before:]) == [agent.SAY_AGAIN]


def test_R3_an_agent_that_is_back_and_says_nothing_gives_way_to_a_person_within_six_seconds() -> None:
    world = question(greeted())
    lose(world)
    world.pass_time(0.2)
    back(world)
    world.pass_time(4.3)
    assert reason(world) is Reason.AGENT_SILENT


def test_R3_a_second_loss_within_half_a_minute_is_one_too_many() -> None:
    for pause, person in ((ladder.AGAIN_WITHIN - 2, True), (ladder.AGAIN_WITHIN + 1, False)):
        world = greeted()
        lose(world)
        back(world)
        for _ in range(4):  # the caller is there
            world.tell(realtime.SpeechStarted("item_q"))
            world.pass_time(pause / 4)
        lose(world)
        assert bool(world.transfers) is person
        assert world.connects == (1 if person else 2)


@pytest.mark.parametrize(
    ("why", "status"),
    [("Unauthorized", 401), ("Forbidden", 403), ("Not Found", 404)]
    + [(code, 1008) for code in ("insufficient_quota", "invalid_api_key", "model_not_found", "account_deactivated")],
)
def test_R5_where_another_try_is_in_vain_a_person_is_asked_for_at_once(why: str, status: int) -> None:
    world = greeted()
    assert not only(lose(world, why, status), ConnectModel)
    assert reason(world) is Reason.AGENT_UNAVAILABLE
    error = greeted()
    error.tell(realtime.Error(why, "t", ""))
    assert bool(error.transfers) is (status == 1008)


def test_R6_a_response_that_failed_for_good_is_not_asked_for_again() -> None:
    world = talking()
    world.active = ""
    world.tell(realtime.ResponseDone("resp_1", "failed", "insufficient_quota"))
    assert reason(world) is Reason.AGENT_UNAVAILABLE


def test_R6_while_a_response_that_failed_is_tried_again_the_caller_hears_our_line() -> None:
    world = question(greeted())
    created(world, "resp_2")
    assert asked(done(world, 2, "failed")) == [""]
    world.pass_time(1.0)
    assert lines(world) == 1


# ---- what else goes on while the agent is away -----------------------------------------------------------------------


def test_keys_and_wishes_do_not_wait_for_an_agent_that_is_away() -> None:
    world = greeted()
    lose(world)
    world.tell(media_streams.Dtmf(STREAM_SID, "0"))
    assert reason(world) is Reason.CALLER_PRESSED_KEY
    asked_for = question(greeted(), words="Let me speak to a human.")
    asked_for.pass_time(2.0)
    lose(asked_for)
    asked_for.pass_time(1.9)
    assert not asked_for.transfers
    asked_for.pass_time(0.2)
    assert reason(asked_for) is Reason.CALLER_ASKED


def test_a_number_that_is_being_typed_is_read_by_the_agent_that_comes_back() -> None:
    world = greeted()
    world.tell(media_streams.Dtmf(STREAM_SID, "4"))
    lose(world)
    world.pass_time(1.8)
    back(world)
    before = len(world.done)
    world.pass_time(1.5)
    assert ("user", "(The caller pressed 4 on the keypad.)") in items(world.done[before:])


def test_a_call_that_must_move_while_the_agent_is_away_goes_on_where_it_was() -> None:
    for world, how in ((greeted(), Resumes.LISTENING), (question(greeted()), Resumes.SPEAKING)):
        lose(world)
        moved = world.tell(actions.Drain())
        (close,) = only(moved, actions.CloseStream)
        assert isinstance(close, actions.CloseStream)
        assert MOVED[close.why] is how


def test_news_of_a_person_who_is_called_wait_for_the_agent() -> None:
    world = greeted()
    lose(world)
    world.session._tell_agent("Nobody answers.", world.now)
    told = back(world)
    assert ("system", "Nobody answers.") in items(told)
    assert asked(told) == ["Nobody answers."]


# ---- R8: an hour -----------------------------------------------------------------------------------------------------


def long_call() -> World:
    """A call that may last, and whose caller is there."""
    world = greeted()
    world.session.call = replace(world.session.call, ends_at=world.now + 7200)
    return world


def until_renewed(world: World, seconds: float) -> None:
    """Small steps, so that what follows is told in time."""
    ends_at = world.now + seconds
    while world.now < ends_at and not world.connects:
        world.pass_time(0.1)


def live_on(world: World, until: float) -> None:
    """The caller says something every ten seconds, and is answered; marks come back."""
    number = 10
    while world.now < until:
        question(world)
        number += 1
        created(world, f"resp_{number}")
        say(world, 8000, number)
        done(world, number)
        world.pass_time(min(9.0, max(0.0, until - world.now)))


def test_R8_the_session_is_renewed_between_two_turns_before_its_hour_is_over_and_nobody_hears_it() -> None:
    world = long_call()
    began = world.now
    live_on(world, began + ladder.RENEW_AFTER - 30)
    assert world.connects == 0
    live_on(world, began + ladder.RENEW_AFTER - 3)
    until_renewed(world, 4.0)
    assert world.connects == 1
    world.pass_time(0.5)
    told = back(world)
    assert asked(told) == []
    assert len(items(told)) > 2
    assert (lines(world), world.transfers) == (0, [])
    assert not any(isinstance(one, actions.Log) and one.event is events.MODEL_FAILED for one in world.done)
    assert world.session.ladder.renew_at > world.now + ladder.RENEW_AFTER - 1, "and once more after another 50 minutes"


def test_R8_a_session_that_never_rests_is_renewed_by_force_before_its_hour_is_over() -> None:
    world = long_call()
    world.tell(realtime.SpeechStarted("item_q"))
    renew_by = world.now + ladder.RENEW_BY
    while world.now < renew_by - 50 and not world.connects:
        world.tell(realtime.SpeechStarted("item_q"))
        world.pass_time(40.0)
    assert world.connects == 0
    world.tell(realtime.SpeechStarted("item_q"))
    until_renewed(world, 50.0)
    assert world.connects == 1
    assert asked(back(world)) == []
    world.tell(realtime.SpeechStarted("item_q"))
    assert ladder.RENEW_BY + PATIENCE[Turn.MODEL_AGAIN] < 60 * 60
    assert not world.transfers


def test_R8_a_session_that_the_model_ends_is_renewed_as_well() -> None:
    world = greeted()
    assert only(world.tell(realtime.Error("session_expired", "t", "")), ConnectModel)


# ---- R7: mute and frozen ---------------------------------------------------------------------------------------------


def test_R7_audio_without_a_sound_is_passed_on_and_counts_as_silence() -> None:
    for sound, transfers in ((silence, 1), (audio, 0)):
        world = question(greeted())
        asked_at = world.now
        created(world, "resp_2")
        while world.now < asked_at + 8.5 and not world.transfers:
            if not world.session.departure and world.active:
                heard = world.tell(realtime.AudioDelta("resp_2", "item_2", sound(1600)))
                assert only(heard, media_streams.Media) or sound is silence
            world.pass_time(0.2)
        assert len(world.transfers) == transfers
        if transfers:
            assert reason(world) is Reason.AGENT_SILENT
            assert world.now <= asked_at + 8.3
            assert only(world.done, realtime.CancelResponse), "it was tried again before"


def speaks_in_vain(world: World) -> list[Action]:
    return frames(world, *[audio(160)] * 110, *[silence(160)] * 40)


def test_R7_a_model_that_hears_nothing_is_asked_for_a_sign_of_life_and_then_replaced() -> None:
    world = greeted()
    performed = speaks_in_vain(world)
    assert [type(one) for one in performed if not isinstance(one, realtime.Append)] == [realtime.UpdateSession]
    world.model_closed = True  # nothing comes back
    world.pass_time(ladder.PROBE_SECONDS)
    assert world.connects == 1
    world.pass_time(1.0)
    assert lines(world) == 1
    assert asked(back(world)) == [agent.SAY_AGAIN]


def test_R7_a_model_that_gives_a_sign_of_life_is_left_alone() -> None:
    world = greeted()
    speaks_in_vain(world)
    world.tell(realtime.SessionUpdated(mu_law=False))  # whatever it says
    world.pass_time(5.0)
    assert world.connects == 0
    noticed = greeted()
    frames(noticed, *[audio(160)] * 30)
    noticed.tell(realtime.SpeechStarted("item_q"))
    assert not only(frames(noticed, *[silence(160)] * 40), realtime.UpdateSession)


def test_R7_a_model_that_freezes_amid_the_callers_turn_is_asked_for_a_sign_of_life_and_then_replaced() -> None:
    world = greeted()
    world.tell(realtime.SpeechStarted("item_q"))
    quiet = [silence(160)] * round(50 * QUIET_SECONDS)
    assert not only(frames(world, *[audio(160)] * 200, *quiet[:-10]), realtime.UpdateSession)
    assert only(frames(world, *quiet[-10:]), realtime.UpdateSession)
    world.model_closed = True  # nothing comes back
    world.pass_time(ladder.PROBE_SECONDS)
    assert world.connects == 1
    assert asked(back(world)) == [agent.SAY_AGAIN]


def test_R7_a_model_that_misses_the_end_of_the_callers_turn_is_asked_to_answer() -> None:
    world = greeted()
    world.tell(realtime.SpeechStarted("item_q"))
    frames(world, *[audio(160)] * 60)
    quiet, asked_at = 0.0, 0.0
    while not asked_at and quiet < PATIENCE[Turn.CALLER_SPEAKING]:
        performed, quiet = frames(world, silence(160)), quiet + 0.02
        if only(performed, realtime.UpdateSession):
            world.tell(realtime.SessionUpdated(mu_law=True))  # it lives
        if only(performed, realtime.CreateResponse):
            asked_at = quiet
    assert asked_at == pytest.approx(agent.most_quiet(AGENT_FILE), abs=0.21)
    assert lines(world) == 1
    assert agent.most_quiet(AGENT_FILE.model_copy(update={"turn_detection": SemanticVad()})) > 8.0


def unheard(world: World, *, words: int = 110, pause: int = 110) -> list[Action]:
    """The caller speaks plainly, `words` frames, then waits; the model lives, and notices nothing of it."""
    performed = []
    for frame in [audio(160)] * words + [silence(160)] * pause:
        performed += (done_now := frames(world, frame))
        if only(done_now, realtime.UpdateSession):
            world.tell(realtime.SessionUpdated(mu_law=True))
    return performed


def answered(world: World, number: int) -> None:
    """The model says what it was asked for, and the caller hears it."""
    created(world, f"resp_{number}")
    say(world, number=number)
    done(world, number)
    world.pass_time(1.6)  # and half a second, in which an echo of it may come back


def test_R7_a_model_that_lives_and_is_deaf_is_asked_to_answer_then_replaced_and_then_a_person_is() -> None:
    world = greeted()
    world.pass_time(0.5)
    assert asked(unheard(world, pause=95)) == [], "a caller may think for a moment"
    assert asked(unheard(world, words=0, pause=10)) == [agent.SAY_AGAIN]
    answered(world, 2)
    assert asked(unheard(world)) == []
    assert world.connects == 1, "perhaps another session hears better"
    assert asked(back(world)) == [agent.SAY_AGAIN]
    answered(world, 3)
    assert not world.transfers
    unheard(world)
    assert world.transfers or world.session.departure
    world.pass_time(4.0)
    assert reason(world) is Reason.AGENT_UNAVAILABLE


def test_R7_a_deaf_model_that_does_not_answer_either_is_a_line_of_our_own_and_then_a_person() -> None:
    world = greeted()
    world.pass_time(0.5)
    unheard(world)
    world.pass_time(QUIET_SECONDS)
    assert lines(world) == 1
    world.pass_time(PATIENCE[Turn.AGENT_AGAIN])
    assert reason(world) is Reason.AGENT_SILENT


def test_R7_what_the_model_hears_after_all_is_not_held_against_it() -> None:
    world = greeted()
    world.pass_time(0.5)
    for number in (2, 3, 4):
        assert asked(unheard(world)) == [agent.SAY_AGAIN]
        world.tell(realtime.SpeechStarted(f"item_q{number}"))
        world.tell(realtime.SpeechStopped(f"item_q{number}"))
        world.creates.clear()
        answered(world, number)
    assert not world.connects


@pytest.mark.parametrize("words", [0, 10, 25])
def test_R7_a_cough_is_no_word_that_a_model_must_notice(words: int) -> None:
    world = greeted()
    world.pass_time(0.5)
    assert not asked([one for _ in range(4) for one in unheard(world, words=words)])


def test_R7_the_echo_of_the_agent_and_the_sound_of_a_key_are_no_words_of_the_caller() -> None:
    echoed = talking()
    say(echoed, 24000)
    done(echoed)
    assert not asked(unheard(echoed, words=165, pause=150)), "three seconds of agent, and its tail"
    pressed = greeted()
    pressed.pass_time(0.5)
    frames(pressed, *[audio(160)] * 60)
    pressed.tell(media_streams.Dtmf(STREAM_SID, "7"))
    assert agent.SAY_AGAIN not in asked(unheard(pressed, words=0, pause=150))
    assert pressed.creates, "the key was answered"
    answered(pressed, 2)
    assert agent.SAY_AGAIN not in asked(unheard(pressed, words=0, pause=150))


@pytest.mark.parametrize("speaks", [False, True])
def test_R7_a_noise_without_end_hides_no_frozen_model(*, speaks: bool) -> None:
    world = greeted()
    if speaks:
        world.tell(realtime.SpeechStarted("item_q"))
    began = world.now
    while not world.connects and world.now < began + 60.0:
        frames(world, audio(160))
    assert world.now - began <= 5.0 + ladder.PROBE_SECONDS + 0.1
    assert asked(back(world)) == [agent.SAY_AGAIN]
    lives = greeted()
    unheard(lives, words=500, pause=0)
    assert not lives.connects


def test_R7_a_quiet_caller_or_one_who_never_stops_makes_nobody_ask() -> None:
    for noise in ([silence(160)] * 200, [audio(160)] * 200, ([audio(160)] * 10 + [silence(160)] * 40) * 4):
        assert not only(frames(greeted(), *noise), realtime.UpdateSession)


# ---- R12: a line that does not keep up -------------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "cleared"), [(9.0, False), (11.5, True)])
def test_R12_playout_that_lags_ten_seconds_behind_is_cleared_and_logged(late: float, *, cleared: bool) -> None:
    world = talking()
    say(world, 8000)
    done(world)
    now, performed = world.now, list[Action]()
    for step in range(1, int(late) + 2):  # no mark comes back, and the agent speaks on
        world.session.handle(realtime.ResponseCreated(f"resp_{step + 1}"), now)
        at = min(now + step, now + late)
        delta = realtime.AudioDelta(f"resp_{step + 1}", f"item_{step + 1}", audio(8000))
        performed += world.session.handle(delta, at)
        performed += world.session.handle(realtime.ResponseDone(f"resp_{step + 1}", "completed"), at)
    assert bool(only(performed, media_streams.Clear)) is cleared
    assert ("playout.lagged" in logged(performed)) is cleared
    assert "barge_in" not in logged(performed)
    assert world.session.speech.playout.lag(now + late) < 10


def test_R12_speech_that_is_sent_far_ahead_of_its_playing_is_no_lag() -> None:
    world = talking()
    for _ in range(40):
        assert not only(say(world, 8000), media_streams.Clear)
    done(world)
    world.pass_time(39.0)
    created(world, "resp_2")
    assert not only(say(world, 8000, 2), media_streams.Clear)


# ---- at connect ------------------------------------------------------------------------------------------------------


def test_R1_before_the_first_session_the_caller_hears_ringing_and_then_a_person() -> None:
    world = World(file=PEOPLE_FILE)
    world.tell(start())
    world.pass_time(1.5)
    assert only(world.done, media_streams.Media)
    assert not world.transfers
    world.pass_time(1.4)
    assert reason(world) is Reason.AGENT_UNAVAILABLE
    assert world.connects == 0


def test_R6_a_response_that_fails_while_the_caller_speaks_plays_no_line_of_ours_into_their_words() -> None:
    for speaks in (True, False):  # not: the control
        world = talking()
        if speaks:
            world.tell(realtime.SpeechStarted("item_q"))
        done(world, 1, "failed")
        world.pass_time(ladder.LINE_AFTER + 0.1)
        assert lines(world) == (not speaks)
