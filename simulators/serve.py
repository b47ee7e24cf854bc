"""`python -m simulators serve`: the local stack, waiting for calls until it is told to stop.

stdout gets one line of JSON when everything is ready and nothing else ever; stderr gets the events as JSON lines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from threading import Lock
from typing import Any

from simulators.model.listening import ListeningMind
from simulators.settings import Settings
from simulators.stack import local_stack


class _Stderr:
    """Writes each event as one line."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __call__(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            sys.stderr.write(json.dumps(dict(event), ensure_ascii=False, default=str) + "\n")
            sys.stderr.flush()


class _JsonLog(logging.Handler):
    """What the stand-ins themselves have to say, in the same form."""

    def __init__(self, write: _Stderr) -> None:
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        trace = {"error": traceback.format_exception(error)} if error else {}
        self._write({"level": record.levelname, "logger": record.name, "message": record.getMessage(), **trace})


def serve(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status.

    Raises:
        StackError: it cannot start, or a part of it ended by itself.
    """
    settings = Settings.from_env(environ)
    with os.fdopen(os.dup(1), "w") as ready:
        # Whatever prints in this process, metrics for one, must not mix with the one line.
        os.dup2(2, 1)
        write = _Stderr()
        logging.basicConfig(handlers=[_JsonLog(write)], force=True)
        return asyncio.run(_serve(settings, environ, write, ready))


async def _serve(settings: Settings, environ: Mapping[str, str], write: _Stderr, ready: Any) -> int:
    serving = asyncio.current_task()
    assert serving, "a coroutine runs in a task"
    loop = asyncio.get_running_loop()
    told = False

    def stop() -> None:
        nonlocal told
        if not told:
            told = True
            serving.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        async with local_stack(settings, environ, write, mind=ListeningMind) as stack:
            ready.write(json.dumps(stack.ready()) + "\n")
            ready.flush()
            await asyncio.gather(*(relay.keep_running() for relay in stack.relays))
    except asyncio.CancelledError:
        if not told:
            raise
    return 0
