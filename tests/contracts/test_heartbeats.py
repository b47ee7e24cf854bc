"""What relays read of each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contracts.heartbeats import Beat, Heartbeats
from tests.contracts.table import FakeTable

_CALLS = st.lists(st.tuples(st.integers(0, 16**32 - 1).map(lambda n: f"CA{n:032x}"), st.integers(1, 65535)))


@given(_CALLS, st.integers(1, 10**9), st.integers(1, 1000))
def test_a_beat_is_read_as_it_was_written(calls: list[tuple[str, int]], number: int, capacity: int) -> None:
    heartbeats = Heartbeats(FakeTable(), "ledger", lambda: 1000.0)
    heartbeats.beat(Beat("a", number, calls, capacity))
    assert heartbeats.read("a") == Beat("a", number, calls, capacity)
    assert heartbeats.read("b") is None


def test_the_list_has_who_enlisted_and_was_not_struck() -> None:
    heartbeats = Heartbeats(FakeTable(), "ledger", lambda: 1000.0)
    assert heartbeats.listed() == frozenset()
    for relay in ("a", "b", "b"):
        heartbeats.enlist(relay)
    heartbeats.strike("a")
    heartbeats.strike("a")
    assert heartbeats.listed() == {"b"}


def test_a_hundred_calls_cost_two_write_units() -> None:
    table = FakeTable()
    calls = [(f"CA{n:032x}", 1) for n in range(100)]
    Heartbeats(table, "ledger", lambda: 1000.0).beat(Beat("a" * 12, 10**6, calls, 100))
    item = table.items["relay#" + "a" * 12]
    names = sum(len(name) for name in item)
    assert len(item["calls"]["B"]) + names + 100 <= 2048
