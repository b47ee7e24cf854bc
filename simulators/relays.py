"""The relays of a stack: one on its port, or several on ports of their own behind a front on that one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from simulators.front import Front
from simulators.relay_process import RelayProcess, Sink

# A sentence and two questions: enough for the webhook's answers to lead from a lost stream to a person.
_SEE_OFF_SECONDS = 7.0


async def relays(
    up: AsyncExitStack, environ: Mapping[str, str], sink: Sink, *, behind: Sequence[int], grace: float
) -> tuple[tuple[RelayProcess, ...], Front | None]:
    """Start them, and have `up` stop them within `grace` seconds each; `behind`: no ports for one without a front.

    Raises:
        StackError: one cannot start.
    """
    front, port = None, int(environ["RELAY_PORT"])
    if behind:
        front = Front(behind)
        up.push_async_callback(front.stop)
        await front.start(port)
    started = tuple(RelayProcess({**environ, "RELAY_PORT": str(one)}, sink) for one in behind or [port])
    for relay in started:
        up.push_async_callback(_see_off, relay)
        up.push_async_callback(relay.stop, grace)
    await asyncio.gather(*(relay.start() for relay in started))
    return started, front


async def _see_off(relay: RelayProcess) -> None:
    """Let callers whom the relay left behind ask the webhook for a person before it goes too."""
    if relay.left_behind:
        await asyncio.sleep(_SEE_OFF_SECONDS)
