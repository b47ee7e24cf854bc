"""Can a caller be sent round in a circle? The graph of dispositions, and the ways through it that can really be walked.

A closed edge can be walked unless the destination never closes, a declined one only where a person is asked first, and
`exhausted` only where some outcome passes to the next target. No time passes between two closed edges, so a schedule
that has just been found closed is still closed; after a ring anything may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from contracts.destination import NEXT, WORDS, Destination, Mode
from contracts.hours import Schedule

Closed = frozenset[Schedule]
_State = tuple[str, Closed]


def circle(destinations: Mapping[str, Destination]) -> tuple[str, ...] | None:
    """A circle that can be walked, as `destination.case` in the order of the walk; None: there is none."""
    done: set[_State] = set()
    for key in destinations:
        found = _search(destinations, (key, frozenset()), done, {})
        if found:
            return found
    return None


def _search(
    destinations: Mapping[str, Destination], state: _State, done: set[_State], walk: dict[_State, str]
) -> tuple[str, ...] | None:
    if state in walk:
        states = list(walk)
        return tuple(walk[one] for one in states[states.index(state) :])
    if state in done:
        return None
    for case, key, closed in _ways(destinations[state[0]], state[1]):
        if key in destinations and key not in WORDS:
            walk[state] = f"{state[0]}.{case}"
            found = _search(destinations, (key, closed), done, walk)
            del walk[state]
            if found:
                return found
    done.add(state)
    return None


def _ways(destination: Destination, closed: Closed) -> Iterator[tuple[str, str, Closed]]:
    """Case, where it leads, and the schedules that are closed on arrival."""
    schedule, disposition = destination.schedule, destination.disposition
    if schedule is not None and not schedule.never_closes:
        yield "closed", disposition.closed, closed | {schedule}
    if schedule in closed:
        return
    rung = ["no_answer", "busy", "failed", *(["declined"] if destination.mode is not Mode.DIRECT else [])]
    for case in rung:
        yield case, getattr(disposition, case), frozenset()
    if any(getattr(disposition, case) == NEXT for case in rung):
        yield "exhausted", disposition.exhausted, frozenset()
