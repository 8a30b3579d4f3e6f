"""What statements and tax reports say as JSON and CSV, for programs.

JSON has these keys, which stay; amounts are whole minor units of the `currency` beside them, days are ISO 8601.

    expert, country, from, to, as_of
    currencies: currency, opening_minor, closing_minor, in_transit_minor, totals (kind: minor units)
        lines: the columns of the CSV, `trace` as a list of component, minor_units, why
        deductions: day, kind, amount_minor, payout
    payouts: id, run, status, currency, gross_minor, withheld_minor, fee_minor, net_minor, reversed_minor, planned_at,
        sent_on, transfer, bank, why
    owed_now: currency, available_minor, held (release_on, amount_minor), missing
    year_to_date: year, regime, threshold_minor, threshold_currency, is_reportable (null: not known), why
        paid: currency, gross_minor, withheld_minor, fee_minor, net_minor, reversed_minor, payments, activities
            quarters: the same, four times

A tax report is a list of: expert, country, and the keys of `year_to_date`. Its CSV has a row for each quarter and one
for the year, in each currency.
"""

from collections.abc import Iterator
from typing import Any

from ledger.money import format_minor_units
from payouts.statements import Line
from payouts.tax_reporting import Verdict
from settlement.described import describe_line, describe_sums, describe_verdict, describe_year
from settlement.statements import Statement, TaxRow

# An expert sees these columns and no others. `amount` and `list_price` are in major units.
LINE_COLUMNS = (
    "expert",
    "day",
    "kind",
    "client",
    "case",
    "cycle",
    "rule",
    "incentive",
    "rate",
    "list_price",
    "charged_minor",
    "rating_percent",
    "why",
    "trace",
    "amount",
    "amount_minor",
    "currency",
    "release_on",
    "payout",
    "entry",
)
TAX_COLUMNS = (
    "expert",
    "country",
    "regime",
    "year",
    "period",
    "currency",
    "gross_minor",
    "withheld_minor",
    "fee_minor",
    "net_minor",
    "reversed_minor",
    "payments",
    "activities",
    "threshold_minor",
    "threshold_currency",
    "is_reportable",
    "why",
)
# -- as JSON -----------------------------------------------------------------------------------------------------------


def tax_described(row: TaxRow, year: int) -> dict[str, Any]:
    """An expert's row of a tax report as JSON has it."""
    return {"expert": row.expert, "country": row.country} | describe_year(year, row.paid, row.verdict)


# -- as CSV ------------------------------------------------------------------------------------------------------------


def line_cells(found: Statement) -> Iterator[dict[str, Any]]:
    """A row for each line of a statement."""
    for section in found.sections:
        for line in section.lines:
            yield describe_line(found, line) | {"trace": traced(line)}


def tax_cells(row: TaxRow, year: int) -> Iterator[dict[str, Any]]:
    """A row for the year, and one for each quarter, in each currency."""
    verdict = row.verdict
    told = {"expert": row.expert, "country": row.country} | describe_verdict(year, verdict)
    told["is_reportable"] = reportable(verdict)
    for it in row.paid:
        periods = [("year", it.year), *((f"Q{number}", quarter) for number, quarter in enumerate(it.quarters, 1))]
        for period, paid in periods:
            yield told | {"period": period, "currency": it.currency} | describe_sums(paid, verdict)


# -- words ------------------------------------------------------------------------------------------------------------


def traced(line: Line) -> str:
    """Each part that was considered: what it came to, and why."""
    parts = (f"{it.component} {format_minor_units(it.minor_units, line.currency)} ({it.why})" for it in line.trace)
    return "; ".join(parts)


def reportable(verdict: Verdict) -> str:
    """yes, no or unknown."""
    return "unknown" if verdict.is_reportable is None else "yes" if verdict.is_reportable else "no"
