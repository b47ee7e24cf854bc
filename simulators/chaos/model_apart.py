"""The model in a process of its own, where one process could not play the carrier and the model of so many calls.

It prints its URL once it listens, and for each line that it reads how many connections are open.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvloop

from simulators.chaos.caller import AnsweringMind
from simulators.model import Model
from simulators.settings import LOCAL_OPENAI_KEY, ROOT, StackError


@dataclass(frozen=True, slots=True)
class ModelApart:
    """A running model; `url` is what `OPENAI_REALTIME_URL` names."""

    url: str
    _process: asyncio.subprocess.Process

    async def live(self) -> int:
        """How many connections are open."""
        assert self._process.stdin, "it was started with pipes"
        self._process.stdin.write(b"\n")
        return int(await _line(self._process))


@asynccontextmanager
async def model_apart() -> AsyncIterator[ModelApart]:
    """An answering model, for as long as the block lasts.

    Raises:
        StackError: it cannot start.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, cwd=ROOT, stdin=pipe, stdout=pipe
    )
    try:
        if not (url := await _line(process)):
            raise StackError("the model's process", "it ended", "see what it printed")
        yield ModelApart(url, process)
    finally:
        if process.stdin:
            process.stdin.close()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout, "it was started with pipes"
    return (await process.stdout.readline()).decode().strip()


async def _serve() -> None:
    model = Model(AnsweringMind, api_key=LOCAL_OPENAI_KEY, remembers=False)
    await model.start()
    said: object = model.url
    while True:
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
        if not await asyncio.to_thread(sys.stdin.readline):
            break
        said = model.live
    await model.stop()


if __name__ == "__main__":
    uvloop.run(_serve())
