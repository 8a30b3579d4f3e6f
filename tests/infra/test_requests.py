"""Calls are counted per tenant and minute, and forgotten; moto is enough, since nothing here runs in parallel."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from moto import mock_aws

from infra.aws.requests import count_call, table_name
from infra.aws.tables import RequestItem, bind
from tests.world import at

NOON = at("2026-03-02T12:00:30")


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        bind("calls", region="us-east-1")
        RequestItem.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
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
