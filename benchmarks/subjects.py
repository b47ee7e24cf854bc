"""The programs that are measured, each a process of its own on a core of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {"floor": "benchmarks.floor", "original": "benchmarks.original", "relay": "containers.media_relay"}
_TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))


class Subject:
    """One running program; `stderr` of the relay goes to a file, as a log driver would take it."""

    def __init__(self, name: str, environ: dict[str, str], log: Path) -> None:
        self.name = name
        self._environ = environ
        self._log = log
        self._process: subprocess.Popen[bytes]

    async def __aenter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
                [sys.executable, "-m", PROGRAMS[self.name]],
                cwd=ROOT,
                env=self._environ,
                stdout=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=lambda: os.sched_setaffinity(0, CORES[:1]),  # noqa: PLW1509 - no thread is running yet
            )
        address = ("127.0.0.1", int(self._environ["RELAY_PORT"]))
        for _ in range(300):
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self._log.read_text()[-2000:]}")
            try:
                _, writer = await asyncio.open_connection(*address)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return self
        raise RuntimeError(f"{self.name} does not listen")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, 3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_seconds(self) -> float:
        """User and system time so far, of all threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
