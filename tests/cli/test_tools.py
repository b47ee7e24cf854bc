from __future__ import annotations

import pytest

from cli.checks.check import Mark
from cli.checks.tools import CHECKS
from tests.cli.health import NOT_ANSWERING, Healthy, ask

PYTHON, NODE, ENGINE, ARM64, CDK = CHECKS


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v24.19.0", Mark.GOOD),
        ("v22.0.0", Mark.GOOD),
        ("v20.11.1", Mark.BAD),
        ("nonsense", Mark.BAD),
        (NOT_ANSWERING, Mark.BAD),
    ],
)
def test_node_must_be_new_enough(version: str | Exception, expected: Mark) -> None:
    line = Healthy()
    line.programs["node"] = version
    assert ask(NODE, line).mark is expected


@pytest.mark.parametrize(
    ("programs", "told", "expected"),
    [
        ({"docker": "28.0"}, None, Mark.GOOD),
        ({"docker": NOT_ANSWERING}, None, Mark.BAD),
        ({"docker": NOT_ANSWERING, "podman": "5.0"}, None, Mark.WARNING),
        ({"podman": "5.0"}, None, Mark.WARNING),
        ({"podman": "5.0"}, "podman", Mark.GOOD),
        ({"docker": "28.0"}, "podman", Mark.BAD),
        ({}, None, Mark.BAD),
    ],
)
def test_something_must_build_the_image_and_the_cdk_must_know_it(
    monkeypatch: pytest.MonkeyPatch, programs: dict[str, str | Exception], told: str | None, expected: Mark
) -> None:
    monkeypatch.setenv("CDK_DOCKER", told) if told else monkeypatch.delenv("CDK_DOCKER", raising=False)
    line = Healthy()
    line.programs = programs
    assert ask(ENGINE, line).mark is expected


@pytest.mark.parametrize(("machine", "expected"), [("arm64", {Mark.GOOD}), ("aarch64", {Mark.GOOD})])
def test_an_arm64_machine_needs_no_emulation(
    monkeypatch: pytest.MonkeyPatch, machine: str, expected: set[Mark]
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert {ask(ARM64, Healthy()).mark} == expected


def test_python_and_the_cdk_cli_are_told() -> None:
    assert ask(PYTHON, Healthy()).mark is Mark.GOOD
    # Installed by `make synth`, so not on every machine that runs the tests.
    assert ask(CDK, Healthy()).mark in {Mark.GOOD, Mark.WARNING}
