"""Programs as a user starts them, with what they print."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from simulators.settings import ROOT

# Names that a developer's shell may have set for real use.
_REAL = ("TWILIO_", "OPENAI_", "PUBLIC_", "AWS_", "AGENT_FILE", "LIVE", "RELAY_", "WEBHOOK_", "NO_COLOR")


class Program:
    """A running `python -m …`; stdout is read line by line, stderr goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self.process = process
        self._errors = errors

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return self._errors.read_text(encoding="utf-8")

    async def line(self, seconds: float = 60) -> str:
        """The next line of stdout, "" at its end."""
        assert self.process.stdout, "stdout is a pipe"
        return (await asyncio.wait_for(self.process.stdout.readline(), seconds)).decode().rstrip("\n")

    async def end(self, seconds: float = 120) -> tuple[int, list[str]]:
        """Exit status and the remaining lines of stdout."""
        assert self.process.stdout, "stdout is a pipe"
        rest = await asyncio.wait_for(self.process.stdout.read(), seconds)
        return await asyncio.wait_for(self.process.wait(), seconds), rest.decode().splitlines()

    def children(self) -> list[int]:
        """Process ids of its child processes."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if entry.name.isdigit() and int(fields[1]) == self.process.pid:
                    found.append(int(entry.name))
        return found


@asynccontextmanager
async def program(*arguments: str, errors: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Program]:
    """Run `python -m ARGUMENTS` in the repository's root; whatever is left of it at the end is ended."""
    shell = {name: value for name, value in os.environ.items() if not name.startswith(_REAL)}
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            cwd=ROOT,
            env={**shell, **(environ or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    running = Program(process, errors)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 20)
        if process.returncode is None:
            process.kill()
            await process.wait()


def alive(pid: int) -> bool:
    """Whether a process still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listening(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
