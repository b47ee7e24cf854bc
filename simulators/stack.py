"""The whole of Patchthrough on this machine, with a stand-in for each neighbour that the settings do not name.

The handlers run in this process, the relay in its own.

What decides here: the order in which parts start, and that they stop in the reverse of it: the relay first, so that its
calls can still ask the webhook what next; the emulator last.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.breaker import Breakers
from contracts.ledger import Ledger
from simulators.carrier import Carrier
from simulators.cloud.emulator import Emulator, Resources, Secrets, provision
from simulators.cloud.troubles import Troubles
from simulators.faults import FaultProxy
from simulators.faults.levers import StackLevers
from simulators.front import Front
from simulators.local_functions import FUNCTIONS, environment, functions_up
from simulators.model import Mind, Model
from simulators.model.moods import Mood
from simulators.relay_process import RelayProcess, Sink
from simulators.relays import relays
from simulators.settings import Settings, StackError

_CLIENTS = Config(max_pool_connections=50, connect_timeout=2, read_timeout=30, retries={"total_max_attempts": 2})


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
        model = await _model(up, settings, mood, mind)
        carrier = await _carrier(up, settings, sink)
        told = environment(settings, ports, session, endpoint, resources)
        told["OPENAI_REALTIME_URL"] = settings.openai_realtime_url or (model.url if model else "")
        told["TWILIO_API_BASE_URL"] = settings.twilio_api_base_url or (carrier.api_base_url if carrier else "")
        clients = partial(session.client, endpoint_url=endpoint, config=_CLIENTS)
        proxies = await _proxies(up, told, model) if breakable and model else None
        await functions_up(up, told, clients, resources, sink, ports[0])
        clients = partial(clients, config=FUNCTIONS)
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


async def _model(up: AsyncExitStack, settings: Settings, mood: Mood, mind: Callable[[], Mind]) -> Model | None:
    if settings.openai_realtime_url:
        return None
    model = Model(mood.moody(mind), api_key=settings.openai_api_key, faults=mood.faults, remembers=False)
    up.push_async_callback(model.stop)
    await model.start()
    await asyncio.to_thread(mind().hear, b"")  # loads what it needs now, not while the first caller waits
    return model


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
