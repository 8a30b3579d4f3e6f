"""`solvent invoice void`, `reissue` and `settle`: take an invoice back, issue it again, close what went back of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console

from billing.corrections import Outcome
from billing.invoices import Invoice
from billing.periods import Period
from cli.connection import Connection
from cli.options import typed_amount
from cli.printing import DONE, FAILED, REFUSED, refused, say
from ledger.errors import InvalidMoney
from ledger.money import format_minor_units
from settlement.invoicing import InvoiceDiffers
from settlement.ports import BillingStore, Contention, WritableRegistry
from settlement.reissue import CannotTakeBack, reissue_invoice, void_invoice
from settlement.returned import CannotSettle, settle_returned
from settlement.stripe_port import Stripe, StripeBusy, StripeRefused, StripeUnclear

_Action = Callable[[BillingStore, WritableRegistry, Stripe, tuple[str, Period], datetime], Invoice]


def void(here: Connection, client: str, period: str, console: Console) -> int:
    """Void an unpaid invoice at Stripe and in the ledger."""
    return _act(void_invoice, here, (client, period), console)


def reissue(here: Connection, client: str, period: str, console: Console) -> int:
    """Issue a void invoice again, as a new one at Stripe."""
    return _act(reissue_invoice, here, (client, period), console)


def settle(
    here: Connection, named: tuple[str, str], said: tuple[Outcome, str, str | None], now: datetime, console: Console
) -> int:
    """Close what went back of an invoice; `said` is what became of it, a reference, and an amount if not all of it."""
    (client, period), (outcome, reference, amount) = named, said
    if not _is_period(period, console):
        return REFUSED
    key = (client, Period(period))
    try:
        invoice = here.store.invoice(*key)
        minor_units = None if amount is None or invoice is None else typed_amount(amount, invoice.currency)
        after = settle_returned(here.store, key, outcome, minor_units, reference, now)
    except (CannotSettle, InvalidMoney) as cannot:
        return refused(cannot, console)
    except Contention as busy:
        return refused(busy, console, FAILED)
    left = format_minor_units(after.returned, after.currency)
    say(f"{after.id}: {left} {after.currency} of what went back stand open", console)
    return DONE


def _is_period(period: str, console: Console) -> bool:
    if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", period):
        return True
    refused(f"{period} is not a period; name a month, such as 2026-10", console)
    return False


def _act(action: _Action, here: Connection, named: tuple[str, str], console: Console) -> int:
    client, period = named
    if not _is_period(period, console):
        return REFUSED
    try:
        invoice = action(here.store, here.registry, here.stripe(), (client, Period(period)), datetime.now(UTC))
    except CannotTakeBack as cannot:
        return refused(cannot, console)
    except (StripeBusy, StripeRefused, StripeUnclear, InvoiceDiffers, Contention) as error:
        return refused(error, console, FAILED)
    total = format_minor_units(invoice.total, invoice.currency)
    where = f"{invoice.stripe_invoice} at Stripe"
    console.print(f"{invoice.attempt_id}: {invoice.status}, {total} {invoice.currency}, {where}", soft_wrap=True)
    return DONE
