"""The solvent command. Each command is a few lines: connect, call one use case, print, exit code.

Exit codes: 0 done, 1 it did not work out and says why, 2 the input or the call was wrong.
"""

from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from billing.corrections import Outcome
from billing.periods import period_of_date
from cli.connection import RUN_FOLDER, CannotStart, connect
from cli.doors_app import doors_app
from cli.finance_app import finance_app
from cli.options import AsCsv, AsJson, By, Stack, console, instant
from cli.payouts_app import expert_app, payouts_app
from cli.statements_app import statements_app
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
credits_app = typer.Typer(help="What clients have paid in advance.", no_args_is_help=True)
app.add_typer(credits_app, name="credits")
contract_app = typer.Typer(help="What clients have agreed to pay, and who agreed.", no_args_is_help=True)
app.add_typer(contract_app, name="contract")
plan_app = typer.Typer(help="What experts have agreed to be paid, and who agreed.", no_args_is_help=True)
app.add_typer(plan_app, name="plan")
invoice_app = typer.Typer(help="What clients are asked to pay for a month.", no_args_is_help=True)
app.add_typer(invoice_app, name="invoice")
app.add_typer(payouts_app, name="payouts")
app.add_typer(expert_app, name="expert")
app.add_typer(finance_app, name="finance")
app.add_typer(webhooks_app, name="webhooks")
app.add_typer(doors_app, name="door")
app.add_typer(statements_app)


class LogFormat(StrEnum):
    """Whose helpdesk log is read."""

    SERVICENOW = "servicenow"


AsOf = Annotated[datetime | None, typer.Option(help="Today, for the rule against back-dating.")]
Proposal = Annotated[str, typer.Argument(metavar="HASH", help="The hash that `solvent apply` printed.")]
ContractFiles = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Contracts as YAML files.")]
PeriodName = Annotated[str, typer.Option("--period", help="The month, such as 2026-10.")]
Month = typer.Option("--period", formats=["%Y-%m"], help="A month, such as 2026-10.")


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
    as_of: AsOf = None,
    stack: Stack = None,
) -> None:
    """Check a folder of clients, contracts, pay plans, experts, policies, webhooks and doors, then write changes.

    Changes of a contract or a pay plan wait for a second person: see `solvent contract approve`.
    """
    from cli.apply import apply_folder  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(
        apply_folder(folder, here.registry, _day(as_of), console, check_only=check, identity=lambda: here.identity(by))
    )


@contract_app.command("check")
def check_contracts(files: ContractFiles) -> None:
    """Check contract files by themselves; every problem with file, line, field and what would be right."""
    from cli.terms_files import read_contracts  # noqa: PLC0415  # YAML is for few commands only
    from cli.versions import check  # noqa: PLC0415  # YAML is for few commands only

    raise typer.Exit(check(read_contracts, files, console))


@contract_app.command("diff")
def diff_contract(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A contract as a YAML file.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    as_of: AsOf = None,
    stack: Stack = None,
) -> None:
    """What a contract file changes against the version in force: in words, and in money on last month's usage."""
    from cli.contracts import diff  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(diff(file, here.registry, here.store, _day(as_of), console, as_json=as_json))


@contract_app.command("history")
def contract_history(client: str, *, stack: Stack = None) -> None:
    """All versions of a client's contract: from when to when, who applied them, and what they say."""
    from cli.versions import history  # noqa: PLC0415  # YAML is for few commands only
    from settlement.apply import Kind  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(history(Kind.CONTRACT, client, connect(stack).registry, console))


@contract_app.command("backtest")
def backtest_contract(  # noqa: PLR0913  # one parameter for each option
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The contract to try, as a YAML file.")],
    client: Annotated[str, typer.Option(help="The client whose facts are assessed again.")],
    *,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m"], help="The first month.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m"], help="The last month.")] = None,
    plan: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A pay plan to try with it.")] = None,
    log: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A helpdesk's log, .csv or .csv.gz, not the stack.")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option("--format", help="Whose log it is.")] = LogFormat.SERVICENOW,
    old: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="For a log: the contract to compare with.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="The zone of the log's times.")] = "UTC",
    as_json: AsJson = False,
    as_of: Annotated[
        datetime | None, typer.Option(help="What has ended by then is settled; now, if not given.")
    ] = None,
    stack: Stack = None,
) -> None:
    """What recorded facts, or a helpdesk's log, would have come to under other terms. Nothing is written."""
    from cli.backtest import Log, Request, backtest_log, backtest_recorded  # noqa: PLC0415  # keep --help quick
    from settlement.tried_terms import Months  # noqa: PLC0415  # keep --help quick

    if first and last and first > last:
        raise typer.BadParameter("--from is after --to")
    months = Months(*(period_of_date(month) if month else None for month in (first, last)))
    now = as_of.replace(tzinfo=UTC) if as_of else datetime.now(UTC)
    request = Request(file=file, client=client, months=months, as_of=now, plan=plan, as_json=as_json)
    if log is not None:
        source = Log(file=log, format=log_format.value, old=old, time_zone=time_zone)
        raise typer.Exit(backtest_log(request, source, console, Console(stderr=True)))
    here = connect(stack)
    raise typer.Exit(backtest_recorded(request, here.store, here.registry, console, Console(stderr=True)))


@plan_app.command("check")
def check_plans(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Pay plans as YAML files.")],
) -> None:
    """Check pay plans by themselves; every problem with file, line, field and what would be right."""
    from cli.terms_files import read_plans  # noqa: PLC0415  # YAML is for few commands only
    from cli.versions import check  # noqa: PLC0415  # YAML is for few commands only

    raise typer.Exit(check(read_plans, files, console))


@plan_app.command("diff")
def diff_plan(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A pay plan as a YAML file.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    as_of: AsOf = None,
    stack: Stack = None,
) -> None:
    """What a pay plan's file changes against the version in force: in words, and in money on last month's cases."""
    from cli.plans import diff  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(diff(file, here.registry, here.store, _day(as_of), console, as_json=as_json))


@plan_app.command("history")
def plan_history(plan: str, *, stack: Stack = None) -> None:
    """All versions of a pay plan: from when to when, who applied them, and what they say."""
    from cli.versions import history  # noqa: PLC0415  # YAML is for few commands only
    from settlement.apply import Kind  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(history(Kind.PAY_PLAN, plan, connect(stack).registry, console))


# Contracts and pay plans that are applied together wait together: either group approves both.
@contract_app.command("waiting")
@plan_app.command("waiting")
def waiting_terms(*, stack: Stack = None) -> None:
    """What was proposed and waits for a second person, field by field."""
    from cli.approvals import waiting  # noqa: PLC0415  # YAML is for few commands only

    raise typer.Exit(waiting(connect(stack).registry, console))


@contract_app.command("approve")
@plan_app.command("approve")
def approve_terms(proposal: Proposal, *, by: By = None, as_of: AsOf = None, stack: Stack = None) -> None:
    """Apply exactly what somebody else proposed."""
    from cli.approvals import approve_proposal  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(approve_proposal(proposal, here.registry, here.identity(by), _day(as_of), console))


@contract_app.command("withdraw")
@plan_app.command("withdraw")
def withdraw_terms(proposal: Proposal, *, stack: Stack = None) -> None:
    """Forget a proposal; nothing of it is applied."""
    from cli.approvals import withdraw  # noqa: PLC0415  # YAML is for few commands only

    raise typer.Exit(withdraw(proposal, connect(stack).registry, console))


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
            console.print(f"[red]there is no expert {expert}; apply one[/red]")
            raise typer.Exit(2)
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
            console.print(f"[red]{cannot}[/red]", soft_wrap=True)
            failed += 1
        else:
            console.print(f"{parked_id}: {'parked again' if settled.parked else 'released'}", soft_wrap=True)
    raise typer.Exit(1 if failed else 0)


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
    instant = as_of.replace(tzinfo=as_of.tzinfo or UTC) if as_of else datetime.now(UTC)
    wanted = (period_of_date(period.date()) if period else None, instant)
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

    raise typer.Exit(print_invoices(connect(stack).store, client, _day(as_of), console, as_json=as_json))


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


def _day(as_of: datetime | None) -> date:
    return as_of.date() if as_of else datetime.now(UTC).date()


def main() -> None:
    """Run the command; errors that say what to do are one line and exit 2."""
    try:
        app()
    except (CannotStart, EmulatorError, DeploymentFailed, KeysMissing) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        raise SystemExit(2) from None
