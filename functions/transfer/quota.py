"""How many transfers a caller has had today: one item a caller and day, beside the rows in the ledger's table.

It holds the requests themselves, so that one that is asked about again counts once. Whose it is says a hash.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

KEPT_SECONDS = 2 * 24 * 3600


class Quota:
    """`client` is a low-level DynamoDB client, whose errors pass through; `now` gives seconds since the epoch."""

    def __init__(self, client: Any, table: str, now: Callable[[], float]) -> None:
        self._client = client
        self._full: type[Exception] = client.exceptions.ConditionalCheckFailedException
        self._table = table
        self._now = now

    def admits(self, caller_key: str, request_id: str, limit: int) -> bool:
        """Count a request; False: this caller has had `limit` others today (UTC)."""
        now = self._now()
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"call_sid": {"S": f"caller#{caller_key}#{day}"}},
                UpdateExpression="ADD requests :one SET expires_at = :expires",
                ConditionExpression=(
                    "attribute_not_exists(requests) OR contains(requests, :id) OR size(requests) < :limit"
                ),
                ExpressionAttributeValues={
                    ":one": {"SS": [request_id]},
                    ":id": {"S": request_id},
                    ":limit": {"N": str(limit)},
                    ":expires": {"N": str(int(now) + KEPT_SECONDS)},
                },
            )
        except self._full:
            return False
        return True
