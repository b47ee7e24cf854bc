"""Agent files and directories, plain and at random."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from contracts.destination import WORDS, Directory
from contracts.directory import parse

NUMBER = "+15550100001"
KEYS = ["billing", "desk", "night", "support"]
CASES = ["no_answer", "busy", "declined", "failed", "closed", "exhausted"]
# Monday and Tuesday open the day team, Monday and Wednesday the other: of every two there is each combination.
HOURS = {
    "day": {"time_zone": "UTC", "open": {"mon-tue": "00:00-24:00"}},
    "other": {"time_zone": "UTC", "open": {"mon": "00:00-24:00", "wed": "00:00-24:00"}},
    "always": {"time_zone": "UTC", "open": {"mon-sun": "00:00-24:00"}},
}
MONDAY = 1_767_571_200  # 2026-01-05, 00:00 UTC
DAY = 86_400


def person(**fields: Any) -> dict[str, Any]:
    """A destination of the file; a number, unless it has targets."""
    number = {} if "targets" in fields else {"number": NUMBER}
    return {"name": "n", "description": "d", **number, **fields}


def agent_file(destinations: dict[str, Any], default: str = "desk", **fields: Any) -> dict[str, Any]:
    """A file with these destinations, and a desk if there is none."""
    everybody = destinations if default in destinations else {**destinations, default: person()}
    return {"persona": "p", "greeting": "g", "destinations": everybody, "default_destination": default, **fields}


def directory(destinations: dict[str, Any], default: str = "desk", **fields: Any) -> Directory:
    """What `parse` makes of such a file."""
    return parse(agent_file(destinations, default, **fields))


_ring = st.integers(5, 120)
_single = st.sampled_from(
    [{"phone": NUMBER}, {"phone": "+4930123456"}, {"sip": "sip:desk@pbx.example.com"}, {"client": "reception-desk"}]
)
_line = st.sampled_from([{"queue": "support"}, {"workflow": "WW" + "0" * 31 + "1"}])
_targets = st.tuples(st.lists(_single, min_size=1, max_size=3), st.lists(_line, max_size=1)).map(
    lambda two: [*two[0], *two[1]]
)


@st.composite
def dispositions(draw: st.DrawFn, keys: Sequence[str] = KEYS) -> dict[str, str]:
    """Any words, and keys, where they may stand."""
    chosen = draw(st.lists(st.sampled_from(CASES), unique=True))
    anywhere = ["agent", "goodbye", "voicemail", *keys, *keys]
    words = {case: [*anywhere, "next"] if case not in {"closed", "exhausted"} else anywhere for case in chosen}
    return {case: draw(st.sampled_from(words[case])) for case in chosen}


@st.composite
def destinations(draw: st.DrawFn) -> dict[str, Any]:
    """A destination of any kind."""
    reached = draw(st.just({"number": NUMBER}) | _targets.map(lambda targets: {"targets": targets}))
    fields = {
        "ring_seconds": _ring,
        "ring": st.sampled_from(["in_order", "at_once"]),
        "mode": st.sampled_from(["direct", "screened", "attended"]),
        "hours": st.sampled_from([*HOURS]),
        "disposition": dispositions(),
    }
    chosen = draw(st.fixed_dictionaries({}, optional=fields))
    return {"name": "n", "description": "d", **reached, **chosen}


@st.composite
def agent_files(draw: st.DrawFn) -> dict[str, Any]:
    """Files of one to four destinations; many of them break a rule."""
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True, min_size=1))
    content = agent_file({key: draw(destinations()) for key in keys}, keys[0], hours=copy.deepcopy(HOURS))
    content["voicemail"] = {"greeting": "g", "deliver": {"email": "desk@example.com"}}
    content["escalation"] = {"max_wait_seconds": draw(st.integers(10, 200))}
    return content


assert not WORDS & {*KEYS}, "a key is no word"
