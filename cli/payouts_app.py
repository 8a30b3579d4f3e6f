"""`solvent payouts` and `solvent expert`: how money leaves, as commands of a few lines each."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import connect
from cli.options import AsJson, By, Stack, console, instant
from payouts.payouts import PayoutStatus

payouts_app = typer.Typer(help="What experts are paid, what waits, and who says so.", no_args_is_help=True)
expert_app = typer.Typer(help="What is known of an expert, and what holds payouts back.", no_args_is_help=True)

AsOf = Annotated[datetime | None, typer.Option("--as-of", help="Now, if it is not the clock's.")]
Because = Annotated[str, typer.Option("--because", help="Why; it is kept with what is stopped or rejected.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run, such as 2026-W41.")]
CurrencyCode = Annotated[str, typer.Argument(metavar="CURRENCY", help="A currency, such as USD.")]


# -- payouts -----------------------------------------------------------------------------------------------------------


@payouts_app.command("list")
def list_payouts(
    *,
    run: Annotated[str | None, typer.Option(help="Only this run's, such as 2026-W41.")] = None,
    status: Annotated[PayoutStatus | None, typer.Option(help="Only those in this state.")] = None,
    as_json: AsJson = False,
    stack: Stack = None,
) -> None:
    """Every payout: its state, what is transferred, withheld, kept as a fee and taken back."""
    from cli.payouts import list_payouts as print_payouts  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(print_payouts(connect(stack).store, (run, status), console, as_json=as_json))


@payouts_app.command("show")
def show_payout(
    payout: Annotated[str, typer.Argument(metavar="ID", help="A payout, such as payout:maya:USD:2026-W41.")],
    *,
    as_json: AsJson = False,
    as_of: AsOf = None,
    stack: Stack = None,
) -> None:
    """Everything about one payout, what it waits for, and the next step."""
    from cli.payouts import show_payout as print_payout  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    raise typer.Exit(print_payout(here.store, here.registry, payout, instant(as_of), console, as_json=as_json))


@payouts_app.command("held")
def held_payouts(*, as_json: AsJson = False, as_of: AsOf = None, stack: Stack = None) -> None:
    """Who would not be paid now: the amount, and everything that is missing. Nothing is written."""
    from cli.payouts import held  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    raise typer.Exit(held(here.store, here.registry, instant(as_of), console, as_json=as_json))


@payouts_app.command("waiting")
def waiting_payouts(*, as_json: AsJson = False, stack: Stack = None) -> None:
    """Runs that wait for a second person: how many payouts, their totals, and the hash that an approval names."""
    from cli.payouts import waiting  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(waiting(connect(stack).store, console, as_json=as_json))


@payouts_app.command("approve")
def approve_payouts(
    run: Run,
    *,
    approval: Annotated[str, typer.Option("--hash", help="The hash that `solvent payouts waiting` printed.")],
    by: By = None,
    stack: Stack = None,
) -> None:
    """Approve exactly what waits in a run that somebody else planned, and have it sent."""
    from cli.payout_actions import approve  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    raise typer.Exit(approve(here, run, approval, here.identity(by), instant(None), console))


@payouts_app.command("reject")
def reject_payouts(run: Run, *, because: Because, by: By = None, stack: Stack = None) -> None:
    """Give what waits in a run back to the experts' balances; a later run may pay it."""
    from cli.payout_actions import reject  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    raise typer.Exit(reject(here, run, because, here.identity(by), instant(None), console))


@payouts_app.command("stop")
def stop_payouts(*, because: Because, by: By = None, stack: Stack = None) -> None:
    """Stop all sending at once, until somebody resumes. Earnings and planning go on."""
    from cli.payout_actions import stop  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    raise typer.Exit(stop(here, because, here.identity(by), instant(None), console))


@payouts_app.command("resume")
def resume_payouts(*, stack: Stack = None) -> None:
    """Send again after a stop: everything that may be sent is asked for."""
    from cli.payout_actions import resume  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(resume(connect(stack), instant(None), console))


@payouts_app.command("status")
def payouts_status(*, as_of: AsOf = None, stack: Stack = None) -> None:
    """Whether payouts are stopped, the limits of each currency, and what of the day's is used."""
    from cli.payouts import status  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    raise typer.Exit(status(here.store, here.registry, instant(as_of), console))


@payouts_app.command("quote")
def quote_payout(expert: str, currency: CurrencyCode, *, as_of: AsOf = None, stack: Stack = None) -> None:
    """What an expert would get if paid at once, and what that costs. Nothing is written."""
    from cli.payout_actions import quote  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(quote(connect(stack), expert, currency, instant(as_of), console))


@payouts_app.command("now")
def pay_now(
    expert: str,
    currency: CurrencyCode,
    *,
    net: Annotated[str, typer.Option(help="What `solvent payouts quote` said that arrives, such as 94.50.")],
    key: Annotated[str, typer.Option(help="A name for this payout; the same one twice is one payout.")],
    by: By = None,
    stack: Stack = None,
) -> None:
    """Pay an expert at once, for the fee that was quoted; refused if it would not be that any more."""
    from cli.payout_actions import Wanted, pay_now  # noqa: PLC0415  # keep --help quick

    here, wanted = connect(stack), Wanted(expert, currency, net, key)
    raise typer.Exit(pay_now(here, wanted, here.identity(by), instant(None), console))


# -- experts -----------------------------------------------------------------------------------------------------------


@expert_app.command("show")
def show_expert(expert: str, *, as_of: AsOf = None, stack: Stack = None) -> None:
    """An expert's gates with dates and sources, Stripe, the bank, and what holds payouts back."""
    from cli.experts import show  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    raise typer.Exit(show(here.store, here.registry, expert, instant(as_of), console))


@expert_app.command("refresh")
def refresh_expert(expert: str, *, stack: Stack = None) -> None:
    """Ask Stripe again about an expert's account, and show what is known then."""
    from cli.experts import refresh  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(refresh(connect(stack), expert, instant(None), console))


@expert_app.command("gate")
def record_gate(
    expert: str,
    gate: Annotated[str, typer.Argument(help="contract_signed, background_check, training or tax_form.")],
    *,
    passed_on: Annotated[str, typer.Option(help="The day on which it was passed, such as 2026-11-01.")],
    source: Annotated[str, typer.Option(help="The system that says so.")],
    expires_on: Annotated[str, typer.Option(help="The last day on which it counts; without it, for good.")] = "",
    stack: Stack = None,
) -> None:
    """Record that an outside system says that an expert passed a gate; it replaces what that system said before."""
    from cli.experts import gate as record  # noqa: PLC0415  # keep --help quick

    cells = {"expert": expert, "gate": gate, "passed_on": passed_on, "expires_on": expires_on, "source": source}
    raise typer.Exit(record(connect(stack), cells, console))


@expert_app.command("gates")
def record_gates(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="expert,gate,passed_on,expires_on,source")],
    *,
    stack: Stack = None,
) -> None:
    """Record the gates that outside systems tell in a CSV file. Giving it again changes nothing."""
    from cli.experts import gates  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(gates(connect(stack), file, console))
