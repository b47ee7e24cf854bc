"""Key to number: the only place a telephone number comes from.

Reads the agent file, which was checked at deploy, without pydantic: a cold start is a caller's ringing. What is needed
here is checked again all the same, since a wrong number is dialled with the owner's money.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from contracts.transfer import DESTINATION

# libyaml reads the file ten times faster; a cold start without it still works.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NAME_CHARS = 500
E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class DirectoryRefused(ValueError):  # noqa: N818 - it names what became of the directory
    """The agent file has no usable directory; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A person's line: E.164 `number`, rung for `ring_seconds`."""

    key: str
    name: str
    number: str
    ring_seconds: int


@dataclass(frozen=True, slots=True)
class Directory:
    """Whom a caller can reach, and for how long they may talk."""

    destinations: Mapping[str, Destination]
    default: Destination
    dial_seconds: int

    def resolve(self, key: str) -> Destination:
        """The destination of a key, or the default one: compare its `key` to know."""
        return self.destinations.get(key, self.default)


def load(path: Path) -> Directory:
    """Read the directory from an agent file.

    Raises:
        DirectoryRefused: unreadable, not YAML, or a destination without its form.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 - it is a safe loader
        destinations = {key: _destination(key, one) for key, one in content["destinations"].items()}
        limits = content.get("limits") or {}
        return Directory(
            destinations=destinations,
            default=destinations[content["default_destination"]],
            dial_seconds=60 * int(limits.get("max_dial_minutes", 60)),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DirectoryRefused(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _destination(key: str, fields: Mapping[str, object]) -> Destination:
    number, ring_seconds = str(fields["number"]), fields.get("ring_seconds", 20)
    if not DESTINATION.fullmatch(key):
        raise ValueError(f"destinations.{key}: not a destination key")
    if not E164.fullmatch(number):
        raise ValueError(f"destinations.{key}.number: not of the form +15550100001")
    if not isinstance(ring_seconds, int) or not 5 <= ring_seconds <= 120:
        raise ValueError(f"destinations.{key}.ring_seconds: not a whole number from 5 to 120")
    # Only what can be printed can be put into XML 1.0 and be spoken.
    name = "".join(c for c in str(fields["name"]) if c.isprintable())[:NAME_CHARS]
    return Destination(key, name, number, ring_seconds)
