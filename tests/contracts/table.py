"""The ledger's table in memory: the three operations and the expressions the ledger uses, and nothing else."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
KEY = {"TableName": "ledger", "KeySchema": [{"AttributeName": "call_sid", "KeyType": "HASH"}]}


class ConditionalCheckFailedException(Exception):  # noqa: N818 - DynamoDB's own name
    pass


class Exceptions:
    ConditionalCheckFailedException = ConditionalCheckFailedException


class FakeTable:
    """Behaves as boto3's DynamoDB client on one table; every call passes `boundary(name, act)`."""

    @property
    def exceptions(self) -> Any:
        return Exceptions

    def __init__(self, boundary: Callable[[str, Callable[[], Any]], Any] | None = None) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.quotas: dict[str, dict[str, Any]] = {}
        self.failure: Exception | None = None
        self._boundary = boundary or (lambda _, act: act())
        self._lock = threading.Lock()

    def interrupt(self, boundary: Callable[[str, Callable[[], Any]], Any]) -> None:
        """Let another boundary see every call from now on."""
        self._boundary = boundary

    def get_item(self, **arguments: Any) -> Any:
        assert arguments["ConsistentRead"], "a stale read would decide on the past"
        sid = arguments["Key"]["call_sid"]["S"]
        return self._do("get", lambda: {"Item": copy.deepcopy(self.items[sid])} if sid in self.items else {})

    def put_item(self, **arguments: Any) -> Any:
        assert arguments["ConditionExpression"] == "attribute_not_exists(call_sid)"

        def put() -> dict[str, Any]:
            item = copy.deepcopy(arguments["Item"])
            if self.items.setdefault(item["call_sid"]["S"], item) is not item:
                raise ConditionalCheckFailedException
            return {}

        return self._do("put", put)

    def update_item(self, **arguments: Any) -> Any:
        if arguments.get("ConditionExpression") == "#stream.visit = :visit AND size(conversation) <= :count":
            return self._do("converse", lambda: self._converse(arguments))
        if "ConditionExpression" not in arguments:
            return self._do("beat", lambda: self._beat(arguments))
        if arguments["UpdateExpression"] == "ADD requests :one SET expires_at = :expires":
            return self._do("quota", lambda: self._add(arguments))
        if arguments["ConditionExpression"] == "#stream.#digest = :digest AND #stream.#state = :offered":
            return self._do("refuse", lambda: self._refuse(arguments))
        if arguments["ConditionExpression"] == "attribute_not_exists(revision) OR revision = :read":
            return self._do("breaker", lambda: self._break(arguments))
        assert arguments["ConditionExpression"] == "#revision = :read"
        names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]

        def update() -> dict[str, Any]:
            item = self.items[arguments["Key"]["call_sid"]["S"]]
            if item["revision"] != values[":read"]:
                raise ConditionalCheckFailedException
            for assignment in arguments["UpdateExpression"].removeprefix("SET ").split(", "):
                name, value = assignment.split(" = ")
                item[names[name]] = copy.deepcopy(values[value])
            return {}

        return self._do("update", update)

    def _converse(self, arguments: dict[str, Any]) -> dict[str, Any]:
        assert arguments["UpdateExpression"] == "SET conversation = :turns, spent = :spent"
        values, item = arguments["ExpressionAttributeValues"], self.items.get(arguments["Key"]["call_sid"]["S"])
        if item is None or len(item["conversation"]["L"]) > int(values[":count"]["N"]):
            raise ConditionalCheckFailedException
        if item["stream"]["M"]["visit"] != values[":visit"]:
            raise ConditionalCheckFailedException
        item["conversation"], item["spent"] = copy.deepcopy(values[":turns"]), values[":spent"]
        return {}

    def _beat(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The heartbeats' items: a set of relays, and what each says of itself."""
        sid, values = arguments["Key"]["call_sid"], arguments["ExpressionAttributeValues"]
        item = self.items.setdefault(sid["S"], {"call_sid": sid})
        act, _, rest = arguments["UpdateExpression"].partition(" ")
        if act == "SET":
            pairs = (assignment.split(" = ") for assignment in rest.split(", "))
            item.update({name: copy.deepcopy(values[value]) for name, value in pairs})
            return {}
        assert (act, rest) in {("ADD", "relays :relay"), ("DELETE", "relays :relay")}
        relays, one = set(item.pop("relays", {"SS": ()})["SS"]), set(values[":relay"]["SS"])
        if left := relays | one if act == "ADD" else relays - one:
            item["relays"] = {"SS": sorted(left)}
        return {}

    def _refuse(self, arguments: dict[str, Any]) -> dict[str, Any]:
        assert arguments["UpdateExpression"] == "SET #stream.refused = :why, #revision = #revision + :one"
        values, item = arguments["ExpressionAttributeValues"], self.items.get(arguments["Key"]["call_sid"]["S"])
        stream = item["stream"]["M"] if item else {}
        if item is None or (stream["digest"], stream["state"]) != (values[":digest"], values[":offered"]):
            raise ConditionalCheckFailedException
        stream["refused"] = copy.deepcopy(values[":why"])
        item["revision"] = {"N": str(int(item["revision"]["N"]) + 1)}
        return {}

    def _break(self, arguments: dict[str, Any]) -> dict[str, Any]:
        assert arguments["UpdateExpression"] == ("SET failures = :f, failed_at = :a, open_until = :o, revision = :next")
        values, sid = arguments["ExpressionAttributeValues"], arguments["Key"]["call_sid"]["S"]
        item = self.items.get(sid, {})
        if item.get("revision", values[":read"]) != values[":read"]:
            raise ConditionalCheckFailedException
        written = {"failures": ":f", "failed_at": ":a", "open_until": ":o", "revision": ":next"}
        self.items[sid] = {"call_sid": {"S": sid}} | {name: values[value] for name, value in written.items()}
        return {}

    def _add(self, arguments: dict[str, Any]) -> dict[str, Any]:
        assert arguments["ConditionExpression"] == (
            "attribute_not_exists(requests) OR contains(requests, :id) OR size(requests) < :limit"
        )
        values = arguments["ExpressionAttributeValues"]
        item = self.quotas.setdefault(arguments["Key"]["call_sid"]["S"], {})
        requests: list[str] = item.get("requests", [])
        if requests and values[":id"]["S"] not in requests and len(requests) >= int(values[":limit"]["N"]):
            raise ConditionalCheckFailedException
        item["requests"] = sorted({*requests, *values[":one"]["SS"]})
        item["expires_at"] = values[":expires"]["N"]
        return {}

    def _do(self, name: str, act: Callable[[], Result]) -> Result:
        def guarded() -> Result:
            with self._lock:
                if self.failure is not None:
                    raise self.failure
                return act()

        answer: Result = self._boundary(f"ledger.{name}", guarded)
        return answer
