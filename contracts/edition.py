"""Editions of the agent file: which one a call began with, kept where every part that handles the call finds it.

A call lives by one edition from its first ring to its last, whatever is published meanwhile. The webhook, which sees a
call first, keeps the edition's text in the ledger's table, once a day, and names it in the call's row; whoever handles
the call later finds it by that reference. A part that finds nothing uses the edition in force: a newer telephone number
is better than none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import date

from contracts.store import Client

KEY_START = "edition#"
DAY_SECONDS = 24 * 3600
KEPT_DAYS = 3
# DynamoDB's limit is 400 KB an item: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_BYTES = 350_000


def text_of(content: object) -> str:
    """The agent file's content as the JSON text in which editions are published, stored and compared.

    Raises:
        ValueError: YAML gave something that JSON cannot hold.
    """
    try:
        return json.dumps(content, ensure_ascii=False, default=_date, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _date(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"an agent file holds no {type(value).__name__}")


def edition_of(text: str) -> str:
    """The edition's name: 16 hex digits that follow from its text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Editions:
    """The editions in the ledger's table. `client` is a low-level DynamoDB client, whose errors pass through."""

    def __init__(self, client: Client, table: str, now: Callable[[], float]) -> None:
        self._client = client
        self._kept_already: type[Exception] = client.exceptions.ConditionalCheckFailedException
        self._table = table
        self._now = now
        self._kept = ""

    def keep(self, text: str) -> str:
        """The reference under which `text` can be found for as long as a call can last; "" if it is too large."""
        now = self._now()
        reference = f"{edition_of(text)}-{int(now // DAY_SECONDS)}"
        if reference == self._kept:
            return reference
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            return ""
        item = {
            "call_sid": {"S": KEY_START + reference},
            "content": {"S": text},
            "expires_at": {"N": str(int(now) + KEPT_DAYS * DAY_SECONDS)},
        }
        with suppress(self._kept_already):
            self._client.put_item(
                TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(call_sid)"
            )
        self._kept = reference
        return reference

    def find(self, reference: str) -> str | None:
        """The text behind a reference, or None."""
        key = {"call_sid": {"S": KEY_START + reference}}
        found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return str(found["content"]["S"]) if found else None
