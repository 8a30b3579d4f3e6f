"""`solvent contract` and `solvent plan`: what was agreed, what would change, and who agreed, in a few lines each."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from billing.periods import period_of_date
from cli.connection import connect
from cli.options import AsJson, By, Stack, TermsDay, console, day, instant

contract_app = typer.Typer(help="What clients have agreed to pay, and who agreed.", no_args_is_help=True)
plan_app = typer.Typer(help="What experts have agreed to be paid, and who agreed.", no_args_is_help=True)


class LogFormat(StrEnum):
    """Whose helpdesk log is read."""

    SERVICENOW = "servicenow"


Changed = Annotated[bool, typer.Option("--json", help="As JSON.")]
Proposal = Annotated[str, typer.Argument(metavar="HASH", help="The hash that `solvent apply` printed.")]
ContractFiles = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Contracts as YAML files.")]
PlanFiles = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Pay plans as YAML files.")]


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
    as_json: Changed = False,
    as_of: TermsDay = None,
    stack: Stack = None,
) -> None:
    """What a contract file changes against the version in force: in words, and in money on last month's usage."""
    from cli.contracts import diff  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(diff(file, here.registry, here.store, day(as_of), console, as_json=as_json))


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
    request = Request(file=file, client=client, months=months, as_of=instant(as_of), plan=plan, as_json=as_json)
    if log is not None:
        source = Log(file=log, format=log_format.value, old=old, time_zone=time_zone)
        raise typer.Exit(backtest_log(request, source, console, Console(stderr=True)))
    here = connect(stack)
    raise typer.Exit(backtest_recorded(request, here.store, here.registry, console, Console(stderr=True)))


@plan_app.command("check")
def check_plans(files: PlanFiles) -> None:
    """Check pay plans by themselves; every problem with file, line, field and what would be right."""
    from cli.terms_files import read_plans  # noqa: PLC0415  # YAML is for few commands only
    from cli.versions import check  # noqa: PLC0415  # YAML is for few commands only

    raise typer.Exit(check(read_plans, files, console))


@plan_app.command("diff")
def diff_plan(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A pay plan as a YAML file.")],
    *,
    as_json: Changed = False,
    as_of: TermsDay = None,
    stack: Stack = None,
) -> None:
    """What a pay plan's file changes against the version in force: in words, and in money on last month's cases."""
    from cli.plans import diff  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(diff(file, here.registry, here.store, day(as_of), console, as_json=as_json))


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
def approve_terms(proposal: Proposal, *, by: By = None, as_of: TermsDay = None, stack: Stack = None) -> None:
    """Apply exactly what somebody else proposed."""
    from cli.approvals import approve_proposal  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(approve_proposal(proposal, here.registry, here.identity(by), day(as_of), console))


@contract_app.command("withdraw")
@plan_app.command("withdraw")
def withdraw_terms(proposal: Proposal, *, stack: Stack = None) -> None:
    """Forget a proposal; nothing of it is applied."""
    from cli.approvals import withdraw  # noqa: PLC0415  # YAML is for few commands only

    raise typer.Exit(withdraw(proposal, connect(stack).registry, console))
