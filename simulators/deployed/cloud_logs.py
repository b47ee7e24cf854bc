"""CloudWatch Logs both ways: what the deployed functions logged comes in, what the relay's process says goes out.

Going out plays ECS' `awslogs` driver, which the emulator has no containers for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

Sink = Callable[[Mapping[str, Any]], None]
LOOK_SECONDS = 0.2
SHIP_SECONDS = 0.2


def read(client: Any, group: str, since_ms: int = 0) -> list[Mapping[str, Any]]:
    """The log events of a group; none if it does not exist (yet, or any more)."""
    found: list[Mapping[str, Any]] = []
    request = {"logGroupName": group, "startTime": since_ms}
    while True:
        try:
            page = client.filter_log_events(**request)
        except client.exceptions.ResourceNotFoundException:
            return found
        found += page["events"]
        if not page.get("nextToken"):
            return found
        request["nextToken"] = page["nextToken"]


class Follower:
    """Hands each new JSON line of some log groups to a sink; START, END and REPORT lines are left out."""

    def __init__(self, client: Any, groups: Sequence[str], sink: Sink) -> None:
        self._client = client
        self._groups = groups
        self._sink = sink
        self._since = int(time.time() * 1000)
        self._told: Counter[tuple[str, ...]] = Counter()

    def look(self) -> None:
        """Hand on what is new; blocking."""
        for group in self._groups:
            # The emulator gives its log events no identifier: the same line may come twice, and counts twice.
            found: Counter[tuple[str, ...]] = Counter()
            for line in read(self._client, group, self._since):
                key = (group, line["logStreamName"], str(line["timestamp"]), line["message"])
                found[key] += 1
                if found[key] > self._told[key]:
                    self._told[key] += 1
                    self._tell(line["message"])

    def _tell(self, message: str) -> None:
        with contextlib.suppress(ValueError):
            record = json.loads(message)
            if isinstance(record, dict):
                self._sink(record)


@asynccontextmanager
async def following(client: Any, groups: Sequence[str], sink: Sink) -> AsyncIterator[None]:
    """Follow the groups for the length of the block, to the last line."""
    follower = Follower(client, groups, sink)

    async def follow() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(BotoCoreError, ClientError):  # read again at the next look
                await asyncio.to_thread(follower.look)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(BotoCoreError, ClientError):
            await asyncio.to_thread(follower.look)


class Shipper:
    """Takes one task's lines, from any thread, and puts them into its log stream a few times a second."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client = client
        self._where = {"logGroupName": group, "logStreamName": stream}
        self._lines: list[dict[str, Any]] = []
        self._task: asyncio.Task[None] | None = None

    def __call__(self, line: str) -> None:
        """Ship this line with the next batch."""
        if line:
            self._lines.append({"timestamp": int(time.time() * 1000), "message": line})

    async def start(self) -> None:
        """Make the stream and begin."""
        await asyncio.to_thread(self._client.create_log_stream, **self._where)
        self._task = asyncio.create_task(self._keep_shipping())

    async def stop(self) -> None:
        """Ship the rest; a group that is gone takes nothing, as on ECS."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await asyncio.to_thread(self._ship)

    async def _keep_shipping(self) -> None:
        while True:
            await asyncio.sleep(SHIP_SECONDS)
            await asyncio.to_thread(self._ship)

    def _ship(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            with contextlib.suppress(
                BotoCoreError, ClientError
            ):  # non-blocking mode: lines are dropped, never waited for
                self._client.put_log_events(**self._where, logEvents=lines)
