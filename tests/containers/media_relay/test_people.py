"""What the model is told about people."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay import people
from contracts import hours, hunt
from contracts.handoff import Attempt, Try
from contracts.hunt import Goodbye, Ring
from contracts.transfer import Outcome
from tests.containers.media_relay.worlds import PEOPLE_FILE, WALL

DIRECTORY = PEOPLE_FILE.directory
MONDAY_NOON = WALL + 26 * 3600


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def step(key: str, now: float = WALL) -> hunt.Step:
    return hunt.start(DIRECTORY, key, now=now, with_agent=True)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("2026-11-23T06:00", "today at 09:00, New York time"),
        ("2026-11-23T23:00", "tomorrow at 09:00, New York time"),
        ("2026-11-27T23:00", "on Monday at 09:00, New York time"),
        ("2026-12-18T23:00", "on Monday, 28 December at 09:00, New York time"),
    ],
)
def test_when_it_opens_is_said_by_the_clock_on_its_own_wall(now: str, said: str) -> None:
    holidays = [f"2026-12-{day}" for day in range(21, 26)]
    office = hours.schedule("America/New_York", {"mon-fri": "09:00-17:00"}, holidays)
    assert people.opens(office, at(now)) == said


def test_of_hours_that_never_come_no_time_is_said() -> None:
    past = replace(DIRECTORY.destinations["support"], schedule=hours.schedule("UTC", {"mon": []}))
    assert people.closed(past, WALL) == "technical support is closed now"


@given(st.sampled_from(["UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia"]), st.integers(0, 366 * 24 * 4))
def test_whatever_the_hour_the_day_that_is_said_is_the_day_it_opens(zone: str, quarters: int) -> None:
    now = WALL + quarters * 900
    office = hours.schedule(zone, {"tue": "09:00-10:00", "sat": "22:00-02:00"})
    opening, said = office.opens_at(now), people.opens(office, now)
    assert opening is not None
    today, then = (datetime.fromtimestamp(one, ZoneInfo(zone)) for one in (now, opening))
    days = (then.date() - today.date()).days
    assert ("today" in said, "tomorrow" in said) == (days == 0, days == 1)
    assert f"{then:%H:%M}" in said


def test_every_outcome_has_words_and_a_reason_goes_with_them() -> None:
    for outcome in Outcome:
        assert people.went(DIRECTORY, [Try("billing", 0, outcome)]).startswith("the billing team ")
    declined = Try("billing", 0, Outcome.DECLINED, note="in a meeting")
    assert people.went(DIRECTORY, [declined]) == "the billing team could not take the call (in a meeting)"


def test_of_a_destination_that_rang_twice_the_last_ring_is_told() -> None:
    tries = [Try("billing", 0, Outcome.NO_ANSWER), Try("gone", 0, Outcome.BUSY), Try("billing", 1, Outcome.BUSY)]
    assert people.went(DIRECTORY, tries) == "the billing team was busy and nobody was busy"


def test_a_closed_destination_is_told_with_its_hours_and_with_who_else_there_is() -> None:
    told = people.stays(DIRECTORY, "support", step("support"), WALL)
    assert "technical support is closed now and opens tomorrow at 09:00, Berlin time" in told
    assert "connect them to the billing team or our reception" in told
    assert "leave a message for the sales team" in told
    assert "the director" not in told, "who only passes on is no alternative"


def test_nobody_is_offered_who_was_tried_or_is_closed() -> None:
    assert people.others(DIRECTORY, WALL, ["billing", "reception", "sales"]) == "Nobody else can be reached now."
    assert "technical support" in people.others(DIRECTORY, MONDAY_NOON, [])  # the control: it is open on Mondays


def test_only_an_attended_person_or_a_closed_door_leaves_the_caller_with_the_agent() -> None:
    stays = {key for key in DIRECTORY.destinations if people.stays(DIRECTORY, key, step(key), WALL)}
    assert stays == {"billing", "support", "director"}
    told = people.stays(DIRECTORY, "director", step("director"), WALL)
    assert "that the director is closed now and the billing team is being called." in told


def test_the_farewell_is_true_of_what_comes() -> None:
    assert "you are now connecting the caller to our reception" in people.farewell(DIRECTORY, step("reception"))
    assert "the sales team is closed now" in people.farewell(DIRECTORY, step("sales"))
    assert "leave a message after the tone" in people.farewell(DIRECTORY, step("sales"))
    goodbye = Goodbye("sales", Outcome.CLOSED, ("sales",))
    assert "nobody can take the call now" in people.farewell(DIRECTORY, goodbye)
    assert isinstance(step("billing"), Ring)


def attempt(*tries: Try) -> Attempt:
    return Attempt("r", tries[-1].destination, "webhook", 0.0, tries[-1].outcome, tries=tries)


def test_a_caller_who_comes_back_hears_of_every_try_and_of_the_alternatives() -> None:
    declined = Try("reception", 0, Outcome.DECLINED, note="in a meeting")
    said = people.back(DIRECTORY, attempt(Try("billing", 0, Outcome.NO_ANSWER), declined), WALL)
    assert "because the billing team did not answer and our reception could not take the call (in a meeting)" in said
    assert "let them leave a message for the sales team" in said
    assert "connect them" not in said, "both that are open were tried"


def test_a_caller_whose_person_has_hung_up_is_asked_what_else_there_is() -> None:
    said = people.back(DIRECTORY, attempt(Try("billing", 0, Outcome.BRIDGED)), WALL)
    assert "has spoken with the billing team" in said
    assert "anything else" in said
