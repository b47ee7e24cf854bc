from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.checks.check import Mark, examine
from cli.doctor import CHECKS, next_step, report
from cli.errors import CommandError
from tests.cli.health import Healthy, Paper, client_error

STATES = {mark.value for mark in Mark}
NEIGHBOURS = (
    "settings",
    "now",
    "run",
    "region",
    "aws",
    "outputs",
    "secret",
    "parameter",
    "account_sid",
    "auth_tokens",
    "twilio",
    "twilio_by_token",
    "open_model",
    "ask_webhook",
    "ask_media",
    "fetch",
    "attachments",
)
ERRORS = st.sampled_from(
    [
        CommandError("AWS", "no region", "set one"),
        client_error("AccessDenied"),
        OSError("canary"),
        ValueError("canary"),
        KeyError("canary"),
        RecursionError("canary"),
        TimeoutError(),
        AssertionError("canary"),
    ]
)
JUNK = st.sampled_from([None, 3, "canary", b"", {}, [], object()])


def spoilt(spoilings: dict[str, Any]) -> Healthy:
    """A neighbourhood some of whose members raise, or answer with junk."""

    def spoil(behaviour: Any) -> Any:
        def answer(*_: Any, **__: Any) -> Any:
            if isinstance(behaviour, Exception):
                raise behaviour
            return behaviour

        return answer

    members = {name: spoil(behaviour) for name, behaviour in spoilings.items()}
    if "settings" in members:
        members["settings"] = property(members["settings"])
    made: Healthy = type("Spoilt", (Healthy,), members)()
    return made


def asked(neighbours: Healthy) -> dict[str, Any]:
    return {check.name: finding for check, finding in examine(CHECKS, neighbours)}


def test_a_healthy_line_passes_every_check() -> None:
    found = asked(Healthy())
    # What this machine has is not the line's health.
    marks = {name: finding.mark for name, finding in found.items() if name not in {"arm64 images", "CDK CLI"}}
    assert set(marks.values()) == {Mark.GOOD}, {name: f.text for name, f in found.items() if f.mark is not Mark.GOOD}


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(NEIGHBOURS), ERRORS | JUNK))
def test_doctor_never_throws_and_always_names_a_repair(spoilings: dict[str, Any]) -> None:
    found, paper = list(examine(CHECKS, spoilt(spoilings))), Paper()
    assert [check.name for check, _ in found] == [check.name for check in CHECKS]
    marks = {check.name: finding.mark for check, finding in found}
    for check, finding in found:
        if finding.mark in {Mark.BAD, Mark.WARNING}:
            assert finding.repair, check.name
        needed = re.fullmatch(r"needs '(.+)' first", finding.text)
        if needed:
            assert marks[needed[1]] in {Mark.BAD, Mark.NOT_CHECKED}
        assert "canary" not in finding.repair
    status = report(found, paper)
    assert status == int(Mark.BAD in marks.values())
    assert paper.read().count("\n") > len(CHECKS)
    if status:
        assert "next: " in paper.read()


@pytest.mark.parametrize("name", [name for name in NEIGHBOURS if name not in {"region", "now"}])
def test_a_neighbour_that_fails_is_noticed(name: str) -> None:
    assert Mark.BAD in {finding.mark for finding in asked(spoilt({name: OSError()})).values()}


def test_before_the_deploy_all_that_needs_none_is_checked_and_the_next_step_is_told() -> None:
    line = Healthy()
    line.aws_.stack_status = None
    found = list(examine(CHECKS, line))
    marks = {check.name: finding.mark for check, finding in found}
    assert {marks[name] for name in ("Twilio account", "OpenAI session", "destinations", "CDK bootstrap")} == {
        Mark.GOOD
    }
    assert {marks[name] for name in ("stack", "webhook", "media socket", "number", "alarms")} == {Mark.NOT_CHECKED}
    assert Mark.BAD not in marks.values()
    assert next_step(found) == "make deploy STAGE=dev"
    assert report(found, Paper()) == 0


def test_what_is_broken_is_repaired_before_anything_else() -> None:
    line = Healthy()
    line.aws_.stack_status = None
    line.stored.pop("patchthrough/dev/openai-api-key")
    assert next_step(list(examine(CHECKS, line))) == "./patchthrough secrets set --stage dev"


def test_json_is_one_document_of_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    line = Healthy()
    line.aws_.alarms["Tasks missing"] = "ALARM"
    assert report(list(examine(CHECKS, line)), Paper(as_json=True)) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is False
    assert document["next"] == "docs/runbook.md, 'Tasks missing'"
    assert [one["check"] for one in document["checks"]] == [check.name for check in CHECKS]
    assert {one["mark"] for one in document["checks"]} <= STATES


def test_every_alarm_and_heading_that_a_repair_names_is_in_the_run_book() -> None:
    root = Path(__file__).parents[2]
    headings = set(re.findall(r"^#+ (.+)$", (root / "docs" / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE))
    sources = "".join(path.read_text(encoding="utf-8") for path in (root / "cli" / "checks").glob("*.py"))
    named = set(re.findall(r"docs/runbook\.md, '([^'{]+)'", sources))
    assert len(named) > 5
    assert named <= headings
