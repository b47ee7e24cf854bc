"""Failures in a row, money spent, and a promise's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay.realtime import Usage
from containers.media_relay.silence import NEVER
from containers.media_relay.triggers import CHANCE_SECONDS, PRICES, Failures, Pledge, Price, Spending, cost, price
from contracts.transfer import Reason

FLAT = Price(text_in=1, audio_in=10, cached=0.1, text_out=2, audio_out=20)


def test_turns_without_a_sound_in_a_row_are_a_failing_agent() -> None:
    failures = Failures(3)
    assert [failures.caller_spoke(at) for at in (0.0, 5.0, 10.0)] == [None, None, None]
    assert failures.caller_spoke(15.0) is Reason.AGENT_FAILING


def test_a_sound_begins_the_count_anew() -> None:
    failures = Failures(2)
    failures.caller_spoke(0.0)
    assert failures.caller_spoke(5.0) is None
    failures.agent_heard()
    assert [failures.caller_spoke(at) for at in (10.0, 15.0)] == [None, None]
    assert failures.caller_spoke(20.0) is Reason.AGENT_FAILING


def test_a_caller_who_hesitates_does_not_make_the_agent_fail() -> None:
    failures = Failures(2)
    assert all(failures.caller_spoke(at * CHANCE_SECONDS * 0.9) is None for at in range(20))


def test_a_turn_whose_responses_fail_twice_fails_once() -> None:
    failures = Failures(2)
    assert failures.response_failed() is None  # nobody had spoken: not a turn
    failures.caller_spoke(0.0)
    assert [failures.response_failed(), failures.response_failed()] == [None, None]
    assert failures.caller_spoke(5.0) is None
    assert failures.response_failed() is Reason.AGENT_FAILING


def test_tool_calls_that_cannot_be_followed_count_in_a_row() -> None:
    failures = Failures(2)
    assert failures.tool_called(worked=False) is None
    assert failures.tool_called(worked=True) is None
    assert failures.tool_called(worked=False) is None
    assert failures.tool_called(worked=False) is Reason.AGENT_FAILING


_EVENTS = st.lists(st.sampled_from(["caller", "heard", "failed", "tool", "no tool"]), max_size=60)


def _tell(failures: Failures, event: str, now: float) -> Reason | None:
    match event:
        case "caller":
            return failures.caller_spoke(now)
        case "failed":
            return failures.response_failed()
        case "heard":
            failures.agent_heard()
            return None
        case _:
            return failures.tool_called(worked=event == "tool")


@given(st.integers(0, 5), _EVENTS)
def test_a_limit_of_nothing_never_triggers_and_no_limit_triggers_early(limit: int, happened: list[str]) -> None:
    failures, since_good = Failures(limit), 0
    for at, event in enumerate(happened):
        reason = _tell(failures, event, at * 10.0)
        since_good += event in {"caller", "failed", "no tool"}
        assert reason in {None, Reason.AGENT_FAILING}
        assert reason is None or 0 < limit <= since_good


def test_a_response_costs_what_its_tokens_cost() -> None:
    million = 1_000_000
    assert cost(Usage(input_tokens=million), FLAT) == pytest.approx(1)
    assert cost(Usage(input_tokens=million, audio_input_tokens=million), FLAT) == pytest.approx(10)
    assert cost(Usage(output_tokens=2 * million, audio_output_tokens=million), FLAT) == pytest.approx(22)
    assert cost(Usage(input_tokens=million, cached_tokens=million), FLAT) == pytest.approx(0.1)


def test_text_stands_first_in_what_is_cached() -> None:
    usage = Usage(input_tokens=3_000_000, audio_input_tokens=2_000_000, cached_tokens=2_000_000)
    assert cost(usage, FLAT) == pytest.approx(0.1 + 0.1 + 10)


_TOKENS = st.integers(0, 200_000)


@given(st.builds(Usage, _TOKENS, _TOKENS, _TOKENS, _TOKENS, _TOKENS), st.sampled_from(sorted(PRICES)))
def test_whatever_a_usage_says_it_never_earns_money(usage: Usage, model: str) -> None:
    assert cost(usage, PRICES[model]) >= 0


def test_the_limit_of_a_call_is_crossed_once_its_responses_have_cost_it() -> None:
    spending = Spending(1.0, PRICES["gpt-realtime-2.1"], spent=0.9)  # what earlier visits of this call cost
    assert spending.response_done(Usage(output_tokens=1000, audio_output_tokens=1000)) is None
    assert spending.response_done(Usage(output_tokens=1000, audio_output_tokens=1000)) is Reason.SPEND_LIMIT
    assert spending.spent == pytest.approx(0.9 + 2 * 0.064)


@pytest.mark.parametrize("spending", [Spending(0, FLAT), Spending(0.01, None)])
def test_spending_is_unlimited_without_a_limit_or_a_price(spending: Spending) -> None:
    assert spending.response_done(Usage(output_tokens=10**9)) is None


def test_a_dated_snapshot_costs_what_its_model_costs_and_an_unknown_model_has_no_price() -> None:
    assert price("gpt-realtime-2.1") == price("gpt-realtime-2.1-2026-09-01") == PRICES["gpt-realtime-2.1"]
    assert price("gpt-realtime-2.1-mini") != price("gpt-realtime-2.1")
    assert price("gpt-realtime-9") is None
    assert price("") is None


def _promised(heard_at: float = 10.0, seconds: float = 4.0) -> Pledge:
    pledge = Pledge()
    pledge.given("billing", Reason.AGENT_PROMISED, heard_at=heard_at, seconds=seconds)
    return pledge


def test_a_promise_is_due_some_seconds_after_it_was_heard() -> None:
    assert Pledge().deadline == NEVER
    assert (_promised().deadline, _promised().destination) == (14.0, "billing")


def test_what_was_asked_for_first_sets_reason_and_time_and_the_last_word_the_destination() -> None:
    pledge = Pledge()
    pledge.given("reception", Reason.CALLER_ASKED, heard_at=10.0, seconds=4.0)
    pledge.given("billing", Reason.AGENT_PROMISED, heard_at=12.0, seconds=4.0)
    assert (pledge.destination, pledge.reason, pledge.deadline) == ("billing", Reason.CALLER_ASKED, 14.0)


def test_a_promise_rests_while_the_caller_speaks_and_an_okay_does_not_undo_it() -> None:
    pledge = _promised()
    pledge.caller_speaks()
    assert pledge.deadline == NEVER
    pledge.caller_spoke(20.0)
    assert pledge.deadline == 24.0


def test_what_is_promised_while_the_caller_speaks_waits_for_the_end_of_that() -> None:
    pledge = Pledge()
    pledge.caller_speaks()
    pledge.given("billing", Reason.CALLER_ASKED, heard_at=10.0, seconds=4.0)
    assert pledge.deadline == NEVER
    pledge.caller_spoke(30.0)
    assert pledge.deadline == 34.0


def test_a_settled_promise_is_not_due_any_more() -> None:
    pledge = _promised()
    pledge.settled()
    pledge.caller_spoke(20.0)
    assert (pledge.deadline, pledge.destination) == (NEVER, "")


def test_promises_can_be_switched_off() -> None:
    pledge = _promised(seconds=0.0)
    pledge.caller_spoke(11.0)
    assert (pledge.deadline, pledge.destination) == (NEVER, "")
