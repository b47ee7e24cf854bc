"""`python -m simulators escalation`: plays all cases and writes the page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from simulators.escalation import table
from simulators.escalation.cases import cases
from simulators.escalation.play import play
from simulators.settings import ROOT


def write(environ: Mapping[str, str], *, at_once: int) -> int:
    """Play every case, so many at once; 0 only if nothing that must be zero is not.

    Raises:
        StackError: the stack cannot start.
    """
    played = asyncio.run(play(cases(), environ, at_once=at_once))
    (ROOT / table.PATH).write_text(table.render(played), encoding="utf-8")
    for name, count in table.sums(played).items():
        print(f"{name}: {count}")  # noqa: T201 - the program's output
    gap = table.longest_gap(played)
    print(f"longest gap at a join: {gap * 1000:.0f} ms")  # noqa: T201 - likewise
    return 1 if any(table.sums(played).values()) or gap > table.GAP_SECONDS else 0
