from __future__ import annotations

from threading import Barrier, Event

import pytest
from botocore.exceptions import EndpointConnectionError

from cli.checks.check import Check, Finding, Mark, bad, examine, good, not_checked, warning
from cli.checks.neighbours import Neighbours
from cli.errors import CommandError
from tests.cli.health import Healthy, client_error

GUARD = 10.0


def fails(error: Exception) -> Check:
    def ask(_: Neighbours) -> Finding:
        raise error

    return Check("it", ask, "repair it")


def one(check: Check) -> Finding:
    ((_, finding),) = examine([check], Healthy())
    return finding


def test_independent_checks_run_at_once_and_are_told_in_order() -> None:
    together = Barrier(3)

    def ask(_: Neighbours) -> Finding:
        together.wait(GUARD)
        return good("met")

    checks = [Check(name, ask, "repair") for name in ("first", "second", "third")]
    told = [(check.name, finding.mark) for check, finding in examine(checks, Healthy())]
    assert told == [("first", Mark.GOOD), ("second", Mark.GOOD), ("third", Mark.GOOD)]


def test_a_check_that_hangs_is_bad_after_its_time_and_holds_nobody_up() -> None:
    never = Event()

    def hang(_: Neighbours) -> Finding:
        never.wait(GUARD)
        return good("at last")

    slow = Check("slow", hang, "wake it", seconds=0.05)
    checks = [
        slow,
        Check("after it", lambda _: good(""), "", needs=("slow",)),
        Check("beside it", lambda _: good(""), ""),
    ]
    found = [finding for _, finding in examine(checks, Healthy())]
    never.set()
    assert found[0] == bad("no answer within 0.05 s", "wake it")
    assert found[1].text == "needs 'slow' first"
    assert found[2].mark is Mark.GOOD


@pytest.mark.parametrize("finding", [good("yes"), warning("perhaps", "look")])
def test_what_is_good_or_doubtful_may_be_built_upon(finding: Finding) -> None:
    checks = [Check("base", lambda _: finding, ""), Check("top", lambda _: good("built"), "", needs=("base",))]
    assert [found.mark for _, found in examine(checks, Healthy())][1] is Mark.GOOD


@pytest.mark.parametrize("finding", [bad("no", "mend it"), not_checked("not deployed yet")])
def test_what_is_bad_or_unknown_may_not(finding: Finding) -> None:
    checks = [
        Check("base", lambda _: finding, ""),
        Check("top", lambda _: good("built"), "", needs=("base",)),
        Check("roof", lambda _: good("built"), "", needs=("top",)),
    ]
    assert [found.text for _, found in examine(checks, Healthy())][1:] == ["needs 'base' first", "needs 'top' first"]


def test_a_command_error_brings_its_own_repair() -> None:
    assert one(fails(CommandError("OpenAI", "no key", "set one"))) == bad("OpenAI: no key", "set one")


def test_what_aws_says_is_told() -> None:
    found = one(fails(client_error("AccessDenied", "DescribeStacks")))
    assert (found.mark, found.repair) == (Mark.BAD, "repair it")
    assert "AccessDenied" in found.text


def test_an_aws_that_is_not_reached_is_no_matter_of_credentials() -> None:
    found = one(fails(EndpointConnectionError(endpoint_url="https://sts.amazonaws.com")))
    assert "check the network" in found.repair
    assert one(fails(ConnectionResetError())).text == "it cannot be asked (ConnectionResetError)"


def test_S12_of_any_other_error_only_its_kind_is_told() -> None:
    assert one(fails(ValueError("Invalid header value b'canary'"))) == bad(
        "it cannot be asked (ValueError)", "repair it"
    )


def test_a_check_must_stand_behind_what_it_needs() -> None:
    with pytest.raises(AssertionError, match="stands before"):
        list(examine([Check("top", lambda _: good(""), "", needs=("base",))], Healthy()))
