"""`patchthrough doctor`: what is missing or broken, and the one command that repairs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.checks import accounts, alerts, deployed, knocks, lines, tools
from cli.checks.check import Check, Finding, Mark, examine
from cli.checks.doors import parse_places
from cli.checks.neighbours import Neighbours
from cli.deployment import JsonOption, StageOption
from cli.screen import Screen

CHECKS: tuple[Check, ...] = (
    *tools.CHECKS,
    *accounts.CHECKS,
    lines.CHECKS[0],
    deployed.STACK,
    deployed.TASKS,
    *knocks.CHECKS,
    *lines.CHECKS[1:],
    deployed.DEAD_LETTERS,
    deployed.ALARMS,
    alerts.ALERTS,
)
SIGNS = {
    Mark.GOOD: ("✔", "green"),
    Mark.WARNING: ("⚠", "yellow"),
    Mark.BAD: ("✖", "red"),
    Mark.NOT_CHECKED: ("–", "dim"),  # noqa: RUF001 - the sign for "nothing to say"
}
ConnectTo = Annotated[
    list[str] | None,
    typer.Option(
        "--connect-to",
        envvar="PATCHTHROUGH_CONNECT_TO",
        metavar="HOST=URL",
        help="Ask this host at another address (a test's, or before DNS).",
    ),
]


def doctor(*, stage: StageOption = "dev", as_json: JsonOption = False, connect_to: ConnectTo = None) -> None:
    """Check everything, from this machine to the alarms; exit status 1 if something is broken."""
    screen = Screen(as_json=as_json)
    neighbours = Neighbours(stage, parse_places(connect_to or []))
    screen.note(f"asking this machine, AWS, Twilio and OpenAI about stage {stage} …")
    raise typer.Exit(report(examine(CHECKS, neighbours), screen))


def report(asked: Iterable[tuple[Check, Finding]], screen: Screen) -> int:
    """Show findings, each as it comes, or as one JSON document; 1 if anything is bad, else 0."""
    found = []

    def human(console: Console) -> None:
        for check, finding in asked:
            found.append((check, finding))
            tell(console, check.name, finding)
        repair = next_step(found)
        console.print(f"\nnext: {repair}" if repair else "\nAll is well.", markup=False)

    if screen.as_json:
        found = list(asked)
    screen.show(_document(found), human)
    return int(_broken(found))


def _document(found: Sequence[tuple[Check, Finding]]) -> dict[str, Any]:
    checks = [
        {
            "check": check.name,
            "mark": finding.mark.value,
            "text": finding.text,
            "repair": finding.repair or None,
            "data": finding.data,
        }
        for check, finding in found
    ]
    return {"healthy": not _broken(found), "next": next_step(found) or None, "checks": checks}


def _broken(found: Sequence[tuple[Check, Finding]]) -> bool:
    return any(finding.mark is Mark.BAD for _, finding in found)


def next_step(found: Sequence[tuple[Check, Finding]]) -> str:
    """The first repair, in the order in which things build on each other; what is broken comes first."""
    for mark in (Mark.BAD, Mark.NOT_CHECKED, Mark.WARNING):
        for _, finding in found:
            if finding.mark is mark and finding.repair:
                return finding.repair
    return ""


def tell(console: Console, name: str, finding: Finding) -> None:
    """A finding for people: one line, and one with the repair."""
    sign, style = SIGNS[finding.mark]
    console.print(f"[{style}]{sign}[/] {name:<18}", end="")
    console.print(finding.text, markup=False)
    if finding.repair and finding.mark is not Mark.GOOD:
        console.print(f"    repair: {finding.repair}", markup=False)
