"""The network between relay and model fails, through a proxy with real sockets: the caller is never left in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from containers.media_relay import ladder, relay
from containers.media_relay.silence import PATIENCE, Turn
from containers.media_relay.websocket import Limits
from contracts import events
from contracts.agent_file import Limits as AgentLimits
from contracts.transfer import Reason
from simulators.faults import FaultProxy, Impairment
from tests.containers.media_relay.house import GUARD, House, Phone, house

SESSION_MINUTES = 60  # https://developers.openai.com/api/docs/guides/realtime-conversations: the longest session
HOLE = Impairment(black_hole=True)


def at(home: House, host: str, port: int) -> None:
    """Have the relay look for the model there."""
    before = home.server._settings

    def address(keys: Any, model: str) -> relay.ModelAddress:
        known = before.model_address(keys, model)
        return replace(known, url=f"ws://{host}:{port}{urlsplit(known.url).path}")

    home.server._settings = replace(before, model_address=address)


def model_port(home: House) -> int:
    keys = home.server._settings.keys()
    return urlsplit(home.server._settings.model_address(keys, "any").url).port or 0


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[House, FaultProxy]]:
    """A house whose model is behind a fault proxy."""
    async with house() as home, FaultProxy("127.0.0.1", model_port(home)) as proxy:
        at(home, "127.0.0.1", proxy.port)
        yield home, proxy


async def talk(home: House, phone: Phone, times: int = 1) -> None:
    """So many sounds of the caller reach the model, and as many events of the model the relay."""
    for _ in range(times):
        told, logged = len(home.model.of("input_audio_buffer.append")), len(home.of(events.MODEL_ERROR))
        await phone.speak()
        await home.model.told("input_audio_buffer.append", told + 1)
        await home.model.say("error", error={"type": "t", "code": "c", "message": "m", "event_id": None})
        await home.logged(events.MODEL_ERROR, logged + 1)


def pings(monkeypatch: pytest.MonkeyPatch, interval: float, timeout: float) -> None:
    """Other ping times, and less time to connect."""
    limits = relay.MODEL_LIMITS
    assert isinstance(limits, Limits)
    monkeypatch.setattr(
        relay, "MODEL_LIMITS", replace(limits, ping_interval=interval, ping_timeout=timeout, open_timeout=0.5)
    )


# ---- R4: a black hole ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hole",
    [{"upstream": HOLE, "downstream": HOLE}, {"upstream": HOLE}, {"downstream": HOLE}],
    ids=["both", "up", "down"],
)
async def test_R4_a_model_behind_a_black_hole_is_noticed_by_its_pong_and_the_caller_is_sent_on(
    hole: dict[str, Impairment], monkeypatch: pytest.MonkeyPatch
) -> None:
    pings(monkeypatch, 0.05, 0.5)
    async with proxied() as (home, proxy), home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        proxy.impair(**hole)
        await phone.speak()  # what the caller says keeps nothing alive
        await home.logged(events.MODEL_FAILED)
        assert home.of(events.MODEL_FAILED)[0]["why"] == "ping timeout"
        proxy.impair(upstream=Impairment(), downstream=Impairment())
        await home.logged(events.MODEL_RESUMED)
        assert not home.queue.sent


async def test_R4_a_slow_network_is_no_black_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    pings(monkeypatch, 0.01, GUARD)
    async with proxied() as (home, proxy):
        proxy.impair(upstream=Impairment(latency=0.02), downstream=Impairment(latency=0.02))
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            await talk(home, phone, 10)
        await home.empty()
        assert not home.of(events.MODEL_FAILED)


async def test_R4_while_the_agent_owes_an_answer_a_person_is_asked_for_before_any_pong_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with proxied() as (home, proxy), home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        assert PATIENCE[Turn.AGENT] + PATIENCE[Turn.AGENT_AGAIN] <= 8.0
        for turn in (Turn.AGENT, Turn.AGENT_AGAIN):
            monkeypatch.setitem(PATIENCE, turn, 0.05)
        proxy.impair(upstream=HOLE)
        await home.model.say("input_audio_buffer.speech_stopped", item_id="item_of_caller", audio_end_ms=1000)
        await home.logged(events.HANDOFF_QUEUED)
        assert home.of(events.HANDOFF_ASKED)[0]["reason"] == Reason.AGENT_SILENT
        assert not home.of(events.MODEL_FAILED)
        await phone.hear("media")  # ringing


# ---- R3: cut anywhere ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["upstream", "downstream"])
async def test_R3_a_connection_cut_after_any_number_of_octets_never_leaves_the_caller_without_a_next_step(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.0)
    ends = set()
    async with proxied() as (home, proxy):
        for octets in [*range(0, 700, 23), *range(700, 5000, 211)]:
            proxy.impair(**{way: Impairment(cut_after=octets)})
            async with home.phone() as phone:
                await phone.start()
                queued = asyncio.create_task(home.logged(events.HANDOFF_QUEUED))
                resumed = asyncio.create_task(home.logged(events.MODEL_RESUMED))
                greeted = asyncio.create_task(phone.hear("mark"))
                await asyncio.wait({queued, greeted}, return_when=asyncio.FIRST_COMPLETED)
                proxy.reset()  # a cut that has not come yet comes now
                await asyncio.wait({queued, resumed}, return_when=asyncio.FIRST_COMPLETED)
                assert queued.done() or resumed.done(), f"silence when cut after {octets} octets {way}"
                ends.add("resumed" if resumed.done() else home.queue.sent[-1]["reason"])
                for task in (queued, resumed, greeted):
                    task.cancel()
            await home.empty()
            home.lines.clear()
    assert ends == {"resumed", Reason.AGENT_UNAVAILABLE}, "both ways out were taken"


# ---- R8: the session's hour ------------------------------------------------------------------------------------------


def test_R8_a_call_may_outlast_the_models_session_which_is_renewed_in_time() -> None:
    assert ladder.RENEW_AFTER < ladder.RENEW_BY < SESSION_MINUTES * 60 - PATIENCE[Turn.MODEL_AGAIN]
    assert AgentLimits(max_call_minutes=180).max_call_minutes > SESSION_MINUTES
    with pytest.raises(ValidationError):
        AgentLimits(max_call_minutes=181)


async def test_R8_a_call_whose_time_is_up_is_handed_to_a_person_and_not_dropped() -> None:
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        (live,) = home.server._calls
        assert not home.queue.sent
        live._session.call = replace(live._session.call, ends_at=asyncio.get_running_loop().time())
        await phone.send("dtmf", dtmf={"digit": "5"})  # any event finds out
        await home.logged(events.HANDOFF_QUEUED)
        assert home.of(events.LIMIT_REACHED)[0]["limit"] == "max_call_minutes"
        assert home.queue.sent[0]["reason"] == Reason.TIME_LIMIT
        await phone.hear("media")  # ringing


async def test_R8_a_session_that_the_model_lets_expire_goes_on_in_another_one() -> None:
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        await home.model.say("error", error={"type": "t", "code": "session_expired", "message": "m", "event_id": None})
        await home.logged(events.MODEL_RESUMED)
        assert not home.queue.sent


def test_R4_a_black_hole_is_noticed_in_time_for_a_sound_within_seven_seconds() -> None:
    limits = relay.MODEL_LIMITS
    assert limits.ping_interval + limits.ping_timeout + limits.close_timeout <= 6.0
