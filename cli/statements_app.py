"""`solvent statement` and `solvent tax-report` as commands of a few lines each."""

from datetime import datetime
from typing import Annotated

import typer

from cli.connection import connect
from cli.options import AsCsv, AsJson, Stack, console, instant

statements_app = typer.Typer()


@statements_app.command("statement", epilog="For example: solvent statement maya --period 2026-W41 --csv")
def expert_statement(  # noqa: PLR0913  # one parameter for each option
    expert: str,
    *,
    period: Annotated[str | None, typer.Option(help="A month or an ISO week, such as 2026-10 or 2026-W41.")] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    as_of: Annotated[datetime | None, typer.Option(help="Now, for what can be paid, and which month is meant.")] = None,
    stack: Stack = None,
) -> None:
    """What an expert was owed, each line that changed it and why, what was paid, and what is held until when."""
    from cli.printing import Form  # noqa: PLC0415  # keep --help quick
    from cli.statements import span_wanted, statement  # noqa: PLC0415  # keep --help quick

    now, form = instant(as_of), Form(as_json, as_csv)
    span = span_wanted(period, (first.date() if first else None, last.date() if last else None), now.date())
    here = connect(stack)
    raise typer.Exit(statement(here.store, here.registry, (expert, span, now), form, console))


@statements_app.command("tax-report", epilog="For example: solvent tax-report --year 2026 --csv")
def report_for_tax(
    *,
    year: Annotated[int, typer.Option(min=2000, max=9999, help="The calendar year of the payments.")],
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    stack: Stack = None,
) -> None:
    """What each expert was paid in a year, by quarter, and who is above which threshold (1099-NEC, DAC7).

    Exits with 1 if that is not known of somebody: a year or country without a rule is never guessed.
    """
    from cli.printing import Form  # noqa: PLC0415  # keep --help quick
    from cli.statements import tax_report  # noqa: PLC0415  # keep --help quick

    form, here = Form(as_json, as_csv), connect(stack)
    raise typer.Exit(tax_report(here.store, here.registry, year, form, console))
