"""MiniStack as a process: an AWS account on the loopback interface, its files below one folder, gone when it stops.

It is installed in an environment of its own (`.emulator`), because it wants an older boto3 than the one that is
deployed. What it is told follows its own documentation: https://github.com/ministackorg/ministack.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import boto3
from botocore.config import Config

from simulators.settings import ROOT, StackError
from simulators.stack import free_port

PYTHON = ROOT / ".emulator" / "bin" / "python"
# MiniStack takes a function's output as complete after 5 ms without a line, too soon on a busy machine: what comes
# later would be logged with the function's next invocation, or never.
_PROGRAM = """
from ministack.app import main
from ministack.core.lambda_runtime import Worker
Worker._drain_stderr_bounded.__defaults__ = (0.05, 0.05, 0.5)
main()
"""
ACCOUNT = "000000000000"
REGION = "us-east-1"
START_SECONDS = 30.0
STOP_SECONDS = 3.0  # it has nothing to save
_KEY = "test"  # the account's root, as MiniStack knows it
_CLIENT = Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 2}, max_pool_connections=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """A running emulator: its process (which leads a group of its own), port and folder."""

    pid: int
    port: int
    folder: Path

    @property
    def endpoint(self) -> str:
        """What `AWS_ENDPOINT_URL` names."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "emulator.log"

    def environ(self) -> dict[str, str]:
        """What any AWS client must be told to reach this account and no other."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def environ_as(self, role: str) -> dict[str, str]:
        """What a client must be told to act in that role (an ARN); blocking."""
        found = self.client("sts").assume_role(RoleArn=role, RoleSessionName="task")["Credentials"]
        return {
            **self.environ(),
            "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
            "AWS_SESSION_TOKEN": found["SessionToken"],
        }

    def client(self, service: str) -> Any:
        """A boto3 client of this account."""
        make: Any = boto3.Session(_KEY, _KEY, region_name=REGION).client
        return make(service, endpoint_url=self.endpoint, config=_CLIENT)

    async def stop(self) -> None:
        """End it and every function it runs; returns when no process of its group is left."""
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self.runs:  # noqa: ASYNC110 - the end of a group of processes is no event
                        await asyncio.sleep(0.05)
                return

    @property
    def runs(self) -> bool:
        """Whether a process of its group is alive."""
        with contextlib.suppress(ChildProcessError):  # started by another program: nothing to collect here
            os.waitpid(self.pid, os.WNOHANG)
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


async def start(folder: Path, python: Path = PYTHON, *, open_to_all: bool = False) -> Emulator:
    """Start the emulator with its files below `folder`, and wait until it answers.

    `python` is of the environment that it is installed in. `open_to_all`: it asks nobody for rights.

    Raises:
        StackError: it is not installed, or does not start.
    """
    port = free_port(0, "")
    emulator = Emulator(pid=_spawn(folder, port, python, auth=not open_to_all), port=port, folder=folder)
    try:
        async with asyncio.timeout(START_SECONDS):
            await _answers(emulator)
    except BaseException as error:
        await emulator.stop()
        if isinstance(error, TimeoutError):
            last = emulator.log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise StackError(
                "the AWS emulator", f"does not answer ({last or 'it said nothing'})", "try again"
            ) from None
        raise
    return emulator


def _spawn(folder: Path, port: int, python: Path, *, auth: bool) -> int:
    if not python.exists():
        raise StackError("the AWS emulator", f"{python} is missing", "run 'make deploy-local', which installs it")
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    # Functions inherit this environment: nothing of the shell's but its path.
    environ: Mapping[str, str] = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "AUTH": str(auth).lower(),  # every request needs what its role's policies allow
        "IOT_MTLS_ENABLED": "0",  # it would listen on every interface
        "DOCKER_HOST": "unix:///nonexistent",  # the same run with a container engine and without
        "NO_PROXY": "*",
    }
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [str(python), "-c", _PROGRAM],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.returncode = 0  # collected by `runs`; it may outlive this program, which is no reason for a warning
    return process.pid


async def _answers(emulator: Emulator) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
        while emulator.runs:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with client.get(f"{emulator.endpoint}/_ministack/health") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
    raise TimeoutError
