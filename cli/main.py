"""The solvent command. Each command is a few lines: connect, call one use case, print, exit code.

Exit codes: 0 done, 1 it did not work out and says why, 2 the input or the call was wrong.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from billing.periods import period_of_date
from cli.connection import RUN_FOLDER, CannotStart, connect
from cli.doors_app import doors_app
from cli.finance_app import finance_app
from cli.invoices_app import credits_app, invoice_app
from cli.options import AsCsv, AsJson, By, Stack, TermsDay, console, day, instant
from cli.payouts_app import expert_app, payouts_app
from cli.printing import refused
from cli.statements_app import statements_app
from cli.terms_app import contract_app, plan_app
from cli.webhooks_app import webhooks_app
from infra.aws.secrets import KeysMissing
from infra.local.deployment import DeploymentFailed
from infra.local.emulator import EmulatorError
from settlement.grants import Role
from settlement.month_close import Step

app = typer.Typer(
    name="solvent",
    help="Pay-per-resolution billing and payouts: charges, earnings, invoices, payouts and the ledger that holds them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
parked_app = typer.Typer(help="What could not be decided, and why.", no_args_is_help=True)
import_app = typer.Typer(help="Facts from helpdesks' exports.", no_args_is_help=True)
app.add_typer(parked_app, name="parked")
app.add_typer(import_app, name="import")
app.add_typer(credits_app, name="credits")
app.add_typer(contract_app, name="contract")
app.add_typer(plan_app, name="plan")
app.add_typer(invoice_app, name="invoice")
app.add_typer(payouts_app, name="payouts")
app.add_typer(expert_app, name="expert")
app.add_typer(finance_app, name="finance")
app.add_typer(webhooks_app, name="webhooks")
app.add_typer(doors_app, name="door")
app.add_typer(statements_app)


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
        Path,
        typer.Argument(
            exists=True,
            file_okay=False,
            help="clients/, contracts/, pay_plans/, experts/, payout_policies/, webhooks/, doors/",
        ),
    ],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only check and say what would change.")] = False,
    by: By = None,
    as_of: TermsDay = None,
    stack: Stack = None,
) -> None:
    """Check a folder of clients, contracts, pay plans, experts, policies, webhooks and doors, then write changes.

    Changes of a contract or a pay plan wait for a second person: see `solvent contract approve`.
    """
    from cli.apply import apply_folder  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(
        apply_folder(folder, here.registry, day(as_of), console, check_only=check, identity=lambda: here.identity(by))
    )


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
    for name, account in make_accounts(here.store, here.registry, here.stripe(), datetime.now(UTC)):
        console.print(f"{name}: {account}", soft_wrap=True)
    if expert is not None:
        found = here.registry.experts([expert]).get(expert)
        if found is None or found.stripe_account is None:
            raise typer.Exit(refused(f"there is no expert {expert}; apply one", console))
        console.print(here.stripe().onboarding_link(found.stripe_account, return_url), soft_wrap=True)


@app.command(epilog='For example: curl -H "Authorization: Bearer $(solvent token --role client --client acme)" ...')
def token(
    *,
    role: Annotated[Role, typer.Option(help="What the token is for.")],
    client: Annotated[str, typer.Option(help="The client, for the role client.")] = "",
    expert: Annotated[str, typer.Option(help="The expert, for the role expert.")] = "",
    name: Annotated[str | None, typer.Option("--as", help="Whose it is; a second person needs another name.")] = None,
    machine: Annotated[bool, typer.Option("--machine", help="For a machine, by client credentials.")] = False,
    stack: Stack = None,
) -> None:
    """Print a token for the API under /v1, good for an hour. The person or machine is made if missing."""
    from cli.tokens import Wanted, print_token  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(print_token(connect(stack), Wanted(role, client or expert, name, machine), console))


@parked_app.command("list")
def list_parked(*, stack: Stack = None) -> None:
    """Everything that is parked: id, reason and what to do."""
    parked = sorted(connect(stack).store.parked(), key=lambda item: (item.parked_at, item.id))
    for item in parked:
        console.print(item.id, soft_wrap=True, markup=False)
        console.print(f"    {item.reason}: {item.detail}", soft_wrap=True, markup=False)
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
            refused(cannot, console)
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


@import_app.command("csv", epilog="For example: solvent import csv tickets.csv --door acme-archive")
def import_csv(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An export, .csv or .csv.gz")],
    door: Annotated[str, typer.Option(help="The door that says how it is read; its system is csv or servicenow.")],
    *,
    skip: Annotated[int, typer.Option(min=0, help="Facts that were sent before.")] = 0,
    token: Annotated[
        str | None, typer.Option(envvar="SOLVENT_TOKEN", help="A token of the client; made here on the embedded stack.")
    ] = None,
    stack: Stack = None,
) -> None:
    """Send a helpdesk's export to the API. Sending it again changes nothing; rows that cannot be read are told."""
    from cli.import_events import events_api  # noqa: PLC0415  # keep --help quick
    from cli.import_events import import_csv as send_export  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    api = events_api(here, door, token)
    raise typer.Exit(send_export(here, file, door, api, console, skip=skip))


@app.command("close", epilog="For example: solvent close 2026-10 --by ann --until drafts")
def close_month(  # noqa: PLR0913  # one parameter for each option
    month: Annotated[datetime, typer.Argument(formats=["%Y-%m"], metavar="MONTH", help="A month, such as 2026-10.")],
    *,
    status: Annotated[bool, typer.Option("--status", help="Only show what is done, by whom and when.")] = False,
    approved: Annotated[
        str | None,
        typer.Option("--approve", metavar="HASH", help="As the second person: approve what is drafted."),
    ] = None,
    until: Annotated[Step, typer.Option(help="The last step to run.")] = Step.PACK,
    accept: Annotated[Step | None, typer.Option(help="A step whose blockers are left as they are.")] = None,
    because: Annotated[str, typer.Option(help="Why they are; it is kept.")] = "",
    folder: Annotated[Path, typer.Option(help="Where the export and the audit pack are.")] = RUN_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="With --status: as JSON.")] = False,
    by: By = None,
    as_of: Annotated[datetime | None, typer.Option(help="Now, on the embedded stack; AWS takes the clock's.")] = None,
    stack: Stack = None,
) -> None:
    """Close a month, step by step, from parked facts to the lock, the export and the audit pack.

    What is done is remembered with who did it. It stops where something blocks it, says what to do, and goes on there.
    """
    from cli.close import Desk, Wanted, approve, show_close  # noqa: PLC0415  # keep --help quick
    from cli.close import close_month as run  # noqa: PLC0415  # see above
    from infra.aws.export_bucket import signing_key  # noqa: PLC0415  # see above

    here, period = connect(stack), period_of_date(month)
    if status:
        raise typer.Exit(show_close(here.store, period, console, as_json=as_json))
    person, now = here.identity(by), here.decided_at(as_of)
    if approved:
        raise typer.Exit(approve(here.store, period, approved, person, now, console))
    key, accepts = signing_key(here.stack), {accept: because} if accept else {}
    desk = Desk(here.store, here.registry, here.stripe(), key.sign, key.public_key())
    raise typer.Exit(run(desk, Wanted(period, person, now, folder, until, accepts), console))


@app.command("reconcile", epilog="For example: solvent reconcile --csv")
def reconcile_books(
    *,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    as_of: Annotated[datetime | None, typer.Option(help="Now, for how old things are.")] = None,
    afresh: Annotated[bool, typer.Option("--afresh", help="Read the whole journal, not from kept sums on.")] = False,
    stack: Stack = None,
) -> None:
    """Match ledger, payouts, invoices and holds with Stripe: what differs or is under way, its age, what to do.

    Nothing is written. Exits with 1 if there is a difference.
    """
    from cli.printing import Form  # noqa: PLC0415  # keep --help quick
    from cli.reconcile import show_reconciliation  # noqa: PLC0415  # keep --help quick

    form, here = Form(as_json, as_csv), connect(stack)
    raise typer.Exit(show_reconciliation(here.store, here.stripe(), instant(as_of), form, console, afresh=afresh))


def main() -> None:
    """Run the command; errors that say what to do are one line and exit 2."""
    try:
        app()
    except (CannotStart, EmulatorError, DeploymentFailed, KeysMissing) as error:
        raise SystemExit(refused(error, console)) from None
