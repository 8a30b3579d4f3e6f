"""Reconciliation: the ledger, the states and Stripe's balance transactions say the same, or what differs is named."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from ledger.money import Currency
from payouts.payouts import Payout
from settlement.book_sums import LedgerSums, SumsStore, brought_up_to_date, read_sums
from settlement.findings import Finding, Reconciliation
from settlement.matching import States, at_stripe, compare, ledger_of, states_of
from settlement.movements import MovementStore
from settlement.stripe_port import Stripe


class ReconcileStore(MovementStore, SumsStore, Protocol):
    """What reconciling reads."""

    def payouts(self) -> Iterator[Payout]:
        """Every payout, in no order."""

    def payable(self) -> Mapping[tuple[str, Currency], int]:
        """What holds and availables sum to, per expert and currency."""


def reconcile(store: ReconcileStore, stripe: Stripe, as_of: datetime, *, afresh: bool = False) -> Reconciliation:
    """Match ledger, states and Stripe three ways, as they are now. It writes nothing.

    Ages count to the day of `as_of` (UTC). The journal is read from where kept sums end, or with `afresh` from its
    first entry; Stripe's balance transactions from the first. Memory grows with what touched Stripe, and with no other
    entries. Books and states are read one after the other while others write, so what differs is looked at twice, and
    counts if it is the same at the second look. Stripe is read behind the ledger: what is new there meanwhile looks
    like something that waits to be booked.
    """
    day = as_of.astimezone(UTC).date()
    sums = read_sums(store, afresh=afresh)
    ledger = ledger_of(sums)
    there = at_stripe(ledger, stripe.movements())
    there.balances = tuple(stripe.balances())
    states = _states(store)
    found = compare(ledger, there, states, day)
    if any(not it.is_open(day) for it in found):
        sums = brought_up_to_date(store, sums)
        again = compare(ledger_of(sums), there, _states(store), day)
        found = [it for it in again if it.is_open(day) or it in found]
    findings = (*_broken_books(sums, as_of), *found)
    return Reconciliation(as_of, sums.entries_read, there.count, states.payouts, states.invoices, findings)


def _states(store: ReconcileStore) -> States:
    return states_of(store.payouts(), store.invoices(), store.payable())


def _broken_books(sums: LedgerSums, as_of: datetime) -> Iterator[Finding]:
    for book, problem in sums.broken:
        next_step = "let nobody post to it; compare it with the last export and its manifest (`solvent finance verify`)"
        yield Finding(book, problem, 0, None, as_of.astimezone(UTC).date(), next_step)
