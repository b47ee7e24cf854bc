"""How a caller gets to a person, way by way: on a Sunday, with the people of `PEOPLE_FILE`."""

from __future__ import annotations

import json

import pytest

from containers.media_relay import actions, agent, media_streams, realtime, ringback
from containers.media_relay.actions import Action, CloseStream, Log, ReadTransfer
from containers.media_relay.attended import UNCLAIMED_SECONDS
from containers.media_relay.departure import TAKE_AWAY_SECONDS
from containers.media_relay.keypad import PAUSE
from containers.media_relay.silence import PATIENCE, RING_AFTER, Turn
from contracts import events, hops
from contracts.agent_file import AgentFile
from contracts.claim import claimed
from contracts.destination import Position
from contracts.handoff import Then, Transfer, Try
from contracts.transfer import Outcome, Reason, TransferRequest
from tests.containers.media_relay.worlds import CALL_SID, PEOPLE_FILE, STREAM_SID, WALL, World, audio, start


def meet(world: World) -> World:
    """Both sides are up, and the greeting was heard."""
    world.tell(start())
    world.model_open = True
    world.tell(actions.ModelConnected())
    world.ready = True
    world.tell(realtime.SessionUpdated(mu_law=True))
    return agent_says(world, "Hello.")


def met(file: AgentFile = PEOPLE_FILE) -> World:
    return meet(World(file=file))


def agent_says(world: World, text: str, *calls: realtime.FunctionCall, usage: int = 0) -> World:
    """A response of half a second, to its end."""
    number = len(world.done)
    world.creates.clear()
    world.active = f"r{number}"
    world.tell(realtime.ResponseCreated(world.active))
    world.tell(realtime.AudioDelta(world.active, f"i{number}", audio(4000)))
    world.tell(realtime.AgentTranscript(f"i{number}", text))
    world.active, response = "", world.active
    world.told_calls |= {call.call_id for call in calls}
    spent = realtime.Usage(output_tokens=usage, audio_output_tokens=usage)
    world.tell(realtime.ResponseDone(response, "completed", "", calls, spent))
    world.pass_time(0.5)
    return world


def caller_says(world: World, text: str, turn: str = "turn") -> list[Action]:
    world.tell(realtime.SpeechStarted(turn))
    world.tell(realtime.SpeechStopped(turn))
    return world.tell(realtime.CallerTranscript(turn, text))


def tool(destination: str, call_id: str = "call_1") -> realtime.FunctionCall:
    arguments = json.dumps({"destination": destination, "summary": "wants a refund"})
    return realtime.FunctionCall(call_id, agent.TRANSFER_TOOL, arguments)


def call(world: World, one: realtime.FunctionCall) -> list[Action]:
    world.told_calls.add(one.call_id)
    return world.tell(one)


def press(world: World, keys: str) -> World:
    for key in keys:
        world.tell(media_streams.Dtmf(STREAM_SID, key))
    return world


def told(world: World) -> str:
    """What the model was told last, as an item or as a tool's answer."""
    items = [one for one in world.done if isinstance(one, realtime.CreateItem | realtime.FunctionOutput)]
    last = items[-1]
    return last.text if isinstance(last, realtime.CreateItem) else last.output


def wishes(world: World) -> list[tuple[str, Reason]]:
    return [(one.to.destination, one.to.reason) for one in world.transfers]


def changed(**fields: object) -> AgentFile:
    content = PEOPLE_FILE.model_dump(mode="json", by_alias=True, exclude_none=True)
    return AgentFile.model_validate(content | fields)


# ---- the caller's words, and the agent's -----------------------------------------------------------------------------


def test_a_caller_who_asks_and_is_not_understood_gets_the_person_all_the_same() -> None:
    world = met()
    caller_says(world, "Let me speak to a human.")
    agent_says(world, "What is it about?")
    assert not world.transfers, "the model may know a better destination"
    world.pass_time(4.0)
    assert "our reception" in world.creates[-1].instructions
    agent_says(world, "I am connecting you to our reception.")
    assert wishes(world) == [("reception", Reason.CALLER_ASKED)]


def test_a_caller_who_asks_and_whose_agent_calls_the_tool_is_one_request() -> None:
    for tool_first in (True, False):
        world = met()
        agent_says(world, "I am connecting you.", *([tool("reception")] if tool_first else []))
        caller_says(world, "Let me speak to a human.")
        if not tool_first:
            agent_says(world, "I am connecting you.", tool("reception"))
        world.pass_time(7.0)
        assert len(world.transfers) == 1
        assert world.transfers[0].to.summary == "wants a refund", "the model's request, which knows more"


def test_words_that_are_transcribed_after_a_tool_call_was_answered_ask_for_nobody_again() -> None:
    world = met()
    world.tell(realtime.SpeechStarted("turn"))
    world.tell(realtime.SpeechStopped("turn"))
    agent_says(world, "One moment.", tool("support"))
    world.tell(realtime.CallerTranscript("turn", "Let me speak to a human."))
    agent_says(world, "Technical support is closed.")
    world.pass_time(6.0)
    assert not world.transfers


def test_an_agent_that_promises_a_person_and_calls_no_tool_is_kept_to_its_word() -> None:
    world = met()
    agent_says(world, "I'll put you through to our reception now.")
    world.pass_time(3.9)
    assert not world.transfers
    world.pass_time(0.2)
    assert wishes(world) == [("reception", Reason.AGENT_PROMISED)]
    assert not world.creates, "the line was said, and is not said again"
    assert [one.fields["how"] for one in world.done if isinstance(one, Log) and one.event is events.HANDOFF_ANNOUNCED]


def test_a_promise_that_was_cut_off_before_its_words_is_none() -> None:
    world = met()
    world.active = "r"
    world.tell(realtime.ResponseCreated("r"))
    world.tell(realtime.AudioDelta("r", "i", audio(80_000)))
    world.pass_time(1.0)
    world.tell(realtime.SpeechStarted("turn"))
    world.tell(
        realtime.AgentTranscript("i", "Thank you for all of these details, I'll connect you to the billing team.")
    )
    world.tell(realtime.SpeechStopped("turn"))
    world.pass_time(7.0)
    assert not world.transfers


def test_a_promise_of_a_closed_door_is_corrected_by_the_agent() -> None:
    world = met()
    agent_says(world, "I'll connect you to technical support now.")
    world.pass_time(4.0)
    assert "technical support is closed now and opens tomorrow at 09:00" in told(world)
    assert world.creates
    assert not world.transfers


def test_triggers_that_are_switched_off_take_nobody_anywhere() -> None:
    off = {"phrases": False, "promise_seconds": 0, "failed_turns": 0, "max_call_cost_usd": 0}
    world = met(changed(escalation=off))
    caller_says(world, "Let me speak to a human.")
    agent_says(world, "I'll connect you to our reception now.", usage=100_000)
    world.pass_time(6.0)
    assert not world.transfers


# ---- limits ----------------------------------------------------------------------------------------------------------


def test_a_call_that_costs_too_much_goes_to_a_person() -> None:
    world = agent_says(met(), "Certainly.", usage=8000)
    assert wishes(world) == [("reception", Reason.SPEND_LIMIT)]
    assert Log(events.LIMIT_REACHED, {"limit": "max_call_cost_usd"}) in world.done


def test_what_the_visits_before_have_spent_counts() -> None:
    for spent, reasons in ((0.4, [Reason.SPEND_LIMIT]), (0.1, [])):
        world = meet(World(file=PEOPLE_FILE, past=agent.Past(visit=2, spent=spent)))
        agent_says(world, "Certainly.", usage=2000)  # 0.13 USD
        assert [one.to.reason for one in world.transfers] == reasons


def test_a_limit_of_cost_that_cannot_be_kept_is_logged() -> None:
    assert Log(events.LIMIT_UNPRICED, {"model": "gpt-realtime-9"}) in met(changed(model="gpt-realtime-9")).done


def test_an_agent_whose_tool_calls_make_no_sense_three_times_is_replaced() -> None:
    world = met()
    for number in range(3):
        assert not world.transfers
        call(world, realtime.FunctionCall(f"call_{number}", "order_pizza", "{}"))
        world.creates.clear()
    assert wishes(world) == [("reception", Reason.AGENT_FAILING)]


def test_an_agent_that_lets_three_turns_pass_without_a_sound_is_replaced() -> None:
    world = met()
    for turn in range(4):
        assert not world.transfers
        caller_says(world, "Hello?", f"turn_{turn}")
        world.pass_time(2.5)
    assert wishes(world) == [("reception", Reason.AGENT_FAILING)]


def wants_message(destination: str = "billing", call_id: str = "call_m") -> realtime.FunctionCall:
    return realtime.FunctionCall(call_id, agent.MESSAGE_TOOL, json.dumps({"destination": destination, "summary": "s"}))


def test_a_caller_who_would_rather_leave_a_message_is_told_so_and_nobody_is_called() -> None:
    world = met()
    call(world, wants_message())
    assert "after the tone" in world.creates[-1].instructions
    assert not world.transfers, "billing would be called while the caller stays, were it not for a message"
    agent_says(world, "Please speak after the tone.")
    assert wishes(world) == [("billing", Reason.CALLER_LEAVES_MESSAGE)]


def test_a_message_and_a_transfer_asked_for_together_lead_one_way() -> None:
    for first, second in ((wants_message(), tool("support")), (tool("reception"), wants_message())):
        world = met()
        call(world, first)
        call(world, second)
        agent_says(world, "One moment.")
        world.pass_time(4.0)
        assert len(wishes(world)) == 1
    world = met()
    call(world, tool("billing"))
    call(world, wants_message())
    assert wishes(world) == [("billing", Reason.CALLER_ASKED)], "a person is being called already"


def left_alone(world: World) -> World:
    """The caller says nothing, is asked twice whether they are there, and goes on saying nothing."""
    for _ in range(2):
        world.pass_time(PATIENCE[Turn.CALLER])
        assert "still there" in world.creates[-1].instructions
        agent_says(world, "Are you still there?")
    world.pass_time(PATIENCE[Turn.CALLER])
    return world


def test_a_caller_who_goes_on_saying_nothing_goes_to_a_person_where_the_file_says_so() -> None:
    world = left_alone(met(changed(escalation={"silence": "person"})))
    assert wishes(world) == [("reception", Reason.CALLER_SILENT)]
    assert "goodbye" in left_alone(met()).creates[-1].instructions


def test_a_silent_caller_whom_nobody_can_be_rung_for_hears_a_goodbye() -> None:
    world = left_alone(met(changed(escalation={"silence": "person"}, default_destination="support")))
    assert not world.transfers, "support is closed, so the caller would be back at once"
    assert "goodbye" in world.creates[-1].instructions


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_a_destinations_key_pressed_alone_asks_for_it_after_a_pause() -> None:
    world = press(met(changed(destinations=_with_keys())), "1")
    assert not world.transfers
    world.pass_time(PAUSE)
    assert wishes(world) == [("reception", Reason.CALLER_PRESSED_KEY)]


def test_a_destinations_key_within_a_number_is_a_digit() -> None:
    world = press(met(changed(destinations=_with_keys())), "41")
    world.pass_time(PAUSE)
    assert not world.transfers
    assert "41" in told(world)


def test_zero_is_the_default_persons_key_unless_another_has_it() -> None:
    assert wishes(press(met(), "0")) == [("reception", Reason.CALLER_PRESSED_KEY)]
    assert wishes(press(met(changed(destinations=_with_keys(support="0"))), "0")) == [
        ("support", Reason.CALLER_PRESSED_KEY)
    ]


def test_a_key_works_before_the_agent_is_there() -> None:
    world = World(file=changed(destinations=_with_keys()))
    world.tell(start())
    press(world, "1")
    assert wishes(world) == [("reception", Reason.CALLER_PRESSED_KEY)]


def test_a_key_for_a_closed_door_is_answered_by_the_agent() -> None:
    world = press(met(), "3")
    world.pass_time(PAUSE)
    assert "technical support is closed now" in told(world)
    assert not world.transfers


def _with_keys(**keys: str) -> dict[str, object]:
    content = PEOPLE_FILE.model_dump(mode="json", by_alias=True, exclude_none=True)["destinations"]
    for key, one in content.items():
        one.pop("key", None)
        one.pop("hours", None)
        one["mode"] = "direct"
        one.pop("disposition", None)
        if key in keys or key == "reception":
            one["key"] = keys.get(key, "1")
    return dict(content)


# ---- closed ----------------------------------------------------------------------------------------------------------


def test_a_closed_destination_is_no_request_and_the_agent_is_told_when_it_opens() -> None:
    world = met()
    (_, output, create) = call(world, tool("support"))
    assert isinstance(output, realtime.FunctionOutput)
    assert "opens tomorrow at 09:00, Berlin time" in output.output
    assert isinstance(create, realtime.CreateResponse)
    assert not world.transfers
    assert world.session.departure is None


def test_an_open_one_is_a_request() -> None:
    world = met()
    world.session.call = type(world.session.call)(CALL_SID, "AC", 1e9, epoch=WALL + 26 * 3600 - world.now)
    call(world, tool("support"))
    world.pass_time(4.0)
    assert [key for key, _ in wishes(world)] == ["support"]


def test_a_closed_destination_that_takes_messages_is_a_request_and_the_agent_says_what_comes() -> None:
    world = met()
    call(world, tool("sales"))
    assert "the sales team is closed now" in world.creates[-1].instructions
    assert "message" in world.creates[-1].instructions
    world.pass_time(4.0)
    assert [key for key, _ in wishes(world)] == ["sales"]


# ---- attended --------------------------------------------------------------------------------------------------------


def called(destination: str = "billing") -> World:
    """The agent has said that billing is being called, and it rings."""
    world = met()
    call(world, tool(destination))
    agent_says(world, "They are being called.")
    assert world.transfer is not None
    world.transfer = hops.placed(
        claimed(world.transfer, "transfer", WALL, WALL + 30), Position("billing"), (), WALL, attended=True
    )
    return world


def news(world: World, transfer: Transfer) -> list[Action]:
    """A second later the ledger says so."""
    world.transfer = transfer
    if not world.reads:
        world.pass_time(1.0)
    return world.answer()


def now_ringing(world: World) -> Transfer:
    assert world.transfer is not None
    return world.transfer


def test_an_attended_person_is_called_at_once_and_the_agent_goes_on() -> None:
    world = met()
    performed = call(world, tool("billing"))
    assert wishes(world) == [("billing", Reason.CALLER_ASKED)]
    assert "the billing team is being called now" in told(world)
    assert isinstance(performed[-1], realtime.CreateResponse)
    assert not world.left, "audio goes both ways as before"
    assert world.tell(media_streams.Media(STREAM_SID, audio(160))) == [realtime.Append(audio(160))]


def test_a_caller_who_waits_with_the_agent_never_hears_silence() -> None:
    world = called()
    world.pass_time(11.0)
    rings = [(begins, ends) for item, begins, ends in world.twilio.frames if item == ringback.ITEM]
    assert rings
    spoken = max(ends for item, _, ends in world.twilio.frames if item != ringback.ITEM)
    quiet = [begins - ends for (_, ends), begins in zip([(0, spoken), *rings], [one for one, _ in rings], strict=False)]
    assert max(quiet) <= max(RING_AFTER, 2.0) + 0.1
    world.tell(realtime.SpeechStarted("turn"))
    heard = len(world.twilio.frames)
    world.pass_time(5.0)
    assert len(world.twilio.frames) == heard, "nothing rings while the caller speaks"


def test_a_silent_caller_is_told_that_it_goes_on_and_never_sent_away() -> None:
    world = called()
    for _ in range(4):
        world.pass_time(PATIENCE[Turn.CALLER])
        assert "is being called" in world.creates[-1].instructions
        agent_says(world, "Still trying.")
    assert not world.ends


def test_a_model_that_adds_nothing_while_a_person_is_called_is_not_taken_for_mute() -> None:
    world = met()
    call(world, tool("billing"))
    for number in range(3):
        world.creates.clear()
        world.active = f"empty_{number}"
        world.tell(realtime.ResponseCreated(world.active))
        world.active = ""
        world.tell(realtime.ResponseDone(f"empty_{number}", "completed"))
        world.pass_time(PATIENCE[Turn.CALLER])
    assert not world.stream_closed


def test_the_ledger_is_asked_once_a_second_and_a_failure_changes_nothing() -> None:
    world = called()
    world.pass_time(1.0)
    assert world.answer(readable=False) == []
    world.pass_time(1.0)
    assert len([one for one in world.done if isinstance(one, ReadTransfer)]) == 2
    assert world.session.attended


def test_news_of_a_request_that_is_not_open_changes_nothing() -> None:
    assert met().tell(actions.TransferNews(now_ringing(called()), Then.AGENT)) == []


def test_a_person_who_declines_with_a_reason_is_told_to_the_agent_once() -> None:
    world = called()
    declined = Try("billing", 0, Outcome.DECLINED, note="in a meeting")
    following = hops.advanced(now_ringing(world), declined, Position("billing", 1), (), WALL)
    log, item, create = news(world, following)
    assert log == Log(events.HANDOFF_NEWS, {"destination": "billing", "outcome": "declined"})
    assert isinstance(item, realtime.CreateItem)
    assert "could not take the call (in a meeting); the billing team is being tried next" in item.text
    assert isinstance(create, realtime.CreateResponse)
    assert create.instructions == item.text
    world.creates.clear()
    assert news(world, following) == []


def test_news_wait_for_the_end_of_the_callers_turn() -> None:
    world = called()
    world.tell(realtime.SpeechStarted("turn"))
    busy = Try("billing", 0, Outcome.BUSY)
    _, *rest = news(world, hops.advanced(now_ringing(world), busy, Position("billing", 1), (), WALL))
    assert [type(one) for one in rest] == [realtime.CreateItem], "the model answers when the caller has finished"


def test_when_nobody_took_the_call_the_agent_offers_alternatives_and_may_try_again() -> None:
    world = called()
    over, _ = hops.over(now_ringing(world), Try("billing", 0, Outcome.NO_ANSWER), Outcome.NO_ANSWER, (), WALL)
    world.then = Then.AGENT
    news(world, over)
    assert "connect them to our reception" in told(world)
    assert world.session.attended is None
    agent_says(world, "Nobody answered. Shall I try our reception?")
    agent_says(world, "I am connecting you to our reception.", tool("reception", "call_2"))
    world.pass_time(4.0)
    assert [key for key, _ in wishes(world)] == ["billing", "reception"]


def test_once_a_person_accepts_the_agent_says_nothing_more() -> None:
    world = called()
    joined = hops.joining(now_ringing(world), "CA9", WALL)
    assert joined is not None
    news(world, joined)
    assert world.model_closed
    world.pass_time(TAKE_AWAY_SECONDS - 0.1)
    assert not world.stream_closed
    world.pass_time(0.2)
    assert CloseStream("not_taken_away") in world.done, "the webhook then brings the caller to the person"


def test_a_person_who_accepts_and_goes_before_they_meet_ends_the_wait() -> None:
    world = called()
    joined = hops.joining(now_ringing(world), "CA9", WALL)
    assert joined is not None
    news(world, joined)
    assert news(world, joined) == []
    over, _ = hops.over(joined, None, Outcome.FAILED, (), WALL)
    news(world, over)
    assert CloseStream("person_gone") in world.done


@pytest.mark.parametrize("then", [Then.MESSAGE, Then.GOODBYE])
def test_an_end_that_takes_the_caller_from_the_agent_is_not_talked_over(then: Then) -> None:
    world = called()
    over, _ = hops.over(now_ringing(world), None, Outcome.NO_ANSWER, (), WALL)
    world.then = then
    news(world, over)
    assert world.left
    assert news(world, over) == [], "it waits to be taken away"


def test_R27_whoever_asks_again_meanwhile_is_told_that_it_is_being_tried() -> None:
    world = called()
    call(world, tool("reception", "call_2"))
    assert "the billing team is being called now" in told(world)
    agent_says(world, "We are still trying.")
    press(world, "0")
    assert "the billing team is being called now" in told(world)
    agent_says(world, "I'll connect you to the billing team now.")
    caller_says(world, "Let me speak to a human.")
    agent_says(world, "Still trying.")
    world.pass_time(8.0)
    assert len(world.transfers) == 1


def test_a_request_that_nobody_takes_is_left_to_the_webhook() -> None:
    world = met()
    call(world, tool("billing"))
    agent_says(world, "They are being called.")
    world.answer_delay = 0.1
    world.pass_time(UNCLAIMED_SECONDS + 1.5)
    assert CloseStream("not_taken_away") in world.done


def test_an_agent_that_falls_silent_meanwhile_leaves_the_caller_to_the_webhook_which_knows_who_is_called() -> None:
    world = called()
    caller_says(world, "Hello?")
    world.pass_time(8.0)
    assert CloseStream("agent_silent") in world.done
    assert len(world.transfers) == 1


def test_a_limit_that_is_crossed_meanwhile_waits() -> None:
    world = called()
    world.session.call = type(world.session.call)(CALL_SID, "AC", world.now, epoch=world.session.call.epoch)
    agent_says(world, "Still trying.", usage=8000)
    assert len(world.transfers) == 1
    over, _ = hops.over(now_ringing(world), None, Outcome.NO_ANSWER, (), WALL)
    news(world, over)
    assert wishes(world)[1:] == [("reception", Reason.TIME_LIMIT)]


def test_a_goodbye_meanwhile_ends_the_call_unless_a_key_takes_it_back() -> None:
    for keys in ("", "0"):
        world = called()
        call(world, realtime.FunctionCall("call_2", agent.END_TOOL, '{"reason": "changed their mind"}'))
        press(world, keys)
        world.pass_time(4.0)
        assert bool(world.ends) == (not keys)
        assert bool(world.session.attended)


def test_a_later_visit_goes_on_with_the_person_who_is_being_called() -> None:
    request = TransferRequest.create(call_sid=CALL_SID, destination="billing", reason=Reason.CALLER_ASKED, now=WALL)
    ringing = claimed(Transfer(request), "transfer", WALL, WALL + 30)
    world = World(file=PEOPLE_FILE, past=agent.Past(visit=2, after_loss=True, calling=ringing))
    world.asked_open, world.transfer = True, ringing
    world.pass_time(2.0)
    assert not world.reads, "there is nobody to tell yet"
    meet(world)
    over, _ = hops.over(ringing, None, Outcome.NO_ANSWER, (), WALL)
    news(world, over)
    assert "Nobody is being called any more" in told(world)
    lost = World(file=PEOPLE_FILE, past=agent.Past(visit=2, calling=ringing))
    lost.tell(start())
    press(lost, "0")
    assert CloseStream("caller_pressed_key") in lost.done, "no second request"
