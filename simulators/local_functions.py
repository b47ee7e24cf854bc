"""The functions in this process, each behind what calls it where deployed: a gateway, or a queue."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TextIO, cast

import boto3
from botocore.config import Config

from contracts.directory import DirectoryRefused
from functions.environment import EnvironmentRefused
from functions.messages import handler as messages
from functions.transfer import handler as transfer
from functions.voice_webhook import handler as voice_webhook
from simulators.cloud.context import Function
from simulators.cloud.emulator import TIMING, Resources
from simulators.cloud.event_source import EventSource
from simulators.cloud.gateway import Gateway
from simulators.relay_process import Sink
from simulators.settings import Settings, StackError

# As `functions/clients.py` has them: with more patience a caller would wait here for what breaks sooner where deployed.
FUNCTIONS = Config(max_pool_connections=50, connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})


def environment(
    settings: Settings, ports: tuple[int, int], session: boto3.Session, endpoint: str, resources: Resources
) -> dict[str, str]:
    """What functions and relay are told; `ports`: the webhook's and the relay's."""
    credentials = session.get_credentials()
    assert credentials, "the session was made with credentials"
    frozen = credentials.get_frozen_credentials()
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": frozen.access_key or "",
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key or "",
        **({"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {}),
        "TWILIO_ACCOUNT_SID": settings.account_sid,
        "TWILIO_AUTH_TOKEN_SECRET": resources.auth_token_secret,
        "TWILIO_REST_SECRET": resources.rest_secret,
        "OPENAI_API_KEY_SECRET": resources.openai_secret,
        "LEDGER_TABLE": resources.ledger_table,
        "TRANSFER_QUEUE_URL": resources.queue_url,
        "MESSAGE_QUEUE_URL": resources.message_queue_url,
        "MESSAGE_WEBHOOK_SECRET": resources.message_secret,
        "AGENT_FILE": str(settings.agent_file.resolve()),
        "LIVE_CONFIG": settings.live_config or "",
        "PUBLIC_WEBHOOK_ORIGIN": settings.webhook_origin or f"http://127.0.0.1:{ports[0]}",
        "PUBLIC_MEDIA_ORIGIN": settings.media_origin or f"ws://127.0.0.1:{ports[1]}",
        "RELAY_HOST": "127.0.0.1",
        "RELAY_PORT": str(ports[1]),
        "DRAIN_SECONDS": str(settings.drain_seconds),
    }


async def functions_up(
    up: AsyncExitStack,
    told: Mapping[str, str],
    clients: Callable[..., Any],
    resources: Resources,
    sink: Sink,
    port: int,
) -> None:
    """Start every function where its events come from; the webhook listens on `port`.

    Args:
        up: what is stopped with the stack.
        told: the environment.
        clients: makes a boto3 client by its service's name, patient enough to poll a queue.
        resources: the queues.
        sink: takes what the functions log.
        port: the webhook's.

    Raises:
        StackError: a function refuses to start.
    """
    polling, clients, log = partial(clients, "sqs"), partial(clients, config=FUNCTIONS), cast(TextIO, _Lines(sink))
    shared = {"dynamodb": clients("dynamodb"), "secrets": clients("secretsmanager"), "stream": log}
    region = told["AWS_REGION"]
    try:
        transfers = transfer.build(told, sqs=clients("sqs"), **shared)
        delivery = messages.build(told, clients=clients, stream=log)
        webhook = voice_webhook.build(told, sqs=clients("sqs"), **shared)
    except (EnvironmentRefused, DirectoryRefused) as error:
        raise StackError("the functions", str(error), "correct what it names") from error
    for name, queue_url, handler in (
        ("transfer", resources.queue_url, transfers.handler),
        ("transfer-last-resort", resources.dead_letter_url, transfers.last_resort),
        ("messages", resources.message_queue_url, delivery),
    ):
        function = Function(name=name, handler=handler, timeout=TIMING.transfer, region=region)
        source = EventSource(client=polling(), queue_url=queue_url, function=function)
        up.push_async_callback(asyncio.to_thread, source.stop)
        await asyncio.to_thread(source.start)
    function = Function(name="voice-webhook", handler=webhook, timeout=TIMING.webhook, region=region)
    gateway = Gateway(function, integration_seconds=TIMING.webhook)
    up.push_async_callback(gateway.stop)
    await gateway.start(port)


class _Lines(io.TextIOBase):
    """A text stream for a function's log: each JSON line written goes to the sink, anything else to stderr."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, text: str, /) -> int:
        for line in text.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict):
                self._sink(record)
            elif line:
                sys.stderr.write(f"{line}\n")
        return len(text)
