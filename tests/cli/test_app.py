from __future__ import annotations

import pytest
import typer

from cli import app as table_of_contents
from cli.app import main


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--help"], 0), (["number", "list", "--help"], 0), (["--nonsense"], 2), (["number", "attach"], 2), (["no"], 2)],
)
def test_wrong_usage_is_told_from_help(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert (out if status == 0 else err).strip()
    assert (err if status == 0 else out) == ""


def test_an_interruption_has_its_own_status(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = typer.Typer()

    @interrupted.command()
    def wait() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(table_of_contents, "app", interrupted)
    assert main([]) == 130
