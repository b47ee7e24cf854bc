"""A task with live calls is protected, as far as ECS agrees, and no call ever waits long for it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import socket
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay import protection as module
from containers.media_relay.protection import (
    BLOCKED,
    NEVER,
    PATIENCE,
    RENEW_SECONDS,
    RETRY_SECONDS,
    EcsAgent,
    Need,
    Protection,
    verdict,
)
from tests.containers.media_relay.ecs_agent import MINUTES, FakeAgent, ecs_agent, error, refusal
from tests.containers.media_relay.house import GUARD, House, house
from tests.containers.media_relay.test_server import signed


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    with ecs_agent() as one:
        yield one


# ---- what to ask for -------------------------------------------------------------------------------------------------


def need(live: int = 0) -> Need:
    one = Need()
    one.live = live
    return one


def test_a_task_without_calls_asks_for_nothing() -> None:
    assert need().ask(0.0) is None
    assert need().ask(1e9) is None


def test_the_first_call_asks_and_the_second_does_not() -> None:
    one = need(live=1)
    assert one.ask(0.0) is True
    one.live = 2
    assert one.ask(0.0) is None
    assert not one.held
    one.answered(0.1, granted=True)
    assert one.ask(0.1) is None
    assert one.held


def test_it_is_renewed_each_minute_and_held_meanwhile() -> None:
    one = need(live=1)
    one.ask(0.0)
    one.answered(1.0, granted=True)
    assert one.again == 1.0 + RENEW_SECONDS == 61.0
    assert one.ask(60.9) is None
    assert one.ask(61.0) is True
    assert one.held
    assert not one.idle
    one.answered(62.0, granted=True)
    assert one.again == 122.0


def test_the_last_call_gives_it_back_and_that_is_the_end() -> None:
    one = need(live=1)
    one.ask(0.0)
    one.answered(0.0, granted=True)
    one.live = 0
    assert one.ask(5.0) is False
    assert not one.held
    one.answered(5.1, granted=True)
    assert not one.held
    assert one.again == NEVER
    assert one.ask(1e9) is None


@pytest.mark.parametrize("live", [0, 1])
def test_what_was_refused_is_asked_for_again(live: int) -> None:
    one = need(live=1)
    one.ask(0.0)
    one.answered(0.0, granted=bool(1 - live))
    one.live = live
    if not live:
        one.ask(0.0)
        one.answered(0.0, granted=False)
    assert one.ask(RETRY_SECONDS - 0.1) is None
    assert one.ask(RETRY_SECONDS) is bool(live)


def test_a_call_that_comes_while_a_refused_one_waits_for_its_retry_asks_at_once_if_it_is_the_first() -> None:
    one = need(live=1)
    one.ask(0.0)
    one.answered(0.0, granted=False)
    one.live = 0
    assert one.ask(1.0) is False, "the refused request may have been done all the same"
    one.answered(1.0, granted=True)
    one.live = 1
    assert one.ask(1.1) is True


def test_a_renewal_that_fails_is_no_longer_held() -> None:
    one = need(live=1)
    one.ask(0.0)
    one.answered(0.0, granted=True)
    one.ask(RENEW_SECONDS)
    one.answered(RENEW_SECONDS, granted=False)
    assert not one.held


class Ecs:
    """ECS beside a `Need`: what it has been asked, and what it believes."""

    def __init__(self) -> None:
        self.need = Need()
        self.now = 0.0
        self.protected = False
        self.asked: list[bool] = []

    def ask(self) -> None:
        wanted = self.need.ask(self.now)
        if wanted is not None:
            assert not self.asked, "one at a time"
            self.asked.append(wanted)

    def answer(self, how: str) -> None:
        """It grants, it refuses, or it does what is asked and its answer is lost."""
        if self.asked:
            wanted = self.asked.pop()
            self.protected = self.protected if how == "refused" else wanted
            self.need.answered(self.now, granted=how == "granted")

    def act(self, act: str) -> None:
        if act in {"enter", "leave"}:
            self.need.live = max(0, self.need.live + (1 if act == "enter" else -1))
        elif act in {"granted", "refused", "lost"}:
            self.answer(act)
        else:
            self.now += float(act)
        self.ask()


@given(st.lists(st.sampled_from(["enter", "leave", "granted", "refused", "lost", "1", "60"]), max_size=60))
def test_whatever_happens_one_request_is_under_way_and_ecs_ends_up_knowing(acts: list[str]) -> None:
    ecs = Ecs()
    for act in acts:
        ecs.act(act)
        assert ecs.protected or not ecs.need.held, "what is held is so"
        if ecs.need.live and not ecs.asked:
            assert ecs.now < ecs.need.again <= ecs.now + RENEW_SECONDS, "while calls live, there is always a next time"
    for act in ["granted", str(RETRY_SECONDS)] * 3:
        ecs.act(act)
    assert ecs.protected is (ecs.need.live > 0)


# ---- what an answer means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"protection": {"TaskArn": "t", "ProtectionEnabled": True, "ExpirationDate": "2026-11-22T10:32:00Z"}}, ""),
        ({"protection": {"ProtectionEnabled": False}}, "not applied"),
        ({"protection": None, "failure": {"Reason": BLOCKED, "Detail": None}}, BLOCKED),
        ({"protection": {"ProtectionEnabled": True}, "failure": {"Reason": "TASK_NOT_VALID"}}, "TASK_NOT_VALID"),
        ({"failure": {"Reason": ""}}, "failure"),
        ({"error": {"Code": "AccessDeniedException", "Message": "…"}}, "AccessDeniedException"),
        ({"error": {"Code": ""}}, "error"),
        ({}, "not applied"),
    ],
)
def test_the_body_decides(answer: object, why: str) -> None:
    assert verdict(json.dumps(answer).encode(), enabled=True) == why


def test_the_end_of_protection_is_granted_by_saying_so() -> None:
    assert verdict(b'{"protection":{"ProtectionEnabled":false}}', enabled=False) == ""
    assert verdict(b'{"protection":{"ProtectionEnabled":true}}', enabled=False) == "not applied"


@given(st.binary() | st.sampled_from([b"null", b"[]", b'{"failure":{}}', b'{"protection":{}}', b'{"protection":true}']))
def test_an_answer_that_is_none_is_never_taken_for_consent(body: bytes) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        assert verdict(body, enabled=True) != ""


# ---- asking ----------------------------------------------------------------------------------------------------------


def test_the_request_is_what_the_endpoint_takes(agent: FakeAgent) -> None:
    assert agent.endpoint.put(enabled=True) == ""
    assert agent.endpoint.put(enabled=False) == ""
    assert agent.paths == ["/api/0123-456/task-protection/v1/state"] * 2
    assert agent.asked == [{"ProtectionEnabled": True, "ExpiresInMinutes": MINUTES}, {"ProtectionEnabled": False}]


@pytest.mark.parametrize("proxy", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_no_proxy_is_asked(agent: FakeAgent, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    assert agent.endpoint.put(enabled=True) == ""


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (refusal(BLOCKED), BLOCKED),
        (error(400, "InvalidParameterException"), "InvalidParameterException"),
        (error(504, "RequestCanceled"), "RequestCanceled"),
    ],
)
def test_a_refusal_has_its_reason_whatever_the_status(agent: FakeAgent, answer: tuple[int, object], why: str) -> None:
    agent.answers = [answer]
    assert agent.endpoint.put(enabled=True) == why


def test_an_agent_that_does_not_answer_in_time_is_given_up(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGENT_SECONDS", 0.05)
    agent.open.clear()
    with pytest.raises(TimeoutError):
        agent.endpoint.put(enabled=True)


class Told(list[str]):
    """The failures, and when they came."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()

    def __call__(self, why: str) -> None:
        self.append(why)
        self.came.set()


async def _in_time(protection: Protection) -> None:
    await asyncio.wait_for(protection._idle.wait(), GUARD)


async def test_a_call_enters_when_its_task_is_protected_and_the_last_gives_it_back(agent: FakeAgent) -> None:
    told = Told()
    protection = Protection(agent.endpoint, told)
    await protection.enter()
    assert agent.protected
    await protection.enter()
    protection.leave()
    assert len(agent.asked) == 1, "neither a second call nor the end of one of two asks for anything"
    protection.leave()
    await _in_time(protection)
    assert not agent.protected
    assert await agent.was_asked(2) == [True, False]
    assert not told


async def test_calls_that_come_together_wait_for_one_request(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", GUARD)
    agent.open.clear()
    protection = Protection(agent.endpoint, Told())
    entering = [asyncio.create_task(protection.enter()) for _ in range(20)]
    await agent.was_asked(1)
    assert not any(task.done() for task in entering)
    agent.open.set()
    await asyncio.gather(*entering)
    assert len(agent.asked) == 1


async def test_a_slow_agent_keeps_no_call_waiting_and_is_heard_later(agent: FakeAgent) -> None:
    assert PATIENCE <= 0.3
    agent.open.clear()
    protection = Protection(agent.endpoint, Told())
    await asyncio.wait_for(protection.enter(), GUARD)
    assert not agent.protected
    protection.leave()
    assert len(agent.asked) == 1, "the end waits for the answer, or the two could cross"
    agent.open.set()
    await _in_time(protection)
    assert await agent.was_asked(2) == [True, False]
    assert not agent.protected


async def test_a_call_does_not_wait_for_a_renewal(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(module, "PATIENCE", GUARD * 2)
    protection = Protection(agent.endpoint, Told())
    await protection.enter()
    agent.open.clear()
    await agent.was_asked(len(agent.asked) + 1)
    await asyncio.wait_for(protection.enter(), GUARD)
    assert not agent.open.is_set()
    agent.open.set()
    await protection.close()


async def test_it_is_renewed_while_calls_live(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.01)
    protection = Protection(agent.endpoint, Told())
    await protection.enter()
    assert await agent.was_asked(4) == [True] * 4
    protection.leave()
    await _in_time(protection)
    assert not agent.protected
    await protection.close()


async def test_a_blocked_deployment_is_asked_again_and_told_once(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    agent.answers = [refusal(BLOCKED)] * 3
    told = Told()
    protection = Protection(agent.endpoint, told)
    await protection.enter()
    assert await agent.was_asked(4) == [True] * 4
    await _in_time(protection)
    assert agent.protected
    assert told == [BLOCKED]


async def test_any_other_failure_is_told_each_time_by_its_kind(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    refused = error(400, "AccessDeniedException")
    agent.answers = [refused, refused, (200, b"<html>"), (200, b'{"failure":{}}'), refusal(BLOCKED)]
    told = Told()
    protection = Protection(agent.endpoint, told)
    await protection.enter()
    await agent.was_asked(6)
    await _in_time(protection)
    assert told == ["AccessDeniedException", "AccessDeniedException", "DecodeError", "ValidationError", BLOCKED]
    assert "canary" not in repr(told)


async def test_an_agent_that_is_down_keeps_no_call_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    told = Told()
    protection = Protection(EcsAgent(f"http://127.0.0.1:{port}/api", MINUTES), told)
    await protection.enter()
    await asyncio.wait_for(told.came.wait(), GUARD)
    assert told == ["ConnectionRefusedError"]


async def test_an_agent_that_speaks_no_http_keeps_no_call_out() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp ready\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        told = Told()
        port = server.sockets[0].getsockname()[1]
        await Protection(EcsAgent(f"http://127.0.0.1:{port}", MINUTES), told).enter()
        await asyncio.wait_for(told.came.wait(), GUARD)
    assert told[0] in {http.client.BadStatusLine.__name__, "ConnectionResetError", "BrokenPipeError"}


async def test_without_an_agent_nothing_happens() -> None:
    told = Told()
    protection = Protection(None, told)
    await protection.enter()
    protection.leave()
    await protection.close()
    assert protection._need.idle
    assert not told


async def test_a_relay_that_leaves_waits_for_the_end_of_its_protection_and_asks_no_more(agent: FakeAgent) -> None:
    protection = Protection(agent.endpoint, Told())
    await protection.enter()
    protection.leave()
    await protection.close()
    assert not agent.protected
    await protection.enter()
    assert len(agent.asked) == 2


async def test_a_relay_that_leaves_does_not_wait_for_ever(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.01)
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    agent.open.clear()
    protection = Protection(agent.endpoint, Told())
    await protection.enter()
    protection.leave()
    await protection.close()
    agent.open.set()
    await _in_time(protection)
    assert await agent.was_asked(1) == [True], "the loop may be closing: no new request starts"


# ---- at the door -----------------------------------------------------------------------------------------------------


async def _knock(home: House) -> tuple[asyncio.Task[int], str]:
    call_sid, path = home.offer()
    return asyncio.create_task(home.ask(signed(path))), call_sid


async def test_R31_the_101_waits_for_the_protection_of_the_task(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", GUARD)
    agent.open.clear()
    async with house(ecs_agent=agent.endpoint) as home:
        knocking, _ = await _knock(home)
        await agent.was_asked(1)
        assert not knocking.done()
        assert home.server.live_calls == 0
        agent.open.set()
        assert await knocking == 101
        await home.empty()
        assert await agent.was_asked(2) == [True, False]
        assert not home.unprotected


async def test_R31_a_handshake_that_is_refused_never_asks_for_protection(agent: FakeAgent) -> None:
    chance = random.Random(31)
    async with house(ecs_agent=agent.endpoint) as home:
        for _ in range(5):
            path = f"/media/{chance.randrange(16**32):032x}-{'A' * 43}"
            assert await home.ask(signed(path)) == 403
        assert not agent.asked
        async with home.phone() as phone:  # the positive control
            await phone.start()
            await phone.hear("media")
            assert agent.protected


@pytest.mark.parametrize("answer", [refusal(BLOCKED), error(500, "ServerException"), (200, b"")])
async def test_R31_a_call_is_taken_whatever_the_agent_says(agent: FakeAgent, answer: tuple[int, object]) -> None:
    agent.answers = [answer]
    async with house(ecs_agent=agent.endpoint) as home:
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("media")
        assert len(home.unprotected) == 1
        await home.empty()
        assert (await agent.was_asked(2))[-1] is False


async def test_R31_a_caller_who_is_gone_before_the_101_leaves_no_protection_behind(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", GUARD)
    agent.open.clear()
    async with house(ecs_agent=agent.endpoint) as home:
        knocking, _ = await _knock(home)
        await agent.was_asked(1)
        knocking.cancel()
        agent.open.set()
        assert await agent.was_asked(2) == [True, False]
