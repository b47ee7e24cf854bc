"""The model in a process of its own: it answers, and tells how many connections it has."""

from __future__ import annotations

import json

from websockets.asyncio.client import connect

from simulators.chaos.model_apart import model_apart
from simulators.settings import LOCAL_OPENAI_KEY


async def test_the_model_of_many_calls_greets_whoever_has_the_key_and_counts_its_connections() -> None:
    key = {"Authorization": f"Bearer {LOCAL_OPENAI_KEY}"}
    async with model_apart() as model:
        assert await model.live() == 0
        async with connect(f"{model.url}?model=gpt-realtime", additional_headers=key, proxy=None) as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"
            assert await model.live() == 1
