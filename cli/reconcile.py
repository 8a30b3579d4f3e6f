"""`solvent reconcile`: what ledger, states and Stripe do not agree on, and what is under way, oldest first."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Console

from cli.printing import DONE, FAILED, Form, refused, say, table, write_csv
from ledger.money import Currency, format_minor_units
from settlement.described import describe_reconciliation
from settlement.findings import Finding, Reconciliation
from settlement.reconcile import ReconcileStore, reconcile
from settlement.stripe_port import Stripe, StripeBusy, StripeRefused, StripeUnclear

COLUMNS = ("state", "about", "detail", "amount", "currency", "since", "age_days", "next_step")
_SHOWN = ("about", "what", "amount", "in", "days", "next step")


def show_reconciliation(
    store: ReconcileStore, stripe: Stripe, as_of: datetime, form: Form, console: Console, *, afresh: bool = False
) -> int:
    """Compare and print; nothing is written. 0 without a difference; 1 with one, or if Stripe does not answer."""
    try:
        found = reconcile(store, stripe, as_of, afresh=afresh)
    except (StripeBusy, StripeRefused, StripeUnclear) as error:
        return refused(f"nothing was compared, for Stripe does not answer as it should: {error}", console, FAILED)
    if form.as_json:
        console.print_json(data=describe_reconciliation(found))
    elif form.as_csv:
        write_csv(console.file, COLUMNS, _rows(found))
    else:
        _show(found, console)
    return DONE if found.is_clean else FAILED


def _rows(found: Reconciliation) -> Iterator[dict[str, Any]]:
    """One row for each finding, its amount in major units."""
    for state, findings in (("difference", found.differences), ("open", found.open)):
        for it in findings:
            yield it.described(found.day) | {"state": state, "amount": _amount(it)}


def _show(found: Reconciliation, console: Console) -> None:
    for title, findings in (("Differences", found.differences), ("Under way", found.open)):
        rows = [_cells(it, found) for it in findings]
        if rows:
            console.print(table(title, _SHOWN, rows, ("amount", "days")))
    compared = f"{found.movements:,} movements at Stripe, {found.payouts:,} payouts, {found.invoices:,} invoices"
    result = f"{len(found.differences) or 'no'} differences, {len(found.open)} under way"
    say(f"{compared}: {result}", console)


def _cells(it: Finding, found: Reconciliation) -> tuple[str, ...]:
    return it.about, it.detail, _amount(it), it.currency or "", str(it.age_days(found.day)), it.next_step


def _amount(finding: Finding) -> str:
    return format_minor_units(finding.amount, Currency(finding.currency)) if finding.currency else ""
