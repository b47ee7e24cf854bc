"""The queue that transfer requests leave by."""

from __future__ import annotations

from typing import Any, Protocol

from contracts.transfer import TransferRequest


class QueueClient(Protocol):
    """The one operation used of boto3's SQS client."""

    def send_message(self, **arguments: Any) -> Any: ...


class TransferQueue:
    """Sends requests; blocking, so to be called in a thread. The client's own timeouts and retries bound it."""

    def __init__(self, client: QueueClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, request: TransferRequest) -> None:
        """Put a request on the queue; the client's errors pass through."""
        self._client.send_message(
            QueueUrl=self._queue_url,
            MessageBody=request.to_json(),
            MessageAttributes={"call_sid": {"DataType": "String", "StringValue": request.call_sid}},
        )
