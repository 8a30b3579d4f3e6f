"""Calls are counted per tenant and minute, and forgotten; moto is enough, since nothing here runs in parallel."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from infra.aws.requests import count_call, table_name
from infra.aws.tables import RequestItem
from tests.dynamo_tables import moto_tables
from tests.world import at

NOON = at("2026-03-02T12:00:30")


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    with moto_tables("calls", RequestItem):
        yield


def test_calls_are_counted_by_tenant_and_minute() -> None:
    assert [count_call("acme", NOON) for _ in range(3)] == [1, 2, 3]
    assert count_call("globex", NOON) == 1
    assert count_call("acme", NOON + timedelta(seconds=29)) == 4
    assert count_call("acme", NOON + timedelta(seconds=30)) == 1


def test_a_count_is_forgotten_after_its_minute_is_long_over() -> None:
    count_call("acme", NOON)
    [item] = RequestItem.scan()
    assert (item.id, item.expiration) == ("calls#acme#2026-03-02T12:00", (NOON + timedelta(minutes=5)).timestamp())
    assert table_name() == "calls-requests"
