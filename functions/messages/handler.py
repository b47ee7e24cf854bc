"""The Lambda behind the queue of messages that callers left.

A message that cannot be delivered comes back, each time after a longer pause; when the queue has had enough of it, it
rests among the dead letters, an alarm rings, and the call's row keeps it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TextIO

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.exceptions import BotoCoreError, ClientError

from contracts import events
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.recorded import Recorded
from contracts.screen_pop import Link
from contracts.transfer import CALL_SID
from functions import live_config
from functions.clients import aws
from functions.environment import required
from functions.eventlog import EventLog
from functions.messages.delivery import Courier, NotDelivered
from functions.messages.post import Post, post
from functions.secrets import Secret

VERSION, KIND = 1, "deliver"
FIRST_PAUSE_SECONDS = 15
LONGEST_PAUSE_SECONDS = 3600


class MalformedMessage(ValueError):  # noqa: N818 - it names what the message is
    """A queue message asks for no delivery; the text says what is wrong."""


def read(body: str) -> str | Link | Recorded:
    """What is to be delivered: a link, a message that no row has yet, or the call's message.

    The last is asked for by `{"version": 1, "kind": "deliver", "call_sid": "CA…"}`.

    Raises:
        MalformedMessage: it is no such JSON object.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"it is not JSON: {type(error).__name__}") from error
    if isinstance(content, dict) and (known := Link.read(content) or Recorded.read(content)):
        return known
    if not isinstance(content, dict) or [content.get("version"), content.get("kind")] != [VERSION, KIND]:
        raise MalformedMessage(f"it is no object of version {VERSION} and kind {KIND}")
    call_sid = content.get("call_sid")
    if not isinstance(call_sid, str) or not CALL_SID.fullmatch(call_sid):
        raise MalformedMessage(f"call_sid has not the form {CALL_SID.pattern}")
    return call_sid


def pause(receives: int) -> int:
    """Seconds until a message that was received so often comes back: twice as long each time, an hour at most."""
    return int(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(max(receives, 1) - 1, 10)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Takes messages of the queue to the courier."""

    courier: Courier
    sqs: Any
    queue_url: str
    log: EventLog

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS event; answers which messages must come back (`batchItemFailures`)."""
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        return dict(
            process_partial_response(event=event, record_handler=self._handle, processor=processor, context=context)
        )

    def _handle(self, record: SQSRecord) -> None:
        receives = int(record.attributes.approximate_receive_count or 1)
        try:
            match read(record.body):
                case Link() as link:
                    self._pop(link, receives)
                case Recorded() as recorded:
                    self._keep(recorded)
                    self._deliver(recorded.call_sid, receives)
                case call_sid:
                    self._deliver(call_sid, receives)
        except MalformedMessage as error:
            self.log.write(events.MESSAGE_MALFORMED, message_id=record.message_id, why=str(error))
            self.log.count(Metric.MESSAGES_FAILED)
            self._return_in(record, 0)
            raise
        except NotDelivered:
            self._return_in(record, pause(receives))
            raise
        except Exception as error:
            self.log.fail(events.HANDLER_FAILED, route="messages", error=type(error).__name__)
            self.log.count(Metric.MESSAGES_FAILED)  # a ledger that is down keeps every message here
            self._return_in(record, pause(receives))
            raise

    def _keep(self, recorded: Recorded) -> None:
        written = self.courier.ledger.message_taken(recorded.call_sid, recorded.message)
        if written and written[1]:
            message = recorded.message
            said = {"recording_sid": message.recording_sid, "seconds": message.seconds}
            self.log.write(events.MESSAGE_TAKEN, recorded.call_sid, destination=message.destination, **said)
            self.log.count(Metric.MESSAGES_TAKEN)

    def _deliver(self, call_sid: str, receives: int) -> None:
        try:
            delivered = self.courier.deliver(call_sid)
        except NotDelivered as error:
            self.log.write(
                events.MESSAGE_FAILED, call_sid, channel=error.channel or None, receives=receives, why=str(error)
            )
            self.log.count(Metric.MESSAGES_FAILED)
            raise
        if delivered.again:
            self.log.write(events.MESSAGE_DUPLICATE, call_sid, recording_sid=delivered.message.recording_sid)
            return
        self.log.write(
            events.MESSAGE_DELIVERED,
            call_sid,
            recording_sid=delivered.message.recording_sid,
            channel=delivered.channel,
            receives=receives,
            seconds=round(self.courier.now() - delivered.message.taken_at, 1),
        )
        self.log.count(Metric.MESSAGES_DELIVERED)

    def _pop(self, link: Link, receives: int) -> None:
        """No alarm: who is rung hears the same by whisper, and a late link is of no use."""
        try:
            if self.courier.now() >= link.expires:
                self.log.write(events.SCREEN_POP_LOST, link.call_sid, receives=receives, why="expired")
            elif channel := self.courier.pop(link):
                self.log.write(events.SCREEN_POP_SENT, link.call_sid, channel=channel)
        except NotDelivered as error:
            said = {"channel": error.channel, "receives": receives, "why": str(error)}
            self.log.write(events.SCREEN_POP_LOST, link.call_sid, **said)
            raise

    def _return_in(self, record: SQSRecord, seconds: int) -> None:
        try:
            self.sqs.change_message_visibility(
                QueueUrl=self.queue_url, ReceiptHandle=record.receipt_handle, VisibilityTimeout=seconds
            )
        except (BotoCoreError, ClientError):
            # It comes back all the same: when the queue's own visibility timeout ends.
            self.log.fail(events.HANDLER_FAILED, route="change_message_visibility", error="not changed")


def build(
    environ: Mapping[str, str],
    *,
    clients: Callable[[str], Any] = aws,
    post: Post = post,
    clock: Callable[[], float] = time.time,
    stream: TextIO = sys.stdout,
) -> Consumer:
    """Wire the function from an environment; `clients` makes a boto3 client by its service's name.

    Raises:
        EnvironmentRefused: a variable is missing or wrong.
        DirectoryRefused: the agent file has no usable directory.
    """
    table, queue_url = required(environ, "LEDGER_TABLE", "MESSAGE_QUEUE_URL")
    log = EventLog(events.Part.MESSAGES, clock=clock, stream=stream)
    dynamodb, secret = clients("dynamodb"), environ.get("MESSAGE_WEBHOOK_SECRET")
    config = live_config.build(environ, dynamodb=dynamodb, table=table, log=log, now=clock)
    courier = Courier(
        ledger=Ledger(dynamodb, table, clock),
        directory=lambda: config.current().directory,
        post=post,
        secret=Secret(secret, clients("secretsmanager"), tell=log.secret_failed) if secret else None,
        ses=cache(partial(clients, "sesv2")),
        sns=cache(partial(clients, "sns")),
        now=clock,
    )
    return Consumer(courier=courier, sqs=clients("sqs"), queue_url=queue_url, log=log)


@cache
def _consumer() -> Consumer:
    return build(os.environ)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point."""
    return _consumer()(event, context)
