from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from simulators.event_log import EventLog
from simulators.model import ScriptedMind
from simulators.relay_process import RelayProcess
from simulators.settings import ROOT, Settings, StackError
from simulators.stack import free_port, local_stack

SETTINGS = Settings(webhook_port=0, relay_port=0, agent_file=ROOT / "agent.yaml", drain_seconds=1)


def ours() -> set[str]:
    """Names of the threads that belong to the stack."""
    return {one.name for one in threading.enumerate() if one.name.startswith(("aws-", "event-source-", "lambda-"))}


async def test_a_stack_comes_up_whole_and_leaves_neither_thread_socket_nor_process() -> None:
    seen: list[Mapping[str, Any]] = []
    async with local_stack(SETTINGS, os.environ, seen.append, mind=ScriptedMind) as stack:
        assert stack.ready()["account_sid"] == SETTINGS.account_sid
        async with aiohttp.ClientSession() as client:
            async with client.get(stack.media.replace("ws", "http", 1) + "/healthz") as healthy:
                assert healthy.status == 200
            async with client.post(f"{stack.webhook}/voice/incoming", data={"CallSid": "CA1"}) as forged:
                assert forged.status == 403
        assert ours()
        pid = stack.relay.pid
    assert ours() == set()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    for address in (stack.webhook, stack.media):
        port = int(address.rpartition(":")[2])
        assert free_port(port, "PORT") == port
    names = [line.get("event") for line in seen]
    assert {"relay.started", "request.refused", "relay.stopped"} <= set(names)


async def test_what_was_started_is_stopped_again_when_a_later_part_cannot_start() -> None:
    nowhere = replace(SETTINGS, agent_file=ROOT / "absent.yaml")

    async def come_up() -> None:
        async with local_stack(nowhere, os.environ, lambda _: None, mind=ScriptedMind):
            pass

    with pytest.raises(StackError, match=r"absent\.yaml"):
        await come_up()
    assert ours() == set()


async def test_a_relay_that_cannot_start_is_told_with_its_own_words() -> None:
    with pytest.raises(StackError, match=r"the media relay: it ended \(.*PUBLIC_MEDIA_ORIGIN"):
        await RelayProcess({"PATH": os.environ["PATH"], "RELAY_PORT": "1"}, lambda _: None).start()


async def test_an_event_can_be_waited_for_from_any_thread_past_or_coming() -> None:
    told: list[Mapping[str, Any]] = []
    log = EventLog(told.append)
    await asyncio.to_thread(log, {"event": "early"})
    await asyncio.to_thread(log, {"_aws": "metrics"})
    assert await log.first(lambda line: line["event"] == "early", 10) == {"event": "early"}
    waiting = asyncio.create_task(log.first(lambda line: line["event"] == "late", 10))
    await asyncio.to_thread(log, {"event": "other"})
    await asyncio.to_thread(log, {"event": "late"})
    assert await waiting == {"event": "late"}
    assert await log.first(lambda line: line["event"] == "never", 0.01) is None
    assert [line["event"] for line in told] == ["early", "other", "late"]
