from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import main
from cli.config import stage_errors
from cli.deployment import ROOT

GOOD = (ROOT / "agent.yaml").read_text(encoding="utf-8")


def test_the_repositorys_own_files_are_valid_and_what_they_mean_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for stage in ("dev", "prod"):
        assert main(["config", "validate", "--stage", stage]) == 0
    out = capsys.readouterr().out
    assert "reception *" in out
    assert "+15550100001" in out
    assert "at most 30 minutes" in out


@pytest.mark.parametrize(("language", "told"), [("it", True), ("de-AT", False)])
def test_a_language_that_we_have_no_words_in_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str, *, told: bool
) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(GOOD.replace("language: en", f"language: {language}"), encoding="utf-8")
    assert main(["config", "validate", str(path)]) == 0
    assert ("hear them in English" in capsys.readouterr().out) == told


def test_every_error_is_listed_with_its_path_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(
        GOOD.replace('"+15550100001"', '"0155"').replace("max_call_minutes: 30", "max_call_minutes: 190")
        + "\ncolour: red\n",
        encoding="utf-8",
    )
    assert main(["config", "validate", str(path), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["valid"] is False
    told = "\n".join(document["errors"])
    assert len(document["errors"]) == 3
    assert "destinations.billing.number" in told
    assert "write it as +15550100001" in told
    assert "limits.max_call_minutes" in told
    assert "colour" in told


@pytest.mark.parametrize("content", ["", "[]", "a: [", "\x00", "just words", "greeting: hi"])
def test_a_file_that_is_no_agent_file_is_an_answer_and_no_crash(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(content, encoding="utf-8")
    assert main(["config", "validate", str(path)]) == 1
    assert str(path) in capsys.readouterr().out


def test_a_missing_file_and_an_unknown_stage_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "validate", "/nowhere/agent.yaml"]) == 1
    assert "cannot be read" in capsys.readouterr().out
    assert main(["config", "validate", "--stage", "moon"]) == 1
    assert "choose --stage dev, prod" in capsys.readouterr().err
    assert main(["config", "validate", "--stage", "../config/dev"]) == 1


def test_all_errors_of_the_stage_are_listed_even_if_the_agent_file_is_wrong() -> None:
    content = {"relay": {"calls_per_task": 1000, "colour": "red"}, "log_days": 5, "agent_file": "agent.yaml"}
    errors = stage_errors(content, "dev", None)
    assert len(errors) >= 3
    assert all(error.startswith("config/dev.yaml: ") for error in errors)
    assert any("relay.colour: there is no such setting" in error for error in errors)
    assert any("log_days" in error for error in errors)
    assert stage_errors({}, "dev", None) == []
