"""A queue that keeps bringing a message back, a ledger, and receivers that may or may not have heard."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from contracts.ledger import Ledger
from contracts.row import Message, Row
from contracts.transfer import Reason, TransferRequest
from functions.messages import handler
from functions.messages.post import NotPosted
from tests.contracts.table import FakeTable

CALL_SID = "CA" + "7e" * 16
RECORDING_SID = "RE" + "5a" * 16
SECRET = "a secret shared with the receiver"
URL = "https://crm.example.com/hooks/voicemail?key=1"
EMAIL = "desk@example.com"
TOPIC = "arn:aws:sns:us-east-1:123456789012:voicemail"
RECEIVES = 15
MESSAGE = Message(RECORDING_SID, "https://api.twilio.com/recordings/RE1", 42, 1_795_000_000.0, "billing")

Answer = int | Exception


def denied() -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Operation")


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_000_007.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSecrets:
    """Secrets Manager with one secret; None: out of reach."""

    content: str | None = json.dumps({"current": SECRET})

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        if self.content is None:
            raise ConnectionError("out of reach")
        return {"SecretString": self.content}


@dataclass
class Receiver:
    """Answers as it was told, 204 when nothing is left; remembers what it was sent."""

    answers: list[Answer] = field(default_factory=list)
    posts: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.posts.append((url, body, headers))
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Service:
    """SES, SNS or SQS: every operation is remembered, and fails while `failure` is set."""

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failure: Exception | None = None

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        if operation.startswith("_"):
            raise AttributeError(operation)

        def ask(**arguments: Any) -> dict[str, Any]:
            self.asked.append((operation, arguments))
            if self.failure:
                raise self.failure
            return {}

        return ask


class Office:
    """One call whose caller has left a message, and everything that delivers it."""

    def __init__(self, directory: Path, deliver: dict[str, str] | None = None) -> None:
        self.clock = Clock()
        self.table = FakeTable()
        self.receiver = Receiver()
        self.services = {name: Service() for name in ("sqs", "sesv2", "sns")}
        self.secrets = FakeSecrets()
        self.output = io.StringIO()
        self.ledger = Ledger(self.table, "ledger", self.clock)
        self.agent_file = directory / "agent.yaml"
        self.configure(deliver if deliver is not None else {"webhook": URL})
        self.consumer = handler.build(
            {
                "LEDGER_TABLE": "ledger",
                "MESSAGE_QUEUE_URL": "https://sqs.example.com/123456789012/messages",
                "MESSAGE_WEBHOOK_SECRET": "message-webhook",
                "AGENT_FILE": str(self.agent_file),
            },
            clients=self._client,
            post=self.receiver,
            clock=self.clock,
            stream=self.output,
        )
        self.dead = False

    def _client(self, service: str) -> Any:
        return {"dynamodb": self.table, "secretsmanager": self.secrets}.get(service) or self.services[service]

    def configure(self, deliver: dict[str, str], screen_pop: dict[str, str] | None = None) -> None:
        """Write the agent file; {} leaves voicemail out."""
        content: dict[str, Any] = {
            "persona": "An agent.",
            "greeting": "Hello.",
            "destinations": {"billing": {"name": "the billing team", "number": "+15550100001", "description": "Bills"}},
            "default_destination": "billing",
        }
        if deliver:
            content["voicemail"] = {"greeting": "Leave a message.", "deliver": deliver}
        if screen_pop:
            content["screen_pop"] = {"deliver": screen_pop}
        self.agent_file.write_text(json.dumps(content), encoding="utf-8")

    def take(self, message: Message | None = MESSAGE) -> None:
        """The caller called, asked for somebody, and left a message."""
        self.ledger.open_call(
            CALL_SID, account_sid="AC1", caller_masked="***99", called="", caller_id="", nonce="n", digest="d"
        )
        request = TransferRequest.create(
            call_sid=CALL_SID,
            destination="billing",
            reason=Reason.CALLER_ASKED,
            now=self.clock.now,
            summary="Invoice 4711 was charged twice.",
        )
        self.ledger.ask_transfer(request)
        if message:
            self.ledger.message_taken(CALL_SID, message)

    @property
    def row(self) -> Row:
        found = self.ledger.read(CALL_SID)
        assert found
        return found

    @property
    def delivered(self) -> bool:
        return self.row.message is not None and self.row.message.delivered_at > 0

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output.getvalue().splitlines()]
        return [line for line in lines if line.get("event") == name]

    def receive(self, body: str = "", receives: int = 1) -> int | None:
        """The function gets a message once; None: it is done, else the seconds until it comes back."""
        body = body or json.dumps({"version": 1, "kind": "deliver", "call_sid": CALL_SID})
        before = len(self.services["sqs"].asked)
        answer = self.consumer(sqs_event(body, receives), None)
        if not answer["batchItemFailures"]:
            return None
        for operation, arguments in self.services["sqs"].asked[before:]:
            assert operation == "change_message_visibility"
            return int(arguments["VisibilityTimeout"])
        return 180

    def run(self) -> list[int]:
        """The queue's whole patience with one message; the pauses. `dead` says that it ran out."""
        pauses: list[int] = []
        for receives in range(1, RECEIVES + 1):
            back_in = self.receive(receives=receives)
            if back_in is None:
                return pauses
            pauses.append(back_in)
            self.clock.now += back_in
        self.dead = True
        return pauses


def sqs_event(body: str, receives: int) -> dict[str, Any]:
    record = {
        "messageId": "m",
        "receiptHandle": "r",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(receives), "SentTimestamp": "0"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:messages",
        "awsRegion": "us-east-1",
    }
    return {"Records": [record]}


FAULTS: tuple[Answer, ...] = (500, 503, 404, 301, 307, 100, NotPosted("no answer within 5 s"), NotPosted("SSLError"))
