"""Issue 4, acceptance 1 and 4: the table of escalations is whole, and a sample of its calls is played."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace

import pytest

from contracts.destination import Mode
from simulators import audio
from simulators.escalation import heard, table
from simulators.escalation.cases import Case, Human, Trigger, cases
from simulators.escalation.play import Played, play
from simulators.escalation.races import races
from simulators.settings import ROOT

_SAMPLE = [
    Case(Trigger.TOOL, Mode.ATTENDED, Human.ACCEPTS, stays=True),
    Case(Trigger.PHRASE, Mode.ATTENDED, Human.MEETING, stays=True),
    Case(Trigger.KEY, Mode.ATTENDED, Human.VOICEMAIL, stays=True),
    Case(Trigger.TOOL, Mode.ATTENDED, Human.LEAVES, stays=False),
    Case(Trigger.TOOL, Mode.SCREENED, Human.VOICEMAIL, stays=True),
    Case(Trigger.TOOL_ERROR, Mode.SCREENED, Human.DECLINES, stays=True),
    Case(Trigger.KEY, Mode.SCREENED, Human.LATE, stays=False),
    Case(Trigger.TOOL, Mode.DIRECT, Human.VOICEMAIL, stays=True),
    Case(Trigger.FAILED_TURN, Mode.DIRECT, Human.BUSY, stays=True),
]
_RACES = 8


@pytest.fixture(scope="module")
def played() -> dict[Case, Played]:
    return {one.case: one for one in asyncio.run(play(_SAMPLE, os.environ, at_once=8))}


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
    assert len(everything) == len(set(everything)) == len(Trigger) * len(Mode) * len(Human) * 2 + 8
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
    asked_twice = replace(screened, legs=2, asked=2)
    assert not any(table.sums([asked_twice]).values())


@pytest.mark.timeout(120)
def test_until_a_person_accepts_the_caller_never_hears_silence(played: dict[Case, Played]) -> None:
    asked = [one for case, one in played.items() if case.mode is Mode.ATTENDED]
    assert all(one.silence <= table.SILENCE_SECONDS for one in asked), asked
    assert all(one.silence for one in asked if one.case.stays)  # a ring's pauses at least: it was measured


def test_a_silence_that_is_owed_to_the_caller_is_measured() -> None:
    tone, quiet = audio.tone([440], 500), audio.silence(1500)
    assert heard.waited_in_silence(audio.silence(2500), tone + quiet + tone, 0, 2500) == pytest.approx(1.5, abs=0.04)
    assert heard.waited_in_silence(quiet + tone, audio.silence(2000), 0, 2000) == 0  # the caller broke it
    assert not table.clean([silent(3.5)], [])
    assert table.clean([silent(2.1)], [])


def silent(seconds: float) -> Played:
    return Played(_SAMPLE[0], ("the agent",), "the agent", 1, 0, silence=seconds)


@pytest.mark.timeout(120)
def test_hang_ups_at_any_moment_of_an_attended_call_leave_nobody_waiting() -> None:
    """The caller leaves between the ringing and the meeting; so does the person."""
    found = asyncio.run(races(_RACES, os.environ, at_once=_RACES))
    assert len(found) == _RACES
    assert not any(table.sums(found).values()), found
    assert all(one.legs == 1 for one in found)  # else nobody raced


def test_the_committed_page_tells_of_every_case_and_of_nothing_that_must_not_happen() -> None:
    page = (ROOT / table.PATH).read_text(encoding="utf-8")
    assert table.listed(page) == set(cases())
    sums = next(line for line in page.splitlines() if re.match(r"\| [0-9]+ \|", line))
    assert [int(cell) for cell in sums.strip("|").split("|")][1:] == [0, 0, 0, 0]
