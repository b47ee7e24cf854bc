"""An audit is green only if every installed package was looked up."""

from __future__ import annotations

import json
import sys

import pytest

from infra.advisories import main, verdict

INSTALLED = ["one", "Two_b"]
CLEAN = [{"name": "one", "version": "1", "vulns": []}, {"name": "two-b", "version": "2", "vulns": []}]


def report(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies})


def test_S21_an_audit_is_green_when_each_installed_package_was_looked_up() -> None:
    assert verdict(INSTALLED, 0, report(*CLEAN), "") == ""


@pytest.mark.parametrize(
    ("output", "status", "says"),
    [
        (report(CLEAN[0]), 0, "1 of 2 packages were not audited: two-b"),
        (report(CLEAN[0], {"name": "two-b", "skip_reason": "unknown"}), 0, "1 of 2 packages were not audited: two-b"),
        (report(), 0, "2 of 2 packages were not audited"),
        ("", 1, "the advisory service could not be asked about every package (refused)"),
        ("", 0, "the advisory service could not be asked about every package (refused)"),
        (report(CLEAN[0], {**CLEAN[1], "vulns": [{"id": "PYSEC-1"}]}), 1, "two-b PYSEC-1"),
        (report(*CLEAN), 1, "pip-audit ended with 1"),
    ],
)
def test_S21_an_audit_that_did_not_look_at_everything_is_red_and_says_why(output: str, status: int, says: str) -> None:
    assert says in verdict(INSTALLED, status, output, "warning\nrefused")


def test_S21_the_command_fails_when_the_service_cannot_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([sys.executable, "-c", "raise SystemExit('no route to host')"]) == 1
    assert "could not be asked about every package (no route to host)" in capsys.readouterr().out
