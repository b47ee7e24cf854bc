"""The event lines and counts of a function, in Powertools' JSON and CloudWatch's embedded metric format.

One line an event. Where the lines go is decided by whoever builds the function: stdout in Lambda, stderr locally.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TextIO

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from contracts.events import EFFECT_FAILED, Event, Part, record
from contracts.metrics import NAMESPACE, Metric


class EventLog:
    """Writes events and counts of one part to `stream`.

    `clock` gives seconds since the epoch, `known` the fields that go into every line whose event has them.
    """

    def __init__(
        self,
        part: Part,
        *,
        clock: Callable[[], float],
        stream: TextIO,
        known: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._part = part
        self._known = known
        self._clock = clock
        self._stream = stream
        self._logger = Logger(
            service=f"patchthrough-{part.value}",
            level="INFO",
            stream=stream,
            log_record_order=["event", "at", "part", "call_sid"],
            location=None,
            timestamp=None,
            # ASCII: what somebody's software takes for the end of a line (U+2028, U+0085) is none here.
            json_serializer=partial(json.dumps, default=str),
        )
        # Powertools keeps one logger a service for the whole process; the newest owner says where it writes.
        for handler in logging.getLogger(f"patchthrough-{part.value}").handlers:
            assert isinstance(handler, logging.StreamHandler), "Powertools' own handler writes to a stream"
            handler.setStream(stream)

    def write(self, event: Event, call_sid: str = "", **fields: object) -> None:
        """Log one event."""
        self._logger.info(event.name, extra=self._record(event, call_sid, fields))

    def secret_failed(self, why: str) -> None:
        """A secret could not be read anew."""
        self.write(EFFECT_FAILED, effect="secrets", error=why)

    def fail(self, event: Event, call_sid: str = "", **fields: object) -> None:
        """Log one event as an error, with the traceback of the exception at hand."""
        self._logger.exception(event.name, extra=self._record(event, call_sid, fields))  # noqa: LOG004 - its callers are handlers

    def count(self, metric: Metric) -> None:
        """Publish a count of one."""
        metrics = EphemeralMetrics(namespace=NAMESPACE, service=self._part.value)
        metrics.add_metric(name=metric.value, unit=MetricUnit.Count, value=1)
        self._stream.write(json.dumps(metrics.serialize_metric_set()) + "\n")

    def measure(self, metric: Metric, ms: float) -> None:
        """Publish a duration in milliseconds."""
        metrics = EphemeralMetrics(namespace=NAMESPACE, service=self._part.value)
        metrics.add_metric(name=metric.value, unit=MetricUnit.Milliseconds, value=round(ms))
        self._stream.write(json.dumps(metrics.serialize_metric_set()) + "\n")

    def _record(self, event: Event, call_sid: str, fields: dict[str, object]) -> dict[str, object]:
        fields = {name: value for name, value in self._known().items() if name in event.fields} | fields
        return record(event, part=self._part, now=self._clock(), call_sid=call_sid, **fields)
