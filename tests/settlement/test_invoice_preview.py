"""The preview of an invoice: what closing now would come to, with what earlier periods leave to it; all unwritten."""

import pytest

from billing.contracts import ContractHistory, ContractNotInForce
from billing.periods import Period, PeriodState, PeriodStatus, RateCounter
from billing.prepaid import Lot, Prepaid
from settlement.invoice_preview import PeriodClosed, Preview, preview_invoice
from tests.memory_store import MemoryStore
from tests.world import a_contract, at

JANUARY, FEBRUARY, MARCH = Period("2026-01"), Period("2026-02"), Period("2026-03")


def a_state(period: Period, count: int, status: PeriodStatus = PeriodStatus.OPEN, carried: int = 0) -> PeriodState:
    counter = RateCounter(issued=count, net=count, accrued=99 * count)
    return PeriodState("acme", period, status, (("all", counter),), carried=carried)


def preview(*states: PeriodState, period: Period = MARCH, left: int = 0, **terms: object) -> Preview:
    store = MemoryStore(stored_periods={("acme", it.period): it for it in states})
    if left:
        lot = Lot("L1", at("2026-01-01").date(), None, left, left)
        store.stored_prepaids["acme"] = Prepaid("acme", (lot,))
    before = repr(store)
    found = preview_invoice(store, ContractHistory("acme", (a_contract(None, **terms),)), period)
    assert repr(store) == before
    return found


def test_it_is_the_close_of_the_counters_as_they_stand() -> None:
    found = preview(a_state(MARCH, 10))
    assert (found.closing.invoice.total, found.state) == (990, a_state(MARCH, 10))
    assert found.contract == a_contract()
    assert found.open_before == (JANUARY, FEBRUARY)


def test_what_a_closed_period_carried_comes_into_the_next() -> None:
    closed = [a_state(JANUARY, 1, PeriodStatus.CLOSED, 7), a_state(FEBRUARY, 0, PeriodStatus.CLOSED, -40)]
    found = preview(*closed, a_state(MARCH, 10))
    assert (found.closing.invoice.total, found.open_before) == (950, ())


def test_earlier_periods_that_are_open_are_closed_first_in_order() -> None:
    # 20 cents in each of the first two: too little for Stripe, so they are carried on.
    rate = {"id": "all", "price": {"model": "per_unit", "unit": "0.20"}}
    found = preview(a_state(JANUARY, 1), a_state(FEBRUARY, 1), a_state(MARCH, 5), rates=[rate])
    assert (found.closing.invoice.total, found.open_before) == (140, (JANUARY, FEBRUARY))
    only_first = preview(a_state(JANUARY, 1), a_state(FEBRUARY, 1), period=JANUARY, rates=[rate])
    assert (only_first.closing.period.carried, only_first.open_before) == (20, ())


def test_credits_that_an_earlier_close_would_use_are_not_used_twice() -> None:
    found = preview(a_state(FEBRUARY, 10), a_state(MARCH, 10), left=1200, prepaid=True)
    assert (found.closing.prepaid, found.closing.invoice.total) == (210, 780)
    without = preview(a_state(FEBRUARY, 10), a_state(MARCH, 10), left=1200)
    assert (without.closing.prepaid, without.closing.invoice.total) == (0, 990)


def test_a_period_without_a_contract_passes_on_what_was_carried_into_it() -> None:
    first = a_contract(ends_on="2026-02-01")
    again = a_contract(starts_on="2026-03-01")
    store = MemoryStore(
        stored_periods={
            ("acme", JANUARY): a_state(JANUARY, 0, PeriodStatus.CLOSED, -40),
            ("acme", FEBRUARY): a_state(FEBRUARY, 0, carried=-40),
            ("acme", MARCH): a_state(MARCH, 10),
        }
    )
    found = preview_invoice(store, ContractHistory("acme", (first, again)), MARCH)
    assert (found.closing.invoice.total, found.open_before) == (950, ())


def test_a_closed_period_has_an_invoice_and_no_preview() -> None:
    with pytest.raises(PeriodClosed, match="acme 2026-03 is closed; its invoice is in `solvent invoice list --client"):
        preview(a_state(MARCH, 10, PeriodStatus.CLOSED))
    with pytest.raises(ContractNotInForce):
        preview(period=Period("2025-12"))
