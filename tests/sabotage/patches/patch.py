"""What a sabotage is, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RELAY: Final = "containers/media_relay/"
RELAY_TESTS: Final = "tests/containers/media_relay/"


@dataclass(frozen=True, slots=True)
class Patch:
    """A control deleted: in `file`, `old` becomes `new`; the tests that `test` chooses (file, then name) must fail."""

    row: str
    control: str
    file: str
    old: str
    new: str
    test: tuple[str, str]
