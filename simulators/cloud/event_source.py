"""The SQS event source mapping of Lambda: polls a queue, invokes a function, deletes what succeeded.

What decides here: which messages of a batch count as done. The rules are those of
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html with `ReportBatchItemFailures` on. The
queue does the rest: a message that is not deleted comes back after its visibility timeout, and goes to the dead-letter
queue after `maxReceiveCount` receives.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore, Event, Thread
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from simulators.cloud.context import Function

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

_log = logging.getLogger(__name__)

DELIVERY_SECONDS = 0.05
"""From message to invocation; what a sender does next comes first here as it does with Lambda."""
WAIT_SECONDS = 1
"""Length of one long poll. Lambda's is 20 s; a short one lets the source stop soon."""


def as_record(message: Mapping[str, Any], *, queue_arn: str, region: str) -> dict[str, Any]:
    """One received message in the shape a handler gets it.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: {
                **({"stringValue": value["StringValue"]} if "StringValue" in value else {}),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }


def failed_ids(response: Any, sent: Sequence[str]) -> set[str]:
    """The ids among `sent` that the handler's response declares failed: all of them if the response is malformed."""
    if response is None or response == {}:
        return set()
    if not isinstance(response, Mapping):
        return set(sent)
    if "batchItemFailures" in response and response["batchItemFailures"] is None:
        return set()
    failures = response.get("batchItemFailures")
    if not isinstance(failures, list):
        return set(sent)
    ids = [item.get("itemIdentifier") if isinstance(item, Mapping) else None for item in failures]
    known = set(sent)
    return known if any(not isinstance(one, str) or one not in known for one in ids) else {str(one) for one in ids}


class EventSource:
    """Feeds one function from one queue until it is stopped."""

    def __init__(
        self,
        *,
        client: SQSClient,
        queue_url: str,
        function: Function,
        batch_size: int = 1,
        max_concurrency: int = 10,
    ) -> None:
        """Make a source; nothing runs before `start`.

        Args:
            client: a boto3 SQS client (safe to share between threads).
            queue_url: the queue to poll.
            function: what is invoked, in a thread of its own, with up to `batch_size` records.
            batch_size: 1 to 10.
            max_concurrency: invocations that may run at once; no message is received that could not be handled now.
        """
        self._client = client
        self._queue_url = queue_url
        self._function = function
        self._batch_size = batch_size
        self._slots = BoundedSemaphore(max_concurrency)
        self._pool = ThreadPoolExecutor(max_concurrency, thread_name_prefix=f"lambda-{function.name}")
        self._stopping = Event()
        self._poller = Thread(target=self._poll, name=f"event-source-{function.name}")
        self._queue_arn = ""
        self._readable = True

    def start(self) -> None:
        """Begin to poll.

        Raises:
            botocore.exceptions.ClientError: the queue does not exist.
        """
        answer = self._client.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])
        self._queue_arn = answer["Attributes"]["QueueArn"]
        self._poller.start()

    def stop(self) -> None:
        """Receive nothing more, let running invocations finish, return when no thread is left."""
        self._stopping.set()
        if self._poller.is_alive():
            self._poller.join()
        self._pool.shutdown(wait=True)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            if not self._slots.acquire(timeout=0.1):
                continue
            messages = self._receive()
            if messages:
                self._pool.submit(self._invoke_and_release, messages)
            else:
                self._slots.release()

    def _receive(self) -> Sequence[Any]:
        try:
            answer = self._client.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=self._batch_size,
                WaitTimeSeconds=WAIT_SECONDS,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError) as error:
            if self._readable:
                _log.warning("%s: the queue cannot be read (%s)", self._function.name, error)
            self._readable = False
            self._stopping.wait(1)  # as Lambda's pollers do, try again; never in a busy loop
            return []
        self._readable = True
        return answer.get("Messages", [])

    def _invoke_and_release(self, messages: Sequence[Any]) -> None:
        time.sleep(DELIVERY_SECONDS)
        try:
            self.deliver(messages)
        except (BotoCoreError, ClientError) as error:
            _log.warning(
                "%s: handled messages cannot be deleted (%s); they will come again", self._function.name, error
            )
        finally:
            self._slots.release()

    def deliver(self, messages: Sequence[Any]) -> None:
        """Invoke the function with these received messages and delete those that succeeded."""
        arn, region = self._queue_arn, self._function.region
        records = [as_record(message, queue_arn=arn, region=region) for message in messages]
        ids = [record["messageId"] for record in records]
        try:
            failed = failed_ids(self._function.invoke({"Records": records}), ids)
        except Exception:  # noqa: BLE001 - the process edge of a Lambda: an error fails the batch, not the poller
            _log.exception("%s failed", self._function.name)
            failed = set(ids)
        for message in messages:
            if message["MessageId"] not in failed:
                self._client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
