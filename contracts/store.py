"""Rows in a DynamoDB table, changed one at a time however many writers there are.

A change is read, decided by a function of the row, and written on the condition that nobody wrote in between
(`revision`). A lost race is decided again on the winner's row. boto3 sends a write whose answer is late again, and that
one then loses its race to the first: so each change signs what it writes, and the item keeps the last few signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from secrets import token_hex
from typing import Any, Protocol

from contracts.row import AttributeValue, Row, StreamState, Turn, from_item, to_item, to_turns

_RACES = 50
_SIGNATURES = 8
"""How many writes are told from others': more than can come between a write and its repetition."""


class Client(Protocol):
    """The three operations used of boto3's DynamoDB client."""

    @property
    def exceptions(self) -> Any: ...
    def get_item(self, **arguments: Any) -> Any: ...
    def put_item(self, **arguments: Any) -> Any: ...
    def update_item(self, **arguments: Any) -> Any: ...


class LedgerContended(RuntimeError):  # noqa: N818 - it names what happened to the row
    """A row changed under every one of many tries to write it."""


class Store:
    """The table `table` behind a low-level DynamoDB client, whose errors pass through."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        # boto3 makes its exception classes on first use, and two threads at once would make two of each.
        self._lost_race: type[Exception] = client.exceptions.ConditionalCheckFailedException
        self._table = table

    def read(self, call_sid: str) -> Row | None:
        """The row as of the last write, or None."""
        item = self._item(call_sid)
        return from_item(item) if item else None

    def create(self, row: Row) -> Row:
        """Write the first row of a call; whoever comes later gets the row that is there."""
        try:
            self._client.put_item(
                TableName=self._table, Item=to_item(row), ConditionExpression="attribute_not_exists(call_sid)"
            )
        except self._lost_race:
            present = self.read(row.call_sid)
            assert present is not None, "a row that was there is never deleted while its call lives"
            return present
        return row

    def change(self, call_sid: str, decide: Callable[[Row], Row | None]) -> tuple[Row | None, bool]:
        """The row after `decide` had its say (None: change nothing), and whether it changed anything.

        Raises:
            LedgerContended: every one of 50 tries lost its race.
        """
        signature = token_hex(4)
        for _ in range(_RACES):
            item = self._item(call_sid)
            if not item:
                return None, False
            row, signed = from_item(item), item.get("signed", {"L": []})["L"]
            if {"S": signature} in signed:  # it was lost to ourselves
                return row, True
            decided = decide(row)
            if decided is None:
                return row, False
            written = replace(decided, revision=row.revision + 1)
            if self._write(row, written, [*signed, {"S": signature}][-_SIGNATURES:]):
                return written, True
        raise LedgerContended(f"{call_sid} changed {_RACES} times under our hands")

    def converse(self, call_sid: str, visit: int, conversation: tuple[Turn, ...], spent: float) -> bool:
        """Store a conversation and what it has cost, unless a longer one is there or another visit has the call.

        One request and no revision: no decision reads the two, and no other write touches them.
        """
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"call_sid": {"S": call_sid}},
                UpdateExpression="SET conversation = :turns, spent = :spent",
                ConditionExpression="#stream.visit = :visit AND size(conversation) <= :count",
                ExpressionAttributeNames={"#stream": "stream"},
                ExpressionAttributeValues={
                    ":turns": to_turns(conversation),
                    ":spent": {"N": repr(spent)},
                    ":count": {"N": str(len(conversation))},
                    ":visit": {"N": str(visit)},
                },
            )
        except self._lost_race:
            return False
        return True

    def refuse(self, call_sid: str, digest: str, why: str) -> bool:
        """Note on an offered stream that a relay would not take it; one request. False: it was taken, or is another."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"call_sid": {"S": call_sid}},
                UpdateExpression="SET #stream.refused = :why, #revision = #revision + :one",
                ConditionExpression="#stream.#digest = :digest AND #stream.#state = :offered",
                ExpressionAttributeNames={
                    "#stream": "stream",
                    "#digest": "digest",
                    "#state": "state",
                    "#revision": "revision",
                },
                ExpressionAttributeValues={
                    ":why": {"S": why},
                    ":one": {"N": "1"},
                    ":digest": {"S": digest},
                    ":offered": {"S": StreamState.OFFERED.value},
                },
            )
        except self._lost_race:
            return False
        return True

    def _item(self, call_sid: str) -> Mapping[str, AttributeValue] | None:
        found = self._client.get_item(TableName=self._table, Key={"call_sid": {"S": call_sid}}, ConsistentRead=True)
        item: Mapping[str, AttributeValue] | None = found.get("Item")
        return item

    def _write(self, before: Row, after: Row, signed: list[AttributeValue]) -> bool:
        old, new = to_item(before), to_item(after) | {"signed": {"L": signed}}
        changed = [name for name in new if new[name] != old.get(name)]
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"call_sid": new["call_sid"]},
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changed),
                ConditionExpression="#revision = :read",
                ExpressionAttributeNames={f"#{name}": name for name in changed},
                ExpressionAttributeValues={":read": old["revision"], **{f":{name}": new[name] for name in changed}},
            )
        except self._lost_race:
            return False
        return True
