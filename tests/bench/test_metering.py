"""What the meter counts of real calls, on the emulator."""

from collections.abc import Iterator
from datetime import UTC, datetime

import boto3
import pytest

from bench.metering import Meter, metered
from bench.stack import Stack, tables
from events.facts import CaseId
from infra.local.emulator import REGION
from settlement.cases import Case
from settlement.ports import Changes

pytestmark = pytest.mark.xdist_group("store")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with tables() as running:
        yield running


@pytest.fixture
def meter(stack: Stack) -> Iterator[Meter]:
    with metered(stack.client, boto3.client("dynamodb", region_name=REGION)) as counted:
        yield counted


def test_a_case_that_waits_costs_its_item_twice_and_its_place_in_the_index_once(stack: Stack, meter: Meter) -> None:
    waits = Case("acme", CaseId("C1"), due_at=datetime(2026, 3, 9, tzinfo=UTC), revision=1)
    stack.store.commit(Changes(cases=(waits,)))
    assert (meter.total.writes, meter.total.index_writes) == (3, 1)
    assert meter.calls == {"TransactWriteItems": 1}
    meter.start()
    stack.store.commit(Changes(cases=(Case("acme", CaseId("C1"), revision=2),)))
    assert (meter.total.writes, meter.total.index_writes) == (3, 1), "it left the index"


def test_each_asked_case_is_read_and_one_that_is_not_there_too(stack: Stack, meter: Meter) -> None:
    stack.store.cases([("acme", CaseId(name)) for name in ("R1", "R2", "R3")])
    assert (meter.total.writes, meter.total.reads) == (0, 3)
