"""`solvent statement` and `solvent tax-report`: what experts were owed and paid, line by line, and who is reported."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime

import typer
from rich.console import Console

from cli.printing import DONE, FAILED, Form, refused, say, table, write_csv
from cli.statement_data import (
    LINE_COLUMNS,
    TAX_COLUMNS,
    line_cells,
    reportable,
    tax_cells,
    tax_described,
    traced,
)
from events.facts import format_instant
from ledger.errors import BookBroken
from ledger.money import format_minor_units
from payouts.payouts import Payout, why_told
from payouts.statements import Line, Section, Span, StatementDiffers, StatementRefused, span_of
from payouts.tax_reporting import Paid, PaidInYear, Regime, Verdict
from settlement.described import bank_leg, describe_statement, fee_of
from settlement.ports import Registry
from settlement.statements import OwedNow, Statement, StatementStore, TaxRow, UnknownExpert, make_statement, report_year

_NUMBERS = frozenset({"amount", "gross", "withheld", "fee", "net", "paid", "payments", "activities", "threshold"})


def span_wanted(period: str | None, days: tuple[date | None, date | None], today: date) -> Span:
    """The days that a call asks for; the month of `today` if it names none. Raises typer.BadParameter."""
    first, last = days
    try:
        if period is not None and (first, last) == (None, None):
            return span_of(period)
        if period is None and first is not None:
            return Span(first, last or today)
    except StatementRefused as refused:
        raise typer.BadParameter(str(refused)) from None
    if period is not None or last is not None:
        raise typer.BadParameter("give a --period, or --from and --to")
    return span_of(f"{today:%Y-%m}")


def statement(
    store: StatementStore, registry: Registry, wanted: tuple[str, Span, datetime], form: Form, console: Console
) -> int:
    """Print the statement of an expert for a span, as things stand at an instant."""
    expert, span, as_of = wanted
    try:
        found = make_statement(store, registry, expert, span, as_of)
    except UnknownExpert as unknown:
        return refused(unknown, console)
    except (StatementDiffers, BookBroken) as broken:
        return refused(broken, console, FAILED)
    if form.as_json:
        console.print_json(data=describe_statement(found))
    elif form.as_csv:
        write_csv(console.file, LINE_COLUMNS, line_cells(found))
    else:
        _show(found, console)
    return DONE


def tax_report(store: StatementStore, registry: Registry, year: int, form: Form, console: Console) -> int:
    """Print what each expert was paid in a year, and who is reported; 1 if that is not known of somebody."""
    try:
        rows = list(report_year(store, registry, year))
    except BookBroken as broken:
        return refused(broken, console, FAILED)
    if form.as_json:
        console.print_json(data=[tax_described(row, year) for row in rows])
    elif form.as_csv:
        write_csv(console.file, TAX_COLUMNS, (cells for row in rows for cells in tax_cells(row, year)))
    else:
        _show_report(rows, year, console)
    unknown = [row for row in rows if row.verdict.is_reportable is None]
    if unknown and not form.as_json and not form.as_csv:
        refused(f"Not known of {len(unknown)}: somebody has to find out", console)
    return FAILED if unknown else DONE


# -- as tables ---------------------------------------------------------------------------------------------------------


def _show(found: Statement, console: Console) -> None:
    say(f"Statement of {found.expert}, {found.span}", console)
    for section in found.sections:
        _show_section(section, console)
    if not found.sections:
        say("Nothing was earned, paid or owed.", console)
    if found.payouts:
        columns = ("payout", "status", "gross", "withheld", "fee", "net", "in", "sent", "transfer", "bank")
        console.print(table("Payouts", columns, (_payout_row(payout) for payout in found.payouts), _NUMBERS))
    say(f"Now, at {format_instant(found.as_of)}", console)
    for owed in found.owed_now:
        _show_owed(owed, console)
    _show_year(found, console)


def _show_section(section: Section, console: Console) -> None:
    code = section.currency
    first, last = (
        ("", name, "", "", "", format_minor_units(amount, code), "")
        for name, amount in (("opening", section.opening), ("closing", section.closing))
    )
    rows = (first, *map(_line_row, section.lines), last)
    columns = ("day", "what", "case", "rule", "why", "amount", "payable from")
    console.print(table(f"Owed, in {code}", columns, rows, _NUMBERS))
    for kind, total in section.totals().items():
        say(f"  {kind}: {format_minor_units(total, code)}", console)
    for it in section.deductions:
        amount = format_minor_units(it.minor_units, code)
        say(f"  kept on {it.day}: {amount} {code}, {it.kind}, of {it.payout or 'no payout'}", console)
    if section.in_transit:
        say(f"  on its way at the end: {format_minor_units(section.in_transit, code)} {code}", console)


def _line_row(line: Line) -> tuple[str, ...]:
    case = f"{line.client} {line.case}/{line.cycle}" if line.case else line.payout or ""
    return (
        line.day.isoformat(),
        line.kind,
        case,
        " ".join(word for word in (line.rule, line.incentive) if word),
        traced(line) or line.why or "",
        format_minor_units(line.minor_units, line.currency),
        line.release_on.isoformat() if line.release_on else "",
    )


def _payout_row(payout: Payout) -> tuple[str, ...]:
    fee = fee_of(payout)
    amounts = (payout.amount + payout.withheld + fee, payout.withheld, fee, payout.amount)
    why = why_told(payout.why)
    status = f"{payout.status}: {why}" if why else payout.status.value
    taken = f", {format_minor_units(payout.reversed, payout.currency)} taken back" if payout.reversed else ""
    return (
        payout.run,
        status + taken,
        *(format_minor_units(amount, payout.currency) for amount in amounts),
        payout.currency,
        payout.sent_on.isoformat() if payout.sent_on else "-",
        payout.stripe_transfer or "-",
        bank_leg(payout) or "-",
    )


def _show_owed(owed: OwedNow, console: Console) -> None:
    say(f"  available: {format_minor_units(owed.available, owed.currency)} {owed.currency}", console)
    for it in owed.held:
        amount = format_minor_units(it.minor_units, owed.currency)
        say(f"  held: {amount} {owed.currency} until {it.release_on}", console)
    for missing in owed.missing:
        say(f"  the next payout waits for: {missing}", console)


def _show_year(found: Statement, console: Console) -> None:
    year, verdict = found.span.last.year, found.verdict
    columns = ("period", "in", "gross", "withheld", "fee", "net", "payments", "activities")
    console.print(table(f"Paid in {year} up to {found.span.last}", columns, _year_rows(found.paid, verdict), _NUMBERS))
    _say_verdict(verdict, console)


def _year_rows(paid: Iterable[PaidInYear], verdict: Verdict) -> Iterator[tuple[str, ...]]:
    for it in paid:
        for name, sums in (
            *((f"Q{number}", quarter) for number, quarter in enumerate(it.quarters, 1)),
            ("year", it.year),
        ):
            if sums != Paid():
                activities = str(sums.activities) if verdict.regime is Regime.DAC7 else "-"
                amounts = (sums.gross, sums.withheld, sums.fee, sums.net)
                shown = (format_minor_units(amount, it.currency) for amount in amounts)
                yield (name, it.currency, *shown, str(sums.payments), activities)


def _say_verdict(verdict: Verdict, console: Console) -> None:
    about = f"{verdict.regime}: " if verdict.regime else ""
    loudly = refused if verdict.is_reportable is None else say
    loudly(f"{about}reported: {reportable(verdict)}; {verdict.why}", console)


def _show_report(rows: Iterable[TaxRow], year: int, console: Console) -> None:
    columns = ("expert", "country", "regime", "gross", "withheld", "fee", "in", "threshold", "reported", "why")
    console.print(table(f"Paid in {year}", columns, (cells for row in rows for cells in _report_rows(row)), _NUMBERS))


def _report_rows(row: TaxRow) -> Iterator[tuple[str, ...]]:
    verdict = row.verdict
    for it in row.paid:
        amounts = (it.year.gross, it.year.withheld, it.year.fee)
        yield (
            *(row.expert, row.country, verdict.regime or "-"),
            *(format_minor_units(amount, it.currency) for amount in amounts),
            *(it.currency, str(verdict.threshold or "-"), reportable(verdict), verdict.why),
        )
