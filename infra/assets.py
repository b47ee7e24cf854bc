"""What is deployed as code: one directory a function, from the lock file, without Docker.

A bundle's name is the hash of everything that shapes it: the platform, the Python version, this file, the lock's
packages with their own hashes, and the sources. So a bundle that exists is the right one, two runs give the same
template, and nothing is fetched twice. boto3 comes from the lock as well, not from the Lambda runtime: what the tests
ran on is what is deployed. It is cut down to the services in use, without which it would be the larger part of a
bundle.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


class BundleError(RuntimeError):
    """A bundle cannot be built; the text names the command and what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Where a bundle shall run: Python's version and uv's name of the machine."""

    python: str
    machine: str


LAMBDA = Platform(python="3.13", machine="aarch64-manylinux2014")


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A bundle's content: a dependency group of the lock, less what the function never imports, and the sources.

    `without` are packages left out of the group; `drop` and `keep` are globs below the installed packages: of what
    `drop` matches, only what `keep` matches stays.
    """

    name: str
    group: str
    without: Sequence[str] = ()
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()


_SOURCES = ("contracts/**/*.py", "functions/**/*.py")
# yaml's C loader is not used, and without it no file depends on the machine.
_DROP = (
    *("bin/", "**/*.pyi", "*.dist-info/RECORD", "yaml/_yaml*", "**/swagger_ui/*.js", "**/swagger_ui/*.css"),
    *("boto3/data/", "boto3/examples/", "botocore/data/*/"),
)
_KEEP = tuple(f"botocore/data/{service}/" for service in ("appconfigdata", "dynamodb", "secretsmanager", "sqs"))

WEBHOOK = Function(
    name="webhook",
    group="webhook",
    without=("aiohttp", "aiohttp-retry", "pyjwt", "requests"),
    drop=(*_DROP, "twilio/*/", "aws_lambda_powertools/event_handler/"),
    keep=(*_KEEP, "twilio/twiml/"),
)
TRANSFER = Function(
    name="transfer",
    group="transfer",
    without=("aiohttp", "aiohttp-retry"),
    drop=(*_DROP, "twilio/rest/*/", "aws_lambda_powertools/event_handler/"),
    keep=(*_KEEP, "botocore/data/sesv2/", "botocore/data/sns/", "twilio/rest/api/"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundles:
    """Builds bundles below `root/.build`. `install` False: sources only, for templates that nobody deploys."""

    root: Path
    agent_file: str = "agent.yaml"
    platform: Platform = LAMBDA
    install: bool = True

    def hash(self, function: Function) -> str:
        """64 hex digits that name the bundle's content."""
        digest = hashlib.sha256(repr((function, self.platform, self.install)).encode())
        digest.update(Path(__file__).read_bytes())
        digest.update(self._requirements(function).encode())
        for name, path in self._sources():
            digest.update(f"\0{name}\0".encode() + path.read_bytes())
        return digest.hexdigest()

    def build(self, function: Function) -> Path:
        """The bundle's directory, made unless it is there.

        Raises:
            BundleError: uv is missing, or a package cannot be had.
        """
        directory = self.root / ".build" / f"{function.name}-{self.hash(function)[:32]}"
        if directory.exists():
            return directory
        directory.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as made:
            content = Path(made) / "content"
            content.mkdir()
            if self.install:
                self._install(function, content)
            for name, path in self._sources():
                (content / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, content / name)
            try:
                content.rename(directory)
            except OSError:
                # Another process made it in the meantime; by its name it has the same content.
                if not directory.exists():
                    raise
        return directory

    def _sources(self) -> Iterator[tuple[str, Path]]:
        for pattern in _SOURCES:
            for path in sorted(self.root.glob(pattern)):
                yield path.relative_to(self.root).as_posix(), path
        yield "agent.yaml", self.root / self.agent_file

    def _requirements(self, function: Function) -> str:
        if not self.install:
            return hashlib.sha256((self.root / "uv.lock").read_bytes()).hexdigest()
        less = [argument for package in function.without for argument in ("--prune", package)]
        return self._uv(
            "export", "--quiet", "--frozen", "--no-header", "--no-annotate", "--only-group", function.group, *less
        )

    def _install(self, function: Function, content: Path) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=content.parent) as requirements:
            requirements.write(self._requirements(function))
            requirements.flush()
            self._uv(
                *("pip", "install", "--quiet", "--target", str(content), "--no-deps", "--require-hashes"),
                *("--python-platform", self.platform.machine, "--python-version", self.platform.python),
                *("--only-binary", ":all:", "--link-mode", "copy", "--requirements", requirements.name),
            )
        kept = {path for pattern in function.keep for path in content.glob(pattern)}
        for pattern in function.drop:
            for path in [*content.glob(pattern)]:
                if path.is_dir() and path not in kept:
                    shutil.rmtree(path)
                elif path.is_file():
                    path.unlink()

    def _uv(self, *arguments: str) -> str:
        uv = shutil.which("uv") or str(self.root / ".tools" / "bin" / "uv")
        environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        try:
            done = subprocess.run(  # noqa: S603 - our own arguments, no shell
                [uv, "--color", "never", *arguments],
                cwd=self.root,
                env=environ,
                capture_output=True,
                text=True,
                check=True,
            )
        except FileNotFoundError:
            raise BundleError("uv is not installed; run 'make setup'") from None
        except subprocess.CalledProcessError as error:
            raise BundleError(f"uv {arguments[0]} failed: {error.stderr.strip()}") from error
        return done.stdout
