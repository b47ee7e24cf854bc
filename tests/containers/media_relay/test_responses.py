"""One response at a time."""

from __future__ import annotations

from containers.media_relay.realtime import CancelResponse, CreateResponse
from containers.media_relay.responses import Responses


def test_a_response_is_asked_for_at_once_and_a_second_one_waits_for_the_end_of_the_first() -> None:
    responses = Responses()
    assert responses.ask("a") == [CreateResponse("rc_1", "a", use_tools=True)]
    assert responses.ask("b") == []
    assert responses.ask("c", use_tools=False) == [], "it takes the place of what waited"
    responses.created("r1")
    assert responses.done("r1", failed=False) == [CreateResponse("rc_3", "c", use_tools=False)]


def test_the_end_of_some_other_response_changes_nothing() -> None:
    responses = Responses()
    responses.created("r1")
    assert responses.done("r0", failed=True) == []
    assert responses.active == "r1"


def test_a_refused_request_waits_for_the_end_of_the_response_that_was_active() -> None:
    for event_id in ("rc_1", ""):
        responses = Responses()
        responses.ask("a")
        responses.created("by voice detection")
        responses.rejected(event_id)
        (again,) = responses.done("by voice detection", failed=False)
        assert again.instructions == "a"


def test_a_refusal_of_nothing_or_of_another_request_changes_nothing() -> None:
    responses = Responses()
    responses.rejected("")
    responses.ask("a")
    responses.rejected("rc_9")
    responses.created("r1")
    assert responses.done("r1", failed=False) == []


def test_a_response_that_failed_is_asked_for_again_once() -> None:
    responses = Responses()
    responses.ask("a", use_tools=False)
    responses.created("r1")
    (again,) = responses.done("r1", failed=True)
    assert (again.instructions, again.use_tools) == ("a", False)
    responses.created("r2")
    assert responses.done("r2", failed=True) == []
    assert responses.failures == 2
    responses.created("by voice detection")
    responses.done("by voice detection", failed=False)
    assert responses.failures == 0
    responses.created("by voice detection again")
    (plain,) = responses.done("by voice detection again", failed=True)
    assert plain.instructions == ""


def test_a_muted_response_is_not_heard_and_muting_nothing_does_nothing() -> None:
    responses = Responses()
    responses.mute()
    responses.created("r1")
    assert responses.hears("r1")
    responses.mute()
    assert not responses.hears("r1")


def test_what_hangs_is_asked_for_again_and_a_repetition_that_is_refused_is_dropped() -> None:
    responses = Responses()
    responses.ask("a")
    (again,) = responses.restart()
    assert isinstance(again, CreateResponse)
    assert again.instructions == "a"
    responses.created("r1")
    responses.rejected(again.event_id)
    assert responses.done("r1", failed=False) == []


def test_an_active_response_that_hangs_is_cancelled_and_muted_first() -> None:
    responses = Responses()
    responses.created("r1")
    assert responses.restart() == [CancelResponse("r1")]
    assert not responses.hears("r1")
    assert len(responses.done("r1", failed=False)) == 1


def test_without_anything_asked_a_restart_asks() -> None:
    assert Responses().restart() == [CreateResponse("rc_1", "", use_tools=True)]


def test_what_waits_can_be_forgotten() -> None:
    responses = Responses()
    responses.created("r1")
    responses.ask("a")
    responses.forget()
    assert responses.done("r1", failed=False) == []


def test_a_tool_call_is_told_first_once() -> None:
    responses = Responses()
    assert [responses.first_told("c1"), responses.first_told("c1"), responses.first_told("c2")] == [True, False, True]
