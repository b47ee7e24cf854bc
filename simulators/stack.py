"""The whole of Patchthrough on this machine, with a stand-in for each neighbour that the settings do not name.

The handlers run in this process, the relay in its own.

What decides here: the order in which parts start, and that they stop in the reverse of it: the relay first, so that its
calls can still ask the webhook what next; the emulator last.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.breaker import Breakers
from contracts.directory import DirectoryRefused
from contracts.ledger import Ledger
from functions.environment import EnvironmentRefused
from functions.messages import handler as messages
from functions.transfer import handler as transfer
from functions.voice_webhook import handler as voice_webhook
from simulators.carrier import Carrier
from simulators.cloud.context import Function
from simulators.cloud.emulator import TIMING, Emulator, Resources, Secrets, provision
from simulators.cloud.event_source import EventSource
from simulators.cloud.gateway import Gateway
from simulators.cloud.troubles import Troubles
from simulators.faults import FaultProxy
from simulators.faults.levers import StackLevers
from simulators.front import Front
from simulators.model import Mind, Model
from simulators.model.moods import Mood
from simulators.relay_process import RelayProcess, Sink
from simulators.relays import relays
from simulators.settings import Settings, StackError

_CLIENTS = Config(max_pool_connections=50, connect_timeout=2, read_timeout=30, retries={"total_max_attempts": 2})
# As `functions/clients.py` has them: with more patience a caller would wait here for what breaks sooner where deployed.
_FUNCTIONS = _CLIENTS.merge(Config(connect_timeout=1, read_timeout=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStack:
    """A running stack. `carrier` and `model` are None where the environment named the real one.

    `relay` is the first of `relays`; with several of them, a `front` stands before them.

    `levers` break it, if it was made to be broken; a relay that ends is then started again, as the cloud does.
    """

    webhook: str
    media: str
    account_sid: str
    auth_token: str
    queue_url: str
    ledger: Ledger
    breakers: Breakers
    relay: RelayProcess
    relays: tuple[RelayProcess, ...]
    front: Front | None
    carrier: Carrier | None
    model: Model | None
    levers: StackLevers | None = None

    def ready(self) -> dict[str, str]:
        """What a caller needs to know, as `serve` prints it."""
        return {
            "webhook": self.webhook,
            "media": self.media,
            "account_sid": self.account_sid,
            "auth_token": self.auth_token,
            "queue_url": self.queue_url,
        }


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


@asynccontextmanager
async def local_stack(
    settings: Settings,
    environ: Mapping[str, str],
    sink: Sink,
    *,
    mind: Callable[[], Mind],
    breakable: bool = False,
    troubles: Troubles | None = None,
) -> AsyncIterator[LocalStack]:
    """Bring everything up, and down again at the end of the block.

    Args:
        settings: what is real, where, and as whom.
        environ: what the relay's process inherits beside what it is told.
        sink: takes every logged event, from any thread.
        mind: makes the stand-in model's mind, one a session.
        breakable: whether `levers` are wanted; the carrier must be a stand-in then, and only a model that is one too
            can be broken, and the network with it.
        troubles: those of the stand-in for AWS, if the settings name one.

    Raises:
        StackError: something cannot start; everything that did is stopped again.
    """
    async with AsyncExitStack() as up:
        ports = free_port(settings.webhook_port, "WEBHOOK_PORT"), free_port(settings.relay_port, "RELAY_PORT")
        troubles, mood = troubles or Troubles(), Mood()
        session, endpoint, resources = await _cloud(up, settings, troubles)
        model = None
        if not settings.openai_realtime_url:
            model = Model(mood.moody(mind), api_key=settings.openai_api_key, faults=mood.faults, remembers=False)
        if model:
            up.push_async_callback(model.stop)
            await model.start()
            await asyncio.to_thread(mind().hear, b"")  # loads what it needs now, not while the first caller waits
        carrier = await _carrier(up, settings, sink)
        told = _environment(settings, ports, session, endpoint, resources)
        told["OPENAI_REALTIME_URL"] = settings.openai_realtime_url or (model.url if model else "")
        told["TWILIO_API_BASE_URL"] = settings.twilio_api_base_url or (carrier.api_base_url if carrier else "")
        clients = partial(session.client, endpoint_url=endpoint, config=_CLIENTS)
        proxies = await _proxies(up, told, model) if breakable and model else None
        polling = partial(clients, "sqs")
        clients = partial(clients, config=_FUNCTIONS)
        await _functions(up, told, clients, polling, resources, cast(TextIO, _Lines(sink)), ports[0])
        behind = [free_port(0, "RELAY_PORT") for _ in range(settings.relays)] if settings.relays > 1 else []
        grace = settings.drain_seconds + 5.0
        every, front = await relays(up, {**environ, **told}, sink, behind=behind, grace=grace)
        relay = every[0]
        levers = None
        if proxies and front:
            proxies[1].choose = front.ready  # one socket less on each call's way
        if breakable and carrier:
            before_model, media = proxies or (None, None)
            levers = StackLevers(lambda: relay, carrier, before_model, media, mood, troubles)
            up.push_async_callback(_cancelled, asyncio.create_task(relay.keep_running()))
        yield LocalStack(
            webhook=f"http://127.0.0.1:{ports[0]}",
            media=f"ws://127.0.0.1:{ports[1]}",
            account_sid=settings.account_sid,
            auth_token=settings.auth_token,
            queue_url=resources.queue_url,
            ledger=Ledger(clients("dynamodb"), resources.ledger_table, time.time),
            breakers=Breakers(clients("dynamodb"), resources.ledger_table, time.time),
            relay=relay,
            relays=every,
            front=front,
            carrier=carrier,
            model=model,
            levers=levers,
        )


async def _proxies(up: AsyncExitStack, told: dict[str, str], model: Model) -> tuple[FaultProxy, FaultProxy]:
    """Proxies before the model and the relay, put into what the parts are told."""
    media = FaultProxy("127.0.0.1", int(told["RELAY_PORT"]), listen=("127.0.0.1", free_port(0, "RELAY_PORT")))
    before_model = FaultProxy("127.0.0.1", model.port)
    for proxy in (media, before_model):
        up.push_async_callback(proxy.stop)
        await proxy.start()
    told["PUBLIC_MEDIA_ORIGIN"] = f"ws://127.0.0.1:{media.port}"
    told["OPENAI_REALTIME_URL"] = model.url.replace(f":{model.port}", f":{before_model.port}")
    return before_model, media


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def free_port(port: int, name: str) -> int:
    """The port itself if nobody listens there; for 0 some free one.

    Raises:
        StackError: it is taken; `name` is the variable that moves it.
    """
    # Below the range from which connections get theirs: what is free now stays free until it is used.
    for candidate in [port] if port else random.sample(range(20000, 32000), 20):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError as error:
                why = f"cannot be used ({error.strerror})"
                continue
            return candidate
    raise StackError(f"port {port or 'of any number'}", why, f"stop the program that uses it, or set {name} to another")


async def _cloud(up: AsyncExitStack, settings: Settings, troubles: Troubles) -> tuple[boto3.Session, str, Resources]:
    session = await asyncio.to_thread(boto3.Session, region_name=settings.region)
    if settings.aws_endpoint_url:
        endpoint, prefix = settings.aws_endpoint_url, "patchthrough-local"
    else:
        emulator = Emulator(troubles)
        up.push_async_callback(asyncio.to_thread, emulator.stop)
        endpoint = emulator.start()
        prefix = f"patchthrough-{endpoint.rpartition(':')[2]}"
        session = boto3.Session("local", "local", region_name=settings.region)
    secrets = Secrets(
        account_sid=settings.account_sid, auth_token=settings.auth_token, openai_api_key=settings.openai_api_key
    )
    if session.get_credentials() is None:
        session = boto3.Session("local", "local", region_name=settings.region)
    try:
        resources = await asyncio.to_thread(provision, session, endpoint, secrets, prefix=prefix)
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"AWS at {endpoint}", str(error), "check AWS_ENDPOINT_URL and the credentials") from error
    return session, endpoint, resources


async def _carrier(up: AsyncExitStack, settings: Settings, sink: Sink) -> Carrier | None:
    if settings.twilio_api_base_url:
        return None
    carrier = Carrier(
        account_sid=settings.account_sid,
        auth_token=settings.auth_token,
        allow_ws=True,
        on_event=sink,
    )
    up.push_async_callback(carrier.stop)
    await carrier.start()
    return carrier


def _environment(
    settings: Settings, ports: tuple[int, int], session: boto3.Session, endpoint: str, resources: Resources
) -> dict[str, str]:
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


async def _functions(
    up: AsyncExitStack,
    told: Mapping[str, str],
    clients: Callable[..., Any],
    polling: Callable[[], Any],
    resources: Resources,
    log: TextIO,
    port: int,
) -> None:
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
    gateway = Gateway(Function(name="voice-webhook", handler=webhook, timeout=TIMING.webhook, region=region))
    up.push_async_callback(gateway.stop)
    await gateway.start(port)
