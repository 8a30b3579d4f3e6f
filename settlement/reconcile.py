"""Reconciliation: the ledger, the states and Stripe's balance transactions say the same, or what differs is named."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from billing.invoices import Invoice
from ledger.accounts import BANK_CASH, STRIPE_BALANCE, STRIPE_CLEARING, Account, client_receivable, role_of
from ledger.balances import TrialBalance, trial_balance
from ledger.books import append
from ledger.entries import PLATFORM_BOOK, Entry, EntryId, evidence, postings
from ledger.money import Currency, Money
from ledger.posting_rules import Reason
from payouts.payouts import Payout, PayoutStatus
from settlement.ports import Books, Changes, Contention, Writer
from settlement.settle import ATTEMPTS
from settlement.stripe_port import Movement, MovementKind, Stripe


class ReconcileStore(Writer, Books, Protocol):
    """What reconciling reads."""

    def payouts(self) -> Iterator[Payout]:
        """Every payout."""

    def invoices(self) -> Iterator[Invoice]:
        """Every invoice."""

    def payable(self) -> Mapping[tuple[str, Currency], int]:
        """What holds and availables sum to, per expert and currency."""

    def is_posted(self, entry_id: str) -> bool:
        """Whether an entry that may be posted only once was."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not match: what it is about, what each side says, and what to do next."""

    about: str
    detail: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared, and what differs; reconciled if nothing does."""

    movements: int
    payouts: int
    invoices: int
    differences: tuple[Difference, ...]

    @property
    def is_clean(self) -> bool:
        """Whether everything matched."""
        return not self.differences


def record_top_ups(store: ReconcileStore, stripe: Stripe, as_of: datetime) -> int:
    """Post every top-up that reached the available balance and was not posted yet; how many that were."""
    posted = 0
    for movement in stripe.movements(MovementKind.TOP_UP):
        if movement.is_available and not store.is_posted(_top_up_id(movement)):
            posted += _record_top_up(store, movement, as_of)
    return posted


def _top_up_id(movement: Movement) -> EntryId:
    return EntryId(f"top_up:{movement.source}")


def _record_top_up(store: ReconcileStore, movement: Movement, as_of: datetime) -> bool:
    entry = Entry(
        id=_top_up_id(movement),
        book=PLATFORM_BOOK,
        reason=Reason.TOP_UP,
        postings=postings(((STRIPE_BALANCE, movement.gross), (BANK_CASH, -movement.gross)), movement.currency),
        effective_on=movement.created_on,
        evidence=evidence({"source": movement.source}),
    )
    for attempt in range(1, ATTEMPTS + 1):
        head = store.head(PLATFORM_BOOK)
        sealed, after = append(head, (entry,), as_of)
        try:
            store.commit(Changes(entries=sealed, heads=((head, after),), once=(entry.id,)))
        except Contention:
            if store.is_posted(entry.id):
                return False
            store.pause(attempt)
        else:
            return True
    raise Contention(f"{entry.id}: overtaken {ATTEMPTS} times; it is tried again later")


def reconcile(store: ReconcileStore, stripe: Stripe) -> Reconciliation:
    """Match ledger, states and Stripe three ways. It writes nothing.

    It reads all books: what each balance transaction moved must stand in the ledger under the same source, and the
    other way round; states must add up to their accounts; balances must be Stripe's.
    """
    entries = [recorded.entry for head in store.heads() for recorded in store.entries(head.book)]
    movements = list(stripe.movements())
    payouts, invoices = list(store.payouts()), list(store.invoices())
    balances = trial_balance(entries)
    differences = [
        *_compare_sources(entries, movements),
        *_compare_balances(balances, stripe),
        *_compare_payouts(balances, payouts, movements),
        *_compare_invoices(balances, invoices),
        *_compare_payable(balances, store.payable()),
    ]
    return Reconciliation(len(movements), len(payouts), len(invoices), tuple(differences))


def _compare_sources(entries: Iterable[Entry], movements: Iterable[Movement]) -> Iterator[Difference]:
    """Each charge, transfer and top-up moved the same in `stripe/balance` here and there."""
    ledger: dict[tuple[str, Currency], int] = {}
    for entry in entries:
        for posting in entry.postings:
            if posting.account == STRIPE_BALANCE:
                key = (_source(entry), posting.amount.currency)
                ledger[key] = ledger.get(key, 0) + posting.amount.minor_units
    stripe: dict[tuple[str, Currency], int] = {}
    for movement in movements:
        if movement.is_available:
            key = (movement.source, movement.currency)
            stripe[key] = stripe.get(key, 0) + movement.gross - movement.fee
    for source, code in sorted(ledger.keys() | stripe.keys()):
        here, there = ledger.get((source, code), 0), stripe.get((source, code), 0)
        if here != there:
            yield Difference(source, f"the ledger moved {Money(here, code)}, Stripe {Money(there, code)}")


def _source(entry: Entry) -> str:
    facts = json.loads(entry.evidence)
    return str(facts.get("transfer") or facts.get("payment") or facts.get("source") or entry.id)


def _compare_balances(balances: TrialBalance, stripe: Stripe) -> Iterator[Difference]:
    """`stripe/balance` is what is available at Stripe."""
    there = {balance.currency: balance.available for balance in stripe.balances()}
    codes = {code for account, code in balances.balances if account == STRIPE_BALANCE} | there.keys()
    for code in sorted(codes):
        here = balances.balance(STRIPE_BALANCE, code)
        if here != there.get(code, 0):
            stripe_says = Money(there.get(code, 0), code)
            yield Difference(STRIPE_BALANCE, f"the ledger has {Money(here, code)}, Stripe {stripe_says}")


def _compare_payouts(
    balances: TrialBalance, payouts: Iterable[Payout], movements: Iterable[Movement]
) -> Iterator[Difference]:
    """Each sent payout has exactly one transfer of its amount; what is not finished is what is in transit."""
    transfers = {it.source: it for it in movements if it.kind is MovementKind.TRANSFER}
    waiting: dict[tuple[str, Currency], int] = {}
    claimed: set[str] = set()
    for payout in payouts:
        if payout.status is PayoutStatus.SENT:
            made = transfers.get(payout.stripe_transfer or "")
            if made is None or made.gross != -payout.amount or made.source in claimed:
                yield Difference(payout.id, f"sent as {payout.stripe_transfer}, which Stripe does not show so")
            claimed.add(payout.stripe_transfer or "")
        elif not payout.is_finished:
            key = (f"expert/{payout.expert}/in_transit", payout.currency)
            waiting[key] = waiting.get(key, 0) - payout.amount
    for source in sorted(transfers.keys() - claimed):
        yield Difference(source, "a transfer at Stripe that no payout knows")
    yield from _compare_accounts(balances, "expert/in_transit", waiting)


def _compare_invoices(balances: TrialBalance, invoices: Iterable[Invoice]) -> Iterator[Difference]:
    """What clients owe is what their invoices say is open; clearing is what was paid and is not available.

    Open is the total less payments, credit notes, and what was voided or written off.
    """
    owed: dict[tuple[str, Currency], int] = {}
    clearing: dict[tuple[str, Currency], int] = {}
    for invoice in invoices:
        key = (client_receivable(invoice.client), invoice.currency)
        owed[key] = owed.get(key, 0) + invoice.owed
        pending = sum(payment.amount for payment in invoice.payments if not payment.is_available)
        way = (STRIPE_CLEARING, invoice.currency)
        clearing[way] = clearing.get(way, 0) + pending
    yield from _compare_accounts(balances, "client/receivable", owed)
    yield from _compare_accounts(balances, STRIPE_CLEARING, clearing)


def _compare_payable(balances: TrialBalance, payable: Mapping[tuple[str, Currency], int]) -> Iterator[Difference]:
    """What experts are held and can be paid is what the ledger owes them."""
    states = {(f"expert/{expert}/payable", code): -minor for (expert, code), minor in payable.items()}
    yield from _compare_accounts(balances, "expert/payable", states)


def _compare_accounts(
    balances: TrialBalance, role: str, states: Mapping[tuple[str, Currency], int]
) -> Iterator[Difference]:
    ledger = {key: minor for key, minor in balances.balances.items() if role_of(key[0]) == role}
    for account, code in sorted({(str(name), code) for name, code in ledger} | states.keys()):
        here, there = balances.balance(Account(account), code), states.get((account, code), 0)
        if here != there:
            yield Difference(account, f"the ledger has {Money(here, code)}, the states sum to {Money(there, code)}")
