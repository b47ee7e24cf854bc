"""`python -m simulators escalation`: plays all cases and writes the page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from simulators.escalation import table
from simulators.escalation.cases import cases
from simulators.escalation.play import Played, play
from simulators.escalation.races import races as race
from simulators.settings import ROOT


def write(environ: Mapping[str, str], *, at_once: int, races: int) -> int:
    """Play every case and so many races, `at_once` at a time; 0 only if nothing happened that must not.

    Raises:
        StackError: the stack cannot start.
    """
    played, raced = asyncio.run(_play(environ, at_once, races))
    (ROOT / table.PATH).write_text(table.render(played, raced), encoding="utf-8")
    everything = [*played, *raced]
    for one in everything:
        if not table.clean([one], []):
            print(one)  # noqa: T201 - the program's output
    for name, count in table.sums(everything).items():
        print(f"{name}: {count}")  # noqa: T201 - likewise
    print(f"longest gap at a join: {table.longest_gap(everything) * 1000:.0f} ms")  # noqa: T201 - likewise
    print(f"longest silence while a person is called: {table.longest_silence(everything):.2f} s")  # noqa: T201 - likewise
    return 0 if table.clean(played, raced) else 1


async def _play(environ: Mapping[str, str], at_once: int, races: int) -> tuple[list[Played], list[Played]]:
    played = await play(cases(), environ, at_once=at_once)
    return played, await race(races, environ, at_once=at_once)
