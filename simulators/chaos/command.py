"""`python -m simulators chaos`: plays the rows, runs the proofs, writes the page; progress on stdout as it goes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from simulators import move
from simulators.chaos import page, proofs
from simulators.chaos.page import ALL
from simulators.chaos.play import Played, stage
from simulators.chaos.rows import MOVED_AT_ONCE, MOVED_CALLS, MOVED_ROW, PLAYS, QUICK, QUICK_CALLS, Play
from simulators.settings import ROOT, StackError


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What is to be run.

    Attributes:
        rows: the criteria; empty is all, and then the page in docs/ is written.
        again: write there, too, what comes of `rows` alone, in place of what came of them before.
        quick: a few rows with a few calls, and nothing else.
        calls_only: no tests, no storms, no calls with marks.
        at_once: how many calls are up together.
        calls: how many a row, instead of its own number; 0 is its own.
        seed: what random moments are drawn from.
        folder: where a part of a campaign leaves its page; None leaves none.
    """

    rows: frozenset[str] = frozenset()
    again: bool = False
    quick: bool = False
    calls_only: bool = False
    at_once: int = 12
    calls: int = 0
    seed: int = 1
    folder: Path | None = None

    @property
    def proves(self) -> bool:
        """Whether tests, storms and calls with marks are run too."""
        return not (self.quick or self.calls_only)

    def plays(self) -> list[Play]:
        """The rows to play, with their numbers."""
        if self.quick:
            return [replace(play, calls=QUICK_CALLS) for play in PLAYS if (play.row, play.what) in QUICK]
        chosen = [play for play in PLAYS if not self.rows or play.row in self.rows]
        return [replace(play, calls=self.calls or play.calls) for play in chosen]


def run(campaign: Campaign, environ: Mapping[str, str]) -> int:
    """Run it; 0 only if every row was met.

    Raises:
        StackError: the stack cannot start, or a row is unknown.
    """
    if unknown := campaign.rows - {*ALL, "control"}:
        raise StackError(
            "--rows", f"names {', '.join(sorted(unknown))}", "choose among S1 to S26, R1 to R36 and control"
        )
    began = time.monotonic()
    played = uvloop.run(_play(campaign, environ))
    moved = _move(campaign, environ) if MOVED_ROW in campaign.rows or not (campaign.rows or campaign.quick) else []
    rows = [row for row in ALL if row in campaign.rows] or list(ALL)
    tested = asyncio.run(proofs.tests(rows)) if campaign.proves else {}
    storms = asyncio.run(proofs.storms(rows, campaign.calls)) if campaign.proves else []
    marked = asyncio.run(proofs.marked(rows, campaign.calls)) if campaign.proves else []
    lines = [*map(page.of_play, played), *moved, *map(page.of_storm, storms), *map(page.of_marked, marked)]
    minutes = (time.monotonic() - began) / 60
    how = f"{sum(line.runs for line in lines)} calls and requests in {minutes:.0f} minutes, seed {campaign.seed}."
    soaked = next((page.soak(one) for one in played if one.play.brief), {})
    _write(campaign, page.Findings(how=how, calls=lines, tests=tested, soak=soaked))
    failed = [test for found in tested.values() for test in found.failed]
    _say(f"{how} {sum(bool(line.unmet) for line in lines)} of {len(lines)} rows not met; {len(failed)} tests failed")
    return 1 if failed or any(line.unmet for line in lines) else 0


def _write(campaign: Campaign, found: page.Findings) -> None:
    whole = campaign.proves and not (campaign.rows or campaign.calls)
    folder = (ROOT / page.PATH).parent if whole or campaign.again else campaign.folder
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / page.PATH.with_suffix(".json").name
    if campaign.again:
        found = page.Findings.of_data(json.loads(data.read_text(encoding="utf-8"))).again(found)
    (folder / page.PATH.name).write_text(found.render(_sabotaged()), encoding="utf-8")
    data.write_text(f"{json.dumps(found.as_data(), indent=1)}\n", encoding="utf-8")


def _move(campaign: Campaign, environ: Mapping[str, str]) -> list[page.Line]:
    line = page.of_move(uvloop.run(move.run(environ, calls=campaign.calls or MOVED_CALLS, at_once=MOVED_AT_ONCE)))
    _say(f"{line.row:8}{line.fault}: {line.runs} calls, longest gap {line.longest_silence:.2f} s: {line.met}")
    return [line]


def _sabotaged() -> dict[str, str]:
    """What `make sabotage` found, in words, by row."""
    file = ROOT / "docs/reference/sabotage.json"
    if not file.exists():
        return {}
    found: Mapping[str, Sequence[str]] = json.loads(file.read_text(encoding="utf-8"))
    return {row: f"{results.count('red')} of {len(results)} red" if results else "-" for row, results in found.items()}


async def _play(campaign: Campaign, environ: Mapping[str, str]) -> Sequence[Played]:
    if not (plays := campaign.plays()):
        return []
    played = list[Played]()
    for direct in sorted({play.direct for play in plays}):
        played += await _play_on(campaign, environ, [play for play in plays if play.direct is direct], direct=direct)
    return sorted(played, key=lambda one: plays.index(one.play))


async def _play_on(
    campaign: Campaign, environ: Mapping[str, str], plays: Sequence[Play], *, direct: bool
) -> list[Played]:
    played = []
    async with stage(environ, direct=direct) as running:
        for play in plays:
            began = time.monotonic()
            at_once = play.at_once or campaign.at_once
            one = await running.row(play, play.calls, at_once=at_once, seed=campaign.seed)
            line = page.of_play(one)
            ends = ", ".join(f"{name} {count}" for name, count in line.ended_with.items())
            _say(
                f"{play.row:8}{play.fault}: {line.runs} calls in {time.monotonic() - began:.0f} s, "
                f"longest silence {line.longest_silence:.2f} s, ended with {ends}: {line.met}"
            )
            played.append(one)
    return played


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the program's output
