from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.agent_file import load as load_agent
from contracts.events import VOCABULARY
from contracts.hours import schedule
from simulators import scenarios
from simulators.report.run import Turn
from simulators.scenarios import Promise, Scenario
from simulators.settings import ROOT, StackError


@pytest.mark.parametrize("name", scenarios.names())
def test_every_scenario_speaks_of_events_and_destinations_that_exist(name: str) -> None:
    scenario = scenarios.load(name)
    agent = load_agent(ROOT / "agent.yaml")
    people = {key for key in scenario.callees if not key.startswith("+")}
    assert people | scenario.ring_seconds.keys() <= agent.destinations.keys()
    for pattern in [*scenario.expect, *scenario.never]:
        assert pattern.keys() - {"event"} <= VOCABULARY[pattern["event"]].fields


def test_the_scenarios_are_there() -> None:
    first = {"billing", "caller-hangs-up", "hours", "no-answer", "press-zero"}
    escalation = {"attended", "closed", "hunt", "promise", "screened", "voicemail"}
    broken = {"deploy", "model-dies", "queue-down", "relay-dies"}
    assert {*scenarios.names()} == first | escalation | broken
    for name in broken:
        assert scenarios.load(name).faults
        assert scenarios.load(name).promise


def test_a_fault_names_who_can_suffer_it_and_an_event_that_exists() -> None:
    for name in scenarios.names():
        assert {fault.after for fault in scenarios.load(name).faults} <= {"", *VOCABULARY}
    with pytest.raises(ValidationError, match="queue cannot kill"):
        a_scenario(faults=[{"who": "queue", "what": "kill"}])
    assert a_scenario(faults=[{"who": "relay", "what": "stop", "for": 5}]).faults[0].lasts == 5


def test_a_promise_that_was_not_kept_is_said_with_its_numbers() -> None:
    promise = Promise(ends_with=("person", "agent"), silence=3.0)
    assert scenarios.broken(promise, "agent", 2.9) == []
    assert scenarios.broken(promise, "nothing", 3.1) == [
        "the call ended with nothing, and person or agent is promised",
        "3.10 s of silence, and at most 3.00 s are promised",
    ]


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StackError, match=r"none of that name; choose one of attended, billing, caller-hangs-up"):
        scenarios.load("../billing")


def test_what_the_caller_will_say_is_known_beforehand() -> None:
    assert scenarios.load("billing").lines()[0] == "What are your opening hours?"
    assert len(scenarios.load("billing").lines()) == 3


def a_scenario(**promises: Any) -> Scenario:
    return Scenario.model_validate({"title": "t", "caller": [], "expect": [], **promises})


def test_what_was_promised_must_have_happened_in_order() -> None:
    lines: list[dict[str, Any]] = [{"event": "a", "x": 1}, {"event": "b"}, {"event": "a", "x": 2}]
    assert scenarios.missing(a_scenario(expect=[{"event": "b"}, {"event": "a", "x": 2}]), lines) == []
    assert scenarios.missing(a_scenario(expect=[{"event": "b"}, {"event": "a", "x": 1}]), lines) == [
        "a (x 1) happened too early"
    ]
    assert scenarios.missing(a_scenario(expect=[{"event": "c"}]), lines) == ["c happened never"]
    assert scenarios.missing(a_scenario(never=[{"event": "b"}]), lines) == ["b happened, and must not"]


def test_what_must_be_said_must_have_been_said_by_the_right_one() -> None:
    wanted = a_scenario(said=[{"who": "agent", "matches": "(?i)did not answer"}])
    assert scenarios.missing(wanted, [], [Turn("agent", "Billing did not answer.")]) == []
    assert scenarios.missing(wanted, [], [Turn("caller", "Billing did not answer.")]) == [
        "the agent never said anything like '(?i)did not answer'"
    ]


@pytest.mark.parametrize("day", [date(2026, 11, 22) + timedelta(days=n) for n in range(7)])
def test_billing_is_closed_whenever_the_closed_scenario_is_played(day: date) -> None:
    night = scenarios.load("closed").agent_on(day)["hours"]["night"]
    hours = schedule(night["time_zone"], night["open"])
    begins = datetime.combine(day, time.min, UTC).timestamp()
    assert not any(hours.is_open(begins + 60 * minute) for minute in range(24 * 60))
    assert hours.opens_at(begins) == begins + 36 * 3600
