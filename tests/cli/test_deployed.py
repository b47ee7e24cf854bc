from __future__ import annotations

import pytest

from cli.checks.check import Mark
from cli.checks.deployed import ALARMS, DEAD_LETTERS, LIVE_CALLS, QUEUE, STACK, TASKS
from tests.cli.health import OUTPUTS, Healthy, ask


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("CREATE_COMPLETE", Mark.GOOD),
        ("UPDATE_COMPLETE", Mark.GOOD),
        ("UPDATE_IN_PROGRESS", Mark.WARNING),
        ("UPDATE_ROLLBACK_COMPLETE", Mark.WARNING),
        ("ROLLBACK_COMPLETE", Mark.BAD),
        ("CREATE_FAILED", Mark.BAD),
        ("UPDATE_ROLLBACK_FAILED", Mark.BAD),
        (None, Mark.NOT_CHECKED),
    ],
)
def test_the_stack_is_as_good_as_its_status(status: str | None, expected: Mark) -> None:
    line = Healthy()
    line.aws_.stack_status = status
    finding = ask(STACK, line)
    assert finding.mark is expected
    assert finding.data["status"] == status


@pytest.mark.parametrize(
    ("running", "desired", "expected"), [(2, 2, Mark.GOOD), (3, 2, Mark.GOOD), (1, 2, Mark.WARNING), (0, 2, Mark.BAD)]
)
def test_tasks_that_are_missing_are_noticed(running: int, desired: int, expected: Mark) -> None:
    line = Healthy()
    line.aws_.counts = {"runningCount": running, "desiredCount": desired, "pendingCount": 0}
    finding = ask(TASKS, line)
    assert finding.mark is expected
    assert finding.data["running"] == running


def test_a_service_that_is_gone_is_bad() -> None:
    line = Healthy()
    line.aws_.services = 0
    assert ask(TASKS, line).mark is Mark.BAD


def test_live_calls_are_the_fleets_as_last_counted_in_full() -> None:
    line = Healthy()
    finding = ask(LIVE_CALLS, line)
    # The newest period has not heard of every task yet.
    assert finding.data == {"active": 7, "draining": 1}


def test_tasks_that_say_nothing_are_noticed() -> None:
    line = Healthy()
    line.aws_.gauges = {"active": [], "draining": []}
    finding = ask(LIVE_CALLS, line)
    assert (finding.mark, finding.data["active"]) == (Mark.WARNING, None)


@pytest.mark.parametrize(("ages", "expected"), [([], Mark.GOOD), ([3.0], Mark.GOOD), ([16.0], Mark.BAD)])
def test_a_caller_who_waits_for_a_transfer_is_noticed(ages: list[float], expected: Mark) -> None:
    line = Healthy()
    line.aws_.ages, line.aws_.depths["transfers"] = ages, (2, 1)
    finding = ask(QUEUE, line)
    assert finding.mark is expected
    assert (finding.data["waiting"], finding.data["in_flight"]) == (2, 1)


def test_an_old_message_that_is_being_handled_watches_over_a_ringing_and_does_not_wait() -> None:
    line = Healthy()
    line.aws_.ages, line.aws_.depths["transfers"] = [60], (0, 1)
    assert ask(QUEUE, line).mark is Mark.GOOD
    line.aws_.depths["transfers"] = (1, 1)
    assert ask(QUEUE, line).mark is Mark.BAD


@pytest.mark.parametrize(("depth", "expected"), [((0, 0), Mark.GOOD), ((1, 0), Mark.BAD), ((0, 1), Mark.BAD)])
def test_dead_letters_are_bad(depth: tuple[int, int], expected: Mark) -> None:
    line = Healthy()
    line.aws_.depths["dead"] = depth
    assert ask(DEAD_LETTERS, line).mark is expected


def test_a_ringing_alarm_is_named_with_its_heading_in_the_run_book() -> None:
    line = Healthy()
    line.aws_.alarms["Webhook failing"] = "ALARM"
    finding = ask(ALARMS, line)
    assert finding.text == "1 of 2 ring: Webhook failing"
    assert finding.repair == "docs/runbook.md, 'Webhook failing'"
    assert finding.data == {"ringing": ["Webhook failing"], "of": 2}


def test_a_stack_without_alarms_is_not_taken_for_quiet() -> None:
    line = Healthy()
    line.aws_.alarms = {}
    assert ask(ALARMS, line).mark is Mark.WARNING


def test_a_missing_output_is_a_finding() -> None:
    class Old(Healthy):
        def outputs(self) -> dict[str, str]:
            return {name: value for name, value in OUTPUTS.items() if name != "DeadLetterQueueUrl"}

    assert ask(DEAD_LETTERS, Old()).mark is Mark.BAD
