"""How many transfers a caller gets in a day, against the table's own conditions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.transfer.quota import KEPT_SECONDS, Quota
from tests.contracts.table import KEY, FakeTable
from tests.functions.line import Clock


@pytest.fixture(params=["in memory", "moto"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "in memory":
        yield FakeTable()
        return
    with mock_aws():
        dynamodb: Any = boto3.Session("local", "local", region_name="us-east-1").client("dynamodb")
        definitions = [{"AttributeName": "call_sid", "AttributeType": "S"}]
        dynamodb.create_table(**KEY, AttributeDefinitions=definitions, BillingMode="PAY_PER_REQUEST")
        yield dynamodb


def test_so_many_requests_a_day_and_each_counts_once_however_often_it_is_asked_about(client: Any) -> None:
    clock = Clock()
    quota = Quota(client, "ledger", clock)
    assert [quota.admits("k", one, 2) for one in ("a", "a", "b", "b", "c", "a", "c")] == [
        *[True] * 4,
        False,
        True,
        False,
    ]
    assert quota.admits("another", "c", 2)
    clock.now += 24 * 3600
    assert quota.admits("k", "c", 2)


def test_the_item_says_when_it_may_go_and_not_whose_it_is(client: Any) -> None:
    clock = Clock()
    Quota(client, "ledger", clock).admits("k", "a", 1)
    if isinstance(client, FakeTable):
        (key, item), *_ = client.quotas.items()
        assert (key, item["expires_at"]) == ("caller#k#2026-11-18", str(int(clock.now) + KEPT_SECONDS))
