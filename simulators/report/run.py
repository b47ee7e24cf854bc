"""A finished call as a value: everything the report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Line = Mapping[str, Any]
"""One logged event, as `contracts.events.record` makes it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Something said. `who` is `caller`, `agent` or `person`; `at`: seconds since the recording began, if known."""

    who: str
    text: str
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call.

    Attributes:
        call_sid: the call.
        began_at: when the recording began, in seconds since the epoch.
        events: the lines of all parts about this call, in order of time.
        turns: what was said, in order of time.
        mouth: the caller's mouth, mu-law 8 kHz.
        ear: the caller's ear, of the same length.
        title: what the run is called on the page.
    """

    call_sid: str
    began_at: float
    events: Sequence[Line]
    turns: Sequence[Turn]
    mouth: bytes
    ear: bytes
    title: str = ""

    def seconds(self, line: Line) -> float:
        """When an event happened, in seconds since the recording began."""
        return moment(line) - self.began_at


def moment(line: Line) -> float:
    """When an event happened, in seconds since the epoch."""
    return datetime.fromisoformat(str(line["at"])).timestamp()


def of_call(lines: Sequence[Line], call_sid: str) -> list[Line]:
    """The lines about one call, and those about none that lie between them, in order of time."""
    about = sorted((line for line in lines if line.get("call_sid") in {call_sid, ""}), key=lambda line: str(line["at"]))
    own = [index for index, line in enumerate(about) if line.get("call_sid") == call_sid]
    return about[own[0] : own[-1] + 1] if own else []
