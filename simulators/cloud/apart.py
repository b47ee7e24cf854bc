"""AWS's stand-in for many calls at once: an emulator in a process of its own, which does not stop the carrier's clock.

moto, in our own process, needs 15 ms of it for one row of the ledger; MiniStack needs 2 ms elsewhere.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from simulators.cloud.troubled import TroubledCloud
from simulators.cloud.troubles import Troubles
from simulators.deployed import emulator


@asynccontextmanager
async def cloud_apart(troubles: Troubles) -> AsyncIterator[str]:
    """The endpoint of an emulator that has `troubles`, for as long as the block lasts.

    Raises:
        StackError: it cannot start.
    """
    with tempfile.TemporaryDirectory() as folder:
        running = await emulator.start(Path(folder), open_to_all=True)
        try:
            troubled = TroubledCloud(running.endpoint, troubles)
            try:
                yield await troubled.start()
            finally:
                await troubled.stop()
        finally:
            await running.stop()
