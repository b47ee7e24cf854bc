"""A model that is known by name: the resolver answers, fails, or never answers, for the first call and later ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from containers.media_relay import names, relay
from contracts import events
from contracts.transfer import Reason
from tests.containers.media_relay.house import GUARD, House, house
from tests.containers.media_relay.test_model_faults import at, model_port

HOST = "model.example.com"
NOT_FOUND = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class Resolver:
    """Knows one host. `failure`: what it raises; `answers`: cleared, a lookup has to wait."""

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.found = ["127.0.0.1"]
        self.asked = 0

    async def __call__(self, host: str) -> list[str]:
        assert host == HOST
        self.asked += 1
        await self.answers.wait()
        if self.failure:
            raise self.failure
        return self.found


@asynccontextmanager
async def named(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[House, Resolver]]:
    """A house whose model is known by name."""
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.0)
    resolver = Resolver()
    async with house(names=names.Names(resolver)) as home:
        at(home, HOST, model_port(home))
        yield home, resolver
        resolver.answers.set()


async def answered(home: House) -> None:
    """A call comes, and hears the agent."""
    async with home.phone() as phone:
        await phone.start()
        await phone.hear("media")
    assert not home.queue.sent


async def test_R30_a_name_that_is_found_reaches_the_model_at_the_first_address_that_takes_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with named(monkeypatch) as (home, resolver):
        await answered(home)
        resolver.found = ["127.0.0.2", "127.0.0.1"]  # nobody listens at the first
        await answered(home)
        assert resolver.asked == 2


async def test_R30_a_name_that_is_not_found_is_looked_for_twice_and_then_a_person_takes_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with named(monkeypatch) as (home, resolver):
        resolver.failure = NOT_FOUND
        async with home.phone() as phone:
            await phone.start()
            await home.logged(events.HANDOFF_QUEUED)
            assert home.queue.sent[0]["reason"] == Reason.AGENT_UNAVAILABLE
            assert resolver.asked == 2
            assert "name resolution" in home.of(events.MODEL_FAILED)[0]["why"]
            await phone.hear("media")  # ringing


async def test_R30_a_resolver_that_never_answers_counts_against_the_time_to_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert relay.MODEL_LIMITS.open_timeout <= 2.0
    monkeypatch.setattr(relay, "MODEL_LIMITS", replace(relay.MODEL_LIMITS, open_timeout=0.05))
    async with named(monkeypatch) as (home, resolver):
        resolver.answers.clear()
        async with home.phone() as phone:
            await phone.start()
            await home.logged(events.HANDOFF_QUEUED)
            assert home.of(events.MODEL_FAILED)[0]["why"] == "no answer in time"
            assert resolver.asked == 1, "both tries wait for one lookup"


async def test_R30_once_the_model_was_found_calls_reach_it_though_the_resolver_fails_or_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert names.PATIENCE <= 0.5
    monkeypatch.setattr(names, "PATIENCE", 0.02)
    async with named(monkeypatch) as (home, resolver):
        await answered(home)
        resolver.failure = NOT_FOUND
        await answered(home)
        resolver.failure = None
        resolver.answers.clear()
        await asyncio.gather(*(answered(home) for _ in range(20)))
        assert resolver.asked == 3, "the lookup that hangs is one for all"
        assert not home.of(events.MODEL_FAILED)


async def test_R30_what_was_asked_for_at_the_start_serves_the_first_caller_and_a_new_answer_the_next() -> None:
    resolver = Resolver()
    known = names.Names(resolver)
    await known.ask(HOST)
    resolver.failure = NOT_FOUND
    assert await known.addresses(HOST) == ["127.0.0.1"]
    resolver.failure, resolver.found = None, ["127.0.0.2"]
    assert await known.addresses(HOST) == ["127.0.0.2"]


async def test_R30_a_lookup_that_fails_with_nobody_waiting_is_no_error_of_the_loop() -> None:
    reported = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    resolver = Resolver()
    resolver.failure = NOT_FOUND
    asking = names.Names(resolver).ask(HOST)
    async with asyncio.timeout(GUARD):
        await asyncio.wait([asking])
    del asking
    assert not reported


async def test_S22_a_caller_who_is_gone_as_the_resolver_answers_opens_nothing() -> None:
    resolver = Resolver()
    known = names.Names(resolver)
    await known.ask(HOST)
    resolver.answers.clear()
    looking = known.ask(HOST)
    calling = asyncio.create_task(known.addresses(HOST))
    await asyncio.sleep(0)  # both begin
    assert resolver.asked == 2
    looking.add_done_callback(lambda _: calling.cancel())
    resolver.answers.set()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_the_systems_resolver_gives_addresses() -> None:
    assert await names.resolve("127.0.0.1") == ["127.0.0.1"]
