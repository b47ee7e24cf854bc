"""The Lambda behind the transfer queue, and the last resort behind its dead-letter queue.

Each message is tried for itself; one that must come back says when (its visibility), so that duplicates wait for the
lease's end instead of burning receives.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
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
from contracts.transfer import CALL_SID, MalformedRequest, Reason, TransferRequest, Withdrawal, read
from functions import live_config
from functions.clients import aws
from functions.environment import EnvironmentRefused, origin, required
from functions.eventlog import EventLog
from functions.secrets import REST_CREDENTIALS, Secret, rest_credentials
from functions.transfer.carrier import Carrier, TwilioCarrier, answer_ids, forget_answers
from functions.transfer.dialing import Dialer
from functions.transfer.hunting import Hunting
from functions.transfer.lease import REST_TIMEOUT_SECONDS, VISIBILITY_LAG_SECONDS
from functions.transfer.quota import Quota
from functions.transfer.results import Again, Done, Timing
from functions.transfer.watching import Watching

OLD_SECONDS = 2.0
FAILED_SECONDS = 2.0
MAX_VISIBILITY_SECONDS = (
    43_200  # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
)

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


class MustComeBack(Exception):  # noqa: N818 - it names what the message must do
    """Tells the batch processor that a message is not done; its visibility is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Takes messages of one queue to the dialer. `last_resort`: the queue is the dead-letter queue."""

    dialer: Dialer
    sqs: Any
    queue_url: str
    log: EventLog
    now: Callable[[], float]
    last_resort: bool = False

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS event; answers which messages must come back (`batchItemFailures`)."""
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        answer = process_partial_response(
            event=event, record_handler=partial(self._handle, context), processor=processor, context=context
        )
        return dict(answer)

    def _handle(self, context: Any, record: SQSRecord) -> None:
        forget_answers()
        try:
            result = self._try(context, record)
        except Exception as error:
            if not isinstance(error, MalformedRequest):
                self.log.fail(
                    events.HANDLER_FAILED,
                    route="last_resort" if self.last_resort else "transfer",
                    error=type(error).__name__,
                )
                self.log.count(Metric.HANDLER_FAILURES)
            self._return_in(record, 0 if isinstance(error, MalformedRequest) else FAILED_SECONDS)
            raise
        if isinstance(result, Again):
            self._return_in(record, result.seconds)
            raise MustComeBack

    def _try(self, context: Any, record: SQSRecord) -> Done | Again:
        message = self._read(record)
        if message is None:
            return Done()
        sent_at = float(record.attributes.sent_timestamp or 0) / 1000
        delivered_before = int(record.attributes.approximate_receive_count or 1) > 1
        old = self.now() - sent_at > OLD_SECONDS
        if isinstance(message, Withdrawal):
            return self.dialer.part(message, remaining=lambda: context.get_remaining_time_in_millis() / 1000)
        return self.dialer.dial(
            message,
            suspicious=old or delivered_before or self.last_resort,
            remaining=lambda: context.get_remaining_time_in_millis() / 1000,
        )

    def _read(self, record: SQSRecord) -> TransferRequest | Withdrawal | None:
        """What the message asks for; None if it can ask for nothing.

        Raises:
            MalformedRequest: its body is malformed and this is not the last resort.
        """
        try:
            return read(record.body)
        except MalformedRequest as error:
            call_sid = self._named_call(record)
            self.log.write(events.TRANSFER_MALFORMED, call_sid, message_id=record.message_id, why=str(error))
            self.log.count(Metric.TRANSFERS_MALFORMED)
            if not self.last_resort:
                raise
        return self._best_guess(call_sid, record) if call_sid else None

    def _named_call(self, record: SQSRecord) -> str:
        attribute = (record.raw_event.get("messageAttributes") or {}).get("call_sid") or {}
        value = attribute.get("stringValue")
        return value if isinstance(value, str) and CALL_SID.fullmatch(value) else ""

    def _best_guess(self, call_sid: str, record: SQSRecord) -> TransferRequest:
        row = self.dialer.ledger.read(call_sid)
        if row is not None and row.open_transfer is not None:
            return row.open_transfer.request
        return TransferRequest.create(
            call_sid=call_sid,
            destination=self.dialer.hunting.people(row).default.key,
            reason=Reason.AGENT_PROMISED,
            now=float(record.attributes.sent_timestamp or 0) / 1000,
            request_id=hashlib.sha256(record.message_id.encode()).hexdigest()[:32],
        )

    def _return_in(self, record: SQSRecord, seconds: float) -> None:
        queue = record.event_source_arn.rpartition(":")[2]
        try:
            self.sqs.change_message_visibility(
                QueueUrl=f"{self.queue_url.rpartition('/')[0]}/{queue}",
                ReceiptHandle=record.receipt_handle,
                VisibilityTimeout=min(MAX_VISIBILITY_SECONDS, math.ceil(seconds)),
            )
        except (BotoCoreError, ClientError):
            # It comes back all the same, only later: when the queue's own visibility timeout ends.
            self.log.fail(events.HANDLER_FAILED, route="change_message_visibility", error="not changed")


@dataclass(frozen=True, slots=True)
class Handlers:
    """The two entry points, sharing clients: `handler` for the queue, `last_resort` for its dead-letter queue."""

    handler: Handler
    last_resort: Handler


def build(  # noqa: PLR0913 - every neighbour of the function, by name
    environ: Mapping[str, str],
    *,
    dynamodb: Any = None,
    sqs: Any = None,
    secrets: Any = None,
    carrier: Carrier | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = lambda: random.uniform(0.2, 1.0),  # noqa: S311 - spreads retries, hides nothing
    stream: TextIO = sys.stdout,
) -> Handlers:
    """Wire both entry points from an environment; boto3 clients that are not given are made.

    Raises:
        EnvironmentRefused: a variable is missing or wrong.
        DirectoryRefused: the agent file has no usable directory.
    """
    names = ("PUBLIC_WEBHOOK_ORIGIN", "TWILIO_ACCOUNT_SID", "TWILIO_REST_SECRET", "LEDGER_TABLE", "TRANSFER_QUEUE_URL")
    webhook_origin, account_sid, rest_secret, table, queue_url = required(environ, *names)
    log = EventLog(
        events.Part.TRANSFER, clock=clock, stream=stream, known=lambda: {events.ANSWERS: answer_ids() or None}
    )
    if carrier is None:
        store = secrets or aws("secretsmanager")
        secret = Secret(rest_secret, store, needed=REST_CREDENTIALS, tell=log.secret_failed)
        carrier = TwilioCarrier(
            account_sid,
            partial(rest_credentials, secret),
            timeout=REST_TIMEOUT_SECONDS,
            base_url=environ.get("TWILIO_API_BASE_URL") or None,
        )
    dynamodb = dynamodb or aws("dynamodb")
    ledger = Ledger(dynamodb, table, clock)
    config = live_config.build(environ, dynamodb=dynamodb, table=table, log=log, now=clock)
    hunting = Hunting(ledger=ledger, people=config.people, quota=Quota(dynamodb, table, clock), log=log, now=clock)
    webhook = origin("PUBLIC_WEBHOOK_ORIGIN", webhook_origin, "https", "http")
    watching = Watching(ledger=ledger, hunting=hunting, carrier=carrier, origin=webhook, log=log, now=clock)
    timing = Timing(now=clock, sleep=sleep, jitter=jitter, lag=_lag(environ))
    dialer = partial(Dialer, watching=watching, timing=timing)
    consumer = partial(Consumer, sqs=sqs or aws("sqs"), queue_url=queue_url, log=log, now=clock)
    return Handlers(
        handler=consumer(dialer=dialer(by="transfer")),
        last_resort=consumer(dialer=dialer(by="last_resort"), last_resort=True),
    )


def _lag(environ: Mapping[str, str]) -> float:
    value = environ.get("CHILD_LEG_LAG_SECONDS") or str(VISIBILITY_LAG_SECONDS)
    try:
        lag = float(value)
    except ValueError:
        lag = math.nan
    if not 0 <= lag <= 60:
        raise EnvironmentRefused("CHILD_LEG_LAG_SECONDS must be a number of seconds from 0 to 60")
    return lag


@cache
def _handlers() -> Handlers:
    return build(os.environ)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point for the transfer queue."""
    return _handlers().handler(event, context)


def last_resort(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point for the dead-letter queue."""
    return _handlers().last_resort(event, context)
