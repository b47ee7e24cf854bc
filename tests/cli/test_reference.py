"""The page that the commands write of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from cli.app import app
from simulators.deployed import reference
from simulators.settings import ROOT

ELSEWHERE = {"secrets set"}  # a prompt


def names(command: Any, above: str = "") -> Iterator[str]:
    for name, one in getattr(command, "commands", {}).items():
        yield from names(one, f"{above}{name} ") if hasattr(one, "commands") else iter([f"{above}{name}"])


def test_every_command_is_on_the_page_as_it_was_run() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    assert isinstance(app, typer.Typer)
    for name in set(names(get_command(app))) - ELSEWHERE:
        assert f"\n$ ./patchthrough {name}" in page, f"{name} is not on the page: run 'make docs'"


def test_the_page_shows_what_is_listed_and_no_place_of_the_machine_it_was_made_on() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    assert page.count("\n$ ./patchthrough ") == len(reference.commands())
    assert str(ROOT) not in page
