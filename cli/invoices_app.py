"""`solvent invoice` and `solvent credits`: what clients are asked to pay and have paid ahead, in a few lines each."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from billing.corrections import Outcome
from billing.periods import period_of_date
from cli.connection import connect
from cli.options import AsJson, Stack, console, day, instant

invoice_app = typer.Typer(help="What clients are asked to pay for a month.", no_args_is_help=True)
credits_app = typer.Typer(help="What clients have paid in advance.", no_args_is_help=True)

PeriodName = Annotated[str, typer.Option("--period", help="The month, such as 2026-10.")]
Month = typer.Option("--period", formats=["%Y-%m"], help="A month, such as 2026-10.")


# -- invoices ----------------------------------------------------------------------------------------------------------


@invoice_app.command("preview")
def preview_invoice(
    client: str,
    *,
    period: Annotated[datetime | None, Month] = None,
    as_of: Annotated[datetime | None, typer.Option(help="Now, for which month is meant without --period.")] = None,
    as_json: AsJson = False,
    stack: Stack = None,
) -> None:
    """What the invoice would be if the period were closed now. Nothing is written."""
    from cli.invoices import preview  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    wanted = (period_of_date(period.date()) if period else None, instant(as_of))
    raise typer.Exit(preview(here.store, here.registry, client, wanted, console, as_json=as_json))


@invoice_app.command("list")
def list_invoices(
    *,
    client: Annotated[str | None, typer.Option(help="Only this client's.")] = None,
    as_of: Annotated[datetime | None, typer.Option(help="Today, for what is overdue.")] = None,
    as_json: AsJson = False,
    stack: Stack = None,
) -> None:
    """Every invoice: its total, what was credited and paid, what is owed, and whether it is overdue."""
    from cli.invoices import list_invoices as print_invoices  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(print_invoices(connect(stack).store, client, day(as_of), console, as_json=as_json))


@invoice_app.command("evidence")
def invoice_evidence(
    client: str,
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where the file goes.")],
    *,
    period: Annotated[datetime, Month],
    stack: Stack = None,
) -> None:
    """Write why an invoice is what it is: one row for each resolution, in a CSV file that sums to it to the cent."""
    from cli.invoices import write_evidence  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    wanted = (client, period_of_date(period.date()))
    raise typer.Exit(write_evidence(here.store, here.registry, wanted, folder, console))


@invoice_app.command("void")
def void_invoice(client: str, *, period: PeriodName, stack: Stack = None) -> None:
    """Void an invoice of which nothing was paid, at Stripe and in the ledger."""
    from cli.invoice_actions import void  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(void(connect(stack), client, period, console))


@invoice_app.command("reissue")
def reissue_invoice(client: str, *, period: PeriodName, stack: Stack = None) -> None:
    """Issue a void invoice again, as a new one at Stripe, less what credit notes took off."""
    from cli.invoice_actions import reissue  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(reissue(connect(stack), client, period, console))


@invoice_app.command(
    "settle", epilog="For example: solvent invoice settle acme --period 2026-10 --as lost --reference dp_1"
)
def settle_invoice(  # noqa: PLR0913  # one parameter for each option
    client: str,
    *,
    period: PeriodName,
    outcome: Annotated[Outcome, typer.Option("--as", help="What became of it.")],
    reference: Annotated[str, typer.Option(help="The bank's or your own; the same one twice is once.")],
    amount: Annotated[str | None, typer.Option(help="In major units, such as 40.00; without it all.")] = None,
    as_of: Annotated[datetime | None, typer.Option(help="Now, if it is not the clock's.")] = None,
    stack: Stack = None,
) -> None:
    """Close what went back of a paid invoice by refund or chargeback: paid by bank, given as a credit, or lost."""
    from cli.invoice_actions import settle  # noqa: PLC0415  # keep --help quick

    said = (outcome, reference, amount)
    raise typer.Exit(settle(connect(stack), (client, period), said, instant(as_of), console))


# -- credits -----------------------------------------------------------------------------------------------------------


@credits_app.command("buy")
def buy_credits(
    client: str,
    amount: Annotated[str, typer.Argument(help="In major units, such as 5000.00")],
    *,
    reference: Annotated[str, typer.Option(help="The bank's reference; the same one twice is one purchase.")],
    expires_on: Annotated[datetime | None, typer.Option(help="The last day on which they can be used.")] = None,
    stack: Stack = None,
) -> None:
    """Record credits that a client paid for by bank; they are used at the close."""
    from cli.credits import buy  # noqa: PLC0415  # keep --help quick

    last = expires_on.date() if expires_on else None
    raise typer.Exit(buy(connect(stack), client, amount, reference, last, console))


@credits_app.command("refund")
def refund_credits(client: str, reference: str, *, stack: Stack = None) -> None:
    """Record that what is left of a purchase was paid back by bank."""
    from cli.credits import refund  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(refund(connect(stack), client, reference, console))


@credits_app.command("show")
def show_credits(client: str, *, stack: Stack = None) -> None:
    """Every purchase of a client, and what is left of it."""
    from cli.credits import show  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(show(connect(stack), client, console))
