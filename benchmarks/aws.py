"""As much of DynamoDB, SQS and Secrets Manager as a call needs, over the wire and out of a dictionary.

An emulator that does everything costs milliseconds a request and would share the load's core: at some hundred calls
the benchmark would measure the emulator.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

Item = dict[str, Any]


class Refused(Exception):  # noqa: N818 - it names what happened
    """The request fails with this error code."""


class Aws:
    """One table, one queue that swallows, and secrets by name."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self.items: dict[str, Item] = {}
        self.secrets = secrets
        self.messages: list[str] = []
        self.requests = 0
        self._answers: dict[str, Callable[[Item], Item]] = {
            "GetItem": self._get_item,
            "PutItem": self._put_item,
            "UpdateItem": self._update_item,
            "SendMessage": self._send_message,
            "GetSecretValue": lambda asked: {
                "Name": asked["SecretId"],
                "SecretString": self.secrets[asked["SecretId"]],
            },
        }

    async def listen(self) -> str:
        """Start; returns the endpoint URL."""
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=256)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def answer(self, target: str, body: bytes) -> tuple[int, bytes]:
        """The status and body for a request with this `X-Amz-Target`."""
        self.requests += 1
        try:
            return 200, json.dumps(self._answers[target.rpartition(".")[2]](json.loads(body))).encode()
        except Refused as refused:
            return 400, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{refused}"}).encode()

    def _get_item(self, asked: Item) -> Item:
        item = self.items.get(asked["Key"]["call_sid"]["S"])
        return {"Item": item} if item else {}

    def _put_item(self, asked: Item) -> Item:
        key = asked["Item"]["call_sid"]["S"]
        if key in self.items:
            raise Refused("ConditionalCheckFailedException")
        self.items[key] = asked["Item"]
        return {}

    def _update_item(self, asked: Item) -> Item:
        """A conversation, a refusal, the others' items, and `SET #a = :a, …` on the condition `#revision = :read`."""
        key, values = asked["Key"]["call_sid"]["S"], asked["ExpressionAttributeValues"]
        if not key.startswith("CA"):  # heartbeats, breaker: nobody reads them here
            return {}
        item = self.items[key]
        if ":turns" in values:
            item["conversation"] = values[":turns"]
            return {}
        if ":why" in values:
            item["stream"]["M"]["refused"] = values[":why"]
            item["revision"] = {"N": str(int(item["revision"]["N"]) + 1)}
            return {}
        if item["revision"] != values[":read"]:
            raise Refused("ConditionalCheckFailedException")
        for name in re.findall(r"#\w+ = :(\w+)", asked["UpdateExpression"]):
            item[name] = values[f":{name}"]
        return {}

    def _send_message(self, asked: Item) -> Item:
        self.messages.append(asked["MessageBody"])
        return {"MessageId": "0", "MD5OfMessageBody": hashlib.md5(asked["MessageBody"].encode()).hexdigest()}


class _Connection(asyncio.Protocol):
    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._unread = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports do not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, rest = self._unread.partition(b"\r\n\r\n")
            fields = dict(re.findall(rb"(?im)^(content-length|x-amz-target): *([^\r]*)", head))
            headers = {name.lower(): value for name, value in fields.items()}
            length = int(headers.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            self._unread = rest[length:]
            status, body = self._aws.answer(headers[b"x-amz-target"].decode(), rest[:length])
            self._transport.write(
                b"HTTP/1.1 %d -\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )
