"""Relays that have stopped without a word: who notices, and who takes their calls."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay.effects import Stores
from containers.media_relay.keys import Keys
from containers.media_relay.names import Names
from containers.media_relay.relay import ModelAddress
from containers.media_relay.server import Settings
from containers.media_relay.sweep import EVERY, SILENT_BEATS, Sweeper, Watch
from containers.media_relay.transfers import TransferQueue
from contracts import events
from contracts.agent_file import AgentFile
from contracts.breaker import Breakers
from contracts.events import Event
from contracts.handoff import TransferState
from contracts.heartbeats import Beat, Heartbeats
from contracts.ledger import Ledger
from contracts.row import StreamState
from contracts.transfer import Reason, TransferRequest
from contracts.visit import SWEPT
from tests.containers.media_relay.house import FakeQueue
from tests.containers.media_relay.worlds import ACCOUNT_SID, AGENT_FILE, CALL_SID, WALL
from tests.contracts.table import FakeTable

SILENT = SILENT_BEATS * EVERY


def beat(number: int, relay: str = "a") -> Beat:
    return Beat(relay, number, [], 10)


# ---- the clock -------------------------------------------------------------------------------------------------------


def test_R16_a_relay_is_silent_eight_seconds_after_its_last_beat_was_seen_and_not_before() -> None:
    watch = Watch(EVERY)
    turns = [(turn * EVERY, bool(watch.seen([beat(7)], turn * EVERY))) for turn in range(6)]
    assert [at for at, silent in turns if silent] == [8.0, 10.0]
    assert not watch.seen([beat(8)], 12.0), "it beats again"


def test_R16_a_reader_that_slept_itself_calls_nobody_silent_for_that() -> None:
    watch = Watch(EVERY)
    watch.seen([beat(7)], 0.0)
    assert not watch.seen([beat(7)], 3600.0), "both slept: the host was paused"
    assert not watch.seen([beat(8)], 3602.0)


@given(st.floats(-300, 300), st.floats(-300, 300))
def test_R16_R29_no_verdict_depends_on_anybodys_clock(skew: float, other: float) -> None:
    """The beat carries a counter and no time: whatever the reader's clock began with, the verdicts are the same."""
    verdicts = []
    for zero in (skew, other):
        watch = Watch(EVERY)
        beats = [1, 2, 2, 2, 2, 2, 2, 3]
        verdicts.append([bool(watch.seen([beat(n)], zero + 2.125 * turn)) for turn, n in enumerate(beats)])
    assert verdicts[0] == verdicts[1] == [False] * 5 + [True, True, False]


# ---- taking ----------------------------------------------------------------------------------------------------------


class Door:
    """A server's calls. `checked`: how often they were to be looked at again."""

    def __init__(self, *visits: tuple[str, int]) -> None:
        self.visits = [*visits]
        self.checked = 0

    def check_calls(self) -> None:
        self.checked += 1

    async def arrival(self) -> None:
        await asyncio.Event().wait()


class Fleet:
    """Relays around one table. `lines`: what they logged."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.table = FakeTable()
        self.queue = FakeQueue()
        self.ledger = Ledger(self.table, "ledger", lambda: WALL)
        self.heartbeats = Heartbeats(self.table, "ledger", lambda: WALL)
        breakers = Breakers(self.table, "ledger", lambda: WALL)
        self.stores = Stores(self.ledger, TransferQueue(self.queue, "https://queue"), executor, breakers)
        self.lines: list[tuple[str, Event, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def log(self, call_sid: str, event: Event, fields: dict[str, Any]) -> None:
        with self._lock:
            self.lines.append((call_sid, event, fields))

    def relay(self, name: str, door: Door | None = None) -> Sweeper:
        async def in_force(_edition: str) -> AgentFile:
            return AGENT_FILE

        settings = Settings(
            media_origin="",
            account_sid=ACCOUNT_SID,
            agent_file=in_force,
            name=name,
            wall=lambda: WALL,
            max_calls=100,
            model_address=lambda _, __: ModelAddress("", "", "", None, asyncio.Semaphore(), Names()),
            keys=lambda: Keys(("",), ""),
        )
        return Sweeper(settings, door or Door(), self.heartbeats, self.stores, self.log)

    def call(self, relay: str, call_sid: str = CALL_SID) -> None:
        """A call whose first visit is live at a relay."""
        who = {"account_sid": ACCOUNT_SID, "caller_masked": "***01", "called": "+15550100009", "caller_id": ""}
        self.ledger.open_call(call_sid, **who, nonce="n", digest=call_sid)
        self.ledger.take_stream(call_sid, call_sid, relay)

    async def pass_time(self, *relays: Sweeper, turns: int = SILENT_BEATS + 1, since: float = 0.0) -> None:
        for turn in range(turns):
            await asyncio.gather(*(one.turn(since + turn * EVERY) for one in relays))


@asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    with ThreadPoolExecutor(8) as executor:
        yield Fleet(executor)


async def test_R16_the_calls_of_a_silent_relay_go_to_a_person_once_however_many_sweep() -> None:
    async with fleet() as ships:
        ships.call("lost")
        await ships.relay("lost", Door((CALL_SID, 1))).turn(0.0)
        sweepers = [ships.relay(name) for name in "abc"]
        await ships.pass_time(*sweepers)
        (sent,) = ships.queue.sent
        ships.ledger.claim(TransferRequest.from_json(json.dumps(sent)), "transfer", 30.0)
        await ships.pass_time(*sweepers, turns=6, since=10.0)
        assert len(ships.queue.sent) == 1
        assert (sent["call_sid"], sent["reason"]) == (CALL_SID, Reason.AGENT_UNAVAILABLE.value)
        row = ships.ledger.read(CALL_SID)
        assert row is not None
        assert (row.stream.state, row.stream.ended_reason) == (StreamState.ENDED, SWEPT)
        assert row.open_transfer is not None
        assert row.open_transfer.request.request_id == sent["request_id"]
        assert [event for _, event, _ in ships.lines] == [events.CALL_SWEPT]
        assert ships.heartbeats.listed() == {"a", "b", "c"}


async def test_R16_a_relay_that_beats_keeps_its_calls() -> None:
    """The positive control of the test before."""
    async with fleet() as ships:
        ships.call("slow")
        await ships.pass_time(ships.relay("slow", Door((CALL_SID, 1))), ships.relay("a"), turns=12)
        assert not ships.queue.sent
        assert not ships.lines


async def test_R16_an_item_that_is_no_beat_hides_no_other_relays_silence() -> None:
    async with fleet() as ships:
        ships.call("lost")
        await ships.relay("lost", Door((CALL_SID, 1))).turn(0.0)
        await ships.relay("odd").turn(0.0)
        del ships.table.items["relay#odd"]["calls"]
        await ships.pass_time(ships.relay("a"))
        assert [sent["call_sid"] for sent in ships.queue.sent] == [CALL_SID]
        assert "odd" in ships.heartbeats.listed(), "it may beat again"


async def test_R16_a_call_that_has_gone_on_elsewhere_is_not_taken() -> None:
    async with fleet() as ships:
        ships.call("dead")
        await ships.relay("dead", Door((CALL_SID, 1))).turn(0.0)
        ships.ledger.offer_stream(CALL_SID, 2, nonce="m", digest="M", after_loss=True)
        ships.ledger.take_stream(CALL_SID, "M", "a")
        await ships.pass_time(ships.relay("a", Door((CALL_SID, 2))), ships.relay("b"))
        assert not ships.queue.sent
        row = ships.ledger.read(CALL_SID)
        assert row is not None
        assert (row.stream.visit, row.stream.state) == (2, StreamState.LIVE)


async def test_R16_a_person_who_was_asked_for_already_is_asked_for_again_not_another() -> None:
    async with fleet() as ships:
        ships.call("lost")
        asked = TransferRequest.create(
            call_sid=CALL_SID, destination="billing", reason=Reason.CALLER_ASKED, now=WALL - 1
        )
        assert ships.ledger.ask_transfer(asked)
        await ships.relay("lost", Door((CALL_SID, 1))).turn(0.0)
        await ships.pass_time(ships.relay("a"))
        assert [sent["request_id"] for sent in ships.queue.sent] == [asked.request_id]


async def test_R16_a_call_that_was_taken_and_could_not_be_queued_is_queued_later() -> None:
    async with fleet() as ships:
        ships.call("lost")
        await ships.relay("lost", Door((CALL_SID, 1))).turn(0.0)
        sweeper = ships.relay("a")
        ships.queue.failure = ConnectionError("no queue")
        await ships.pass_time(sweeper)
        ships.queue.failure = None
        await ships.pass_time(sweeper, turns=1, since=10.0)  # its taker has not to wait like everybody else
        row = ships.ledger.read(CALL_SID)
        assert row is not None
        assert row.transfer is not None
        assert row.transfer.state is TransferState.ASKED
        assert [sent["request_id"] for sent in ships.queue.sent] == [row.transfer.request.request_id]
        await ships.pass_time(sweeper, turns=1, since=12.0)
        assert len(ships.queue.sent) == 1


async def test_R16_a_call_whose_taker_is_lost_before_it_is_queued_is_queued_by_another() -> None:
    async with fleet() as ships:
        ships.call("lost")
        await ships.relay("lost", Door((CALL_SID, 1))).turn(0.0)
        ships.queue.failure = ConnectionError("no queue")
        taker, other = ships.relay("a"), ships.relay("b")
        await ships.pass_time(taker)
        ships.queue.failure = None
        await ships.pass_time(other, turns=SILENT_BEATS + 4, since=10.0)
        assert [sent["call_sid"] for sent in ships.queue.sent] == [CALL_SID]


@pytest.mark.parametrize(("slept", "checked"), [(SILENT / 2 - 0.1, 0), (SILENT / 2, 1)])
async def test_R16_a_relay_that_wakes_up_looks_which_calls_it_has_still(slept: float, checked: int) -> None:
    async with fleet() as ships:
        door = Door((CALL_SID, 1))
        relay = ships.relay("a", door)
        await relay.turn(0.0)
        await relay.turn(slept)
        assert door.checked == checked


async def test_R16_a_relay_that_leaves_in_order_is_read_by_nobody_and_one_without_an_item_is_struck() -> None:
    async with fleet() as ships:
        ships.heartbeats.enlist("forgotten")
        relay, beaten = ships.relay("a"), asyncio.Event()

        async def sleep(_: float) -> None:
            beaten.set()
            await asyncio.Event().wait()

        beating = asyncio.create_task(relay.keep_beating(lambda: 0.0, sleep))
        await beaten.wait()
        assert ships.heartbeats.listed() == {"a"}
        beating.cancel()
        await asyncio.wait([beating])
        assert ships.heartbeats.listed() == frozenset()


async def test_R16_a_table_that_fails_stops_no_beat() -> None:
    async with fleet() as ships:
        relay = ships.relay("a")
        ships.table.failure = ConnectionError("canary")
        await relay.turn(0.0)
        ships.table.failure = None
        await relay.turn(2.0)
        assert [fields for _, _, fields in ships.lines] == [{"effect": "beat", "error": "ConnectionError"}]
        assert ships.heartbeats.listed() == {"a"}
