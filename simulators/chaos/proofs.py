"""What is proved beside the calls: the tests named after a row, the storms of the transfer, calls with marks.

All are programs of their own: nothing here imports a test.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from simulators.chaos.rows import MARKED_ROW, MARKED_RUNS, STORMS
from simulators.settings import ROOT

_ROWS: Final = re.compile(r"_([SR]\d+)(?=_)")
_RAN: Final = frozenset(
    {0, 1, 5}
)  # passed, failed, none chosen: https://docs.pytest.org/en/stable/reference/exit-codes.html


@dataclass(frozen=True, slots=True)
class NamedTests:
    """How many tests named after a row passed, and which did not."""

    passed: int
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Storm:
    """What came of a row's requests."""

    row: str
    runs: int
    doubled: int
    lost: int


@dataclass(frozen=True, slots=True)
class Marked:
    """What reached whom in calls with `own` octets, which dropped and returned; `texts` are foreign ones."""

    calls: int
    own: int
    foreign: int
    texts: int
    drops: int
    returns: int
    unheard: int


def by_row(junit: str) -> dict[str, NamedTests]:
    """The tests of a JUnit report by the rows that their names cite."""
    passed: Counter[str] = Counter()
    failed: dict[str, list[str]] = {}
    for case in ET.fromstring(junit).iter(  # noqa: S314 - pytest wrote it a moment ago
        "testcase"
    ):
        name = case.get("name", "")
        for row in _ROWS.findall(f"{name.partition('[')[0]}_"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed.setdefault(row, []).append(name)
            elif case.find("skipped") is None:
                passed[row] += 1
    return {row: NamedTests(passed[row], tuple(failed.get(row, ()))) for row in {*passed, *failed}}


def of_run(status: int | None, junit: str, rows: Collection[str]) -> dict[str, NamedTests]:
    """The tests of these rows by pytest's status and report ("": it left none); a run that broke off proves none.

    A test may be named after another row, too, of which this run has seen no more than that one.
    """
    found = {row: one for row, one in by_row(junit).items() if row in rows} if junit else {}
    if status in _RAN:
        return found
    none = NamedTests(0, ())
    ended = f"pytest ended with {status}"
    return {row: replace(one, failed=(*one.failed, ended)) for row in rows for one in [found.get(row, none)]}


async def tests(rows: Collection[str]) -> dict[str, NamedTests]:
    """Run the tests named after these rows, with two processes."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        chosen = " or ".join(f"{row}_" for row in rows)
        options = ("-k", chosen, "-n", "2", "-p", "no:cacheprovider", "--deselect", "tests/calls/test_chaos.py")
        status, _ = await _run("pytest", "tests", *options, f"--junitxml={report}")
        return of_run(status, report.read_text(encoding="utf-8") if report.exists() else "", rows)


async def storms(rows: Iterable[str], runs: int = 0) -> list[Storm]:
    """Let the storms of these rows pass, side by side; `runs` a row instead of its own number, if not 0."""
    chosen = [row for row in STORMS if row in {*rows}]
    outputs = await asyncio.gather(*(_run("tests.functions.storm", row, str(runs or STORMS[row][1])) for row in chosen))
    told = [json.loads(output.splitlines()[-1]) for _, output in outputs]
    return [Storm(row, one["runs"], one["doubled"], one["lost"]) for row, one in zip(chosen, told, strict=True)]


async def marked(rows: Collection[str], runs: int = 0) -> list[Marked]:
    """Play the calls with marks if their row is among these; `runs` instead of their number, if not 0."""
    if MARKED_ROW not in rows:
        return []
    _, output = await _run("tests.fuzz.marks", str(runs or MARKED_RUNS))
    return [Marked(**json.loads(output.splitlines()[-1]))]


async def _run(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
