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

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from cli.invoices import exact_price
from events.facts import format_instant
from infra.exports import RUNS_IN_SPREADSHEETS
from ledger.money import Currency, format_minor_units
from payouts.payouts import Instant, Payout, PayoutStatus
from payouts.statements import Line, Section
from payouts.tax_reporting import Paid, PaidInYear, Regime, Verdict
from settlement.statements import OwedNow, Statement, TaxRow

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


def described(found: Statement) -> dict[str, Any]:
    """A statement as JSON has it."""
    return {
        "expert": found.expert,
        "country": found.country,
        "from": found.span.first.isoformat(),
        "to": found.span.last.isoformat(),
        "as_of": format_instant(found.as_of),
        "currencies": [_section_described(found, section) for section in found.sections],
        "payouts": [_payout_described(payout) for payout in found.payouts],
        "owed_now": [_owed_described(owed) for owed in found.owed_now],
        "year_to_date": _year_described(found.span.last.year, found.paid, found.verdict),
    }


def _section_described(found: Statement, section: Section) -> dict[str, Any]:
    return {
        "currency": section.currency,
        "opening_minor": section.opening,
        "closing_minor": section.closing,
        "in_transit_minor": section.in_transit,
        "totals": section.totals(),
        "lines": [_line_described(found, line) for line in section.lines],
        "deductions": [
            {"day": it.day.isoformat(), "kind": it.kind, "amount_minor": it.minor_units, "payout": it.payout}
            for it in section.deductions
        ],
    }


def _line_described(found: Statement, line: Line) -> dict[str, Any]:
    price = line.list_price
    return {
        "expert": found.expert,
        "day": line.day.isoformat(),
        "kind": line.kind,
        "client": line.client,
        "case": line.case,
        "cycle": line.cycle,
        "rule": line.rule,
        "incentive": line.incentive,
        "rate": line.rate,
        "list_price": None if price is None else exact_price(price, line.currency),
        "charged_minor": line.charged,
        "rating_percent": None if line.rating is None else format_minor_units(line.rating, Currency("USD")),
        "why": line.why,
        "trace": [{"component": it.component, "minor_units": it.minor_units, "why": it.why} for it in line.trace],
        "amount": format_minor_units(line.minor_units, line.currency),
        "amount_minor": line.minor_units,
        "currency": line.currency,
        "release_on": line.release_on.isoformat() if line.release_on else None,
        "payout": line.payout,
        "entry": line.entry,
    }


def _payout_described(payout: Payout) -> dict[str, Any]:
    return {
        "id": payout.id,
        "run": payout.run,
        "status": payout.status,
        "currency": payout.currency,
        "gross_minor": payout.amount + payout.withheld + fee_of(payout),
        "withheld_minor": payout.withheld,
        "fee_minor": fee_of(payout),
        "net_minor": payout.amount,
        "reversed_minor": payout.reversed,
        "planned_at": format_instant(payout.planned_at),
        "sent_on": payout.sent_on.isoformat() if payout.sent_on else None,
        "transfer": payout.stripe_transfer,
        "bank": bank_leg(payout),
        "why": payout.why or None,
    }


def _owed_described(owed: OwedNow) -> dict[str, Any]:
    return {
        "currency": owed.currency,
        "available_minor": owed.available,
        "held": [{"release_on": it.release_on.isoformat(), "amount_minor": it.minor_units} for it in owed.held],
        "missing": list(owed.missing),
    }


def _year_described(year: int, paid: Iterable[PaidInYear], verdict: Verdict) -> dict[str, Any]:
    return _verdict_described(year, verdict) | {
        "paid": [
            {"currency": it.currency}
            | _sums(it.year, verdict)
            | {"quarters": [_sums(quarter, verdict) for quarter in it.quarters]}
            for it in paid
        ]
    }


def _verdict_described(year: int, verdict: Verdict) -> dict[str, Any]:
    threshold = verdict.threshold
    return {
        "year": year,
        "regime": verdict.regime,
        "threshold_minor": threshold.minor_units if threshold else None,
        "threshold_currency": threshold.currency if threshold else None,
        "is_reportable": verdict.is_reportable,
        "why": verdict.why,
    }


def _sums(paid: Paid, verdict: Verdict) -> dict[str, int | None]:
    return {
        "gross_minor": paid.gross,
        "withheld_minor": paid.withheld,
        "fee_minor": paid.fee,
        "net_minor": paid.net,
        "reversed_minor": paid.reversed,
        "payments": paid.payments,
        "activities": paid.activities if verdict.regime is Regime.DAC7 else None,
    }


def tax_described(row: TaxRow, year: int) -> dict[str, Any]:
    """An expert's row of a tax report as JSON has it."""
    return {"expert": row.expert, "country": row.country} | _year_described(year, row.paid, row.verdict)


# -- as CSV ------------------------------------------------------------------------------------------------------------


def line_cells(found: Statement) -> Iterator[dict[str, Any]]:
    """A row for each line of a statement."""
    for section in found.sections:
        for line in section.lines:
            yield _line_described(found, line) | {"trace": traced(line)}


def tax_cells(row: TaxRow, year: int) -> Iterator[dict[str, Any]]:
    """A row for the year, and one for each quarter, in each currency."""
    verdict = row.verdict
    told = {"expert": row.expert, "country": row.country} | _verdict_described(year, verdict)
    told["is_reportable"] = reportable(verdict)
    for it in row.paid:
        periods = [("year", it.year), *((f"Q{number}", quarter) for number, quarter in enumerate(it.quarters, 1))]
        for period, paid in periods:
            yield told | {"period": period, "currency": it.currency} | _sums(paid, verdict)


def write_csv(file: IO[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a header and the rows."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_guarded(row[name]) for name in columns])


def _guarded(cell: object) -> object:
    """A text that a spreadsheet would run gets an apostrophe; numbers and amounts stay as they are."""
    if not isinstance(cell, str) or cell[:1] not in RUNS_IN_SPREADSHEETS:
        return cell
    is_amount = cell.removeprefix("-").replace(".", "", 1).isdecimal()
    return cell if is_amount else f"'{cell}"


# -- words ------------------------------------------------------------------------------------------------------------


def fee_of(payout: Payout) -> int:
    """What the payout costs; the fee of an instant one that Stripe refused was given back."""
    return 0 if payout.instant is Instant.REFUSED else payout.fee


def bank_leg(payout: Payout) -> str | None:
    """What became of the money on its way from the expert's Stripe account to the bank, as far as it is known."""
    if payout.bank_failure is not None:
        return f"returned: {payout.bank_failure}"
    if payout.status is PayoutStatus.PAID:
        return "paid"
    return "on its way" if payout.bank_payout is not None else None


def traced(line: Line) -> str:
    """Each part that was considered: what it came to, and why."""
    parts = (f"{it.component} {format_minor_units(it.minor_units, line.currency)} ({it.why})" for it in line.trace)
    return "; ".join(parts)


def reportable(verdict: Verdict) -> str:
    """yes, no or unknown."""
    return "unknown" if verdict.is_reportable is None else "yes" if verdict.is_reportable else "no"
