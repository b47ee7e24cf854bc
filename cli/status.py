"""`patchthrough status`: how a deployed stage is doing now. What cannot be read is said, and the rest is shown."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from cli.checks import accounts, deployed
from cli.checks.check import Check, Finding, Mark, examine, good, warning
from cli.checks.neighbours import Neighbours
from cli.deployment import JsonOption, StageOption
from cli.doctor import tell
from cli.screen import Screen


def numbers(neighbours: Neighbours) -> Finding:
    """The numbers that `number attach` remembers."""
    found = [one.number for one in neighbours.attachments()]
    if not found:
        return warning("none", f"./patchthrough number attach +1… --stage {neighbours.stage}", numbers=[])
    return good(", ".join(found), numbers=found)


_CREDENTIALS = "check the AWS credentials and region"
CHECKS: tuple[Check, ...] = (
    accounts.CHECKS[0],
    accounts.CHECKS[1],
    deployed.STACK,
    deployed.TASKS,
    deployed.LIVE_CALLS,
    deployed.QUEUE,
    deployed.DEAD_LETTERS,
    deployed.ALARMS,
    Check("numbers", numbers, _CREDENTIALS, needs=("AWS account",)),
)


def status(*, stage: StageOption = "dev", as_json: JsonOption = False) -> None:
    """Show the stack, its tasks, live calls, queues, alarms and numbers."""
    show(Neighbours(stage), Screen(as_json=as_json))


def show(neighbours: Neighbours, screen: Screen) -> None:
    """Ask every line and show it."""
    found = list(examine(CHECKS, neighbours))
    document: dict[str, Any] = {"stage": neighbours.stage}
    for check, finding in found:
        mark = {"mark": finding.mark.value}
        why = {} if finding.mark is Mark.GOOD else {"text": finding.text, "repair": finding.repair or None}
        document[check.name.replace(" ", "_")] = {**mark, **finding.data, **why}

    def human(console: Console) -> None:
        for check, finding in found:
            tell(console, check.name, finding)
        stack = next(finding for check, finding in found if check is deployed.STACK)
        for name, value in stack.data.get("outputs", {}).items():
            console.print(f"    {name:<20} {value}", markup=False)

    screen.show(document, human)
