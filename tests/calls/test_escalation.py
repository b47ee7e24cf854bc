"""Issue 4, acceptance 1 and 4: the table of escalations is whole, and a sample of its calls is played."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import replace

import pytest

from contracts.destination import Mode
from simulators.escalation import table
from simulators.escalation.cases import Case, Human, Trigger, cases
from simulators.escalation.play import Played, play, stage

_SAMPLE = [
    Case(Trigger.TOOL, Mode.ATTENDED, Human.ACCEPTS, stays=True),
    Case(Trigger.PHRASE, Mode.ATTENDED, Human.MEETING, stays=True),
    Case(Trigger.KEY, Mode.ATTENDED, Human.VOICEMAIL, stays=True),
    Case(Trigger.TOOL, Mode.ATTENDED, Human.LEAVES, stays=False),
    Case(Trigger.TOOL, Mode.SCREENED, Human.VOICEMAIL, stays=True),
    Case(Trigger.LOST, Mode.SCREENED, Human.ACCEPTS, stays=True),
    Case(Trigger.PROMISE, Mode.SCREENED, Human.LEAVES, stays=True),
    Case(Trigger.TOOL_ERROR, Mode.SCREENED, Human.DECLINES, stays=True),
    Case(Trigger.KEY, Mode.SCREENED, Human.LATE, stays=False),
    Case(Trigger.TOOL, Mode.DIRECT, Human.VOICEMAIL, stays=True),
    Case(Trigger.FAILED_TURN, Mode.DIRECT, Human.BUSY, stays=True),
]
_RACES = 12


@pytest.fixture(scope="module")
def played() -> dict[Case, Played]:
    return {one.case: one for one in asyncio.run(play(_SAMPLE, os.environ, at_once=6))}


@pytest.mark.timeout(120)
def test_a_sample_of_the_table_has_no_dead_end_no_doubled_dial_and_no_voicemail(played: dict[Case, Played]) -> None:
    assert len(played) == len(_SAMPLE)
    assert not any(table.sums(list(played.values())).values()), played


@pytest.mark.timeout(120)
def test_a_voicemail_is_connected_only_where_no_key_is_asked_for(played: dict[Case, Played]) -> None:
    by_mode = {case.mode: one for case, one in played.items() if case.human is Human.VOICEMAIL}
    assert "the voicemail" in by_mode[Mode.DIRECT].heard  # else the others would prove nothing
    assert [by_mode[mode].ended for mode in (Mode.SCREENED, Mode.ATTENDED)] == ["the agent", "the agent"]


@pytest.mark.timeout(120)
def test_an_attended_caller_meets_the_person_within_half_a_second(played: dict[Case, Played]) -> None:
    one = played[Case(Trigger.TOOL, Mode.ATTENDED, Human.ACCEPTS, stays=True)]
    assert one.ended == "a person"
    assert 0 < one.gap <= table.GAP_SECONDS


def test_every_trigger_mode_outcome_and_caller_is_a_case_and_has_its_place_in_the_page() -> None:
    everything = list(cases())
    assert len(everything) == len(set(everything)) == len(Trigger) * len(Mode) * len(Human) * 2
    page = table.render([Played(case, ("the agent",), "the agent", 1, 0) for case in everything])
    assert table.listed(page) == set(everything)
    assert table.listed(page.replace(f"{Trigger.TIME}", f"{Trigger.TOOL}")) < set(everything)


def test_a_page_tells_of_exactly_what_was_played_and_counts_what_is_wrong() -> None:
    good = [Played(case, ("the agent", "ringing"), "the agent", 1, 0) for case in _SAMPLE]
    assert table.listed(table.render(good)) == set(_SAMPLE)
    assert set(table.sums(good).values()) == {0}
    screened = next(one for one in good if one.case.mode is Mode.SCREENED)
    for bad in (
        replace(screened, ended=table.DEAD_END),
        replace(screened, legs=2),
        replace(screened, heard=("the voicemail",)),
        replace(screened, left=1),
    ):
        assert sorted(table.sums([bad]).values()) == [0, 0, 0, 1]


@pytest.mark.timeout(120)
def test_hang_ups_at_any_moment_of_an_attended_call_leave_nobody_waiting() -> None:
    """Both sides race: the caller leaves between the ringing and the meeting, the person accepts, leaves or talks."""
    seeded = random.Random(4)
    humans = [Human.ACCEPTS, Human.LEAVES, Human.MEETING]

    async def races() -> list[Played]:
        async with stage(Mode.ATTENDED, two=False, environ=os.environ) as running:
            return await asyncio.gather(
                *(
                    running.play(
                        Case(Trigger.TOOL, Mode.ATTENDED, humans[number % 3], stays=False),
                        f"+1555010{4000 + number}",
                        leaves_after=seeded.uniform(0.6, 3.2),
                    )
                    for number in range(_RACES)
                )
            )

    found = asyncio.run(races())
    assert not any(table.sums(found).values()), found
    assert any(one.bridged for one in found) or any(one.legs for one in found)
