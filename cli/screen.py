"""Where output goes: what a command found goes to stdout, what it has to say besides to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.errors import CommandError


class Screen:
    """One command's output. `as_json`: stdout is one JSON document and nothing else."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        # A pipe has no width of its own: lines are not to be broken where a program reads them.
        self._out = Console(width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(self, data: Any, human: Callable[[Console], None]) -> None:
        """Print what was found: `data` (JSON-ready) as JSON, or what `human` prints."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")
        else:
            human(self._out)

    def note(self, text: str) -> None:
        """Say what happens, on stderr; `text` is plain, not markup."""
        self._err.print(text, markup=False)

    def failed(self, error: CommandError) -> None:
        """Say why the command stops: three lines, or one JSON object, on stderr."""
        if self.as_json:
            sys.stderr.write(json.dumps({"what": error.what, "why": error.why, "fix": error.fix}) + "\n")
            return
        self._err.print(f"✖ {error.what}", style="red", markup=False)
        self._err.print(f"  why  {error.why}", markup=False)
        self._err.print(f"  fix  {error.fix}", markup=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A plain table for people; cells are text, not markup."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell.replace("[", r"\[") for cell in row))
    return made
