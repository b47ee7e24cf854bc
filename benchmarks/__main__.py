"""`python -m benchmarks [--quick]`: measure, print the tables, and write them down (the whole run into this folder)."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
from dataclasses import asdict

import uvloop

from benchmarks import functions, report
from benchmarks.measure import Plan, Result, measure
from benchmarks.subjects import CORES, PROGRAMS, ROOT

_STEPS = {
    "floor": (400, 700, 900),
    "original": (150, 200, 250, 300, 400),
    "relay": (300, 400, 500, 600, 700, 800, 900),
}
_FILES = 8192


def main() -> None:
    """Run it all; under five minutes, `--quick` under one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few calls, one short window, no search for capacity")
    quick = parser.parse_args().quick
    logging.getLogger("aiofastnet").setLevel(logging.ERROR)  # a relay that hangs up is counted, not told line by line
    about = report.machine()
    os.sched_setaffinity(0, CORES[1:] or CORES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, max(_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    results = {name: uvloop.run(measure(name, _plan(name, quick=quick))) for name in PROGRAMS}
    imports = functions.imports(1 if quick else 5)
    waits = asyncio.run(functions.functions(30 if quick else 200, 4 if quick else 24))
    text = report.document(about, results, imports, waits)
    print(text)
    _write(about, results, imports, waits, text, quick=quick)


def _plan(name: str, *, quick: bool) -> Plan:
    if quick:
        return Plan(calls=50, windows=1, window_seconds=5, steps=(), step_seconds=0)
    return Plan(calls=100, windows=3, window_seconds=8, steps=_STEPS[name], step_seconds=4)


def _write(
    about: dict[str, str],
    results: dict[str, Result],
    imports: dict[str, float],
    waits: dict[str, float],
    text: str,
    *,
    quick: bool,
) -> None:
    figures = {
        "about": about,
        "subjects": {name: {**asdict(result), "capacity": result.capacity} for name, result in results.items()},
        "imports_ms": imports,
        "waits_ms": waits,
        "targets": [{**asdict(target), "met": target.met} for target in report.targets(results, imports, waits)],
    }
    folder = ROOT / ("runs" if quick else "benchmarks")
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / "RESULTS.md").write_text(text, encoding="utf-8")
    print(f"written: {folder / 'RESULTS.md'} and results.json beside it")


if __name__ == "__main__":
    main()
