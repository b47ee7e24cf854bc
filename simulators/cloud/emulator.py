"""DynamoDB, SQS and Secrets Manager over the wire, in this process (moto), and the resources the stack needs in them.

`provision` works as well against any other endpoint: another emulator, or AWS itself. What it finds it keeps.
"""

from __future__ import annotations

import json
import secrets as random_secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

from infra.settings import Timing
from simulators.cloud.troubles import Troubles
from simulators.cloud.wsgi import LoopbackServer

if TYPE_CHECKING:
    from boto3.session import Session

MESSAGE_RECEIVES = 15  # as infra/messages.py, which is not imported: the CDK takes seconds to start
TIMING = Timing(max_call_minutes=30)
"""What is deployed; the queue's and the functions' times do not depend on how long a call may be."""


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: the log belongs to the call's events."""


class _AtomicItems:
    """Runs DynamoDB requests one at a time: conditional writes are atomic there, and moto does not make them so."""

    def __init__(self, app: Callable[[dict[str, Any], Any], Iterable[bytes]]) -> None:
        self._app = app
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if str(environ.get("HTTP_X_AMZ_TARGET", "")).startswith("DynamoDB"):
            with self._lock:
                return self._app(environ, start_response)
        return self._app(environ, start_response)


class Emulator:
    """Moto behind a socket on the loopback interface.

    moto keeps its state per process, not per server: two emulators in one process see the same tables and queues.
    `troubles` may be brought over its services while it runs.
    """

    def __init__(self, troubles: Troubles | None = None) -> None:
        self._troubles = troubles or Troubles()
        self._server = LoopbackServer("aws-emulator", _QuietHandler)

    def start(self) -> str:
        """Start listening on a free port; returns the endpoint URL."""
        app = _AtomicItems(DomainDispatcherApplication(create_backend_app))
        troubled = self._troubles.around(app)
        return self._server.start(troubled)

    def stop(self) -> None:
        """Stop listening and wait until the socket and the thread are gone."""
        self._server.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The secret values the deployed parts read from Secrets Manager."""

    account_sid: str
    auth_token: str
    openai_api_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Names and addresses of what `provision` made."""

    ledger_table: str
    queue_url: str
    dead_letter_url: str
    auth_token_secret: str
    rest_secret: str
    openai_secret: str
    message_queue_url: str
    message_secret: str


def provision(session: Session, endpoint_url: str | None, secrets: Secrets, *, prefix: str) -> Resources:
    """Make ledger table, both queues with their dead-letter queues and the secrets; idempotent.

    Args:
        session: where region and credentials come from.
        endpoint_url: the emulator; None for AWS itself.
        secrets: what the secrets shall hold; a secret that exists gets a new value.
        prefix: begins every name, so that several stacks can share one endpoint.
    """
    table = f"{prefix}-ledger"
    _make_table(session.client("dynamodb", endpoint_url=endpoint_url), table)
    sqs = session.client("sqs", endpoint_url=endpoint_url)
    retention = {"MessageRetentionPeriod": str(TIMING.retention)}
    queue, dead = _make_queues(sqs, f"{prefix}-transfers", TIMING.receives, retention)
    messages, _ = _make_queues(sqs, f"{prefix}-messages", MESSAGE_RECEIVES, {})
    manager = session.client("secretsmanager", endpoint_url=endpoint_url)
    rest = {"username": secrets.account_sid, "password": secrets.auth_token}
    return Resources(
        ledger_table=table,
        queue_url=queue,
        dead_letter_url=dead,
        auth_token_secret=_put_secret(
            manager, f"{prefix}/twilio-auth-token", json.dumps({"current": secrets.auth_token})
        ),
        rest_secret=_put_secret(manager, f"{prefix}/twilio-rest", json.dumps(rest)),
        openai_secret=_put_secret(manager, f"{prefix}/openai-api-key", secrets.openai_api_key),
        message_queue_url=messages,
        message_secret=_put_secret(
            manager, f"{prefix}/message-webhook", json.dumps({"current": random_secrets.token_urlsafe(32)})
        ),
    )


def _make_queues(sqs: Any, name: str, receives: int, attributes: dict[str, str]) -> tuple[str, str]:
    """A queue and where its messages go after so many receives."""
    dead = _make_queue(sqs, f"{name}-dead", {})
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": str(receives)})
    return _make_queue(sqs, name, {"RedrivePolicy": redrive, **attributes}), dead


def _make_queue(sqs: Any, name: str, attributes: dict[str, str]) -> str:
    try:
        made = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(TIMING.visibility), **attributes})
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"QueueAlreadyExists", "QueueNameExists"}:
            raise
        made = sqs.get_queue_url(QueueName=name)
    return str(made["QueueUrl"])


def _make_table(dynamodb: Any, name: str) -> None:
    try:
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "call_sid", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "call_sid", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise
        return
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    dynamodb.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
    )


def _put_secret(manager: Any, name: str, value: str) -> str:
    try:
        manager.create_secret(Name=name, SecretString=value)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceExistsException":
            raise
        manager.put_secret_value(SecretId=name, SecretString=value)
    return name
