from __future__ import annotations

import json
from dataclasses import replace

from contracts.events import VOCABULARY
from contracts.visit import MOVED
from simulators.chaos import page
from simulators.chaos.ear import Outcome
from simulators.chaos.page import ALL
from simulators.chaos.play import Played, Relay
from simulators.chaos.proofs import Marked, NamedTests, Storm, by_row, of_run
from simulators.chaos.rows import PLAYS, STORMS
from simulators.move import Moved, Result

KILL = next(play for play in PLAYS if play.row == "R15")
SOAK = next(play for play in PLAYS if play.brief)


def played(*outcomes: Outcome, left: int = 0) -> page.Line:
    return page.of_play(Played(KILL, outcomes, left, [Relay(1, 1, 1)], [], []))


def an_outcome(ended: str = "agent", silence: float = 1.0, legs: int = 0, *, asked: bool = False) -> Outcome:
    return Outcome(("the agent",), ended, silence, legs, asked, "CA1")


FINDINGS = page.Findings(
    how="How.",
    calls=[played(an_outcome()), page.of_storm(Storm("R18", 10, 1, 0))],
    tests={"R5": NamedTests(3, ()), "R8": NamedTests(0, ("test_R8_x",))},
    soak={"rss_mib": 60.0},
)


def test_a_row_whose_calls_were_all_kept_is_met() -> None:
    line = played(an_outcome(), an_outcome("person", legs=1))
    assert line.unmet == ()
    assert line.met == "met"


def test_each_way_to_fail_a_caller_is_said() -> None:
    assert "heard nothing for longer" in played(an_outcome(silence=3.1)).met
    assert "1 ended with nothing" in played(an_outcome("nothing")).met
    assert "1 doubled" in played(an_outcome(legs=2)).met
    assert "1 lost" in played(an_outcome("nothing", asked=True)).met
    assert "2 connections left" in played(an_outcome(), left=2).met
    assert page.of_play(Played(KILL, [an_outcome()], 0, [Relay(1, 1, 1)], [], [], 1)).unmet == (
        "1 never felt the fault",
    )


def test_one_foreign_octet_or_text_and_one_call_that_heard_nothing_of_its_own_is_a_failure() -> None:
    good = Marked(calls=200, own=9, foreign=0, texts=0, drops=1, returns=1, unheard=0)
    assert page.of_marked(good).met == "met"
    assert "1 octets and 0 texts of others" in page.of_marked(replace(good, foreign=1)).met
    assert "0 octets and 1 texts of others" in page.of_marked(replace(good, texts=1)).met
    assert "1 never heard their own" in page.of_marked(replace(good, unheard=1)).met


def test_whether_a_call_feels_its_fault_is_read_from_lines_that_the_parts_do_write() -> None:
    assert {play.sign.partition(" ")[0] for play in PLAYS if play.sign} <= {*VOCABULARY}
    moves = next(play for play in PLAYS if play.direct)
    assert all(moves.shows({"event": "stream.ended", "why": why}) for why in MOVED)
    assert not moves.shows({"event": "stream.ended", "why": "agent_ended"})
    assert not KILL.shows({"event": "stream.ended", "why": "relay_draining"})


def test_a_soak_that_grows_is_not_met_and_one_that_does_not_is() -> None:
    def soaked(growth: int, tasks: int = 0) -> page.Line:
        relay = [Relay(2**26 + growth * wave, 40, 9) for wave in range(10)]
        told = [20 + wave % 3 + tasks * wave for wave in range(10)]
        return page.of_play(Played(SOAK, [an_outcome()] * 90, 0, relay, [3], told))

    assert soaked(0).unmet == ()
    assert "memory grows by" in soaked(2**20).met
    assert "tasks were left" in soaked(0, tasks=10).met


def test_the_page_names_every_row_that_was_neither_played_nor_tested() -> None:
    text = FINDINGS.render({"R5": "1 of 1 red"})
    row = {line.split(" | ")[0].removeprefix("| "): line for line in text.rpartition("## Every row")[2].splitlines()}
    assert row["R8"].endswith("| - | not run | **failed**: test_R8_x |")
    assert row["R18"].endswith("1 doubled |")
    assert row["R5"].endswith("| 3 | 1 of 1 red | met |")
    assert {one for one in ALL if "neither played nor tested" in row[one]} == {*ALL} - {"R15", "R18", "R5", "R8"}


def test_rows_that_are_run_again_take_the_place_of_what_came_of_them_before() -> None:
    newer = page.Findings(
        how="Later.", calls=[played(an_outcome(), an_outcome())], tests={"R8": NamedTests(1, ())}, soak={}
    )
    both = page.Findings.of_data(json.loads(json.dumps(FINDINGS.as_data()))).again(newer)
    assert {line.row: line.runs for line in both.calls} == {"R15": 2, "R18": 10}
    assert both.tests == {"R5": NamedTests(3, ()), "R8": NamedTests(1, ())}
    assert both.soak == {"rss_mib": 60.0}
    assert "R8, R15 (Later.)" in both.render({})


def test_calls_that_moved_are_judged_by_the_gap_and_by_what_they_remember() -> None:
    def line(*calls: tuple[float, bool]) -> page.Line:
        return page.of_move(Result(tuple(Moved("CA1", gap, went_on) for gap, went_on in calls)))

    assert line((0.5, True), (2.9, True)).met == "met"
    assert line((0.5, True), (0.5, False)).unmet == ("1 did not go on",)
    assert line((0.5, True), (3.1, True)).unmet == ("p99 of the gap is longer",)


def test_tests_are_counted_by_the_rows_in_their_names() -> None:
    cases = '<testcase name="test_R3_R4_x[R9_1]"/><testcase name="test_R3_y"><failure/></testcase><testcase name="z"/>'
    assert by_row(f"<suite>{cases}</suite>") == {"R3": NamedTests(1, ("test_R3_y",)), "R4": NamedTests(1, ())}


def test_a_run_of_the_tests_that_was_cut_short_proves_no_row() -> None:
    junit = '<suite><testcase name="test_R3_x"/><testcase name="tests.broken"><error/></testcase></suite>'
    assert of_run(0, junit, ["R3", "R4"]) == of_run(1, junit, ["R3", "R4"]) == {"R3": NamedTests(1, ())}
    ended = "pytest ended with 2"
    assert of_run(2, junit, ["R3", "R4"]) == {"R3": NamedTests(1, (ended,)), "R4": NamedTests(0, (ended,))}
    assert of_run(2, "", ["R4"]) == {"R4": NamedTests(0, (ended,))}
    assert of_run(5, "", ["R4"]) == {}


def test_a_test_named_after_two_rows_counts_for_those_that_were_asked_for() -> None:
    junit = '<suite><testcase name="test_R14_R31_x"/><testcase name="test_R14_y"/></suite>'
    assert of_run(0, junit, ["R14"]) == {"R14": NamedTests(2, ())}


def test_the_rows_played_are_rows_of_the_list() -> None:
    assert {play.row for play in PLAYS} - {"control"} <= {*ALL}
    assert {*STORMS} <= {*ALL}
