"""The media relay as what it is in the image: a process of its own, started with its environment, ended by SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from contracts import events
from simulators.settings import ROOT, StackError

Sink = Callable[[Mapping[str, Any]], None]
"""Takes each logged event; called from any thread."""

START_SECONDS = 30.0
STARTS = 3  # tries to start it again
_log = logging.getLogger(__name__)


class RelayProcess:
    """`python -m containers.media_relay`, its log lines handed to a sink as they come.

    `copy` takes every line as it was written, event or not. `left_behind` counts the callers whose stream it ended
    because it had to go.
    """

    def __init__(
        self, environ: Mapping[str, str], sink: Sink, copy: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._environ = environ
        self._sink = sink
        self._copy = copy
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._last_words: deque[str] = deque(maxlen=3)
        self._draining = False
        self.left_behind = 0

    @property
    def pid(self) -> int:
        """The process id; asserts that it was started."""
        assert self._process is not None, "the relay was not started"
        return self._process.pid

    def send(self, number: int) -> None:
        """Send a signal to the process, if it has not ended."""
        assert self._process is not None, "the relay was not started"
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._environ["RELAY_PORT"])

    async def start(self) -> None:
        """Start the process and wait until it takes calls.

        Raises:
            StackError: it ended, or is not ready in time.
        """
        pipe = asyncio.subprocess.PIPE
        # A session of its own: a Ctrl-C at the terminal reaches us alone, and we end the relay in order.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "containers.media_relay",
            cwd=ROOT,
            env=dict(self._environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            limit=1 << 20,
            start_new_session=True,
        )
        assert self._process.stdout, "a pipe was asked for"
        assert self._process.stderr, "a pipe was asked for"
        self._readers = [
            asyncio.create_task(self._read(stream)) for stream in (self._process.stdout, self._process.stderr)
        ]
        ready = asyncio.create_task(self.ready())
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait({ready, ended}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        problem = None if ready.done() else "it ended" if ended.done() else f"not ready in {START_SECONDS:.0f} s"
        for task in (ready, ended):
            task.cancel()
        if problem:
            await self.stop()
            words = " ".join(self._last_words) or "it said nothing"
            raise StackError("the media relay", f"{problem} ({words})", "correct what it names")

    async def keep_running(self) -> None:
        """Start it again whenever it ends by itself, as the cloud does; runs until it is cancelled.

        Raises:
            StackError: it cannot be started any more.
        """
        while True:
            assert self._process is not None, "the relay was started"
            status = await self._process.wait()
            _log.warning("the media relay ended with status %s and is started again", status)
            await asyncio.gather(*self._readers)
            await self._start_again()

    async def _start_again(self) -> None:
        for _ in range(STARTS - 1):
            try:
                await self.start()
            except StackError as error:
                _log.warning("%s", error)
            else:
                return
        await self.start()

    async def stop(self, grace: float = 2.0) -> None:
        """SIGTERM, wait `grace` seconds (its drain time and a little more), then SIGKILL; idempotent."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), grace)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await asyncio.gather(*self._readers)

    def _note(self, line: Mapping[str, Any]) -> None:
        self._draining = self._draining or line.get("event") == events.RELAY_DRAINING.name
        if self._draining and line.get("event") == events.STREAM_ENDED.name and line.get("by") == "relay":
            self.left_behind += 1

    async def ready(self) -> None:
        """Wait until it takes calls; for ever, if it never does."""
        url = f"http://127.0.0.1:{self._environ['RELAY_PORT']}/readyz"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as client:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            text = line.decode("utf-8", "replace").rstrip()
            self._copy(text)
            try:
                record = json.loads(text)
            except ValueError:
                record = None
            if isinstance(record, dict):
                self._note(record)
                self._sink(record)
            elif text:
                self._last_words.append(text)
                sys.stderr.write(f"{text}\n")
