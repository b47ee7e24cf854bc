"""How many calls are live, for CloudWatch: a log line in its embedded metric format, ten seconds apart.

Autoscaling follows the average of `ActiveCalls` over the tasks that take calls, so a draining task publishes
`DrainingCalls` instead: its falling number would pull the average down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from contracts.events import Part
from contracts.metrics import NAMESPACE, SERVICE_DIMENSION, Metric

PERIOD = 10.0


class Door(Protocol):
    """What is read of the server."""

    @property
    def live_calls(self) -> int: ...

    @property
    def draining(self) -> bool: ...


def line(live_calls: int, *, draining: bool, now: float) -> dict[str, object]:
    """The metric as one log line; `now` in seconds since the epoch.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    name = (Metric.DRAINING_CALLS if draining else Metric.ACTIVE_CALLS).value
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[SERVICE_DIMENSION]],
        "Metrics": [{"Name": name, "Unit": "Count", "StorageResolution": 1}],
    }
    return {
        "_aws": {"Timestamp": round(now * 1000), "CloudWatchMetrics": [directive]},
        SERVICE_DIMENSION: Part.RELAY.value,
        name: live_calls,
    }


def wait(now: float) -> float:
    """Seconds until the next line: amid the next period of the epoch, so that each period gets exactly one."""
    return (now // PERIOD + 1.5) * PERIOD - now


async def keep_publishing(
    door: Door,
    write: Callable[[dict[str, object]], None],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Write a line each `PERIOD` until cancelled. `clock` gives seconds since the epoch."""
    while True:
        await sleep(wait(clock()))
        write(line(door.live_calls, draining=door.draining, now=clock()))
