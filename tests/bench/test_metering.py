"""What the meter counts of real calls, on the emulator."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import boto3
import pytest

from bench.metering import Meter, metered
from bench.stack import Stack, tables
from events.facts import CaseId
from infra.local.emulator import REGION
from ledger.money import Currency
from payouts.payouts import Payout, PayoutStatus
from settlement.cases import Case
from settlement.ports import Changes

AT = datetime(2026, 3, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with tables() as running:
        yield running


@pytest.fixture
def meter(stack: Stack) -> Iterator[Meter]:
    with metered(stack.client, boto3.client("dynamodb", region_name=REGION)) as counted:
        yield counted


def test_cases_that_wait_cost_their_items_twice_and_one_bucket_which_is_forgotten_for_one(
    stack: Stack, meter: Meter
) -> None:
    waits = [Case("acme", CaseId(f"C{number}"), due_at=AT, revision=1) for number in range(10)]
    stack.store.commit(Changes(cases=tuple(waits)))
    assert (meter.total.writes, meter.units["bench-due"].writes) == (22, 2)
    assert meter.calls == {"TransactWriteItems": 1}
    found = list(stack.store.due(AT))
    meter.start()
    stack.store.forget(found)
    assert (meter.total.writes, meter.calls) == (1, {"BatchWriteItem": 1})


def test_a_payout_leaves_its_index_for_one_unit_and_its_item_counts_twice(stack: Stack, meter: Meter) -> None:
    planned = Payout("payout:maya:USD:2026-W11", "maya", Currency("USD"), 100, "2026-W11", AT, "a_1")
    stack.store.commit(Changes(payouts=(replace(planned, revision=1),)))
    assert (meter.total.writes, meter.total.index_writes) == (3, 1)
    meter.start()
    stack.store.commit(Changes(payouts=(replace(planned, status=PayoutStatus.SENT, revision=2),)))
    assert (meter.total.writes, meter.total.index_writes) == (3, 1), "it left the index"


def test_each_asked_case_is_read_and_one_that_is_not_there_too(stack: Stack, meter: Meter) -> None:
    stack.store.cases([("acme", CaseId(name)) for name in ("R1", "R2", "R3")])
    assert (meter.total.writes, meter.total.reads) == (0, 3)
