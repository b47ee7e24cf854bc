from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.app import ROOT
from infra.assets import LAMBDA, TRANSFER, WEBHOOK, BundleError, Bundles, Function
from tests.infra.conftest import build_or_skip

HANDLERS = {
    "webhook": ("functions.voice_webhook.handler", "handler"),
    "transfer": ("functions.transfer.handler", "last_resort"),
}
ENVIRON = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "LEDGER_TABLE": "ledger",
    "PUBLIC_MEDIA_ORIGIN": "wss://media.example.com",
    "PUBLIC_WEBHOOK_ORIGIN": "https://webhook.example.com",
    "TRANSFER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/000000000000/transfers",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN_SECRET": "twilio-auth-token",
    "TWILIO_REST_SECRET": "twilio-rest",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository of sources, to change."""
    for name in ("contracts", "functions"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("agent.yaml", "uv.lock"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


class TestABundlesHash:
    def test_is_the_same_for_the_same_content(self, copy: Path) -> None:
        assert Bundles(root=copy, install=False).hash(WEBHOOK) == Bundles(root=ROOT, install=False).hash(WEBHOOK)

    @pytest.mark.parametrize(
        "name", ["functions/voice_webhook/answers.py", "contracts/row.py", "agent.yaml", "uv.lock"]
    )
    def test_changes_with_every_source_and_with_the_lock(self, copy: Path, name: str) -> None:
        bundles = Bundles(root=copy, install=False)
        before = bundles.hash(WEBHOOK)
        with (copy / name).open("a") as file:
            file.write("# changed\n")
        assert bundles.hash(WEBHOOK) != before

    def test_changes_with_python_machine_and_way_of_building(self, copy: Path) -> None:
        bundles = Bundles(root=copy, install=False)
        others = [
            replace(bundles, platform=replace(LAMBDA, python="3.14")),
            replace(bundles, platform=replace(LAMBDA, machine="x86_64-manylinux2014")),
        ]
        assert len({one.hash(WEBHOOK) for one in (bundles, *others)}) == 3
        assert bundles.hash(WEBHOOK) != bundles.hash(TRANSFER)

    def test_does_not_change_with_what_is_not_deployed(self, copy: Path) -> None:
        bundles = Bundles(root=copy, install=False)
        before = bundles.hash(WEBHOOK)
        (copy / "functions" / "__pycache__").mkdir()
        (copy / "functions" / "__pycache__" / "x.pyc").write_bytes(b"x")
        (copy / "README.md").write_text("changed")
        assert bundles.hash(WEBHOOK) == before


class TestABundle:
    def test_holds_the_sources_and_the_agent_file(self, copy: Path) -> None:
        directory = Bundles(root=copy, install=False).build(WEBHOOK)
        names = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
        assert {"agent.yaml", "contracts/ledger.py", "functions/voice_webhook/handler.py"} <= names
        assert not [name for name in names if not name.endswith((".py", "agent.yaml"))]

    def test_is_built_once(self, copy: Path) -> None:
        bundles = Bundles(root=copy, install=False)
        first = bundles.build(WEBHOOK)
        (first / "mark").write_text("")
        assert (bundles.build(WEBHOOK) / "mark").exists()

    def test_a_stage_may_have_an_agent_of_its_own(self, copy: Path) -> None:
        (copy / "agent-sales.yaml").write_text("greeting: Hello\n")
        directory = Bundles(root=copy, agent_file="agent-sales.yaml", install=False).build(WEBHOOK)
        assert (directory / "agent.yaml").read_text() == "greeting: Hello\n"

    def test_a_failing_installation_is_one_clear_error_and_leaves_nothing(self, copy: Path) -> None:
        shutil.copyfile(ROOT / "pyproject.toml", copy / "pyproject.toml")
        if (ROOT / ".tools").exists():
            (copy / ".tools").symlink_to(ROOT / ".tools")
        with pytest.raises(BundleError, match="uv export failed"):
            Bundles(root=copy).build(Function(name="none", group="no-such-group"))
        assert not list(copy.glob(".build/none*"))


@pytest.fixture(scope="module", params=[WEBHOOK, TRANSFER], ids=lambda function: function.name)
def deployed(request: pytest.FixtureRequest) -> tuple[str, Path]:
    return request.param.name, build_or_skip(request.param)


class TestADeployedBundle:
    def test_is_small(self, deployed: tuple[str, Path]) -> None:
        name, directory = deployed
        size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        assert size < {"webhook": 9e6, "transfer": 15e6}[name]

    def test_starts_from_its_directory_alone(self, deployed: tuple[str, Path]) -> None:
        name, directory = deployed
        module, entry = HANDLERS[name]
        program = (
            f"import sys; sys.path.insert(0, '.'); import os, {module} as handler; handler.build(os.environ);"
            f"assert callable(handler.{entry});"
            "print([name for name in sys.modules if name.partition('.')[0] in ('aiohttp', 'pydantic')"
            " or name.startswith('twilio.rest')])"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", program],
            cwd=directory,
            env=ENVIRON,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if name == "webhook":
            assert done.stdout == "[]\n"

    def test_holds_no_binary_of_another_machine(self, deployed: tuple[str, Path]) -> None:
        _, directory = deployed
        foreign = [path.name for path in directory.rglob("*.so") if "cpython-313-aarch64" not in path.name]
        assert foreign == []
        assert not (directory / "aiohttp").exists()

    def test_the_webhook_has_no_twilio_rest(self, deployed: tuple[str, Path]) -> None:
        name, directory = deployed
        assert (directory / "twilio" / "rest").exists() is (name == "transfer")
