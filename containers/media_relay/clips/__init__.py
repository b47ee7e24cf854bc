"""Lines of our own, for when the model has no voice: read once, base64 as Twilio wants it, shared by all calls.

The files are raw mu-law at 8 kHz, one a language; `python -m simulators clips` speaks them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from contracts.sentences import family

ITEM = "clip"  # its name in the playout; no item of the model is called so


@dataclass(frozen=True, slots=True)
class Clip:
    """One line: base64 mu-law, and how many octets it holds (8 play for 1 ms)."""

    payload: str
    octets: int


def _read(path: Path) -> Clip:
    sound = path.read_bytes()
    return Clip(base64.b64encode(sound).decode("ascii"), len(sound))


_ONE_MOMENT = {path.name.split(".")[1]: _read(path) for path in Path(__file__).parent.glob("one_moment.*.ulaw")}


def one_moment(language: str) -> Clip:
    """The line that asks for a moment, in a language such as `de` or `de-AT`; in English where there is no other."""
    return _ONE_MOMENT[family(language)]
