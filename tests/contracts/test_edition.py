from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from contracts.edition import DAY_SECONDS, KEPT_DAYS, MAX_BYTES, Editions, edition_of, text_of
from contracts.feed import FileFeed
from tests.contracts.table import FakeTable

NOON = 1_795_000_000.0


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def test_an_edition_is_found_by_its_reference_by_anybody() -> None:
    table = FakeTable()
    reference = Editions(table, "ledger", Clock()).keep("text")
    assert reference.startswith(edition_of("text"))
    assert Editions(table, "ledger", Clock()).find(reference) == "text"
    assert Editions(table, "ledger", Clock()).find("other-1") is None


def test_an_edition_is_written_once_a_day_and_outlives_every_call_of_that_day() -> None:
    table, clock = FakeTable(), Clock()
    writes: list[str] = []

    def watch(name: str, act: Any) -> Any:
        writes.append(name)
        return act()

    table.interrupt(watch)
    editions = Editions(table, "ledger", clock)
    first = editions.keep("text")
    assert editions.keep("text") == first
    assert writes == ["ledger.put"]
    clock.now += DAY_SECONDS
    second = editions.keep("text")
    assert second != first
    assert editions.find(first) == editions.find(second) == "text"
    item = table.items[f"edition#{second}"]
    assert int(item["expires_at"]["N"]) == int(clock.now) + KEPT_DAYS * DAY_SECONDS


def test_two_functions_that_keep_the_same_are_no_error() -> None:
    table = FakeTable()
    assert Editions(table, "ledger", Clock()).keep("text") == Editions(table, "ledger", Clock()).keep("text")


def test_what_no_item_can_hold_is_not_kept() -> None:
    table = FakeTable()
    assert Editions(table, "ledger", Clock()).keep("x" * (MAX_BYTES + 1)) == ""
    assert not table.items


@mock_aws
def test_editions_lie_in_the_real_table() -> None:
    client: Any = boto3.client("dynamodb", region_name="us-east-1")
    client.create_table(
        TableName="ledger",
        KeySchema=[{"AttributeName": "call_sid", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "call_sid", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for _ in range(2):
        editions = Editions(client, "ledger", Clock())
        assert editions.find(editions.keep("{}")) == "{}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_a_content_and_its_text_are_the_same_thing(content: object) -> None:
    assert json.loads(text_of(content)) == content
    assert edition_of(text_of(content)) == edition_of(text_of(content))


def test_dates_are_written_as_people_write_them_and_what_json_cannot_hold_is_refused() -> None:
    assert text_of({"holidays": [date(2026, 12, 25)]}) == '{"holidays": ["2026-12-25"]}'
    for content in ({"a": {1}}, {"a": float("nan")}, {"a": b"bytes"}):
        with pytest.raises((TypeError, ValueError)):
            text_of(content)


class TestTheFileItself:
    def read(self, path: Path) -> str:
        text = path.read_text(encoding="utf-8")
        if text == "bad":
            raise ValueError(text)
        return text

    def test_it_is_read_whenever_it_was_written_and_not_otherwise(self, tmp_path: Path) -> None:
        path = tmp_path / "agent.yaml"
        path.write_text("one", encoding="utf-8")
        feed = FileFeed(path, self.read)
        assert feed.poll() == "one"
        assert feed.poll() is None
        path.write_text("three", encoding="utf-8")
        assert feed.poll() == "three"
        feed.skip()
        assert feed.poll() is None

    def test_an_editor_that_replaces_the_file_is_seen_and_its_absence_meanwhile_harms_nothing(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "agent.yaml"
        path.write_text("one", encoding="utf-8")
        feed = FileFeed(path, self.read)
        feed.poll()
        path.unlink()
        with pytest.raises(OSError, match=r"agent\.yaml"):
            feed.poll()
        other = tmp_path / "new"
        other.write_text("two", encoding="utf-8")
        other.rename(path)
        assert feed.poll() == "two"

    def test_what_is_refused_is_not_read_again_until_it_is_written_again(self, tmp_path: Path) -> None:
        path = tmp_path / "agent.yaml"
        path.write_text("bad", encoding="utf-8")
        feed = FileFeed(path, self.read)
        with pytest.raises(ValueError, match="bad"):
            feed.poll()
        assert feed.poll() is None
        path.write_text("good", encoding="utf-8")
        assert feed.poll() == "good"
