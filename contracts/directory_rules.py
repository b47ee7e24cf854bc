"""Rules of the agent file that need more than one field: what no schema can say, and what the deploy must refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from contracts.destination import (
    AGENT,
    HANG_UP,
    NEXT,
    VOICEMAIL,
    WORDS,
    Destination,
    Directory,
    Guards,
    Mode,
    Order,
    TargetKind,
)
from contracts.directory_file import Problem
from contracts.dispositions import circle


def problems(directory: Directory) -> Iterator[Problem]:
    """Every rule that needs more than one field."""
    if not directory.default.number:
        path = f"destinations.{directory.default.key}"
        yield Problem(path, "is the last resort of every call and has no phone target", "give it a number")
    for destination in directory.destinations.values():
        path = f"destinations.{destination.key}"
        if destination.key in WORDS:
            yield Problem(path, "is a word that dispositions use", "give it another key")
        if destination.schedule and destination.schedule.never_opens:
            yield Problem(f"{path}.hours", "names hours that never open", "add a span to them, or take the hours away")
        if destination.digit and directory.digits[destination.digit] != destination.key:
            other = directory.digits[destination.digit]
            yield Problem(f"{path}.key", f"{destination.digit} asks for {other} already", "choose another key")
        yield from _target_problems(path, destination, directory.guards)
        for case, action in asdict(destination.disposition).items():
            says = _misled(case, action, directory)
            if says:
                yield Problem(f"{path}.disposition.{case}", *says)
    found = circle(directory.destinations)
    if found:
        where, _, case = found[-1].rpartition(".")
        way = " -> ".join([*found, found[0]])
        yield Problem(
            f"destinations.{where}.disposition.{case}",
            f"sends callers in a circle ({way})",
            "end it at agent, voicemail or goodbye",
        )


def _target_problems(path: str, destination: Destination, guards: Guards) -> Iterator[Problem]:
    for index, target in enumerate(destination.targets):
        where = f"{path}.targets.{index}.{target.kind}"
        if target.kind is TargetKind.PHONE and not guards.permits(target.address):
            says = f"{target.address} lies outside guards.countries"
            yield Problem(path, says, "add its country there, or correct the number")
        if not target.kind.queues:
            continue
        if destination.ring is Order.AT_ONCE:
            yield Problem(where, "cannot ring at once with others", "write ring: in_order")
        if index < len(destination.targets) - 1:
            yield Problem(where, "is not the last target, so those after it never ring", "put it last")
        if destination.mode is Mode.ATTENDED:
            yield Problem(where, "cannot be asked while the caller stays with the agent", "write mode: direct")


def _misled(case: str, action: str, directory: Directory) -> tuple[str, str] | None:
    """What is wrong with an action of a disposition, and the remedy."""
    if case == "completed":
        return None if action in {HANG_UP, AGENT} else (f"'{action}' cannot follow a conversation", "hang_up or agent")
    if action == NEXT and case in {"closed", "exhausted"}:
        return "there is no next target then", "write agent, voicemail, goodbye or another destination"
    if action == VOICEMAIL and directory.voicemail is None:
        return "there is no voicemail to go to", "add a voicemail section, or write agent"
    if action == HANG_UP or (action not in WORDS and action not in directory.destinations):
        return f"'{action}' leads nowhere", "write next, agent, voicemail, goodbye or a destination's key"
    return None
