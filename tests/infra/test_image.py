from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest

from infra.app import ROOT
from infra.relay_service import DOCKERFILE
from tests.infra.conftest import Synthesised

TEXT = (ROOT / DOCKERFILE).read_text()
STAGES = re.split(r"^FROM ", TEXT, flags=re.MULTILINE)[1:]


def test_it_is_built_in_two_stages_on_one_exact_python() -> None:
    assert len(STAGES) == 2
    assert re.search(r"^ARG PYTHON=3\.13\.\d+-slim-\w+$", TEXT, re.MULTILINE)
    assert all(stage.startswith("python:${PYTHON}") for stage in STAGES)


def test_S21_packages_come_from_the_lock_file_with_their_hashes_and_without_building() -> None:
    (sync,) = re.findall(r"uv sync .*", TEXT)
    assert {"--frozen", "--no-build", "--only-group relay"} <= set(re.findall(r"--only-group relay|--[a-z-]+", sync))
    assert re.search(r"uv==\d+\.\d+\.\d+", TEXT)


def test_S21_a_functions_bundle_takes_only_packages_whose_hash_is_known_and_builds_none() -> None:
    assets = (ROOT / "infra/assets.py").read_text()
    assert '"--no-deps", "--require-hashes")' in assets
    assert '"--only-binary", ":all:"' in assets


def test_S21_every_package_of_the_relay_has_a_hash_in_the_lock_file() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    packages: dict[str, Any] = {package["name"]: package for package in lock["package"]}
    for name in ("websockets", "uvloop", "msgspec", "boto3", "pydantic", "pyyaml"):
        assert all(wheel["hash"].startswith("sha256:") for wheel in packages[name]["wheels"])


def test_it_runs_as_nobody_in_particular_with_sigterm_reaching_python() -> None:
    final = STAGES[-1]
    assert "\nUSER 1000:1000\n" in final
    (command,) = re.findall(r"^CMD (.+)$", final, re.MULTILINE)
    assert json.loads(command) == ["python", "-m", "containers.media_relay"]
    assert "ENTRYPOINT" not in final


def test_it_holds_what_the_relay_imports_and_nothing_of_the_rest() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", STAGES[-1], re.MULTILINE)
    assert copied == ["contracts", "containers", "${AGENT_FILE}"]


@pytest.fixture(scope="module")
def context(stack: Synthesised) -> set[str]:
    """The files that are sent to whoever builds the image."""
    assets = json.loads((stack.directory / "Patchthrough.assets.json").read_text())
    (image,) = assets["dockerImages"].values()
    source = image["source"]
    assert (source["dockerFile"], source["dockerBuildArgs"]) == (DOCKERFILE, {"AGENT_FILE": "agent.yaml"})
    root = stack.directory / source["directory"]
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_the_build_context_is_the_sources_and_the_lock(context: set[str]) -> None:
    known = re.compile(r"(contracts|containers)/.+|agent[\w.-]*\.yaml|uv\.lock|pyproject\.toml|\.dockerignore")
    assert {name for name in context if not known.fullmatch(name)} == set()
    assert {"uv.lock", "pyproject.toml", "agent.yaml", DOCKERFILE, "containers/media_relay/__main__.py"} <= context
    assert not [name for name in context if "__pycache__" in name]


def test_the_image_is_built_for_the_machine_that_the_task_asks_for(stack: Synthesised) -> None:
    assets = json.loads((stack.directory / "Patchthrough.assets.json").read_text())
    (image,) = assets["dockerImages"].values()
    assert image["source"]["platform"] == "linux/arm64"
    assert stack.one("ECS::TaskDefinition")["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
