"""The call as a picture: two lanes of sound on one axis of time, what happened marked above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from contracts import events
from simulators import audio
from simulators.report.run import Run
from simulators.report.silence import envelope
from simulators.report.timeline import described

PIXELS_PER_SECOND = 24
LANE = 60
BIN_MS = 100
_ROWS = 7
_MARKED = (
    events.CALL_RECEIVED,
    events.STREAM_STARTED,
    events.BARGE_IN,
    events.KEY_PRESSED,
    events.HANDOFF_ASKED,
    events.TRANSFER_DIALLED,
    events.TRANSFER_BRIDGED,
    events.TRANSFER_OVER,
    events.DEFAULT_PERSON,
    events.CALL_ENDED,
)

templates = Environment(
    loader=PackageLoader("simulators.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A labelled moment at `x` pixels, in one of several rows so that labels do not cover each other."""

    x: float
    row: int
    icon: str
    text: str


def marks(run: Run) -> list[Mark]:
    """The events worth a label, placed."""
    wanted = {event.name for event in _MARKED}
    free = [-1e9] * _ROWS
    placed = []
    for line in run.events:
        told = described(line) if line["event"] in wanted else None
        if told is None:
            continue
        x = max(0.0, run.seconds(line)) * PIXELS_PER_SECOND
        row = next((row for row in range(_ROWS) if free[row] <= x), int(np.argmin(free)))
        free[row] = x + 7 * len(told[2]) + 24
        placed.append(Mark(round(x, 1), row, told[0], told[2]))
    return placed


def lane(ulaw: bytes, middle: float) -> str:
    """The outline of a sound as SVG polygon points around a middle line."""
    heights = np.clip((envelope(ulaw, BIN_MS) + 60) / 60, 0.01, 1) * LANE / 2
    step = PIXELS_PER_SECOND * BIN_MS / 1000
    upper = [f"{index * step:.1f},{middle - height:.1f}" for index, height in enumerate(heights)]
    lower = [f"{index * step:.1f},{middle + height:.1f}" for index, height in enumerate(heights)]
    return " ".join([*upper, *reversed(lower)])


def svg(run: Run) -> str:
    """The picture, as an SVG document."""
    placed = marks(run)
    seconds = len(run.ear) / audio.BYTES_PER_MS / 1000
    top = 18 + _ROWS * 16
    ends = [mark.x + 7 * len(mark.text) + 24 for mark in placed]
    values: dict[str, Any] = {
        "run": run,
        "marks": placed,
        "top": top,
        "width": round(max([seconds * PIXELS_PER_SECOND, *ends]) + 90),
        "height": top + 2 * LANE + 50,
        "lanes": [
            ("mouth", "#b5417b", top + LANE / 2, lane(run.mouth, top + LANE / 2)),
            ("ear", "#2a6fb0", top + 1.5 * LANE + 10, lane(run.ear, top + 1.5 * LANE + 10)),
        ],
        "axis": top + 2 * LANE + 24,
        "ticks": _ticks(seconds),
    }
    return templates.get_template("timeline.svg.j2").render(values)


def _ticks(seconds: float) -> Sequence[tuple[float, str]]:
    return [(at * PIXELS_PER_SECOND, f"{at} s") for at in range(0, int(seconds) + 1, 5)]
