"""What a relay tells the fleet about the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from contracts import events
from contracts.breaker import CLOSED, FAILURES, Breakers
from tests.containers.media_relay.house import House, house
from tests.contracts.table import FakeTable


async def call(home: House) -> None:
    """A call until it has heard something or has been given up."""
    async with home.phone() as phone:
        await phone.start()
        if not home.model.refuse:
            await phone.hear("media")


async def test_R1_models_that_refuse_call_after_call_open_the_breaker_and_one_that_is_heard_closes_it() -> None:
    table = FakeTable()
    breakers = Breakers(table, "ledger", lambda: 1000.0)
    async with house(table=table) as home:
        await call(home)
        assert breakers.read().breaker == CLOSED
        assert breakers.read().revision == 0, "a call that goes well writes nothing"
        home.model.refuse = HTTPStatus.UNAUTHORIZED
        for n in range(1, FAILURES + 1):
            assert not home.of(events.BREAKER_OPENED)
            async with home.phone() as phone:
                await phone.start()
                await home.logged(events.MODEL_FAILED, n)
        assert (await home.logged(events.BREAKER_OPENED))["failures"] == FAILURES
        home.model.refuse = None
        await call(home)
        await home.logged(events.BREAKER_CLOSED)
        assert breakers.read().breaker == CLOSED


async def test_a_breaker_that_cannot_be_told_changes_no_call() -> None:
    table = FakeTable()

    def refuse(name: str, act: Callable[[], Any]) -> Any:
        if name == "ledger.breaker":
            raise RuntimeError("canary-secret")
        return act()

    table.interrupt(refuse)
    async with house(table=table) as home:
        home.model.refuse = HTTPStatus.UNAUTHORIZED
        async with home.phone() as phone:
            await phone.start()
            await home.logged(events.EFFECT_FAILED)
        failed = home.of(events.EFFECT_FAILED)[0]
        assert (failed["effect"], failed["error"]) == ("breaker", "RuntimeError")
        home.model.refuse = None
        async with asyncio.timeout(10):
            await call(home)
