"""The command line's table of contents: every command, and what happens when one fails."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import Abort, Exit, TyperException

from cli import calls, config, numbers, publishing, secrets
from cli.cost import cost
from cli.doctor import doctor
from cli.errors import CommandError
from cli.screen import Screen
from cli.status import status

app = typer.Typer(
    name="patchthrough",
    help="Runs a deployed phone line: keys, numbers, health, calls, cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(secrets.app)
app.add_typer(numbers.app)
for command in (doctor, status, cost):
    app.command()(command)
for command in (publishing.push, publishing.pull, publishing.forget):
    config.app.command()(command)
app.add_typer(calls.app)
app.add_typer(config.app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0 (done), 1 (`CommandError`), 2 (wrong usage) or 130 (interrupted)."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = app(given, prog_name="patchthrough", standalone_mode=False)
    except CommandError as error:
        Screen(as_json="--json" in given).failed(error)
        return 1
    except Exit as left:
        return left.exit_code
    except Abort:
        Screen().note("interrupted; what was done until now can be repeated safely")
        return 130
    except TyperException as wrong:
        Screen().note(wrong.format_message())
        return wrong.exit_code
    return status if isinstance(status, int) else 0
