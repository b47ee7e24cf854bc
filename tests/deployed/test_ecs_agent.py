"""The stand-in for ECS' task protection endpoint, asked by the relay's own client and by Hypothesis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay import protection
from simulators.deployed.ecs_agent import BLOCKED, MAX_MINUTES, Asked, EcsAgent, read


@pytest_asyncio.fixture
async def agent() -> AsyncIterator[EcsAgent]:
    made = EcsAgent()
    yield made
    await made.stop()


async def test_the_relays_client_gets_protection_and_its_end(agent: EcsAgent) -> None:
    client = protection.EcsAgent(await agent.start(), 32)
    assert await asyncio.to_thread(client.put, enabled=True) == ""
    assert agent.protected
    assert await asyncio.to_thread(client.put, enabled=False) == ""
    assert not agent.protected
    assert [(asked.enabled, asked.minutes) for asked in agent.asked] == [(True, 32), (False, 120)]


async def test_a_refusal_comes_with_its_reason_once_and_changes_nothing(agent: EcsAgent) -> None:
    client = protection.EcsAgent(await agent.start(), 32)
    agent.refusals.append(BLOCKED)
    assert await asyncio.to_thread(client.put, enabled=True) == BLOCKED
    assert not agent.protected
    assert await asyncio.to_thread(client.put, enabled=True) == ""


async def test_the_state_can_be_read(agent: EcsAgent) -> None:
    url = f"{await agent.start()}{protection.PATH}"
    async with aiohttp.ClientSession() as client:
        await client.put(url, json={"ProtectionEnabled": True, "ExpiresInMinutes": 60})
        async with client.get(url) as answer:
            state = (await answer.json())["protection"]
    assert (state["ProtectionEnabled"], state["TaskArn"]) == (True, agent.task_arn)
    assert state["ExpirationDate"].endswith("Z")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"ProtectionEnabled": "true"}',
        b'{"ProtectionEnabled": true, "ExpiresInMinutes": 0}',
        b'{"ProtectionEnabled": true, "ExpiresInMinutes": 2881}',
        b'{"ProtectionEnabled": true, "ExpiresInMinutes": true}',
        b'{"protectionEnabled": true}',
    ],
)
async def test_another_body_is_refused_and_changes_nothing(agent: EcsAgent, body: bytes) -> None:
    url = f"{await agent.start()}{protection.PATH}"
    async with aiohttp.ClientSession() as client, client.put(url, data=body) as answer:
        assert answer.status == 400
        assert "error" in await answer.json()
    assert (agent.bad_requests, agent.asked, agent.protected) == (1, [], False)


@given(st.dictionaries(st.sampled_from(["ProtectionEnabled", "ExpiresInMinutes", "x"]), st.booleans() | st.integers()))
def test_a_body_is_read_exactly_if_it_has_the_documented_form(content: dict[str, object]) -> None:
    minutes = content.get("ExpiresInMinutes", 120)
    good = (
        isinstance(content.get("ProtectionEnabled"), bool)
        and type(minutes) is int
        and 1 <= minutes <= MAX_MINUTES
        and "x" not in content
    )
    try:
        asked = read(json.dumps(content).encode())
    except ValueError:
        assert not good
    else:
        assert good
        assert asked == Asked(enabled=bool(content["ProtectionEnabled"]), minutes=int(str(minutes)))
