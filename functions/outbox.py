"""The queues a function writes to."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contracts import events
from contracts.metrics import Metric
from functions.eventlog import EventLog


class Outbox:
    """One queue, by its URL; "" is none, and everything sent there is lost and logged as an error."""

    def __init__(self, sqs: Any, queue_url: str, log: EventLog) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._log = log

    def send(self, body: str, call_sid: str, *, delay: int = 0) -> bool:
        """Put a message on the queue, to be seen in `delay` seconds. False: it was not taken, and the log says why."""
        if not self._queue_url:
            return self._failed(call_sid, "no queue is configured")
        try:
            self._sqs.send_message(
                QueueUrl=self._queue_url,
                MessageBody=body,
                DelaySeconds=delay,
                MessageAttributes={"call_sid": {"DataType": "String", "StringValue": call_sid}},
            )
        except (BotoCoreError, ClientError) as error:
            return self._failed(call_sid, type(error).__name__)
        return True

    def _failed(self, call_sid: str, why: str) -> bool:
        self._log.write(events.EFFECT_FAILED, call_sid, effect="send_message", error=why)
        self._log.count(Metric.HANDLER_FAILURES)
        return False
