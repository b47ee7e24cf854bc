"""The circuit breaker: as a table, under random weather, and in a table with many writers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from contracts import breaker as breakers
from contracts.breaker import APART_SECONDS, CLOSED, FAILURES, OPEN_SECONDS, Breaker, Breakers, Verdict
from tests.contracts.table import KEY, FakeTable

NOW = 1_795_000_000.0
OPEN = Breaker(FAILURES, NOW, NOW + OPEN_SECONDS)


class TestRules:
    def test_it_opens_at_the_last_of_so_many_failures_in_a_row(self) -> None:
        one: Breaker | None = CLOSED
        for n in range(1, FAILURES + 1):
            assert one is not None
            assert breakers.admit(one, NOW) == (Verdict.ADMITTED, None)
            one = breakers.failed(one, NOW)
            assert one is not None
            assert one.failures == n
        assert one == OPEN

    @pytest.mark.parametrize(
        ("before", "after_seconds", "expected"),
        [
            (Breaker(FAILURES - 1, NOW), APART_SECONDS, Breaker(FAILURES, NOW + 60, NOW + 60 + OPEN_SECONDS)),
            (Breaker(FAILURES - 1, NOW), APART_SECONDS + 1, Breaker(1, NOW + 61)),
            (OPEN, OPEN_SECONDS - 1, None),
            (OPEN, OPEN_SECONDS, Breaker(FAILURES + 1, NOW + OPEN_SECONDS, NOW + 2 * OPEN_SECONDS)),
        ],
    )
    def test_a_failure_counts_by_when_it_comes(
        self, before: Breaker, after_seconds: float, expected: Breaker | None
    ) -> None:
        assert breakers.failed(before, NOW + after_seconds) == expected

    def test_what_worked_closes_whatever_it_was(self) -> None:
        assert breakers.worked(CLOSED) is None
        assert breakers.worked(OPEN) == breakers.worked(Breaker(1, NOW)) == CLOSED

    def test_open_diverts_and_half_open_lets_one_through_and_is_open_by_that(self) -> None:
        assert breakers.admit(OPEN, NOW + OPEN_SECONDS - 0.001) == (Verdict.DIVERTED, None)
        verdict, probed = breakers.admit(OPEN, NOW + OPEN_SECONDS)
        assert verdict is Verdict.PROBE
        assert probed is not None
        assert breakers.admit(probed, NOW + OPEN_SECONDS) == (Verdict.DIVERTED, None)
        assert breakers.admit(probed, NOW + 2 * OPEN_SECONDS)[0] is Verdict.PROBE, "a lost probe blocks nothing"


@given(st.lists(st.tuples(st.sampled_from(["failed", "worked", "call"]), st.floats(0, 40)), max_size=60))
def test_whatever_happens_calls_are_diverted_only_in_a_bad_time_and_never_for_long(
    weather: list[tuple[str, float]],
) -> None:
    one, now, in_a_row, probe_at = CLOSED, NOW, 0, -OPEN_SECONDS
    for what, seconds in weather:
        now += seconds
        if what == "failed":
            in_a_row += 1
            one = breakers.failed(one, now) or one
        elif what == "worked":
            in_a_row = 0
            one = breakers.worked(one) or one
        else:
            verdict, written = breakers.admit(one, now)
            one = written or one
            if verdict is not Verdict.ADMITTED:
                assert in_a_row >= FAILURES
            if verdict is Verdict.PROBE:
                assert now - probe_at >= OPEN_SECONDS, "one call in each half minute"
                probe_at = now
        assert one.open_until <= now + OPEN_SECONDS
        assert breakers.admit(one, now + OPEN_SECONDS)[0] is not Verdict.DIVERTED, "a way back opens by itself"


@pytest.fixture(params=["fake", "moto"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "fake":
        yield FakeTable()
        return
    with mock_aws():
        made: Any = boto3.client("dynamodb", region_name="us-east-1")
        made.create_table(
            **KEY,
            AttributeDefinitions=[{"AttributeName": "call_sid", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield made


def test_the_item_in_the_table_goes_the_whole_way_round(client: Any) -> None:
    now = [NOW]
    fleet = [Breakers(client, "ledger", lambda: now[0]) for _ in range(3)]
    assert not fleet[0].worked(), "nothing is written while nothing has failed"
    assert fleet[0].read() == breakers.Reading(CLOSED, 0)
    opened = [fleet[n % 3].failed() for n in range(FAILURES)]
    assert opened == [None] * (FAILURES - 1) + [OPEN]
    assert fleet[1].admit(fleet[1].read()) is Verdict.DIVERTED
    now[0] += OPEN_SECONDS
    readings = [one.read() for one in fleet]
    verdicts = [one.admit(reading) for one, reading in zip(fleet, readings, strict=True)]
    assert verdicts == [Verdict.PROBE, Verdict.DIVERTED, Verdict.DIVERTED], "all have read the same"
    assert fleet[2].worked()
    assert not fleet[2].worked()
    assert fleet[0].admit(fleet[0].read()) is Verdict.ADMITTED


def test_of_many_failures_at_once_exactly_one_opens_it() -> None:
    one = Breakers(FakeTable(), "ledger", lambda: NOW)
    with ThreadPoolExecutor(FAILURES) as pool:
        opened = list(pool.map(lambda _: one.failed(), range(100)))
    assert len([breaker for breaker in opened if breaker]) == 1


def test_of_many_calls_at_a_half_open_breaker_exactly_one_gets_through() -> None:
    now = [NOW]
    one = Breakers(FakeTable(), "ledger", lambda: now[0])
    for _ in range(FAILURES):
        one.failed()
    now[0] += OPEN_SECONDS
    with ThreadPoolExecutor(20) as pool:
        verdicts = list(pool.map(lambda _: one.admit(one.read()), range(100)))
    assert verdicts.count(Verdict.PROBE) == 1
    assert verdicts.count(Verdict.DIVERTED) == 99
