"""Asks the webhook the way Twilio does, through API Gateway's event, signed; and reads its answers."""

from __future__ import annotations

import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import urlencode, urlsplit

from twilio.request_validator import RequestValidator

from contracts.ledger import Ledger
from contracts.row import Row
from functions.voice_webhook import handler
from tests.contracts.table import FakeTable
from tests.functions.world import ACCOUNT_SID, AUTH_TOKEN, CALL_SID, ENVIRONMENT, ORIGIN

CALLER, CALLED = "+15550109999", "+15550100000"
XML_1_0 = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class FakeSecrets:
    """Secrets Manager with one secret; counts how often it was asked."""

    def __init__(self, content: str = json.dumps({"current": AUTH_TOKEN})) -> None:
        self.content: str | None = content
        self.asked = 0

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        self.asked += 1
        if self.content is None:
            raise ConnectionError("out of reach")
        return {"SecretString": self.content}


class FakeSqs:
    """SQS with memory: what was sent where, and with which delay."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.failure: Exception | None = None

    def send_message(self, **arguments: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(arguments)


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def sign(url: str, form: dict[str, str], token: str = AUTH_TOKEN) -> str:
    signature: str = RequestValidator(token).compute_signature(url, form)
    return signature


def gateway_event(url: str, body: str, headers: dict[str, str]) -> dict[str, Any]:
    """API Gateway HTTP API, payload version 2.0."""
    parts = urlsplit(url)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {"content-type": "application/x-www-form-urlencoded", "host": "internal.example.net", **headers},
        "requestContext": {"http": {"method": "POST", "path": parts.path}, "stage": "$default"},
        "body": body,
        "isBase64Encoded": False,
    }


class Line:
    """A caller's line to one webhook function, whose table, clock, secrets and output a test may change."""

    def __init__(self, table: FakeTable | None = None, **environment: str) -> None:
        self.table, self.clock, self.secrets = table or FakeTable(), Clock(), FakeSecrets()
        self.output = io.StringIO()
        self.sqs = FakeSqs()
        self.ledger = Ledger(self.table, "ledger", self.clock)
        self.handle = handler.build(
            {**ENVIRONMENT, **environment},
            dynamodb=self.table,
            secrets=self.secrets,
            sqs=self.sqs,
            clock=self.clock,
            stream=self.output,
        )

    def send(self, event: dict[str, Any]) -> dict[str, Any]:
        return self.handle(event, None)

    def post(self, target: str, *, token: str = AUTH_TOKEN, encode: str = "", **fields: str) -> dict[str, Any]:
        """A signed request to a path, or to the absolute URL a document named."""
        url = target if target.startswith("http") else ORIGIN + target
        standard: dict[str, str] = {
            "CallSid": CALL_SID,
            "AccountSid": ACCOUNT_SID,
            "ApiVersion": "2010-04-01",
            "Direction": "inbound",
        }
        standard |= {"From": CALLER, "To": CALLED, "CallStatus": "in-progress"}
        form = {**standard, **fields}
        event = gateway_event(url, urlencode(form), {"x-twilio-signature": sign(url, form, token)})
        if encode:
            event |= {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
        return self.send(event)

    def ask(self, target: str, **fields: str) -> ET.Element:
        """The document a question is answered with."""
        answer = self.post(target, **fields)
        assert answer["statusCode"] == 200, answer
        content_type = answer.get("headers", {}).get("Content-Type") or answer["multiValueHeaders"]["Content-Type"]
        assert "text/xml" in str(content_type)
        return ET.fromstring(answer["body"])

    def incoming(self, **fields: str) -> ET.Element:
        fields.setdefault("CallStatus", "ringing")
        return self.ask("/voice/incoming", **fields)

    @property
    def row(self) -> Row:
        row = self.ledger.read(CALL_SID)
        assert row is not None
        return row

    def events(self, name: str = "") -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output.getvalue().splitlines()]
        return [line for line in lines if "event" in line and name in ("", line["event"])]

    def counts(self) -> list[str]:
        lines = [json.loads(line) for line in self.output.getvalue().splitlines()]
        return [line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in lines if "_aws" in line]


def verbs(document: ET.Element) -> list[str]:
    return [verb.tag for verb in document]


def token_of(document: ET.Element) -> str:
    return document.find("Connect/Stream").attrib["url"].rpartition("/")[2]  # type: ignore[union-attr] # else it fails


def asked_next(document: ET.Element) -> str:
    """The URL that Twilio will ask next about this document."""
    for path in ("Connect", "Dial"):
        verb = document.find(path)
        if verb is not None:
            return verb.attrib["action"]
    redirect = document.findtext("Redirect")
    assert redirect, ET.tostring(document)
    return redirect
