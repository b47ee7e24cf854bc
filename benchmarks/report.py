"""The figures as tables: what each subject costs beside the others, and what was promised."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import MOST_DELAY_MS, Result
from benchmarks.subjects import ROOT

CAPTIONS = {
    "floor": "the floor: byte splice on picows, no logic",
    "original": "the original question's shape",
    "relay": "**Patchthrough**, everything on",
}

_HOW = """\
All three relays in one run, {calls} calls, relay on one core and load on the other, loopback without TLS. Each call
sends 50 media messages a second; its model replies every 6 s in 400 ms deltas at four times real time; every second
reply is interrupted. Delays are seen from outside, from the load's sending to the load's receiving: the kernel and the
load's own lateness are in them. Calls per core: the most with p99 below {most:g} ms both ways and nothing lost."""


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: a figure, and the most or least it may be."""

    what: str
    figure: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    def row(self) -> list[str]:
        bound = "≥" if self.at_least else "≤"
        return [
            self.what,
            f"{self.figure:g}",
            f"{bound} {self.limit:g} {self.unit}",
            "met" if self.met else "**missed**",
        ]


def targets(results: Mapping[str, Result], imports: Mapping[str, float], waits: Mapping[str, float]) -> list[Target]:
    """Every promise that can be judged from these figures."""
    floor, original, relay = (results[name] for name in ("floor", "original", "relay"))
    cpu = relay.median("cpu_us")
    judged = [
        Target("CPU per media message, beside the floor", round(cpu / floor.median("cpu_us"), 2), 2.2, "times"),
        Target("CPU per media message, beside the original", round(cpu / original.median("cpu_us"), 2), 0.5, "times"),
        Target("delay up, p99", relay.median("up_p99"), 1, "ms"),
        Target("delay down, p99", relay.median("down_p99"), 1, "ms"),
        Target("speech_started to clear, p99", relay.median("barge_in_p99"), 1.5, "ms"),
        Target("stream start to first audio, p50", round(relay.first_audio_p50, 2), 5, "ms"),
        Target("memory, base", round(relay.base_rss_mib, 1), 60, "MiB"),
        Target("memory, per call", round(relay.kib_per_call, 1), 64, "KiB"),
        Target("hand-off: asked to REST request, p99", waits["hand-off p99"], 250, "ms"),
        Target("webhook: import with boto3", imports["webhook function with boto3"], 600, "ms"),
        Target("webhook: warm answer, p99", waits["webhook answer p99"], 20, "ms"),
    ]
    if relay.steps:
        judged.insert(2, Target("calls per core", relay.capacity, 600, "", at_least=True))
    return judged


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def subjects(results: Mapping[str, Result]) -> str:
    """The subjects side by side, at the number of calls that all were measured with."""
    head = ["relay", "µs CPU per media message", "calls per core", "up p50, p99 ms", "down p50, p99 ms"]
    head += ["speech_started → clear p50, p99 ms", "first audio p50 ms", "RSS base MiB, KiB per call"]
    return table(head, [_subject(result) for result in results.values()])


def _subject(result: Result) -> list[str]:
    def both(figure: str) -> str:
        return f"{result.median(f'{figure}_p50'):.2f}, {result.median(f'{figure}_p99'):.2f}"

    capacity = f"{'' if result.saturated else '≥ '}{result.capacity}" if result.steps else "not searched"
    return [
        CAPTIONS[result.subject],
        f"{result.median('cpu_us'):.0f}",
        capacity,
        both("up"),
        both("down"),
        both("barge_in"),
        f"{result.first_audio_p50:.1f}",
        f"{result.base_rss_mib:.0f}, {result.kib_per_call:.0f}",
    ]


def steps(results: Mapping[str, Result]) -> str:
    """The way to each subject's capacity."""
    head = ["relay", "calls", "busy", "µs CPU", "up p99 ms", "down p99 ms", "arrived", "load late p99 ms", "keeps up"]
    rows = [
        [
            result.subject,
            str(window.calls),
            f"{window.busy:.0%}",
            f"{window.cpu_us:.0f}",
            f"{window.up_p99:.1f}",
            f"{window.down_p99:.1f}",
            f"{window.arrived:.2%}",
            f"{window.late_p99:.0f}",
            "yes" if window.keeps_up else "no",
        ]
        for result in results.values()
        for window in [*result.steady, *result.steps]
    ]
    return table(head, rows)


def machine() -> dict[str, str]:
    """What was measured on, when, and of which commit."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)
    uncommitted = " with uncommitted changes" if changed.stdout.strip() else ""
    return {
        "machine": f"{os.cpu_count()} cores, {model.partition(':')[2].strip() or platform.machine()}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": (commit.stdout.strip() or "none yet") + uncommitted,
        "other load": f"load average {os.getloadavg()[0]:.1f} at the start",
    }


def document(
    about: Mapping[str, str],
    results: Mapping[str, Result],
    imports: Mapping[str, float],
    waits: Mapping[str, float],
) -> str:
    """The whole of RESULTS.md."""
    calls = next(iter(results.values())).steady[0].calls
    judged = table(["what", "measured", "target", ""], [target.row() for target in targets(results, imports, waits)])
    milliseconds = table(["what", "ms"], [[name, f"{value:g}"] for name, value in [*imports.items(), *waits.items()]])
    return "\n\n".join(
        [
            "# Benchmark results",
            "Written by `make bench`. " + "; ".join(f"{name}: {value}" for name, value in about.items()) + ".",
            _HOW.format(calls=calls, most=MOST_DELAY_MS),
            subjects(results),
            "## Targets",
            judged,
            "## The way to capacity",
            steps(results),
            "## Functions",
            milliseconds + "\n",
        ]
    )
