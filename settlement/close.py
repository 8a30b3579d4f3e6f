"""The monthly close: from a period's counters to true-up, invoice and a period that never changes again."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta

from billing.contracts import Contract, ContractHistory, ContractNotInForce
from billing.invoices import Close, Invoice, InvoiceStatus, LineKind, close_period
from billing.periods import Period, PeriodStatus, next_period, period_end, period_of, period_of_date
from billing.prepaid import Prepaid, use
from ledger.accounts import (
    REVENUE_MINIMUM,
    REVENUE_RESOLUTIONS,
    TAX_PAYABLE,
    Account,
    client_prepaid,
    client_receivable,
    client_unbilled,
)
from ledger.entries import Entry, EntryId, client_book, evidence, postings
from ledger.posting_rules import Reason
from settlement.ports import BillingStore, Changes, Registry
from settlement.writing import sealed, until_written


def close_due_periods(store: BillingStore, registry: Registry, as_of: datetime) -> list[Invoice]:
    """Close every open period that ended, close delay included, at or before `as_of`; the invoices they led to.

    Periods of one client close in order. A period that is closed already stays as it is.
    """
    clients = sorted(registry.clients())
    histories = registry.contracts(clients)
    return [
        invoice
        for client in clients
        if client in histories
        for period in _due(store, histories[client], as_of)
        for invoice in [_close(store, histories[client], period, as_of)]
        if invoice is not None
    ]


def _due(store: BillingStore, history: ContractHistory, as_of: datetime) -> Iterator[Period]:
    """The client's open periods that are due, oldest first."""
    zone = history.time_zone
    for period in open_periods(store, history, period_of(as_of, zone)):
        if period_end(period, zone) + timedelta(hours=history.in_force(period).close_delay_hours) > as_of:
            return
        yield period


def open_periods(store: BillingStore, history: ContractHistory, last: Period) -> Iterator[Period]:
    """The client's open periods in which a contract is in force, oldest first, up to `last` (inclusive)."""
    periods = [period_of_date(history.versions[0].starts_on)]
    while periods[-1] < last:
        periods.append(next_period(periods[-1]))
    states = store.periods([(history.client, period) for period in periods])
    for period in periods:
        if states[history.client, period].status is PeriodStatus.OPEN and _contract(history, period) is not None:
            yield period


def _contract(history: ContractHistory, period: Period) -> Contract | None:
    try:
        return history.in_force(period)
    except ContractNotInForce:
        return None


def _close(store: BillingStore, history: ContractHistory, period: Period, as_of: datetime) -> Invoice | None:
    now, before = (history.client, period), (history.client, _previous(history, period))

    def attempt() -> Invoice | None:
        states = store.periods([now, before])
        if states[now].status is PeriodStatus.CLOSED:
            return None
        contract = history.in_force(period)
        prepaid = store.prepaids([history.client])[history.client] if contract.prepaid else Prepaid(history.client)
        closing = close_period(contract, states[now], states[before].carried, prepaid.usable(last_day(period)))
        store.commit(_changes(store, closing, prepaid, as_of))
        return closing.invoice

    return until_written(store, f"the close of {history.client} {period}", attempt)


def _previous(history: ContractHistory, period: Period) -> Period:
    """The period before in which a contract was in force: what it carried waits for this one."""
    before, first = period, period_of_date(history.versions[0].starts_on)
    while before > first:
        before = period_of_date(date.fromisoformat(f"{before}-01") - timedelta(days=1))
        if _contract(history, before) is not None:
            return before
    return period_of_date(date.fromisoformat(f"{period}-01") - timedelta(days=1))


def last_day(period: Period) -> date:
    """The last day of a period: the accounting date of its close."""
    return date.fromisoformat(f"{next_period(period)}-01") - timedelta(days=1)


def _changes(store: BillingStore, closing: Close, prepaid: Prepaid, as_of: datetime) -> Changes:
    state, invoice = closing.period, closing.invoice
    left = use(prepaid, closing.prepaid, last_day(state.period))
    entries, heads = sealed(store, _entries(closing), as_of)
    return Changes(
        entries=entries,
        heads=heads,
        periods=(replace(state, revision=state.revision + 1),),
        invoices=(replace(invoice, revision=1),),
        prepaids=(left,) if left != prepaid else (),
    )


def _entries(closing: Close) -> list[Entry]:
    """True-up, shortfall, tax, credits used and the invoice itself, dated the last day of the period."""
    invoice = closing.invoice
    unbilled = client_unbilled(invoice.client)
    counts = {rate: [counter.net, counter.accrued, counter.billed] for rate, counter in closing.period.rates}
    lines = [[line.kind, line.text, line.quantity, line.amount] for line in invoice.lines]
    percent = next((line.text for line in invoice.lines if line.kind is LineKind.TAX), None)
    billed = invoice.total if invoice.status is InvoiceStatus.PLANNED else 0
    steps: list[tuple[Reason, Account, Account, int, dict[str, object]]] = [
        (Reason.TRUE_UP, unbilled, REVENUE_RESOLUTIONS, closing.true_up, {"net_accrued_billed": counts}),
        (Reason.SHORTFALL, unbilled, REVENUE_MINIMUM, closing.shortfall, {}),
        (Reason.TAX, unbilled, TAX_PAYABLE, closing.tax, {"percent": percent}),
        (Reason.PREPAID_APPLIED, client_prepaid(invoice.client), unbilled, closing.prepaid, {}),
        (
            Reason.INVOICED,
            client_receivable(invoice.client),
            unbilled,
            billed,
            {"lines": lines, "net_days": invoice.net_days},
        ),
    ]
    return [
        Entry(
            id=EntryId(f"{invoice.id}:{reason}"),
            book=client_book(invoice.client),
            reason=reason,
            postings=postings(((debit, amount), (credit, -amount)), invoice.currency),
            effective_on=last_day(invoice.period),
            evidence=evidence({"period": invoice.period} | why),
        )
        for reason, debit, credit, amount, why in steps
        if amount
    ]
