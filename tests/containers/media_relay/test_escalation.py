"""The triggers of one call, as the agent file switches them."""

from __future__ import annotations

from typing import Any

import pytest

from containers.media_relay.escalation import ASKED_SECONDS, Escalation
from containers.media_relay.realtime import ResponseDone, Usage
from containers.media_relay.silence import NEVER
from contracts.agent_file import AgentFile
from contracts.transfer import Reason
from tests.containers.media_relay.worlds import PEOPLE_FILE

ASKS, PROMISES = "Let me speak to a human.", "I'll connect you to the billing team now."
DEAR = ResponseDone("r", "completed", usage=Usage(output_tokens=8000, audio_output_tokens=8000))


def escalation(model: str = PEOPLE_FILE.model, **settings: Any) -> Escalation:
    content = PEOPLE_FILE.model_dump(mode="json", by_alias=True, exclude_none=True)
    content["escalation"] |= settings
    return Escalation(AgentFile.model_validate(content | {"model": model}))


def test_the_callers_words_give_the_model_some_seconds_to_name_the_best_destination() -> None:
    one = escalation()
    one.caller_said("t1", ASKS, 10.0)
    assert (one.pledge.deadline, one.pledge.destination) == (10.0 + ASKED_SECONDS, "reception")
    assert one.tool_called(followed=True) is None
    assert one.pledge.deadline == NEVER


def test_words_of_this_business_ask_too_and_all_can_be_switched_off() -> None:
    one, off = escalation(), escalation(phrases=False)
    for each in (one, off):
        each.caller_said("t1", "Bring out the boss!", 10.0)
    assert one.pledge.destination == "reception"
    assert off.pledge.deadline == NEVER


def test_words_that_come_after_the_tool_call_they_led_to_ask_for_nobody_again() -> None:
    one = escalation()
    one.caller_spoke("t1", 9.0)
    one.tool_called(followed=True)
    one.caller_said("t1", ASKS, 10.0)
    assert one.pledge.deadline == NEVER
    one.caller_spoke("t2", 19.0)
    one.caller_said("t2", ASKS, 20.0)
    assert one.pledge.deadline < NEVER  # the control: the next turn counts


def test_a_promise_waits_from_when_it_was_heard_and_can_be_called_off() -> None:
    one = escalation()
    one.agent_said(PROMISES, 12.0)
    assert (one.pledge.deadline, one.pledge.destination) == (16.0, "billing")
    one.caller_said("t1", "No, wait.", 13.0)
    assert one.pledge.deadline == NEVER


def test_who_calls_a_promise_off_by_naming_another_goes_there() -> None:
    one = escalation()
    one.agent_said(PROMISES, 12.0)
    one.caller_said("t1", "No, wait, put me through to technical support.", 13.0)
    assert one.pledge.destination == "support"


def test_promises_can_be_switched_off() -> None:
    one = escalation(promise_seconds=0)
    one.agent_said(PROMISES, 12.0)
    assert one.pledge.deadline == NEVER


def test_turns_and_tools_that_fail_in_a_row_are_a_failing_agent_unless_switched_off() -> None:
    for limit, reason in ((2, Reason.AGENT_FAILING), (0, None)):
        one = escalation(failed_turns=limit)
        assert one.tool_called(followed=False) is None
        assert one.tool_called(followed=False) is reason
        assert one.caller_spoke("t1", 0.0) is None
        one.response_done(ResponseDone("r", "failed"), failed=True)
        one.caller_spoke("t2", 5.0)
        assert one.response_done(ResponseDone("r", "failed"), failed=True) is reason


def test_an_agent_that_is_heard_does_not_fail() -> None:
    one = escalation(failed_turns=1)
    one.caller_spoke("t1", 0.0)
    one.agent_heard()
    assert one.caller_spoke("t2", 5.0) is None


def test_what_the_responses_of_a_call_cost_has_a_limit() -> None:
    assert escalation(max_call_cost_usd=0.5).response_done(DEAR, failed=False) is Reason.SPEND_LIMIT
    assert escalation(max_call_cost_usd=0).response_done(DEAR, failed=False) is None


@pytest.mark.parametrize(("model", "limit", "unpriced"), [("gpt-realtime-9", 1, "gpt-realtime-9"), ("x", 0, "")])
def test_a_limit_that_cannot_be_kept_is_told(model: str, limit: float, unpriced: str) -> None:
    one = escalation(model, max_call_cost_usd=limit)
    assert one.unpriced == unpriced
    assert one.response_done(DEAR, failed=False) is None
