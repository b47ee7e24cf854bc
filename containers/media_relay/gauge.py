"""What a task measures, for CloudWatch: one log line in its embedded metric format, ten seconds apart.

Autoscaling follows the average of `ActiveCalls` over the tasks that take calls, so a draining task publishes
`DrainingCalls` instead: its falling number would pull the average down. Beside it stand how long callers waited for the
agent's voice, value by value, and how late the event loop was at its worst.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from contracts import events
from contracts.events import Event, Part
from contracts.metrics import NAMESPACE, SERVICE_DIMENSION, Metric

PERIOD = 10.0
SAMPLE_SECONDS = 0.25
MOST_VALUES = 100
"""Values that CloudWatch takes of one metric in one line:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""

# The agent is heard with RESPONSE_AUDIO; what the caller has waited for since then.
_WAITS = {events.STREAM_STARTED: Metric.FIRST_AUDIO_MS, events.SPEECH_STOPPED: Metric.TURN_LATENCY_MS}


class Door(Protocol):
    """What is read of the server."""

    @property
    def live_calls(self) -> int: ...

    @property
    def draining(self) -> bool: ...


class Loop(Protocol):
    """What is asked of the event loop: `asyncio.AbstractEventLoop` has it."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> TimerHandle: ...


class Measures:
    """What was measured since the last line. `taken` empties it."""

    def __init__(self) -> None:
        self._values: dict[Metric, list[int]] = {}

    def add(self, metric: Metric, seconds: float) -> None:
        """One value more; in milliseconds from here on."""
        values = self._values.setdefault(metric, [])
        if len(values) < MOST_VALUES:
            values.append(round(seconds * 1000))

    def worst(self, metric: Metric, seconds: float) -> None:
        """A value of which only the largest counts."""
        self._values[metric] = [max(round(seconds * 1000), *self._values.get(metric, [0]))]

    def taken(self) -> Mapping[Metric, Sequence[int]]:
        """Everything, in milliseconds; from now on it starts anew."""
        values, self._values = self._values, {}
        return values


class Waits:
    """How long one caller waits for the agent's voice, by the events of the call: at the start, and at each turn."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._since: tuple[Metric, float] | None = None

    def note(self, event: Event, now: float) -> None:
        """`event` happened at `now`, in seconds on any one clock."""
        waiting_since_start = self._since is not None and self._since[0] is Metric.FIRST_AUDIO_MS
        if event in _WAITS and not waiting_since_start:
            self._since = _WAITS[event], now
        elif event is events.RESPONSE_AUDIO and self._since:
            metric, since = self._since
            self._since = None
            self._measures.add(metric, now - since)


def watch_lag(loop: Loop, measures: Measures) -> None:
    """Measure from now on how late the loop calls back what is due: audio waits as long."""
    due = loop.time() + SAMPLE_SECONDS

    def called() -> None:
        nonlocal due
        now = loop.time()
        measures.worst(Metric.LOOP_LAG_MS, max(0.0, now - due))
        due = now + SAMPLE_SECONDS
        loop.call_at(due, called)

    loop.call_at(due, called)


def line(
    live_calls: int, measured: Mapping[Metric, Sequence[int]], *, draining: bool, now: float, tasks: int = 0
) -> dict[str, object]:
    """The metrics as one log line; `measured` in milliseconds, `now` in seconds since the epoch.

    `tasks`, how many run in the loop, is a property and no metric: one looks for it when memory grows.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    name = (Metric.DRAINING_CALLS if draining else Metric.ACTIVE_CALLS).value
    named: list[dict[str, Any]] = [{"Name": name, "Unit": "Count", "StorageResolution": 1}]
    named += [{"Name": metric.value, "Unit": "Milliseconds"} for metric in measured]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[SERVICE_DIMENSION]], "Metrics": named}
    return {
        "_aws": {"Timestamp": round(now * 1000), "CloudWatchMetrics": [directive]},
        SERVICE_DIMENSION: Part.RELAY.value,
        name: live_calls,
        "tasks": tasks,
        **{metric.value: list(values) for metric, values in measured.items()},
    }


def wait(now: float) -> float:
    """Seconds until the next line: amid the next period of the epoch, so that each period gets exactly one."""
    return (now // PERIOD + 1.5) * PERIOD - now


async def keep_publishing(
    door: Door,
    measures: Measures,
    write: Callable[[dict[str, object]], None],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Write a line each `PERIOD` until cancelled, and one then. `clock` gives seconds since the epoch."""

    def publish() -> None:
        tasks = len(asyncio.all_tasks())
        write(line(door.live_calls, measures.taken(), draining=door.draining, now=clock(), tasks=tasks))

    try:
        while True:
            await sleep(wait(clock()))
            publish()
    finally:
        publish()
