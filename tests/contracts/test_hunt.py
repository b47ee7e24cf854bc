"""The hunt: whom to ring next, and that it always ends well."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from contracts.destination import (
    WORDS,
    Channel,
    Delivery,
    Destination,
    Directory,
    Disposition,
    Guards,
    Mode,
    Order,
    Position,
    Target,
    TargetKind,
    Voicemail,
)
from contracts.directory import DirectoryRefused, parse
from contracts.dispositions import circle
from contracts.hours import schedule
from contracts.hunt import Goodbye, HangUp, Ring, Step, TakeMessage, ToAgent, after, at, start
from contracts.transfer import Outcome
from tests.contracts import people
from tests.contracts.people import DAY, HOURS, MONDAY, NUMBER, directory, person

TUESDAY, WEDNESDAY, THURSDAY = MONDAY + DAY, MONDAY + 2 * DAY, MONDAY + 3 * DAY
VOICEMAIL = {"greeting": "g", "deliver": {"email": "desk@example.com"}}
IN_VAIN = [
    Outcome.NO_ANSWER,
    Outcome.BUSY,
    Outcome.DECLINED,
    Outcome.FAILED,
    Outcome.VOICEMAIL,
    Outcome.CARRIER_ERROR,
    Outcome.NOT_CONFIGURED,
]


def begin(found: Directory, key: str = "billing", *, now: float = MONDAY, with_agent: bool = True) -> Step:
    return start(found, key, now=now, with_agent=with_agent)


def then(found: Directory, step: Step, outcome: Outcome, *, later: float = 0, visited: tuple[str, ...] = ()) -> Step:
    assert isinstance(step, Ring)
    return after(
        found,
        step.position,
        outcome,
        now=MONDAY + later,
        asked_at=MONDAY,
        visited=(*visited, step.destination.key),
        with_agent=False,
    )


def reached(step: Step) -> tuple[str, int]:
    assert isinstance(step, Ring)
    return step.destination.key, step.index


def test_targets_ring_one_after_the_other_and_then_exhausted_decides() -> None:
    found = directory({"billing": person(targets=[{"phone": NUMBER}, {"client": "a"}])})
    first = begin(found)
    second = then(found, first, Outcome.NO_ANSWER)
    assert (reached(first), reached(second)) == (("billing", 0), ("billing", 1))
    assert then(found, second, Outcome.BUSY) == ToAgent("billing", Outcome.BUSY)


def test_targets_at_once_are_one_ring_as_long_as_the_longest() -> None:
    targets = [{"phone": NUMBER, "ring_seconds": 15}, {"client": "a", "ring_seconds": 25}]
    found = directory({"billing": person(targets=targets, ring="at_once", disposition={"exhausted": "goodbye"})})
    ring = begin(found)
    assert isinstance(ring, Ring)
    assert (len(ring.targets), ring.seconds) == (2, 25)
    assert then(found, ring, Outcome.NO_ANSWER) == Goodbye("billing", Outcome.NO_ANSWER)


@pytest.mark.parametrize(
    ("outcome", "case"),
    [
        (Outcome.NO_ANSWER, "no_answer"),
        (Outcome.VOICEMAIL, "no_answer"),
        (Outcome.BUSY, "busy"),
        (Outcome.DECLINED, "declined"),
        (Outcome.FAILED, "failed"),
        (Outcome.CARRIER_ERROR, "failed"),
        (Outcome.NOT_CONFIGURED, "failed"),
    ],
)
def test_each_outcome_has_its_disposition(outcome: Outcome, case: str) -> None:
    found = directory({"billing": person(disposition={case: "desk"})})
    assert reached(then(found, begin(found), outcome)) == ("desk", 0)
    found = directory({"billing": person(disposition={case: "voicemail"})}, voicemail=VOICEMAIL)
    assert then(found, begin(found), outcome) == TakeMessage("billing", outcome)


def test_a_finished_conversation_hangs_up_or_returns_to_the_agent_if_so_configured() -> None:
    found = directory({"billing": person(), "support": person(disposition={"completed": "agent"})})
    assert then(found, begin(found), Outcome.BRIDGED) == HangUp("billing", Outcome.BRIDGED)
    assert then(found, begin(found, "support"), Outcome.BRIDGED) == ToAgent("support", Outcome.BRIDGED)
    assert then(found, begin(found), Outcome.CALLER_GONE) == HangUp("billing", Outcome.CALLER_GONE)


def test_the_closed_are_passed_at_once_and_named() -> None:
    found = directory(
        {
            "billing": person(hours="day", disposition={"closed": "support"}),
            "support": person(hours="other", disposition={"closed": "voicemail"}),
        },
        hours=HOURS,
        voicemail=VOICEMAIL,
    )
    assert reached(begin(found)) == ("billing", 0)
    wednesday = begin(found, now=WEDNESDAY)
    assert reached(wednesday) == ("support", 0)
    assert wednesday.passed == ("billing",)
    assert begin(found, now=THURSDAY) == TakeMessage("support", Outcome.CLOSED, ("billing", "support"))


def test_hours_are_asked_on_arrival_and_not_between_two_targets() -> None:
    billing = person(hours="day", targets=[{"phone": NUMBER}, {"client": "a"}])
    found = directory({"billing": billing}, hours=HOURS)
    late = after(
        found,
        Position("billing", 0),
        Outcome.NO_ANSWER,
        now=WEDNESDAY + 5,
        asked_at=WEDNESDAY - 10,
        visited=("billing",),
        with_agent=False,
    )
    assert reached(late) == ("billing", 1)


def test_a_destination_is_visited_once_though_the_file_changed_meanwhile() -> None:
    found = directory({"billing": person(disposition={"exhausted": "desk"})})
    assert then(found, begin(found), Outcome.BUSY, visited=("desk",)) == ToAgent("billing", Outcome.BUSY)
    without = directory({})
    assert then(without, begin(found), Outcome.BUSY) == ToAgent("billing", Outcome.BUSY)
    gone = at(without, Position("billing", 3), now=MONDAY, asked_at=MONDAY, visited=(), with_agent=True)
    assert reached(gone) == ("desk", 0)
    shorter = at(found, Position("billing", 3), now=MONDAY, asked_at=MONDAY, visited=("billing",), with_agent=True)
    assert reached(shorter) == ("desk", 0)


def test_the_last_ring_is_cut_to_what_is_left_and_then_the_caller_is_asked_again() -> None:
    targets = [{"phone": NUMBER, "ring_seconds": 20}] * 3
    found = directory({"billing": person(targets=targets)}, escalation={"max_wait_seconds": 45})
    first = begin(found)
    second = then(found, first, Outcome.NO_ANSWER, later=20)
    third = then(found, second, Outcome.NO_ANSWER, later=40)
    assert isinstance(second, Ring)
    assert isinstance(third, Ring)
    assert (second.seconds, third.seconds) == (20, 5)
    assert then(found, second, Outcome.NO_ANSWER, later=40.5) == ToAgent("billing", Outcome.NO_ANSWER)


def test_an_attended_person_is_screened_once_the_caller_has_left_the_agent_and_a_queue_never_is() -> None:
    found = directory(
        {
            "billing": person(mode="attended"),
            "support": person(mode="screened", targets=[{"phone": NUMBER}, {"queue": "q"}]),
        }
    )

    def mode(step: Step) -> Mode:
        assert isinstance(step, Ring)
        return step.mode

    assert mode(begin(found)) is Mode.ATTENDED
    assert mode(begin(found, with_agent=False)) is Mode.SCREENED
    support = begin(found, "support")
    assert mode(support) is Mode.SCREENED
    assert mode(then(found, support, Outcome.BUSY)) is Mode.DIRECT


def test_an_unknown_key_is_the_default_person() -> None:
    found = directory({"billing": person()})
    assert reached(begin(found, "+15550109999")) == ("desk", 0)


def test_a_voicemail_that_is_configured_no_longer_is_a_sentence() -> None:
    found = directory({"billing": person(disposition={"busy": "voicemail"})}, voicemail=VOICEMAIL)
    assert then(replace(found, voicemail=None), begin(found), Outcome.BUSY) == Goodbye("billing", Outcome.BUSY)


SCHEDULES = [schedule(one["time_zone"], one["open"]) for one in HOURS.values()]
TARGETS = [Target(TargetKind.PHONE, NUMBER, 20), Target(TargetKind.CLIENT, "a", 10), Target(TargetKind.QUEUE, "q", 60)]


@st.composite
def graphs(draw: st.DrawFn) -> Directory:
    """Directories with any dispositions, circles included."""
    found = {}
    keys = draw(st.lists(st.sampled_from(people.KEYS), unique=True, min_size=1))
    for key in keys:
        found[key] = Destination(
            key,
            "n",
            "d",
            tuple(draw(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=3))),
            ring=draw(st.sampled_from(Order)),
            mode=draw(st.sampled_from(Mode)),
            schedule=draw(st.none() | st.sampled_from(SCHEDULES)),
            disposition=Disposition(**draw(people.dispositions(keys))),
        )
    return Directory(
        destinations=found,
        default=next(iter(found.values())),
        guards=Guards(("+1",)),
        max_wait_seconds=draw(st.integers(10, 600)),
        voicemail=draw(st.none() | st.just(Voicemail("g", 60, Delivery(Channel.EMAIL, "desk@example.com")))),
    )


def walked_in_a_circle(destinations: dict[str, Destination]) -> bool:
    """Plainly: a caller arrives at a destination at a moment; those who can leave for nowhere are taken away."""
    moments = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)  # every combination of open and closed

    def ways(one: Destination, moment: float) -> Iterator[tuple[str, float]]:
        if not one.is_open(moment):
            yield one.disposition.closed, moment
            return
        cases = {"no_answer", "busy", "failed"} | ({"declined"} if one.mode is not Mode.DIRECT else set())
        actions = {getattr(one.disposition, case) for case in cases}
        actions |= {one.disposition.exhausted} if "next" in actions else set()
        yield from itertools.product(actions, moments)

    left = {
        (key, moment): {way for way in ways(one, moment) if way[0] in destinations and way[0] not in WORDS}
        for key, one in destinations.items()
        for moment in moments
    }
    while ended := {here for here, there in left.items() if not there & left.keys()}:
        left = {here: there for here, there in left.items() if here not in ended}
    return bool(left)


@given(graphs())
def test_exactly_the_graphs_with_a_circle_that_can_be_walked_are_refused(found: Directory) -> None:
    refused = circle(found.destinations)
    assert (refused is not None) is walked_in_a_circle(dict(found.destinations))
    event("refused" if refused else "accepted")
    for here, there in itertools.pairwise([*refused, refused[0]] if refused else []):
        key, case = here.split(".")
        assert getattr(found.destinations[key].disposition, case) == there.split(".")[0]


def assert_it_ends_well(found: Directory, data: st.DataObject) -> None:
    now = asked_at = float(data.draw(st.sampled_from([MONDAY, TUESDAY, WEDNESDAY, THURSDAY])))
    with_agent = data.draw(st.booleans())
    step = start(found, data.draw(st.sampled_from([*found.destinations])), now=now, with_agent=with_agent)
    rung: list[tuple[str, int]] = []
    visited: list[str] = []
    while isinstance(step, Ring):
        here = step.destination.key
        visited += [key for key in (*step.passed, here) if key != (visited or [""])[-1]]
        assert step.targets
        assert step.seconds >= 5
        assert step.destination.is_open(now) or step.index
        assert with_agent or step.mode is not Mode.ATTENDED
        assert (here, step.index) not in rung
        rung.append((here, step.index))
        again = at(found, step.position, now=now, asked_at=asked_at, visited=visited, with_agent=with_agent)
        assert again == replace(step, passed=())
        now += data.draw(st.just(0.0) | st.floats(0, step.seconds))
        with_agent = with_agent and data.draw(st.booleans())
        outcome = data.draw(st.sampled_from([*IN_VAIN * 4, Outcome.BRIDGED, Outcome.CALLER_GONE]))
        step = after(found, step.position, outcome, now=now, asked_at=asked_at, visited=visited, with_agent=with_agent)
    assert len(visited) == len(set(visited)), "every destination is visited once"
    assert now - asked_at <= found.max_wait_seconds
    match step:
        case TakeMessage():
            assert found.voicemail is not None
        case HangUp():
            assert step.outcome in {Outcome.BRIDGED, Outcome.CALLER_GONE}
        case ToAgent() | Goodbye():
            assert step.outcome is not Outcome.CALLER_GONE
    event(type(step).__name__)


@given(graphs(), st.data())
def test_every_hunt_ends_at_a_person_the_agent_a_message_or_a_sentence(found: Directory, data: st.DataObject) -> None:
    assert_it_ends_well(found, data)


@given(people.agent_files(), st.data())
def test_so_does_every_hunt_of_a_file_that_is_accepted(content: dict[str, Any], data: st.DataObject) -> None:
    try:
        found = parse(content)
    except DirectoryRefused:
        return
    assert_it_ends_well(found, data)
