"""The door, with real sockets: who is let in, who is told to go, and that nothing opens towards the model before."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from containers.media_relay import effects
from containers.media_relay import server as server_module
from containers.media_relay.server import moments
from containers.media_relay.silence import PATIENCE, Turn
from containers.media_relay.websocket_server import ServerWebSocket
from contracts import events, stream
from contracts.row import StreamState
from tests.containers.media_relay.house import House, Phone, house, sign
from tests.contracts.table import FakeTable

_HEX, _BASE64 = "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def upgrade(path: str, *headers: str) -> bytes:
    """A WebSocket handshake as bytes."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: media.example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def signed(path: str, signature: str | None = None) -> bytes:
    return upgrade(path, f"X-Twilio-Signature: {sign(path) if signature is None else signature}")


def forged(path: str, chance: random.Random) -> bytes:
    """A handshake that must fail: one thing about a valid one is wrong."""
    good, token = sign(path), path.removeprefix(stream.MEDIA_PATH)
    at = chance.randrange(27)
    other_letter = chance.choice([letter for letter in "ABCDEFGHabcdefgh" if letter != good[at]])
    call, proof = token.split("-", 1)
    other_call = "".join(chance.choices(_HEX, k=32))
    other_proof = "".join(chance.choices(_BASE64, k=43))
    wrong_paths = [
        f"/media/{other_call}-{proof}",  # a token of another call
        f"/media/{call}-{other_proof}",  # guessed
        f"/media/{call}-{proof[:-1]}",
        f"/media/{call}-{proof}A",
        f"/media/{call.upper()}-{proof}" if call.upper() != call else f"/media/{call}--{proof}",
        f"{path}?x=1",
        f"{path}/",
        f"{path}%20",
        f"/media//{token}",
        f"/MEDIA/{token}",
        f"/media/../media/{token}",
    ]
    wrong_signatures = [
        good[:at] + other_letter + good[at + 1 :],
        "",
        good.lower(),
        good.rstrip("="),
        sign(path, "another auth token"),
        sign(path, origin="https://media.example.com"),
        sign(path, origin="wss://evil.example.com"),
        sign(path, origin="wss://media.example.com:8443"),
        sign(f"/media/{other_call}-{other_proof}"),
        "\xe9" * 28,
        f"{good},{good}",
    ]
    kind = chance.randrange(4)
    if kind == 0:
        return signed(path, chance.choice(wrong_signatures))
    if kind == 1:
        return signed(chance.choice(wrong_paths))  # signed by Twilio, say, but for no stream of ours
    if kind == 2:
        return chance.choice([upgrade(path), upgrade(path, *[f"X-Twilio-Signature: {good}"] * 2)])
    return signed(chance.choice(wrong_paths), good)


async def test_S5_of_ten_thousand_forged_handshakes_none_is_accepted_and_no_model_is_called() -> None:
    chance = random.Random(5)
    async with house() as home:
        call_sid, path = home.offer()

        async def knock(times: int) -> list[int]:
            return [await home.ask(forged(path, chance)) for _ in range(times)]

        answers = [status for batch in await asyncio.gather(*(knock(250) for _ in range(40))) for status in batch]
        assert len(answers) == 10_000
        assert set(answers) <= {400, 403, 404}
        assert answers.count(403) > 8_000, "nearly all of them reach the two proofs"
        assert not home.model.headers
        assert not home.of(events.MEDIA_ACCEPTED)
        assert home.server.live_calls == 0
        async with home.dial(path) as ws:  # the positive control: the same path, with its own signature
            await Phone(ws, call_sid).start()
            await home.model.told("session.update")
        await home.logged(events.STREAM_ENDED)
        assert len(home.model.headers) == 1


async def test_S5_the_websockets_client_is_refused_with_the_same_forgeries() -> None:
    async with house() as home:
        _, path = home.offer()
        for headers in ({"X-Other": "1"}, {"X-Twilio-Signature": sign(path, "wrong")}, {"x-twilio-signature": ""}):
            with pytest.raises(InvalidStatus) as refused:
                async with home.dial(path, **headers):
                    pass
            assert refused.value.response.status_code == 403
        assert not home.model.headers


async def test_S6_S7_of_a_hundred_clients_with_one_token_exactly_one_gets_in_and_keeps_its_call() -> None:
    async with house() as home:
        call_sid, path = home.offer()
        answers = await asyncio.gather(*(home.dial(path) for _ in range(100)), return_exceptions=True)
        sockets = [one for one in answers if not isinstance(one, BaseException)]
        refused = [one.response.status_code for one in answers if isinstance(one, InvalidStatus)]
        assert len(sockets) == 1
        assert refused == [403] * 99
        assert {line["why"] for line in home.of(events.MEDIA_REFUSED)} == {"spent"}
        await Phone(sockets[0], call_sid).start()
        await home.model.told("session.update")
        assert len(home.model.headers) == 1
        row = home.ledger.read(call_sid)
        assert row is not None
        assert row.stream.state is StreamState.LIVE
        await sockets[0].close()


async def test_S6_a_token_of_another_call_an_old_one_and_one_of_a_call_that_is_over_open_nothing() -> None:
    now = [1000.0]
    async with house() as home:
        home.ledger._now = lambda: now[0]
        first, path = home.offer()
        second, other_path = home.offer()
        mixed = path.replace(first[2:], second[2:])
        assert await home.ask(signed(mixed)) == 403
        now[0] += stream.TOKEN_SECONDS + 1
        assert await home.ask(signed(path)) == 403
        now[0] -= stream.TOKEN_SECONDS
        home.ledger.end_call(second, "completed", by="caller")
        assert await home.ask(signed(other_path)) == 403
        assert await home.ask(signed(f"/media/{'f' * 32}-{'A' * 43}")) == 403
        whys = [line["why"] for line in home.of(events.MEDIA_REFUSED)]
        assert whys == ["wrong_token", "expired", "call_over", "unknown_call"]
        assert not home.model.headers


async def test_S6_a_start_that_names_another_call_ends_the_visit_and_writes_nothing_of_it() -> None:
    for changes in (
        {"callSid": "CA" + "9" * 32},
        {"accountSid": "AC" + "9" * 32},
        {"customParameters": {"call_sid": "x"}},
    ):
        async with house() as home, home.phone() as phone:
            await phone.start(**changes)
            assert await phone.closed() == (1000, "start_mismatch")
            await home.empty()
            row = home.ledger.read(phone.call_sid)
            assert row is not None
            assert (row.stream.stream_sid, row.stream.ended_reason) == ("", "start_mismatch")
            assert not home.of(events.STREAM_STARTED)


async def test_R34_a_signature_by_the_previous_auth_token_is_accepted_while_it_is_rotated() -> None:
    async with house() as home:
        _, path = home.offer()
        async with home.dial(path, **{"X-Twilio-Signature": sign(path, "the token before")}):
            pass


async def test_S16_a_client_that_is_silent_after_the_101_is_gone_after_three_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert PATIENCE[Turn.START] <= 3.0
    monkeypatch.setitem(PATIENCE, Turn.START, 0.05)
    async with house() as home, home.phone() as phone:
        assert await phone.closed() == (1000, "no_start")


async def test_a_path_that_is_none_of_ours_is_not_found_and_one_that_is_malformed_refused() -> None:
    async with house() as home:
        assert await home.ask(upgrade("/")) == 404
        assert await home.ask(upgrade("/media")) == 404
        assert await home.ask(upgrade("/media/x")) == 403
        assert await home.ask(upgrade("/healthz?x")) == 404
        assert home.of(events.MEDIA_REFUSED)[0]["why"] == "malformed path"


async def test_health_is_told_always_and_readiness_only_while_a_call_would_be_taken() -> None:
    async with house(max_calls=1) as home:
        assert [await home.ask(upgrade(path)) for path in ("/healthz", "/readyz")] == [200, 200]
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("media")
            assert [await home.ask(upgrade(path)) for path in ("/healthz", "/readyz")] == [200, 503]
            _, path = home.offer()
            assert await home.ask(signed(path)) == 503
            assert home.of(events.MEDIA_REFUSED)[-1]["why"] == "full"
        await home.empty()
        assert await home.ask(upgrade("/readyz")) == 200
        async with home.dial(path):  # what was refused for want of room has not spent its token
            pass


async def test_too_many_handshakes_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_PENDING", 0)
    async with house() as home:
        _, path = home.offer()
        assert await home.ask(signed(path)) == 503


async def test_R32_a_refusal_for_want_of_room_is_in_the_ledger_before_twilio_hears_of_it_and_a_forged_one_never() -> (
    None
):
    async with house(max_calls=1) as home:
        task, leave = await _hold(home)
        call_sid, path = home.offer()
        assert await home.ask(upgrade(path, f"X-Twilio-Signature: {sign(path, 'wrong')}")) == 403
        assert _refused(home, call_sid) == ""
        assert await home.ask(signed(path)) == 503
        assert _refused(home, call_sid) == "full"
        leave.set()
        await task
        await home.server.drain(0.0)
        other, path = home.offer()
        assert await home.ask(signed(path)) == 503
        assert _refused(home, other) == "draining"


async def test_R32_a_ledger_that_fails_or_hangs_delays_no_refusal_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    table, hang = FakeTable(), threading.Event()
    async with house(max_calls=0, table=table) as home:
        _, path = home.offer()
        table.failure = RuntimeError("canary-secret in a message")
        assert await home.ask(signed(path)) == 503
        monkeypatch.setattr(server_module, "NOTE_SECONDS", 0.01)
        table.interrupt(lambda _, act: (hang.wait(GUARD_SECONDS), act())[1])
        assert await home.ask(signed(path)) == 503
        assert [line["error"] for line in home.of(events.LEDGER_FAILED)] == ["RuntimeError", "TimeoutError"]
        assert "canary" not in repr(home.lines)
        hang.set()


def _refused(home: House, call_sid: str) -> str:
    row = home.ledger.read(call_sid)
    assert row is not None
    return row.stream.refused


async def test_a_ledger_that_fails_refuses_the_handshake_and_is_logged_by_its_kind() -> None:
    table = FakeTable()
    async with house(table=table) as home:
        _, path = home.offer()
        table.failure = RuntimeError("canary-secret in a message")
        assert await home.ask(signed(path)) == 503
        assert home.of(events.LEDGER_FAILED)[0]["error"] == "RuntimeError"
        assert "canary" not in repr(home.lines)
        assert not home.model.headers


@pytest.mark.parametrize("where", ["_relay", "accept"])
async def test_R1_a_visit_that_fails_before_its_101_is_refused_at_once_and_keeps_no_place(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def defect(*_: object) -> None:
        raise RuntimeError("canary-secret in a message")

    async with house() as home:
        with monkeypatch.context() as broken:
            broken.setattr(server_module.Server if where == "_relay" else ServerWebSocket, where, defect)
            assert await home.ask(signed(home.offer()[1])) == 503
        await home.empty()
        assert (home.server.live_calls, home.server._protection._need.live) == (0, 0)
        assert [(one["effect"], one["error"]) for one in home.of(events.EFFECT_FAILED)] == [("admit", "RuntimeError")]
        assert "canary" not in repr(home.lines)
        async with home.phone() as phone:  # the control
            await phone.start()
            await phone.hear("media")


async def test_a_request_that_is_signed_but_no_websocket_opens_nothing_towards_the_model() -> None:
    async with house() as home:
        _, path = home.offer()
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: {sign(path)}\r\n\r\n".encode()
        assert await home.ask(head) == 426
        await home.empty()
        assert home.of(events.MEDIA_REFUSED)[0]["status"] == 0
        assert not home.model.headers


async def _hold(home: House) -> tuple[asyncio.Task[None], asyncio.Event]:
    up, leave = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("media")
            up.set()
            await leave.wait()

    task = asyncio.create_task(call())
    await up.wait()
    return task, leave


async def test_R14_a_relay_that_drains_takes_no_call_and_waits_for_live_ones() -> None:
    async with house() as home:
        task, leave = await _hold(home)
        draining = asyncio.create_task(home.server.drain(GUARD_SECONDS))
        await home.logged(events.RELAY_DRAINING)
        assert [await home.ask(upgrade(path)) for path in ("/healthz", "/readyz")] == [200, 503]
        _, path = home.offer()
        assert await home.ask(signed(path)) == 503
        assert not draining.done()
        leave.set()
        await asyncio.gather(task, draining)
        assert home.of(events.STREAM_ENDED)[0]["by"] == "twilio"


async def test_R14_a_call_that_outlasts_the_drain_is_sent_on() -> None:
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.hear("media")
        _, end = await asyncio.gather(home.server.drain(0.0), phone.closed())
        assert (end[0], end[1].startswith("relay_draining")) == (1000, True)
        row = home.ledger.read(phone.call_sid)
        assert row is not None
        assert row.stream.ended_reason == end[1]


async def test_R14_a_handshake_that_was_taken_before_the_drain_counts_as_a_call() -> None:
    looking, go_on, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()

    def slowly(name: str, act: Callable[[], Any]) -> Any:
        if name == "ledger.update" and not looking.is_set():
            loop.call_soon_threadsafe(looking.set)
            go_on.wait(GUARD_SECONDS)
        return act()

    async with house(table=FakeTable(slowly)) as home:
        _, path = home.offer()
        dialling = asyncio.create_task(home.ask(signed(path)))
        await asyncio.wait_for(looking.wait(), GUARD_SECONDS)
        going = asyncio.create_task(home.server.drain(0.0))
        await home.logged(events.RELAY_DRAINING)
        go_on.set()
        await going
        assert await dialling == 101
        assert home.server.live_calls == 0


async def test_R14_what_an_ended_call_still_tells_a_slow_ledger_is_told_before_the_relay_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(effects, "SETTLE_SECONDS", 0.0)
    go_on = threading.Event()

    def slowly(name: str, act: Callable[[], Any]) -> Any:
        if name == "ledger.update" and home.of(events.STREAM_STARTED):
            go_on.wait(GUARD_SECONDS)
        return act()

    table = FakeTable()
    async with house(table=table) as home:
        table.interrupt(slowly)
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("media")
        await home.server.drain(0.0)
        row = home.ledger.read(phone.call_sid)
        assert row is not None
        assert not row.stream.ended_reason, "the control: the call is over, and the ledger does not know"
        go_on.set()
        await home.server._stores.settled(GUARD_SECONDS)
        row = home.ledger.read(phone.call_sid)
        assert row is not None
        assert row.stream.ended_reason


async def test_a_call_that_does_not_end_is_reported_when_the_relay_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LAST_SECONDS", 0.01)
    async with house() as home:
        home.server._calls[stuck := Stuck()] = ("CA", 1)  # type: ignore[index]
        home.server._empty.clear()
        await home.server.drain(0.0)
        assert stuck.drained == 1
        assert home.of(events.EFFECT_FAILED)[0]["error"] == "1 calls did not end"
        home.server._ended(stuck)  # type: ignore[arg-type]


@given(st.integers(0, 600), st.floats(0, 110))
def test_R14_calls_that_must_go_are_told_one_after_another_and_all_go_in_time(calls: int, seconds: float) -> None:
    told = moments(calls, seconds)
    assert [after for after, _ in told] == sorted(after for after, _ in told)
    assert all(after >= 0 and after + within <= seconds + 1e-9 and within >= seconds / 3 for after, within in told)
    if calls and seconds:
        assert (
            max(sum(start <= after < start + seconds / 10 for after, _ in told) for start, _ in told) <= calls / 6 + 2
        )


class Stuck:
    """A call that hears nothing."""

    drained = 0

    def drain(self, _within: float) -> None:
        self.drained += 1


GUARD_SECONDS = 10.0
