"""The stack as CloudFormation would get it, synthesised once a session from sources alone."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

# jsii runs on Node; the one beside this Python is newer than the system's may be.
if (Path(sys.executable).parent / "node").exists():
    os.environ.setdefault("JSII_NODE", str(Path(sys.executable).parent / "node"))

import aws_cdk as cdk  # it starts Node while it is imported

from infra import settings
from infra.acknowledgements import acknowledge
from infra.app import ROOT, compose
from infra.assets import TRANSFER, WEBHOOK, BundleError, Bundles, Function

CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]


@dataclass(frozen=True, kw_only=True)
class Synthesised:
    """A stage's template, and what was found in it."""

    stage: settings.Settings
    directory: Path
    template: Mapping[str, Any]
    report: Mapping[str, Any]

    def of_type(self, kind: str) -> dict[str, Any]:
        """Logical id to properties of every resource of a type, `AWS::` left out."""
        return {
            name: resource["Properties"]
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == f"AWS::{kind}"
        }

    def one(self, kind: str) -> Any:
        """The properties of the only resource of a type."""
        (properties,) = self.of_type(kind).values()
        return properties

    def named(self, kind: str, start: str) -> Any:
        """The properties of the only resource of a type whose logical id starts so."""
        (properties,) = (found for name, found in self.of_type(kind).items() if name.startswith(start))
        return properties


def synthesise(stage: settings.Settings, directory: Path, *, acknowledged: bool = True) -> Synthesised:
    """Synthesise a stage into a directory; what the checks find is in the report."""
    app = cdk.App(context=CONTEXT, outdir=str(directory))
    made = compose(app, stage, Bundles(root=ROOT, agent_file=stage.agent_file, install=False))
    if acknowledged:
        acknowledge(made)
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):
            raise
    return Synthesised(
        stage=stage,
        directory=directory,
        template=json.loads((directory / "Patchthrough.template.json").read_text()),
        report=json.loads((directory / "validation-report.json").read_text()),
    )


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesise(settings.load(ROOT, "prod"), tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="session")
def with_domain(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    domain = settings.Domain(name="voice.example.com", hosted_zone_id="Z0123456789ABC", hosted_zone_name="example.com")
    stage = replace(settings.load(ROOT, "prod"), domain=domain, alarm_email="operators@example.com")
    return synthesise(stage, tmp_path_factory.mktemp("domain"))


def build_or_skip(function: Function) -> Path:
    """A bundle as it is deployed. Its packages come from the network once, so that is where this may end."""
    try:
        return Bundles(root=ROOT).build(function)
    except BundleError as error:
        if re.search(r"connect|network|resolve|fetch|offline|dns", str(error), re.IGNORECASE):
            pytest.skip("the wheels are not in uv's cache, and the package index cannot be reached")
        raise


@pytest.fixture(scope="session")
def built() -> None:
    """Both bundles are there, so that nothing more has to be fetched."""
    for function in (WEBHOOK, TRANSFER):
        build_or_skip(function)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of nothing but an agent file and a stage, to spoil."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "dev.yaml").write_text("log_days: 7\n")
    (tmp_path / "agent.yaml").write_bytes((ROOT / "agent.yaml").read_bytes())
    return tmp_path
