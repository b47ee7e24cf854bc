"""docs/reference/faults.md and faults.json: what came of every row, and honestly whether it was met; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from simulators.chaos.criteria import CRITERIA, IN_PART
from simulators.chaos.play import Played
from simulators.chaos.proofs import Marked, NamedTests, Storm
from simulators.chaos.rows import MARKED_ROW, STORMS, TURN_SECONDS
from simulators.move import GAP_SECONDS, Result

ALL: Final = tuple(CRITERIA)

PATH: Final = Path("docs/reference/faults.md")
SLOPE_KIB: Final = 8.0
LAG_MS: Final = 20.0
MORE_TASKS: Final = 20  # than before may run amid calls; one task left by each call would be hundreds
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
struck once; the calls begin at random moments before, so each is struck at a moment of its own. That each felt the
fault is read from the log, unless the fault spares some; a row with a call that did not is not met.

*Doubled*: more than one phone was rung. *Lost*: a person was asked for, nobody was rung and nothing was said.
*Leaks*: connections to carrier or model still open three seconds after the last call of a wave.
"""
_ROWS: Final = """
## Every row

What came of it: calls above, and the tests named after it, which have their positive controls. *Sabotage*: how many of
its controls were deleted, each of which must turn a test red ([the list](sabotage.md)).
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    row: str
    fault: str
    runs: int
    heard: str
    longest_silence: float | None
    median_silence: float | None
    ended_with: Mapping[str, int]
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
        f"{played.unfelt} never felt the fault" if played.unfelt else "",
        *(_soak_unmet(played) if play.brief else ()),
    ]
    common = Counter(one.heard for one in outcomes).most_common(1)[0][0]
    return Line(
        row=play.row,
        fault=play.fault,
        runs=len(outcomes),
        heard=", ".join(common[-6:]) or "nothing",
        longest_silence=max(silences),
        median_silence=float(np.median(silences)),
        ended_with=dict(ends.most_common()),
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
        "tasks_gained": _fewest(played.tasks[len(played.tasks) // 2 :])
        - _fewest(played.tasks[: len(played.tasks) // 2]),
        "loop_lag_p99_ms": float(np.percentile(played.lag_ms, 99)) if played.lag_ms else 0.0,
    }


def _fewest(tasks: Sequence[int]) -> int:
    return min(tasks, default=0)


def _soak_unmet(played: Played) -> list[str]:
    found = soak(played)
    return [
        f"{found['tasks_gained']:.0f} tasks were left" if found["tasks_gained"] > MORE_TASKS else "",
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
        longest_silence=None,
        median_silence=None,
        ended_with={"person": storm.runs - storm.lost},
        doubled=storm.doubled,
        lost=storm.lost,
        leaks=0,
        limit="0 doubled, 0 lost",
        unmet=tuple(unmet),
    )


def of_marked(marked: Marked) -> Line:
    """What came of calls side by side with octets of their own."""
    foreign = marked.foreign or marked.texts
    unmet = [f"{marked.foreign} octets and {marked.texts} texts of others"] * bool(foreign)
    unmet += [f"{marked.unheard} never heard their own"] * bool(marked.unheard)
    return Line(
        row=MARKED_ROW,
        fault=f"200 calls side by side, {marked.drops} models dropped, {marked.returns} returns",
        runs=marked.calls,
        heard="another's octets" if foreign else f"{marked.own} octets of its own, {marked.foreign} of others",
        longest_silence=None,
        median_silence=None,
        ended_with={"agent": marked.calls - marked.unheard},
        doubled=0,
        lost=marked.unheard,
        leaks=marked.foreign,
        limit="0 foreign octets",
        unmet=tuple(unmet),
    )


def of_move(result: Result) -> Line:
    """What came of calls that were moved amid a sentence; silence is the gap in what the agent told."""
    forgot = len(result.calls) - result.went_on
    late = result.gap(0.99) > GAP_SECONDS
    unmet = [f"{forgot} did not go on"] * bool(forgot) + ["p99 of the gap is longer"] * late
    return Line(
        row="R14",
        fault="SIGTERM amid a story of the agent",
        runs=len(result.calls),
        heard="the agent, going on with it",
        longest_silence=result.gap(1.0),
        median_silence=result.gap(0.5),
        ended_with={"agent": result.went_on} | ({"another story": forgot} if forgot else {}),
        doubled=0,
        lost=0,
        leaks=0,
        limit=f"{GAP_SECONDS:.1f} s",
        unmet=tuple(unmet),
    )


def order(line: Line) -> int:
    """Where a line stands."""
    return _place(line.row)


def _place(row: str) -> int:
    return ALL.index(row) + 1 if row in ALL else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that came of a campaign; `how` is a sentence about the run, `tests` are by row, `soak` as `soak` gives it."""

    how: str
    calls: Sequence[Line]
    tests: Mapping[str, NamedTests]
    soak: Mapping[str, float]

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Findings:
        """What `as_data` wrote."""
        return cls(
            how=data["how"],
            calls=[Line(**{**line, "unmet": tuple(line["unmet"])}) for line in data["calls"]],
            tests={row: NamedTests(one["passed"], tuple(one["failed"])) for row, one in data["tests"].items()},
            soak=data["soak"],
        )

    def as_data(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "how": self.how,
            "calls": [asdict(line) for line in sorted(self.calls, key=order)],
            "tests": {row: asdict(self.tests[row]) for row in ALL if row in self.tests},
            "soak": dict(self.soak),
        }

    def again(self, newer: Findings) -> Findings:
        """With the rows that were run again as they came out then."""
        rows = {line.row for line in newer.calls} | {*newer.tests}
        played = {line.row for line in newer.calls}
        return Findings(
            how=f"{self.how} Run again since: {', '.join(sorted(rows, key=_place))} ({newer.how})",
            calls=[*(line for line in self.calls if line.row not in played), *newer.calls],
            tests={**self.tests, **newer.tests},
            soak=newer.soak or self.soak,
        )

    def render(self, sabotaged: Mapping[str, str]) -> str:
        """The page; `sabotaged`: what came of deleting each row's control, in words."""
        head = f"| {' | '.join(_HEAD)} | |"
        page = [_INTRODUCTION, f"{self.how}\n", "## Calls\n", head, "|---" * (len(_HEAD) + 1) + "|"]
        page += [_row(line) for line in sorted(self.calls, key=order)]
        if self.soak:
            page += ["\nThe soak's relay: " + ", ".join(f"{name} {value:g}" for name, value in self.soak.items()) + "."]
        page += [_ROWS, "| row | asks | tests | sabotage | |", "|---|---|---|---|---|"]
        page += [self._criterion(row, sabotaged.get(row, "not run")) for row in ALL]
        return "\n".join(page) + "\n"

    def _criterion(self, row: str, sabotage: str) -> str:
        found = self.tests.get(row, NamedTests(0, ()))
        lines = [line for line in self.calls if line.row == row]
        wrong = [f"**failed**: {', '.join(found.failed)}"] if found.failed else []
        wrong += [f"**not met**, {line.fault}: {'; '.join(line.unmet)}" for line in lines if line.unmet]
        wrong += [f"in part: {IN_PART[row]}"] if row in IN_PART else []
        if not (lines or found.passed or found.failed):
            wrong.append("**neither played nor tested in this run**")
        return f"| {row} | {CRITERIA[row]} | {found.passed or '-'} | {sabotage} | {'; '.join(wrong) or 'met'} |"


def _row(line: Line) -> str:
    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f} s"

    ends = ", ".join(f"{name} {count}" for name, count in line.ended_with.items())
    cells = [
        line.row,
        line.fault,
        line.runs,
        line.heard,
        seconds(line.longest_silence),
        seconds(line.median_silence),
        line.limit,
    ]
    return "| " + " | ".join(map(str, [*cells, ends, line.doubled, line.lost, line.leaks, line.met])) + " |"
