"""Rows in a DynamoDB table, changed one at a time however many writers there are.

A change is read, decided by a function of the row, and written on the condition that nobody wrote in between
(`revision`). A lost race is decided again on the winner's row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from contracts.row import AttributeValue, Row, StreamState, Turn, from_item, to_item, to_turns

_RACES = 50


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
        found = self._client.get_item(TableName=self._table, Key={"call_sid": {"S": call_sid}}, ConsistentRead=True)
        item: Mapping[str, AttributeValue] | None = found.get("Item")
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
        for _ in range(_RACES):
            row = self.read(call_sid)
            decided = decide(row) if row else None
            if row is None or decided is None:
                return row, False
            written = replace(decided, revision=row.revision + 1)
            if self._write(row, written):
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

    def _write(self, before: Row, after: Row) -> bool:
        old, new = to_item(before), to_item(after)
        changed = [name for name in new if new[name] != old[name]]
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
