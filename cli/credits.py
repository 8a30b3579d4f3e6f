"""`solvent credits`: what clients have paid in advance."""

from datetime import UTC, date, datetime

from rich.console import Console
from rich.table import Table

from billing.prepaid import Lot, Prepaid, PrepaidRefused
from cli.connection import Connection
from cli.options import typed_amount
from cli.printing import DONE, refused
from ledger.errors import InvalidMoney
from ledger.money import Currency, format_minor_units
from settlement.prepaid import buy_credits, refund_credits


def buy(here: Connection, client: str, amount: str, reference: str, expires_on: date | None, console: Console) -> int:
    """Record credits that a client paid for by bank, under the bank's reference; the same reference twice is once."""
    try:
        code = _currency(here, client)
        minor_units = typed_amount(amount, code)
        now = datetime.now(UTC)
        lot = Lot(reference, now.date(), expires_on, minor_units, minor_units)
        known = here.store.prepaids([client])[client].lot(reference)
        lot = lot if known is None else Lot(reference, known.bought_on, expires_on, minor_units, known.left)
        prepaid = buy_credits(here.store, here.registry, client, lot, now)
    except (LookupError, PrepaidRefused, InvalidMoney) as error:
        return refused(error, console)
    _show(prepaid, code, console)
    return DONE


def refund(here: Connection, client: str, reference: str, console: Console) -> int:
    """Record that what is left of a purchase was paid back by bank."""
    try:
        prepaid = refund_credits(here.store, here.registry, client, reference, datetime.now(UTC))
        _show(prepaid, _currency(here, client), console)
    except (LookupError, PrepaidRefused) as error:
        return refused(error, console)
    return DONE


def show(here: Connection, client: str, console: Console) -> int:
    """Every purchase, and what is left of it."""
    try:
        _show(here.store.prepaids([client])[client], _currency(here, client), console)
    except LookupError as error:
        return refused(error, console)
    return DONE


def _currency(here: Connection, client: str) -> Currency:
    histories = here.registry.contracts([client])
    if client not in histories:
        raise LookupError(f"there is no contract for {client}; apply one")
    return histories[client].currency


def _show(prepaid: Prepaid, code: Currency, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("reference", "bought on", "expires after", f"bought {code}", f"left {code}"):
        table.add_column(name, justify="right" if code in name else "left")
    for lot in prepaid.lots:
        last = str(lot.expires_on) if lot.expires_on else "never"
        amounts = (format_minor_units(lot.amount, code), format_minor_units(lot.left, code))
        table.add_row(lot.id, str(lot.bought_on), last, *amounts)
    console.print(table)
