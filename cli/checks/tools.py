"""What a deploy needs on this machine: nothing here leaves it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from cli.checks.check import Check, Finding, bad, good, warning
from cli.checks.neighbours import Neighbours
from cli.deployment import ROOT

NODE = 22
"""The oldest Node.js that the CDK supports: https://docs.aws.amazon.com/cdk/v2/guide/prerequisites.html"""
# `docker --version` says nothing of the daemon, without which nothing is built.
_ENGINES = {
    "docker": ("version", "--format", "{{.Server.Version}}"),
    "podman": ("version", "--format", "{{.Version}}"),
    "buildah": ("--version",),
}
_EMULATION = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
_EMULATE = "docker run --privileged --rm tonistiigi/binfmt --install arm64"


def python(_: Neighbours) -> Finding:
    """The Python that runs this; `make setup` refuses one that is too old."""
    version = platform.python_version()
    return good(version, version=version)


def node(neighbours: Neighbours) -> Finding:
    """Node.js, found as the Makefile finds it: the one that `make setup` installs comes first."""
    own = ROOT / ".venv" / "bin" / "node"
    try:
        version = neighbours.run(str(own) if own.exists() else "node", "--version")
    except (OSError, subprocess.SubprocessError):
        return bad("there is none", "make setup")
    found = re.match(r"v([0-9]+)\.", version)
    if not found or int(found[1]) < NODE:
        return bad(f"{version}: {NODE} or newer is needed", "make setup", version=version)
    return good(version, version=version)


def container_engine(neighbours: Neighbours) -> Finding:
    """Whatever builds and pushes the relay's image."""
    told = os.environ.get("CDK_DOCKER")
    silent = []
    for engine in (told,) if told else _ENGINES:
        try:
            version = neighbours.run(engine, *_ENGINES.get(Path(engine).name, ("--version",)))
        except FileNotFoundError:
            continue
        except (OSError, subprocess.SubprocessError):
            silent.append(engine)
            continue
        name = Path(engine).name
        if told is None and name != "docker":
            return warning(f"{name} {version}, which the CDK must be told of", f"export CDK_DOCKER={name}", engine=name)
        return good(f"{name} {version}", engine=name, version=version)
    if silent:
        return bad(f"{silent[0]} is installed but does not answer", f"start {silent[0]}, then '{silent[0]} info'")
    return bad("there is none", "install docker or podman; it builds the relay's image")


def arm64(_: Neighbours) -> Finding:
    """Whether an arm64 image can be built here: the relay runs on one, and another fails as `exec format error`."""
    machine = platform.machine()
    if machine.lower() in {"arm64", "aarch64"}:
        return good(f"this machine is {machine}", machine=machine)
    if sys.platform != "linux":  # the engines there bring their own Linux, with emulation
        return good(f"built by emulation on {machine}", machine=machine)
    if _EMULATION.exists():
        return good(f"built by emulation on {machine}", machine=machine)
    return warning(f"this machine is {machine} and cannot run arm64 programs", _EMULATE, machine=machine)


def cdk(_: Neighbours) -> Finding:
    """The CDK CLI of `package.json`: any other version may not read what our library writes."""
    pinned = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]["aws-cdk"]
    installed = ROOT / "node_modules" / "aws-cdk" / "package.json"
    try:
        version = json.loads(installed.read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return warning(f"{pinned} is not installed yet; 'make deploy' does it", "make synth", pinned=pinned)
    if version != pinned:
        return bad(f"{version} is installed, {pinned} is needed", "rm -r node_modules && make synth", version=version)
    return good(str(version), version=version)


CHECKS = (
    Check("python", python, "make setup"),
    Check("node", node, "make setup"),
    Check("container engine", container_engine, "install docker or podman"),
    Check("arm64 images", arm64, _EMULATE),
    Check("CDK CLI", cdk, "make synth"),
)
