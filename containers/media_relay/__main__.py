"""The relay as a process: reads the environment, builds every client, listens, and leaves when it is told to."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import ssl
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import msgspec
import uvloop
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from containers.media_relay import gauge, keys, live_config, pressure, server
from containers.media_relay.config import Config, ConfigError
from containers.media_relay.effects import Stores
from containers.media_relay.names import Names
from containers.media_relay.protection import Protection
from containers.media_relay.relay import AT_ONCE, ModelAddress
from containers.media_relay.sweep import Sweeper
from containers.media_relay.tending import tend
from containers.media_relay.transfers import TransferQueue
from contracts import events
from contracts.agent_file import AgentFileError
from contracts.breaker import Breakers
from contracts.edition import Editions
from contracts.events import Event, Part
from contracts.feed import AppConfigFeed, FileFeed
from contracts.heartbeats import Heartbeats
from contracts.ledger import Ledger

LAST_WRITES_SECONDS = 6.0  # for what ended calls still tell a ledger that is slow: two operations that try thrice
_THREADS = 32
# Three tries within about four seconds, then the stream is ended and the webhook does the transfer.
_CLIENT = ClientConfig(
    connect_timeout=0.4,
    read_timeout=1.0,
    retries={"total_max_attempts": 3},
    max_pool_connections=_THREADS,
    parameter_validation=False,  # a quarter of a request's CPU; the tests run every request with it
    proxies={},  # straight on, whatever the environment says
)
# Seconds for which a thread that talks to a store may hold the interpreter while audio waits. Python's 5 ms would show.
_SWITCH_SECONDS = 0.0005
_to_json = msgspec.json.Encoder().encode


def log_event(call_sid: str, event: Event, fields: dict[str, Any]) -> None:
    """Write one event line to standard error."""
    line = events.record(event, part=Part.RELAY, now=time.time(), call_sid=call_sid, **fields)
    # ASCII: what somebody's software takes for the end of a line (U+2028, U+0085) is none here, and nothing fails.
    sys.stderr.buffer.write(json.dumps(line).encode("ascii") + b"\n")
    sys.stderr.buffer.flush()


def _write_metric(line: dict[str, object]) -> None:
    sys.stdout.buffer.write(_to_json(line) + b"\n")
    sys.stdout.buffer.flush()


def _unprotected(why: str) -> None:
    log_event("", events.EFFECT_FAILED, {"effect": "task_protection", "error": why})


@cache
def _aws_session() -> botocore.session.Session:
    """The core that boto3 wraps: the same clients, and 4 MiB less in every task."""
    return botocore.session.get_session()


def _aws_client(service: str) -> Any:
    return _aws_session().create_client(service, config=_CLIENT)


class _Secrets:
    """The keys as they are now, read again every minute in a thread."""

    def __init__(self, config: Config, executor: ThreadPoolExecutor) -> None:
        client = _aws_client("secretsmanager")
        self._get = lambda name: str(client.get_secret_value(SecretId=name)["SecretString"])
        self._config = config
        self._executor = executor
        self.current = self._read()

    def _read(self) -> keys.Keys:
        return keys.read(self._get, self._config.auth_token_secret, self._config.openai_key_secret)

    async def keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(keys.REFRESH_SECONDS)
            try:
                self.current = await asyncio.get_running_loop().run_in_executor(self._executor, self._read)
            except (BotoCoreError, ClientError, keys.SecretUnusable) as error:
                log_event("", events.EFFECT_FAILED, {"effect": "secrets", "error": type(error).__name__})


async def serve(config: Config, first: live_config.Edition) -> None:
    """Listen until SIGTERM or SIGINT, then drain; a second signal does not wait for live calls."""
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="stores")
    secrets = _Secrets(config, executor)
    dynamodb = _aws_client("dynamodb")
    ledger = Ledger(dynamodb, config.ledger_table, time.time)
    live = _live_config(config, first, Editions(dynamodb, config.ledger_table, time.time), executor)
    breakers = Breakers(dynamodb, config.ledger_table, time.time)
    stores = Stores(ledger, TransferQueue(_aws_client("sqs"), config.queue_url), executor, breakers)
    settings = _settings(config, first, secrets, live)
    protection = Protection(config.ecs_agent, _unprotected)
    door = server.Server(settings, stores, protection, log_event)
    loop = asyncio.get_running_loop()
    told, hurry = _signals(loop)
    await live.poll()  # the first caller gets what is in force
    listener = await loop.create_server(door.connection, config.host, config.port, backlog=1024)
    heartbeats = Heartbeats(dynamodb, config.ledger_table, time.time)
    sweeper = Sweeper(settings, door, heartbeats, stores, log_event, config.beat_seconds)
    crowded = _tend("memory", lambda: pressure.reached(config.most_memory, pressure.resident, asyncio.sleep))
    background = [
        crowded,
        _tend("beating", lambda: sweeper.keep_beating(loop.time, asyncio.sleep)),
        _tend("secrets", secrets.keep_fresh),
        _tend("live_config", lambda: live.keep_fresh(asyncio.sleep)),
    ]
    if config.ecs_agent:  # elsewhere nobody reads the gauge
        background.append(_publish(door, settings.measures))
    port = listener.sockets[0].getsockname()[1]
    log_event("", events.RELAY_STARTED, {"host": config.host, "port": port, "model": live.current.model})
    _settle_interpreter()
    await _until(told, crowded)
    await _leave(_drain(door, config, crowded=crowded.done()), door, hurry)
    await protection.close()
    await _stop(background)
    listener.close()
    await stores.settled(LAST_WRITES_SECONDS)
    executor.shutdown(wait=True)
    log_event("", events.RELAY_STOPPED, {"live_calls": door.live_calls})


def _settings(
    config: Config, first: live_config.Edition, secrets: _Secrets, live: live_config.LiveConfig
) -> server.Settings:
    ssl_context = ssl.create_default_context() if config.openai_url.startswith("wss:") else None
    turns, names = asyncio.Semaphore(AT_ONCE), Names()
    names.ask(urlsplit(config.openai_url).hostname or "")  # so that the first caller's call has an answer, too
    return server.Settings(
        media_origin=config.media_origin,
        account_sid=config.account_sid,
        agent_file=live.of,
        name=uuid.uuid4().hex[:12],
        max_calls=config.max_calls or first.agent.limits.max_calls,
        model_address=lambda now, model: ModelAddress(
            config.openai_url, model, now.openai_key, ssl_context, turns, names
        ),
        keys=lambda: secrets.current,
    )


def _tend(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.create_task(tend(name, work, log_event, asyncio.sleep))


def _publish(door: server.Server, measures: gauge.Measures) -> asyncio.Task[None]:
    gauge.watch_lag(asyncio.get_running_loop(), measures)
    return _tend("gauge", lambda: gauge.keep_publishing(door, measures, _write_metric, time.time, asyncio.sleep))


def _settle_interpreter() -> None:
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what lives as long as the process need not be looked at again


async def _stop(background: list[asyncio.Task[None]]) -> None:
    for task in background:
        task.cancel()
    await asyncio.wait(background)  # the gauge has a last line


def _live_config(
    config: Config, first: live_config.Edition, editions: Editions, executor: ThreadPoolExecutor
) -> live_config.LiveConfig:
    feed: AppConfigFeed | FileFeed
    if config.live_config:
        feed = AppConfigFeed(_aws_client("appconfigdata"), config.live_config)
    else:
        feed = FileFeed(config.agent_file, live_config.read_file)
    return live_config.LiveConfig(
        feed, first, editions=editions, executor=executor, log=lambda event, fields: log_event("", event, fields)
    )


def _signals(loop: asyncio.AbstractEventLoop) -> tuple[asyncio.Event, asyncio.Event]:
    """What the first signal sets, and what every later one does."""
    told, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if told.is_set() else told).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    return told, hurry


async def _until(told: asyncio.Event, crowded: asyncio.Task[None]) -> None:
    """Until a signal comes, or there is too little memory left."""
    telling = asyncio.create_task(told.wait())
    await asyncio.wait({telling, crowded}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()


async def _drain(door: server.Server, config: Config, *, crowded: bool) -> None:
    if crowded:
        log_event("", events.LIMIT_REACHED, {"limit": "memory"})
        await door.drain(pressure.MOVE_SECONDS, pressure.MOVE_SECONDS)
    else:
        await door.drain(config.drain_seconds)


async def _leave(drain: Coroutine[Any, Any, None], door: server.Server, hurry: asyncio.Event) -> None:
    draining = asyncio.create_task(drain)
    hurrying = asyncio.create_task(hurry.wait())
    await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    if not draining.done():
        draining.cancel()
        await door.drain(0)
    hurrying.cancel()


def main() -> int:
    """Run the relay; returns the exit status."""
    try:
        config = Config.from_env(os.environ)
        first = live_config.edition(live_config.read_file(config.agent_file), str(config.agent_file))
        uvloop.run(serve(config, first))
    except (ConfigError, AgentFileError, keys.SecretUnusable) as error:
        return _refused(str(error))
    except (BotoCoreError, ClientError) as error:
        return _refused(f"a secret, the table or the queue cannot be reached: {error}")
    except OSError as error:
        return _refused(f"cannot listen ({error}); is the port in use? Set RELAY_PORT to a free one")
    return 0


def _refused(why: str) -> int:
    sys.stderr.write(f"the relay does not start: {why}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
