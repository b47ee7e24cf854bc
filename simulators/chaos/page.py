"""docs/reference/faults.md and faults.json: what came of every row, and honestly whether it was met; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from simulators.chaos.play import Played
from simulators.chaos.proofs import NamedTests, Storm
from simulators.chaos.rows import ALL, STORMS, TURN_SECONDS

PATH: Final = Path("docs/reference/faults.md")
SLOPE_KIB: Final = 8.0
LAG_MS: Final = 20.0
_HEAD: Final = (
    "row",
    "fault",
    "runs",
    "the caller heard",
    "longest silence",
    "median",
    "limit",
    "ended with",
    "doubled",
    "lost",
    "leaks",
)
_INTRODUCTION: Final = f"""\
# Faults: what the caller hears, and where the call ends

Written by `make chaos`. Calls go through real processes and sockets; what is heard, and every silence, is measured in
the caller's recording: mu-law decoded, RMS of each 20 ms, audible above -50 dBFS. A silence that the caller ends by
speaking is the caller's own; the pause in a ringing tone is nobody's; every other counts. Each turn takes up to
{TURN_SECONDS} s of it without any fault (the control rows show how much), which limits include. Each wave of calls is
struck once; the calls begin at random moments before, so each is struck at a moment of its own.

*Doubled*: more than one phone was rung. *Lost*: a person was asked for, nobody was rung and nothing was said.
*Leaks*: connections to carrier or model still open three seconds after the last call of a wave.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    row: str
    fault: str
    runs: int
    heard: str
    longest: float | None
    typical: float | None
    ends: Mapping[str, int]
    doubled: int
    lost: int
    leaks: int
    limit: str
    unmet: tuple[str, ...]

    @property
    def met(self) -> str:
        """In words."""
        return "met" if not self.unmet else f"**not met**: {'; '.join(self.unmet)}"


def of_play(played: Played) -> Line:
    """What came of played calls."""
    play, outcomes = played.play, played.outcomes
    silences = [one.silence for one in outcomes]
    ends = Counter(one.ended for one in outcomes)
    doubled, lost = sum(one.doubled for one in outcomes), sum(one.lost for one in outcomes)
    over = sum(one > play.silence for one in silences)
    wrong = sum(count for end, count in ends.items() if end not in play.ends)
    unmet = [
        f"{over} of {len(outcomes)} heard nothing for longer" if over else "",
        f"{wrong} ended with {', '.join(sorted(set(ends) - play.ends))}" if wrong else "",
        f"{doubled} doubled" if doubled else "",
        f"{lost} lost" if lost else "",
        f"{played.left_open} connections left" if played.left_open else "",
        *(_soak_unmet(played) if play.brief else ()),
    ]
    common = Counter(one.heard for one in outcomes).most_common(1)[0][0]
    return Line(
        row=play.row,
        fault=play.fault,
        runs=len(outcomes),
        heard=", ".join(common[-6:]) or "nothing",
        longest=max(silences),
        typical=float(np.median(silences)),
        ends=dict(ends.most_common()),
        doubled=doubled,
        lost=lost,
        leaks=played.left_open,
        limit=f"{play.silence:.1f} s",
        unmet=tuple(one for one in unmet if one),
    )


def soak(played: Played) -> dict[str, float]:
    """The slope of resident memory in KiB a call, over the second half; what was gained; the loop's lag (ms, p99)."""
    relay = played.relay
    half = relay[len(relay) // 2 :]
    calls = len(played.outcomes) / max(1, len(relay) - 1)
    slope = (
        float(np.polyfit(np.arange(len(half)) * calls, [one.rss / 1024 for one in half], 1)[0])
        if len(half) > 2
        else 0.0
    )
    return {
        "rss_kib_a_call": round(slope, 2),
        "rss_mib": round(relay[-1].rss / 2**20, 1),
        "descriptors_gained": relay[-1].descriptors - relay[min(1, len(relay) - 1)].descriptors,
        "threads_gained": relay[-1].threads - relay[min(1, len(relay) - 1)].threads,
        "loop_lag_p99_ms": float(np.percentile(played.lag_ms, 99)) if played.lag_ms else 0.0,
    }


def _soak_unmet(played: Played) -> list[str]:
    found = soak(played)
    return [
        "" if played.lag_ms else "the relay has not told the loop's lag",
        f"memory grows by {found['rss_kib_a_call']:.1f} KiB a call" if found["rss_kib_a_call"] > SLOPE_KIB else "",
        f"the loop's worst lag is {found['loop_lag_p99_ms']:.0f} ms" if found["loop_lag_p99_ms"] > LAG_MS else "",
    ]


def of_storm(storm: Storm) -> Line:
    """What came of requests in virtual time."""
    unmet = [f"{storm.doubled} doubled"] * bool(storm.doubled) + [f"{storm.lost} lost"] * bool(storm.lost)
    return Line(
        row=storm.row,
        fault=STORMS[storm.row][0],
        runs=storm.runs,
        heard="(virtual time)",
        longest=None,
        typical=None,
        ends={"person": storm.runs - storm.lost},
        doubled=storm.doubled,
        lost=storm.lost,
        leaks=0,
        limit="0 doubled, 0 lost",
        unmet=tuple(unmet),
    )


def order(line: Line) -> int:
    """Where a line stands."""
    return ALL.index(line.row) + 1 if line.row in ALL else 0


def render(lines: Sequence[Line], proved: Mapping[str, NamedTests], soaked: Mapping[str, float], how: str) -> str:
    """The page; `how` is one sentence about this run."""
    head = f"| {' | '.join(_HEAD)} | |"
    page = [_INTRODUCTION, f"{how}\n", "## Calls\n", head, "|---" * (len(_HEAD) + 1) + "|"]
    page += [_row(line) for line in sorted(lines, key=order)]
    if soaked:
        page += ["\nThe soak's relay: " + ", ".join(f"{name} {value:g}" for name, value in soaked.items()) + "."]
    page += ["\n## Tests\n", "Tests named after each row, each with its control (see `tests/sabotage`).\n"]
    page += ["| row | passed | |", "|---|---|---|"]
    page += [f"| {row} | {proved[row].passed} | {_failed(proved[row])} |" for row in ALL if row in proved]
    if missing := [row for row in ALL if row not in proved and row not in {line.row for line in lines}]:
        page.append(f"\nNeither played nor tested in this run: {', '.join(missing)}.")
    return "\n".join(page) + "\n"


def as_data(
    lines: Sequence[Line], proved: Mapping[str, NamedTests], soaked: Mapping[str, float], how: str
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "how": how,
        "calls": [
            {
                "row": line.row,
                "fault": line.fault,
                "runs": line.runs,
                "heard": line.heard,
                "longest_silence": line.longest,
                "median_silence": line.typical,
                "ended_with": dict(line.ends),
                "doubled": line.doubled,
                "lost": line.lost,
                "leaks": line.leaks,
                "limit": line.limit,
                "unmet": list(line.unmet),
            }
            for line in sorted(lines, key=order)
        ],
        "tests": {
            row: {"passed": proved[row].passed, "failed": list(proved[row].failed)} for row in ALL if row in proved
        },
        "soak": dict(soaked),
    }


def _row(line: Line) -> str:
    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f} s"

    ends = ", ".join(f"{name} {count}" for name, count in line.ends.items())
    cells = [line.row, line.fault, line.runs, line.heard, seconds(line.longest), seconds(line.typical), line.limit]
    return "| " + " | ".join(map(str, [*cells, ends, line.doubled, line.lost, line.leaks, line.met])) + " |"


def _failed(found: NamedTests) -> str:
    return f"**failed**: {', '.join(found.failed)}" if found.failed else "met"
