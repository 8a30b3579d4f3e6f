"""`solvent finance`: what the ledger says, from an export of it, as commands of a few lines each.

Exit codes: 0 fine, 1 something is found or wrong, 2 bad usage or no export there.
"""

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from billing.periods import period_of_date
from cli.connection import RUN_FOLDER, NoStack, connect
from cli.entries_app import entry_app
from cli.options import Stack, console, instant
from cli.printing import Form

finance_app = typer.Typer(help="What the ledger says, from an export of it.", no_args_is_help=True)
finance_app.add_typer(entry_app, name="entry")

Source = Annotated[
    str, typer.Option("--export", envvar="SOLVENT_EXPORT", help="An export: a folder, or s3://bucket/prefix.")
]
RUN_EXPORT = str(RUN_FOLDER / "export")
AsJson = Annotated[bool, typer.Option("--json", help="As JSON; amounts as texts, in major units.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="As CSV; amounts in major units.")]
_DAY = ["%Y-%m-%d"]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=_DAY, help="The last day that counts; without it that of the last entry."),
]


class By(StrEnum):
    """What a margin is told for."""

    CLIENT = "client"
    EXPERT = "expert"
    SKILL = "skill"


class Side(StrEnum):
    """Whose taxes."""

    CLIENTS = "clients"
    EXPERTS = "experts"


class Format(StrEnum):
    """What an export can be turned into: the names of infra.formats.FORMATS."""

    CSV = "csv"
    JSONL = "jsonl"
    BEANCOUNT = "beancount"
    HLEDGER = "hledger"
    QUICKBOOKS = "quickbooks"
    NETSUITE = "netsuite"


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


@finance_app.command("trial-balance", epilog="For example: solvent finance trial-balance --as-of 2026-10-31 --csv")
def trial_balance(
    *, source: Source = RUN_EXPORT, as_of: AsOf = None, as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """What each account stands at; exits with 1 if debits and credits differ in any currency."""
    from cli.finance_answers import show_trial_balance  # noqa: PLC0415  # DuckDB is for few commands only

    raise typer.Exit(show_trial_balance(source, _day(as_of), Form(as_json, as_csv), console))


@finance_app.command(epilog="For example: solvent finance statement client/acme/receivable --from 2026-10-01")
def statement(  # one parameter for each option
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Such as expert/maya/payable or stripe/balance.")],
    *,
    source: Source = RUN_EXPORT,
    first: Annotated[datetime | None, typer.Option("--from", formats=_DAY, help="The first day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="The last day.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Every posting to an account with the balance after it, debits above zero, from its opening balance on."""
    from cli.finance_answers import show_statement  # noqa: PLC0415  # DuckDB is for few commands only

    span = (_day(first), _day(last))
    raise typer.Exit(show_statement(source, account, span, Form(as_json, as_csv), console))


@finance_app.command(
    epilog='For example: solvent finance query "SELECT reason, count(*) FROM entries GROUP BY reason" --json'
)
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="In DuckDB's dialect.")],
    *,
    source: Source = RUN_EXPORT,
    as_of: AsOf = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Ask anything in SQL of `postings`, `entries` and the views of infra/finance_views, such as `ageing`."""
    from cli.finance_answers import show_query  # noqa: PLC0415  # DuckDB is for few commands only

    raise typer.Exit(show_query(source, sql, _day(as_of), Form(as_json, as_csv), console))


@finance_app.command(epilog="For example: solvent finance margin --by skill --month 2026-10 --csv")
def margin(  # one parameter for each option
    *,
    by: Annotated[By, typer.Option(help="For each client, expert or skill.")] = By.CLIENT,
    month: Annotated[datetime | None, typer.Option(formats=["%Y-%m"], help="Only this month's entries.")] = None,
    source: Source = RUN_EXPORT,
    as_of: AsOf = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Revenue, pay of experts, other costs and what is left, by month and currency."""
    from cli.finance_answers import show_margin  # noqa: PLC0415  # DuckDB is for few commands only

    only = f"{month:%Y-%m}" if month else None
    raise typer.Exit(show_margin(source, (by.value, only), _day(as_of), Form(as_json, as_csv), console))


@finance_app.command(epilog="For example: solvent finance ageing --as-of 2026-12-15")
def ageing(*, source: Source = RUN_EXPORT, as_of: AsOf = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """What clients owe, invoice by invoice, and how many days past due."""
    from cli.finance_answers import show_view  # noqa: PLC0415  # DuckDB is for few commands only

    raise typer.Exit(show_view(source, "ageing", _day(as_of), Form(as_json, as_csv), console))


@finance_app.command(epilog="For example: solvent finance accruals --as-of 2026-10-31 --csv")
def accruals(
    *, source: Source = RUN_EXPORT, as_of: AsOf = None, as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """Accrued revenue (unbilled), deferred revenue (prepaid credits) and what commitments added, by client."""
    from cli.finance_answers import show_view  # noqa: PLC0415  # DuckDB is for few commands only

    form = Form(as_json, as_csv)
    raise typer.Exit(show_view(source, "accrued_and_deferred_revenue", _day(as_of), form, console))


@finance_app.command(epilog="For example: solvent finance liabilities --csv")
def liabilities(
    *, source: Source = RUN_EXPORT, as_of: AsOf = None, as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """What each expert is owed, and what of it is reserved for a payout on its way."""
    from cli.finance_answers import show_view  # noqa: PLC0415  # DuckDB is for few commands only

    raise typer.Exit(show_view(source, "expert_liabilities", _day(as_of), Form(as_json, as_csv), console))


# -- explain and report ------------------------------------------------------------------------------------------------


@finance_app.command(epilog="For example: solvent finance explain C-1042 --client acme")
def explain(
    case: Annotated[str, typer.Argument(metavar="CASE", help="The id of a case, as the helpdesk has it.")],
    *,
    client: Annotated[
        str | None, typer.Option(help="Whose case it is, if several clients have one of that id.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON; amounts in minor units.")] = False,
    as_of: Annotated[datetime | None, typer.Option("--as-of", help="Now, if it is not the clock's.")] = None,
    stack: Stack = None,
) -> None:
    """Every fact, rule, rating, posting and correction of a case in sentences, and who pays and earns what now.

    It asks the stack, not an export. Exits with 2 for a case that is not there, 1 if the books lack one of its entries.
    """
    from cli.explain import explain_case  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    wanted = (case, client, instant(as_of))
    raise typer.Exit(explain_case(here.store, here.registry, wanted, console, as_json=as_json))


@finance_app.command(
    epilog="For example: solvent finance report build/run/export --month 2026-10 --to report.html --pdf report.pdf"
)
def report(
    source: Annotated[
        str, typer.Argument(metavar="EXPORT", envvar="SOLVENT_EXPORT", help="A folder, or s3://bucket/prefix.")
    ] = RUN_EXPORT,
    *,
    month: Annotated[datetime, typer.Option(formats=["%Y-%m"], help="The month, such as 2026-10.")],
    to: Annotated[Path | None, typer.Option(dir_okay=False, help="Where the page goes, such as report.html.")] = None,
    pdf: Annotated[Path | None, typer.Option(dir_okay=False, help="Where the PDF goes, such as report.pdf.")] = None,
) -> None:
    """A month on one page: key figures, revenue and cost by day, CSAT, margins, what is owed; as HTML, PDF, or both.

    The same export gives the same bytes. Exits with 1 if the export holds nothing of the month.
    """
    from cli.finance_answers import export_folder  # noqa: PLC0415  # DuckDB is for few commands only
    from cli.month_report import write_report  # noqa: PLC0415  # see above

    raise typer.Exit(write_report(export_folder(source), period_of_date(month.date()), to, pdf, console))


@finance_app.command(epilog="For example: solvent finance tax --year 2026 --of experts --csv")
def tax(
    *,
    year: Annotated[int, typer.Option(min=2000, max=9999, help="The calendar year.")],
    side: Annotated[Side, typer.Option("--of", help="Whose taxes.")] = Side.CLIENTS,
    source: Source = RUN_EXPORT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """What clients were invoiced, net, tax and gross by rate; or what experts were paid, and who is above thresholds.

    An export does not hold where experts live: `solvent tax-report` asks the stack, and says who has to be reported.
    """
    from cli.finance_tax import show_tax  # noqa: PLC0415  # DuckDB is for few commands only

    raise typer.Exit(show_tax(source, year, side.value, Form(as_json, as_csv), console))


# -- the export itself -------------------------------------------------------------------------------------------------


@finance_app.command(epilog="For example: solvent finance export --to books && solvent finance verify books")
def export(
    *,
    folder: Annotated[Path, typer.Option("--to", help="Where the export is, or shall be.")] = Path(RUN_EXPORT),
    from_bucket: Annotated[bool, typer.Option("--from-bucket", help="Copy what the stack exported by itself.")] = False,
    stack: Stack = None,
) -> None:
    """Bring an export up to date: Parquet by month, with a signed manifest for each run; exits with 1 if it cannot be.

    What was exported before stays as it is. A run that was interrupted goes on where it was.
    """
    from cli.finance import export_command, mirror_command  # noqa: PLC0415  # DuckDB is for few commands only
    from infra.aws.export_bucket import LEDGER, BucketFolder, exports_bucket, signing_key  # noqa: PLC0415  # see above

    here = connect(stack)
    if from_bucket:
        raise typer.Exit(mirror_command(BucketFolder(exports_bucket(here.stack), LEDGER), folder, console))
    raise typer.Exit(export_command(here.store, folder, signing_key(here.stack).sign, console))


@finance_app.command(epilog="For example: solvent finance verify books --key solvent.pem --expect-run 31")
def verify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An export.")] = Path(RUN_EXPORT),
    *,
    key: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The public key as PEM; without it the stack is asked for it."),
    ] = None,
    expect_run: Annotated[int | None, typer.Option(min=1, help="The last run, as you know it from elsewhere.")] = None,
    of_bucket: Annotated[
        bool, typer.Option("--of-bucket", help="Hold the manifests against those in the stack's bucket.")
    ] = False,
    stack: Stack = None,
) -> None:
    """Prove an export: signatures, files, hashes, sequences, posting rules, sums. Exits with 1 for anything amiss.

    From its files alone nobody can see that the last runs were removed with their manifests: say --expect-run, or
    --of-bucket for a copy of what the stack exported by itself.
    """
    from cli.finance import verify_command  # noqa: PLC0415  # DuckDB is for few commands only
    from infra.aws.export_bucket import LEDGER, BucketFolder, exports_bucket  # noqa: PLC0415  # see above

    anchor = BucketFolder(exports_bucket(connect(stack).stack), LEDGER) if of_bucket else None
    public_key = key.read_bytes() if key else _key_of(stack)
    raise typer.Exit(verify_command(folder, public_key, console, expect_run=expect_run, anchor=anchor))


def _key_of(stack: str | None) -> bytes | None:
    """The stack's public key; None where there is no stack to ask."""
    from infra.aws.export_bucket import signing_key  # noqa: PLC0415  # keep --help quick

    try:
        return signing_key(connect(stack).stack).public_key()
    except NoStack:
        return None


@finance_app.command("key", epilog="For example: solvent finance key > solvent.pem")
def print_key(*, stack: Stack = None) -> None:
    """The public key that the stack's manifests are signed with, as PEM. Keep it where the exports are not."""
    from infra.aws.export_bucket import signing_key  # noqa: PLC0415  # keep --help quick

    typer.echo(signing_key(connect(stack).stack).public_key().decode(), nl=False)


@finance_app.command(
    epilog="For example: solvent finance formats --format beancount --to books; bean-check books/ledger.beancount"
)
def formats(
    *,
    name: Annotated[Format, typer.Option("--format", help="For people, programs, or the import of other books.")],
    target: Annotated[Path, typer.Option("--to", file_okay=False, help="The folder for the files.")],
    source: Source = RUN_EXPORT,
) -> None:
    """Write the ledger in another format, a file a month; prints the names of the files."""
    from cli.finance_answers import make_format  # noqa: PLC0415  # DuckDB is for few commands only

    raise typer.Exit(make_format(source, name.value, target, console))
