from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from containers.media_relay.live_config import LiveConfig, edition, read_file
from contracts.edition import Editions
from contracts.events import Event
from contracts.feed import FileFeed
from tests.contracts.table import FakeTable


def text(greeting: str) -> str:
    people = {"desk": {"name": "the desk", "number": "+15550100001", "description": "Everything"}}
    return json.dumps({"persona": "p", "greeting": greeting, "destinations": people, "default_destination": "desk"})


def away() -> ClientError:
    return ClientError({"Error": {"Code": "InternalServerException", "Message": "away"}}, "Operation")


class FakeFeed:
    name = "fake"
    interval = 15.0

    def __init__(self) -> None:
        self.answers: list[str | Exception | None] = []

    def poll(self) -> str | None:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


class World:
    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.feed, self.table = FakeFeed(), FakeTable()
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.editions = Editions(self.table, "ledger", lambda: 1_795_000_000.0)
        self.config = LiveConfig(
            self.feed, edition(text("first"), "image"), editions=self.editions, executor=executor, log=self._log
        )

    def _log(self, event: Event, fields: dict[str, Any]) -> None:
        assert fields.keys() <= event.fields
        self.lines.append((event.name, fields))

    @property
    def greeting(self) -> str:
        return self.config.current.greeting


@pytest.fixture
def world() -> Iterator[World]:
    with ThreadPoolExecutor(2) as executor:
        yield World(executor)


async def test_a_new_edition_is_for_those_who_ask_from_now_on(world: World) -> None:
    running = world.config.current
    world.feed.answers = [text("second")]
    await world.config.poll()
    assert world.greeting == "second"
    assert running.greeting == "first"
    assert [name for name, _ in world.lines] == ["config.loaded"]
    await world.config.poll()
    assert len(world.lines) == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "Expecting"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "(whole file)"),
        (text(""), "fake: greeting"),
        (text("x").replace("+1555", "1555"), "fake: destinations.desk.number"),
        (text("x").replace('"desk"}', '"nobody"}'), "fake: default_destination"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_path_and_reason(world: World, bad: str, why: str) -> None:
    world.feed.answers = [text("good"), bad]
    await world.config.poll()
    await world.config.poll()
    assert world.greeting == "good"
    name, fields = world.lines[-1]
    assert name == "config.refused"
    assert why in fields["why"]


async def test_a_service_that_is_away_is_told_once_and_changes_nothing(world: World) -> None:
    world.feed.answers = [away(), away(), None, OSError(), text("back")]
    for _ in range(4):
        await world.config.poll()
        assert world.greeting == "first"
    assert [name for name, _ in world.lines] == ["config.unreachable"] * 2
    await world.config.poll()
    assert world.greeting == "back"


async def test_a_call_keeps_the_edition_it_began_with_in_every_visit_and_task(world: World) -> None:
    reference = world.editions.keep(text("the webhook's"))
    for _ in range(2):
        assert (await world.config.of(reference)).greeting == "the webhook's"
        world.feed.answers = [text("newest")]
        await world.config.poll()
    assert world.greeting == "newest"
    world.table.failure = away()
    assert (await world.config.of(reference)).greeting == "the webhook's"


async def test_without_the_calls_own_edition_the_one_in_force_is_used(world: World) -> None:
    assert (await world.config.of("")).greeting == "first"
    assert (await world.config.of("0123456789abcdef-1")).greeting == "first"
    assert (await world.config.of(world.editions.keep(text("")))).greeting == "first"
    reference = world.editions.keep(text("unread"))
    world.table.failure = away()
    assert (await world.config.of(reference)).greeting == "first"
    assert [name for name, _ in world.lines] == ["config.refused", "ledger.failed"]


async def test_the_file_is_watched_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text("one"), encoding="utf-8")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            path.write_text(text("number two"), encoding="utf-8")
        if len(pauses) == 3:
            raise asyncio.CancelledError

    with ThreadPoolExecutor(1) as executor:
        config = LiveConfig(
            FileFeed(path, read_file),
            edition(read_file(path), str(path)),
            editions=Editions(FakeTable(), "ledger", lambda: 0.0),
            executor=executor,
            log=lambda _event, _fields: None,
        )
        with pytest.raises(asyncio.CancelledError):
            await config.keep_fresh(sleep)
        assert config.current.greeting == "number two"
        assert pauses == [0.5] * 3


def test_a_file_that_json_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("persona: !!set {a, b}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"agent\.yaml"):
        read_file(path)
