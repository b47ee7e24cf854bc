"""What the relay does all its life besides calls: who notices when one of these tasks dies, and what happens then.

A relay that no longer beat while its calls lived would have them taken by another; one that no longer read its secrets
would outlive a rotation. A defect in one of these must cost neither, so it is logged and the task begins anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from contracts import events
from contracts.events import Event

AGAIN_SECONDS = 1.0  # less than a beat, so that nobody takes a relay for silent


async def tend(
    name: str,
    work: Callable[[], Awaitable[None]],
    log: Callable[[str, Event, dict[str, object]], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Do `work` until it returns; whenever it raises, log that under `name` and begin anew after `AGAIN_SECONDS`."""
    while True:
        try:
            return await work()
        except Exception as error:  # noqa: BLE001 - whatever it is, a relay that goes on without this does harm
            log("", events.EFFECT_FAILED, {"effect": name, "error": type(error).__name__})
        await sleep(AGAIN_SECONDS)
