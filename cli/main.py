"""The solvent command. Each command is a few lines: connect, call one use case, print, exit code.

Exit codes: 0 done, 1 it did not work out and says why, 2 the input or the call was wrong.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.connection import RUN_FOLDER, CannotStart, connect
from infra.aws.secrets import KeysMissing
from infra.local.deployment import DeploymentFailed
from infra.local.emulator import EmulatorError

app = typer.Typer(
    name="solvent",
    help="Pay-per-resolution billing and payouts: charges, earnings, invoices, payouts and the ledger that holds them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
parked_app = typer.Typer(help="What could not be decided, and why.", no_args_is_help=True)
import_app = typer.Typer(help="Facts from helpdesk exports.", no_args_is_help=True)
app.add_typer(parked_app, name="parked")
app.add_typer(import_app, name="import")

console = Console()
Stack = Annotated[
    str | None,
    typer.Option("--stack", envvar="SOLVENT_STACK", help="A stack in AWS; without it the embedded one that runs here."),
]
ExportFolder = Annotated[Path, typer.Option("--from", help="The folder of an export.")]


@app.command()
def run(
    *,
    serve: Annotated[bool, typer.Option(help="Keep the stack up afterwards, until Ctrl-C.")] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an earlier run instead of going on with it.")] = False,
    resolutions: Annotated[int, typer.Option(min=100, help="How many resolutions the month holds.")] = 3000,
) -> None:
    """Play the sample month on the embedded stack. A run that was interrupted goes on where it stopped."""
    from cli.run import run_month  # noqa: PLC0415  # the other commands need no emulator

    raise typer.Exit(run_month(RUN_FOLDER.resolve(), console, serve=serve, fresh=fresh, resolutions=resolutions))


@app.command()
def apply(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="clients/, contracts/, pay_plans/, experts/")
    ],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only check and say what would change.")] = False,
    as_of: Annotated[datetime | None, typer.Option(help="Today, for the rule against back-dating.")] = None,
    stack: Stack = None,
) -> None:
    """Check a folder of clients, contracts, pay plans and experts, then write what changed."""
    from cli.apply import apply_folder  # noqa: PLC0415  # YAML is for this command only

    today = as_of.date() if as_of else datetime.now(UTC).date()
    raise typer.Exit(apply_folder(folder, connect(stack).registry, today, console, check_only=check))


@app.command()
def onboard(
    expert: Annotated[str | None, typer.Argument(help="Print this expert's onboarding link.")] = None,
    *,
    return_url: Annotated[str, typer.Option(help="Where Stripe sends the expert afterwards.")] = "https://example.com",
    stack: Stack = None,
) -> None:
    """Make Stripe accounts for all experts that have none; for one expert, print the link to finish theirs."""
    from settlement.onboard import onboard as make_accounts  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    for name, account in make_accounts(here.registry, here.stripe()):
        console.print(f"{name}: {account}", soft_wrap=True)
    if expert is not None:
        found = here.registry.experts([expert]).get(expert)
        if found is None or found.stripe_account is None:
            console.print(f"[red]there is no expert {expert}; apply one[/red]")
            raise typer.Exit(2)
        console.print(here.stripe().onboarding_link(found.stripe_account, return_url), soft_wrap=True)


@parked_app.command("list")
def list_parked(*, stack: Stack = None) -> None:
    """Everything that is parked: id, reason and what to do."""
    parked = sorted(connect(stack).store.parked(), key=lambda item: (item.parked_at, item.id))
    table = Table(box=None, pad_edge=False)
    for name in ("id", "reason", "detail"):
        table.add_column(name, overflow="fold")
    for item in parked:
        table.add_row(item.id, item.reason, item.detail)
    console.print(table)
    console.print(f"{len(parked)} parked")


@parked_app.command("release")
def release_parked(
    ids: Annotated[list[str] | None, typer.Argument(help="The ids to release.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that can be sent again.")] = False,
    stack: Stack = None,
) -> None:
    """Let parked facts and cases try again, once their cause is mended."""
    from settlement.release import CannotRelease, release  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    wanted = list(ids or [])
    if everything:
        wanted += [item.id for item in here.store.parked() if item.message is not None]
    failed = 0
    for parked_id in wanted:
        try:
            settled = release(here.store, here.registry, parked_id, datetime.now(UTC))
        except CannotRelease as cannot:
            console.print(f"[red]{cannot}[/red]", soft_wrap=True)
            failed += 1
        else:
            console.print(f"{parked_id}: {'parked again' if settled.parked else 'released'}", soft_wrap=True)
    raise typer.Exit(1 if failed else 0)


@import_app.command("servicenow")
def import_servicenow(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The incident audit log, .csv or .csv.gz")],
    client: Annotated[str, typer.Option(help="The client whose helpdesk it is.")],
    *,
    time_zone: Annotated[str, typer.Option(help="The zone of the log's times.")] = "UTC",
    stack: Stack = None,
) -> None:
    """Turn a ServiceNow incident log into facts, and settle them. Importing it again changes nothing."""
    from cli.import_facts import import_log  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    raise typer.Exit(import_log(here.store, here.registry, file, client, time_zone, console))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the export goes; an earlier one there is replaced.")],
    *,
    stack: Stack = None,
) -> None:
    """Export the ledger as Parquet and CSV, one row per posting, with a manifest."""
    from cli.finance import export_command  # noqa: PLC0415  # DuckDB is for this command only

    raise typer.Exit(export_command(connect(stack).store, folder, console))


@app.command("trial-balance")
def trial_balance(*, folder: ExportFolder = RUN_FOLDER / "export") -> None:
    """The trial balance of an export, by DuckDB over its Parquet files."""
    from cli.finance import print_trial_balance  # noqa: PLC0415  # DuckDB is for this command only

    print_trial_balance(folder, console)


@app.command()
def verify(*, folder: ExportFolder = RUN_FOLDER / "export") -> None:
    """Check an export from its files alone: sums, counts, gaps, balance."""
    from cli.finance import verify_command  # noqa: PLC0415  # DuckDB is for this command only

    raise typer.Exit(verify_command(folder, console))


def main() -> None:
    """Run the command; errors that say what to do are one line and exit 2."""
    try:
        app()
    except (CannotStart, EmulatorError, DeploymentFailed, KeysMissing) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        raise SystemExit(2) from None
