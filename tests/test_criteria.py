"""Which criteria of reliability and security have a test, by name: S1 to S26 (attacks), R1 to R36 (faults).

`pytest tests/test_criteria.py -v` lists each row with the number of tests that are named after it.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from simulators.chaos.criteria import CRITERIA, IN_PART

ROWS = [*(f"S{n}" for n in range(1, 27)), *(f"R{n}" for n in range(1, 37))]
_NAMED = re.compile(r"^\s*(?:async )?def test((?:_[SR]\d+)+)_", re.MULTILINE)


def named(source: str) -> Counter[str]:
    """How many tests of a module are named after each row."""
    return Counter(row for match in _NAMED.findall(source) for row in match.split("_") if row)


def everywhere() -> Counter[str]:
    """The same for all tests."""
    modules = sorted(Path(__file__).parent.rglob("test_*.py"))
    return sum((named(module.read_text(encoding="utf-8")) for module in modules), Counter[str]())


FOUND = everywhere()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row}-{FOUND[row]}-tests")
def test_a_criterion_has_a_test(row: str) -> None:
    assert FOUND[row], f"no test is named after {row}"


def test_no_test_is_named_after_a_criterion_that_does_not_exist() -> None:
    assert set(FOUND) <= set(ROWS)
    assert set(IN_PART) <= set(ROWS)


def test_names_are_read_as_they_are_written() -> None:
    lines = ["def test_S1_R20_x():", "    async def test_R2_y(self):", "def test_z_S3_():", "def best_S4_a():"]
    source = "\n    ...\n".join(lines)
    assert named(source) == {"S1": 1, "R20": 1, "R2": 1}
    assert named("") == {}


def test_each_row_of_the_campaigns_page_says_what_it_asks() -> None:
    assert list(CRITERIA) == ROWS
