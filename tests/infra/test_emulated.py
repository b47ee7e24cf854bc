"""What is deployed into the emulator is the stack itself, but for the differences that are listed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from infra import emulated, settings
from infra.app import ROOT, compose
from infra.assets import Bundles
from tests.infra.conftest import CONTEXT

TWILIO = "http://127.0.0.1:8765"
SOURCES = Bundles(root=ROOT, install=False)
PAGE = (ROOT / "docs" / "reference" / "deploy-local.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stage() -> settings.Settings:
    return replace(settings.load(ROOT, "dev"), origin_prefix_list=emulated.PREFIX_LIST)


@pytest.fixture(scope="module")
def real(stage: settings.Settings, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return template(tmp_path_factory.mktemp("real"), lambda app: compose(app, stage, SOURCES))


@pytest.fixture(scope="module")
def local(stage: settings.Settings, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return template(tmp_path_factory.mktemp("local"), lambda app: emulated.emulate(app, stage, SOURCES, twilio=TWILIO))


def template(folder: Path, fill: Callable[[cdk.App], object]) -> Mapping[str, Any]:
    """The template of an app that was filled so."""
    app = cdk.App(context=CONTEXT, outdir=str(folder))
    fill(app)
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):  # findings are another test's business
            raise
    found: Mapping[str, Any] = json.loads((folder / "Patchthrough.template.json").read_text())
    return found


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Paths at which two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from differences(one.get(name), other.get(name), f"{path}.{name}" if path else name)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}.{index}")
    elif one != other:
        yield path


def named(value: Any) -> Iterator[str]:
    """Logical ids that a piece of template refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("Ref"), str):
            yield value["Ref"]
        if isinstance(value.get("Fn::GetAtt"), list):
            yield value["Fn::GetAtt"][0]
        for part in value.values():
            yield from named(part)
    elif isinstance(value, list):
        for part in value:
            yield from named(part)


def test_only_resources_of_the_listed_types_are_left_out_and_of_each_at_least_one(
    real: Mapping[str, Any], local: Mapping[str, Any]
) -> None:
    assert local["Resources"].keys() < real["Resources"].keys()
    out = {name: real["Resources"][name]["Type"] for name in real["Resources"].keys() - local["Resources"].keys()}
    assert set(out.values()) == set(emulated.REMOVED)
    alarms = [name for name, kind in out.items() if kind == "AWS::CloudWatch::Alarm"]
    assert all(name.startswith("RelayServiceTaskCount") for name in alarms), alarms


def test_what_stays_is_equal_but_for_the_listed_properties(real: Mapping[str, Any], local: Mapping[str, Any]) -> None:
    found = set()
    for name, resource in local["Resources"].items():
        if json.dumps(resource) == json.dumps(real["Resources"][name]):
            continue
        for path in differences(real["Resources"][name], resource):
            found.add(f"{resource['Type']} {path.removeprefix('Properties.')}")
    allowed = set(emulated.CHANGED) | {f"AWS::CloudWatch::Alarm {name}" for name in emulated.NO_METRIC}
    assert found == allowed
    assert local["Outputs"] == real["Outputs"]
    assert set(differences(real["Parameters"], local["Parameters"])) == {"BootstrapVersion"}
    assert real.keys() - local.keys() == {"Rules"}


def test_nothing_that_stays_names_what_is_left_out(local: Mapping[str, Any]) -> None:
    known = {*local["Resources"], *local["Parameters"]}
    refers = set(named([local["Resources"], local["Outputs"]]))
    waits = {one for resource in local["Resources"].values() for one in resource.get("DependsOn", [])}
    assert {name for name in refers | waits if not name.startswith("AWS::")} <= known


def test_the_transfer_functions_alone_are_told_where_twilio_is(local: Mapping[str, Any]) -> None:
    told = {
        resource["Properties"]["Handler"] for resource in local["Resources"].values() if TWILIO in json.dumps(resource)
    }
    assert told == {"functions.transfer.handler.handler", "functions.transfer.handler.last_resort"}


def test_functions_are_bundled_for_this_python_on_this_machine() -> None:
    host = emulated.host()
    assert host.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert host.machine.partition("-")[0] in {"x86_64", "aarch64"}


def test_the_deployable_app_knows_nothing_of_it() -> None:
    others = [file for file in (ROOT / "infra").glob("*.py") if file.stem != "emulated"]
    assert others
    assert not [file.name for file in others if "emulated" in file.read_text(encoding="utf-8")]


def test_the_page_lists_every_difference_with_its_reason() -> None:
    rows = {**emulated.REMOVED, **emulated.CHANGED, **emulated.CHOSEN}
    for what, why in rows.items():
        assert f"| `{what}` | {why} |" in PAGE, what
    listed = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(listed) == len(rows)
