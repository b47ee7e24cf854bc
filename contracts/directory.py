"""The directory: the only place a telephone number comes from, read from the agent file.

The file was checked at deploy, with pydantic. Here it is read without, because a Lambda's cold start is a caller's
ringing; what matters is checked again all the same, since a wrong number is dialled with the owner's money. The
deploy's check reads it here too, so what it accepts can be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from contracts import hours
from contracts.destination import (
    Channel,
    Delivery,
    Destination,
    Directory,
    Disposition,
    Guards,
    Mode,
    Order,
    ScreenPop,
    Target,
    TargetKind,
    Voicemail,
)
from contracts.directory_file import E164, DirectoryRefused, Node, Problem, refused
from contracts.directory_rules import problems

__all__ = ["E164", "Destination", "Directory", "DirectoryRefused", "Loaded", "load", "parse", "unreadable"]

TARGETS = 10
WHISPER_CHARS = 200
RING_SECONDS = 5, 120
QUEUE_SECONDS = 5, 600
LINK_MINUTES = 1, 240
COUNTRIES = 100
PREFIX = re.compile(r"\+[1-9][0-9]{0,6}", re.ASCII)
DIGITS = frozenset("0123456789*#")
# Calling codes of one and two digits; all others have three: https://www.itu.int/pub/T-SP-E.164D
_SHORT_CODE = re.compile(r"\+(1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])")


class Loaded(NamedTuple):
    """An agent file: its content as YAML gives it, and its directory."""

    content: object
    directory: Directory


def load(path: Path) -> Loaded:
    """Read an agent file as far as its directory.

    Raises:
        DirectoryRefused: unreadable, not YAML, or without a usable directory.
    """
    import yaml  # noqa: PLC0415 - the relay, which never calls this, has its own loader

    # libyaml reads the file ten times faster; a cold start without it still works.
    loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506 - it is a safe loader
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise unreadable(path, error) from error
    try:
        return Loaded(content, parse(content))
    except DirectoryRefused as refused:
        raise DirectoryRefused(*refused.problems, file=path) from refused


def unreadable(path: Path, error: Exception) -> DirectoryRefused:
    """The file as a whole is no agent file."""
    said = " ".join(str(error).split())
    return DirectoryRefused(Problem("(whole file)", f"cannot be read: {said}", "correct it"), file=path)


def parse(content: object) -> Directory:
    """The directory of an agent file's content, as YAML or JSON gives it; fields that do not matter here are ignored.

    Raises:
        DirectoryRefused: a field has not its form, or a rule is broken.
    """
    file = Node(content, "")
    schedules = {node.name: _schedule(node) for node in file.node("hours").children()}
    destinations = {node.name: _destination(node, schedules) for node in file.node("destinations").children()}
    default = file.text("default_destination")
    if default not in destinations:
        known = ", ".join(sorted(destinations)) or "there are none"
        raise refused(
            "default_destination", f"'{default}' is not one of the destinations ({known})", "name one of them"
        )
    directory = Directory(
        destinations=destinations,
        default=destinations[default],
        guards=_guards(file.node("guards"), destinations.values()),
        dial_seconds=60 * file.node("limits").number("max_dial_minutes", 60, 1, 240),
        max_wait_seconds=file.node("escalation").number("max_wait_seconds", 90, 10, 600),
        voicemail=_voicemail(file.node("voicemail")) if file.has("voicemail") else None,
        screen_pop=_screen_pop(file.node("screen_pop")) if file.has("screen_pop") else None,
        language=file.text("language", "en"),
        digits={"0": default} | {one.digit: one.key for one in destinations.values() if one.digit},
    )
    found = tuple(problems(directory))
    if found:
        raise DirectoryRefused(*found)
    return directory


def _schedule(node: Node) -> hours.Schedule:
    try:
        return hours.schedule(node.value("time_zone"), node.value("open"), node.value("holidays", ()))
    except hours.HoursRefused as error:
        raise refused(node.at(error.where), str(error), "correct the value") from error


def _destination(node: Node, schedules: Mapping[str, hours.Schedule]) -> Destination:
    ring_seconds, office = node.number("ring_seconds", 20, *RING_SECONDS), node.text("hours", "")
    if office and office not in schedules:
        raise refused(node.at("hours"), f"'{office}' is not one of the hours", "name one of them, or add it there")
    digit = node.text("key", "")
    if digit and digit not in DIGITS:
        raise refused(node.at("key"), "is not a key of a telephone", 'write one of "0" to "9", "*" and "#"')
    cases = node.node("disposition")
    return Destination(
        key=node.name,
        name=node.text("name"),
        description=node.text("description", ""),
        targets=tuple(_targets(node, ring_seconds)),
        ring_seconds=ring_seconds,
        ring=node.word("ring", Order.IN_ORDER),
        mode=node.word("mode", Mode.DIRECT),
        schedule=schedules[office] if office else None,
        whisper=node.text("whisper", "", WHISPER_CHARS),
        digit=digit,
        disposition=Disposition(
            **{case.name: cases.text(case.name, str(case.default)) for case in fields(Disposition)}
        ),
    )


def _targets(node: Node, ring_seconds: int) -> Iterator[Target]:
    if node.has("number") == node.has("targets"):
        raise refused(node.path, "needs exactly one of number and targets", "keep one")
    if node.has("number"):
        yield Target(TargetKind.PHONE, node.form("number", TargetKind.PHONE), ring_seconds)
        return
    for index, content in enumerate(node.items("targets", most=TARGETS)):
        one = Node(content, node.at(f"targets.{index}"))
        kind, address = one.address(TargetKind)
        shortest, longest = QUEUE_SECONDS if kind.queues else RING_SECONDS
        yield Target(kind, address, one.number("ring_seconds", ring_seconds, shortest, longest))


def _voicemail(node: Node) -> Voicemail:
    return Voicemail(node.text("greeting"), node.number("max_seconds", 120, 10, 600), _delivery(node.node("deliver")))


def _screen_pop(node: Node) -> ScreenPop:
    return ScreenPop(_delivery(node.node("deliver")), node.number("minutes", 15, *LINK_MINUTES))


def _delivery(node: Node) -> Delivery:
    channel, address = node.address(Channel)
    if not node.has("sender"):
        return Delivery(channel, address)
    if channel is not Channel.EMAIL:
        raise refused(node.at("sender"), f"is of e-mails, and this is a {channel}", "remove it")
    return Delivery(channel, address, node.form("sender", Channel.EMAIL))


def _guards(node: Node, destinations: Iterable[Destination]) -> Guards:
    listed = [target.address for one in destinations for target in one.targets if target.kind is TargetKind.PHONE]
    return Guards(
        countries=_countries(node) or tuple(sorted({_country(number) for number in listed})),
        transfers_per_call=node.number("transfers_per_call", 5, 1, 50),
        transfers_per_caller_per_day=node.number("transfers_per_caller_per_day", 20, 1, 1000),
        enabled=node.flag("enabled", default=True),
    )


def _countries(node: Node) -> tuple[str, ...]:
    if not node.has("countries"):
        return ()
    for index, one in enumerate(given := node.items("countries", most=COUNTRIES)):
        if not isinstance(one, str) or not PREFIX.fullmatch(one):
            raise refused(node.at(f"countries.{index}"), "is not the beginning of a number", 'write it as "+1"')
    return tuple(str(one) for one in given)


def _country(number: str) -> str:
    """The number's calling code: `+1`, `+49`, `+420`."""
    short = _SHORT_CODE.match(number)
    return short[0] if short else number[:4]
