"""`solvent invoice void` and `reissue`: take an invoice back at Stripe, and issue the period again."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console

from billing.invoices import Invoice
from billing.periods import Period
from cli.connection import Connection
from ledger.money import format_minor_units
from settlement.invoicing import InvoiceDiffers
from settlement.ports import BillingStore, Contention, WritableRegistry
from settlement.reissue import CannotTakeBack, reissue_invoice, void_invoice
from settlement.stripe_port import Stripe, StripeBusy, StripeRefused, StripeUnclear

DONE, FAILED, REFUSED = 0, 1, 2
_Action = Callable[[BillingStore, WritableRegistry, Stripe, tuple[str, Period], datetime], Invoice]


def void(here: Connection, client: str, period: str, console: Console) -> int:
    """Void an unpaid invoice at Stripe and in the ledger."""
    return _act(void_invoice, here, (client, period), console)


def reissue(here: Connection, client: str, period: str, console: Console) -> int:
    """Issue a void invoice again, as a new one at Stripe."""
    return _act(reissue_invoice, here, (client, period), console)


def _act(action: _Action, here: Connection, named: tuple[str, str], console: Console) -> int:
    client, period = named
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", period):
        console.print(f"[red]{period} is not a period; name a month, such as 2026-10[/red]", soft_wrap=True)
        return REFUSED
    try:
        invoice = action(here.store, here.registry, here.stripe(), (client, Period(period)), datetime.now(UTC))
    except CannotTakeBack as cannot:
        console.print(f"[red]{cannot}[/red]", soft_wrap=True)
        return REFUSED
    except (StripeBusy, StripeRefused, StripeUnclear, InvoiceDiffers, Contention) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        return FAILED
    total = format_minor_units(invoice.total, invoice.currency)
    where = f"{invoice.stripe_invoice} at Stripe"
    console.print(f"{invoice.attempt_id}: {invoice.status}, {total} {invoice.currency}, {where}", soft_wrap=True)
    return DONE
