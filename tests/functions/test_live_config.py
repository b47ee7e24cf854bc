"""What a function reads while configurations come, fail to come, and cannot be used."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread, current_thread
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from contracts.directory import DirectoryRefused
from contracts.edition import Editions, edition_of
from contracts.events import Part
from contracts.feed import FileFeed
from contracts.ledger import Ledger
from functions import live_config
from functions.environment import EnvironmentRefused
from functions.eventlog import EventLog
from functions.live_config import LiveConfig, edition
from tests.contracts.table import FakeTable

Poll = str | Exception | None


def text(name: str) -> str:
    people = {"desk": {"name": name, "number": "+15550100001", "description": "Everything"}}
    content = {"persona": "p", "greeting": "g", "destinations": people, "default_destination": "desk"}
    return json.dumps(content)


def away() -> ClientError:
    return ClientError({"Error": {"Code": "InternalServerException", "Message": "away"}}, "Operation")


class FakeFeed:
    """Answers what it is told, then nothing new; remembers when it was asked."""

    name = "fake"

    def __init__(self, clock: Callable[[], float], interval: float = 15.0) -> None:
        self.answers: list[Poll] = []
        self.asked: list[float] = []
        self.interval = interval
        self._clock = clock

    def poll(self) -> str | None:
        self.asked.append(self._clock())
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


class World:
    """Work beside the request is done at once, or (`later`) when `catch_up` says so."""

    def __init__(self, *, later: bool = False) -> None:
        self.now = 1_795_000_000.0
        self.feed = FakeFeed(lambda: self.now)
        self.table = FakeTable()
        self.output = io.StringIO()
        self.waiting: list[Callable[[], None]] = []
        self.later = later
        self.config = self.function()

    def function(self) -> LiveConfig:
        """Another function of the same stage."""
        clock = lambda: self.now  # noqa: E731 - read whenever it is asked
        return LiveConfig(
            self.feed,
            edition(text("first")),
            editions=Editions(self.table, "ledger", clock),
            log=EventLog(Part.WEBHOOK, clock=clock, stream=self.output),
            now=clock,
            spawn=self._spawn,
        )

    def _spawn(self, work: Callable[[], None]) -> None:
        if self.later:
            self.waiting.append(work)
        else:
            work()

    def catch_up(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    @property
    def name(self) -> str:
        return self.config.current().directory.default.name

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.output.getvalue().splitlines()) if line["event"] == name]


def test_the_first_caller_after_a_start_has_what_is_in_force_and_not_what_was_deployed() -> None:
    world = World()
    world.feed.answers = [text("pushed")]
    assert world.name == "pushed"
    assert world.events("config.loaded")[0]["edition"] == edition_of(text("pushed"))


def test_news_are_asked_for_no_more_often_than_the_service_allows() -> None:
    world = World()
    for _ in range(60):
        world.config.current()
        world.now += 1
    assert [at - world.feed.asked[0] for at in world.feed.asked] == [0, 15, 30, 45]


def test_news_that_do_not_come_are_waited_for_by_one_call_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_config, "WAIT_SECONDS", 0.01)
    world = World()
    assert world.name == "first"
    world.later = True
    world.now += 20
    world.feed.answers = [text("pushed")]
    assert world.name == "first"
    monkeypatch.setattr(live_config, "WAIT_SECONDS", 600)
    assert world.name == "first"
    assert len(world.waiting) == 1, "one question at a time"
    world.catch_up()
    assert world.name == "pushed"


def test_a_call_that_begins_when_news_are_due_waits_for_them() -> None:
    """Here in a thread, as in Lambda: the answer comes while the request waits for it."""
    world = World()
    assert world.name == "first"
    asked = Event()

    def spawn(work: Callable[[], None]) -> None:
        def answer() -> None:
            asked.wait(5)
            work()

        Thread(target=answer).start()

    world.config._spawn = spawn
    world.feed.answers = [text("pushed")]
    world.now += 15
    asked.set()
    assert world.name == "pushed"


def test_a_call_that_begins_while_another_waits_for_news_waits_for_the_same() -> None:
    world, asked = World(later=True), Event()
    world.feed.answers = [text("pushed")]
    first, spawn = Thread(target=world.config.current), world.config._spawn

    def told(work: Callable[[], None]) -> None:
        spawn(work)
        asked.set()

    def clock() -> float:
        if world.waiting and current_thread() is not first:  # how long to wait is being reckoned: now they come
            Thread(target=world.catch_up).start()
        return world.now

    world.config._spawn, world.config._now = told, clock
    first.start()
    assert asked.wait(5)
    assert world.name == "pushed"
    first.join(5)
    assert len(world.feed.asked) == 1


def test_a_service_that_is_away_costs_one_wait_and_one_line() -> None:
    world = World()
    assert world.name == "first"
    world.feed.answers = [away()] * 3
    for _ in range(3):
        world.now += 20
        assert world.name == "first"
    assert len(world.events("config.unreachable")) == 1
    world.later = True
    world.now += 20
    assert world.name == "first"  # returns, though nobody works: it does not wait for what was away
    world.catch_up()
    world.later = False
    world.feed.answers = [text("back")]
    world.now += 20
    assert world.name == "back"


BAD = [
    ("{", "Expecting"),
    ("[]", "is not a mapping"),
    ("[" * 100_000, "nested too deeply"),
    (text("x").replace("+15550100001", "0155"), "destinations.desk.number"),
    (text("x").replace('"default_destination": "desk"', '"default_destination": "nobody"'), "default_destination"),
]


@pytest.mark.parametrize(("bad", "why"), BAD)
def test_a_bad_edition_is_refused_with_path_and_reason_and_the_last_good_one_stays(bad: str, why: str) -> None:
    world = World()
    world.feed.answers = [text("good"), bad]
    assert world.name == "good"
    world.now += 20
    assert world.name == "good"
    (line,) = world.events("config.refused")
    assert why in line["why"]


def test_a_call_keeps_the_edition_it_began_with_in_every_function() -> None:
    world = World()
    reference = world.config.begin()
    world.feed.answers = [text("second")]
    world.now += 20
    later = world.config.begin()
    assert world.config.of(reference).directory.default.name == "first"
    assert world.config.of(later).directory.default.name == "second"
    other = world.function()
    world.now += 20
    world.feed.answers = [text("third")]
    assert other.current().directory.default.name == "third"
    for _ in range(2):
        assert other.of(reference).directory.default.name == "first"
        assert other.of(later).directory.default.name == "second"


def test_the_people_of_a_call_are_those_of_its_row() -> None:
    world = World()
    ledger = Ledger(world.table, "ledger", lambda: world.now)
    reference = world.config.begin()
    ledger.open_call(
        "CA1", account_sid="AC1", caller_masked="", called="", caller_id="", nonce="", digest="", edition=reference
    )
    world.feed.answers = [text("second")]
    world.now += 20
    assert world.config.people(None).default.name == "second"
    assert world.config.people(ledger.read("CA1")).default.name == "first"


def test_an_edition_that_cannot_be_found_is_the_one_in_force() -> None:
    world = World()
    assert world.config.of("").directory.default.name == "first"
    assert world.config.of("0123456789abcdef-1").directory.default.name == "first"
    world.table.failure = away()
    assert world.config.of("0123456789abcdef-1").directory.default.name == "first"
    assert world.events("ledger.failed")[0]["operation"] == "find_edition"


def test_whoever_opens_a_call_hears_that_the_ledger_is_away_before_it_asks_for_the_row() -> None:
    world = World()
    world.table.failure = away()
    with pytest.raises(ClientError):
        world.config.begin()
    world.table.failure = None
    assert world.config.begin()


@given(st.lists(st.sampled_from(["one", "two", "{", None, "away"]), max_size=20), st.lists(st.booleans()))
def test_what_is_in_force_is_always_the_last_good_one(script: list[str | None], begins: list[bool]) -> None:
    world, good = World(), "first"
    references: list[tuple[str, str]] = []
    for step, news in enumerate(script):
        world.now += 20
        if news in {"one", "two"}:
            good = news
        world.feed.answers = [away() if news == "away" else text(good) if news == good else news]
        assert world.name == good
        if step < len(begins) and begins[step]:
            references.append((world.config.begin(), good))
    for reference, name in references:
        assert world.config.of(reference).directory.default.name == name


class TestLocally:
    def build(self, path: Path, stream: io.StringIO, **more: str) -> LiveConfig:
        table = FakeTable()
        log = EventLog(Part.WEBHOOK, clock=lambda: 0.0, stream=stream)
        return live_config.build({"AGENT_FILE": str(path), **more}, dynamodb=table, table="ledger", log=log)

    def test_the_file_is_watched_and_the_very_next_call_has_what_was_written(self, tmp_path: Path) -> None:
        path, stream = tmp_path / "agent.yaml", io.StringIO()
        path.write_text(text("one"), encoding="utf-8")
        config = self.build(path, stream)
        assert config.current().directory.default.name == "one"
        path.write_text(text("number two"), encoding="utf-8")
        assert config.current().directory.default.name == "number two"
        assert "config.loaded" in stream.getvalue()

    def test_a_file_with_any_mistake_changes_nothing_also_one_that_functions_do_not_read(self, tmp_path: Path) -> None:
        path, stream = tmp_path / "agent.yaml", io.StringIO()
        path.write_text(text("one"), encoding="utf-8")
        config = self.build(path, stream)
        path.write_text(text("number two").replace('"g"', '""'), encoding="utf-8")
        assert config.current().directory.default.name == "one"
        (line,) = [json.loads(one) for one in stream.getvalue().splitlines()]
        assert line["event"] == "config.refused"
        assert "greeting" in line["why"]
        assert str(path) in line["why"]

    @pytest.mark.parametrize("content", ["", "a: [", "\x00", "destinations: {}"])
    def test_a_function_does_not_start_with_a_file_that_cannot_be_used(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "agent.yaml"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DirectoryRefused, match=r"agent\.yaml"):
            self.build(path, io.StringIO())
        with pytest.raises(DirectoryRefused, match="cannot be read"):
            self.build(tmp_path / "nowhere.yaml", io.StringIO())

    def test_a_wrong_name_of_the_profile_stops_the_start(self, tmp_path: Path) -> None:
        path = tmp_path / "agent.yaml"
        path.write_text(text("one"), encoding="utf-8")
        with pytest.raises(EnvironmentRefused, match="LIVE_CONFIG"):
            self.build(path, io.StringIO(), LIVE_CONFIG="agent")


def test_a_feed_of_a_file_is_looked_at_on_every_call(tmp_path: Path) -> None:
    assert FileFeed(tmp_path / "x", lambda _: "").interval == 0
