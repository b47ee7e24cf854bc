"""The CDK's own command line, pinned in package.json, pointed at the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulators.settings import ROOT, StackError

PROGRAM = ROOT / "node_modules" / ".bin" / "cdk"
APP = "python -m infra.emulated"
_OWN = ("AWS_", "CDK_", "TWILIO_", "OPENAI_", "PUBLIC_", "PATCHTHROUGH_")
_LAST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cdk:
    """Runs the command line with `environ` added to the shell's; its files go below `folder`.

    An assembly is a directory of templates and assets, made by `synth`.
    """

    environ: Mapping[str, str]
    folder: Path

    async def bootstrap(self, account: str, region: str) -> None:
        """`cdk bootstrap`: the bucket, the repository and the roles that a deployment needs.

        Raises:
            StackError: it fails.
        """
        # From a folder without a cdk.json: it needs no app.
        await self._run("bootstrap", f"aws://{account}/{region}", cwd=self.folder)

    async def synth(self, assembly: Path, context: Mapping[str, str]) -> None:
        """`cdk synth`: make an assembly.

        Raises:
            StackError: it fails.
        """
        told = [word for name, value in context.items() for word in ("-c", f"{name}={value}")]
        await self._run("synth", "--app", APP, "--output", str(assembly), "--quiet", *told)

    async def deploy(self, assembly: Path) -> dict[str, str]:
        """`cdk deploy`, a first time or again; returns the stack's outputs.

        Raises:
            StackError: it fails.
        """
        outputs = self.folder / "outputs.json"
        options = ("--require-approval", "never", "--outputs-file", str(outputs))
        await self._run("deploy", "--app", str(assembly), *options)
        (made,) = json.loads(outputs.read_text(encoding="utf-8")).values()
        return dict(made)

    async def destroy(self, assembly: Path) -> None:
        """`cdk destroy` of what was deployed from this assembly.

        Raises:
            StackError: it fails.
        """
        await self._run("destroy", "--app", str(assembly), "--force")

    async def _run(self, command: str, *arguments: str, cwd: Path = ROOT) -> None:
        if not PROGRAM.exists():
            raise StackError("the CDK", f"{PROGRAM} is missing", "run 'make deploy-local', which installs it")
        with (self.folder / f"cdk-{command}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(PROGRAM),
                command,
                *("--ci", "--no-color", "--no-notices", "--no-version-reporting"),
                *arguments,
                cwd=cwd,
                env=self._environ(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = await process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # it was interrupted, or left an app of its own behind
        if status:
            said = (self.folder / f"cdk-{command}.log").read_text(encoding="utf-8", errors="replace").splitlines()
            sys.stderr.write("\n".join([*said[-_LAST_LINES:], ""]))
            why = _reason(said)
            raise StackError(f"cdk {command}", why, "correct what it names above, and run it again")

    def _environ(self) -> dict[str, str]:
        shell = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        beside = str(Path(sys.executable).parent)  # where python and node are
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            **shell,
            **self.environ,
            "PATH": os.pathsep.join((beside, shell.get("PATH", os.defpath))),
            "TMPDIR": str(temporary),
            "CDK_HOME": str(self.folder / "cdk-home"),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DISABLE_VERSION_CHECK": "true",
            "CDK_DOCKER": "true",  # the program of that name: an image nobody runs is built and pushed by nobody
        }


def _reason(said: Sequence[str]) -> str:
    """The line that says why it failed: of the resource that did, or the last that an app wrote."""
    lines = [line.strip() for line in said if line.strip() and "Subprocess exited" not in line]
    return next((line for line in lines if "_FAILED " in line), lines[-1] if lines else "it said nothing")
