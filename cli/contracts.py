"""`solvent contract diff`: what a contract file changes against what is in force, in words and in money."""

import json
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from billing.comparisons import ComparedLine, Comparison, compare
from billing.contracts import Contract, ContractHistory, ContractNotInForce
from billing.invoices import LineKind
from billing.periods import PeriodState, PeriodStatus, next_period, period_of_date
from cli.printing import DONE, REFUSED, say
from cli.terms_files import read_contracts
from cli.versions import difference_document, print_difference, read_versions
from ledger.money import Currency, format_minor_units
from settlement.ports import PeriodKey
from settlement.price_changes import PriceRegistry


class PeriodReader(Protocol):
    """Where counters of periods are read."""

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""


# -- diff --------------------------------------------------------------------------------------------------------------


def diff(
    file: Path, registry: PriceRegistry, periods: PeriodReader, as_of: date, console: Console, *, as_json: bool
) -> int:
    """Print what each contract in a file changes against the version that would else be in force from its first day.

    In words per field, and in money: the counters of the last closed period up to `as_of` under both. 2 for a broken
    file, or a client that has nothing to compare with.
    """
    read = read_versions(read_contracts, [file], console)
    if read is None:
        return REFUSED
    found, known = [], registry.current_terms().contracts
    for new in read.terms.contracts:
        try:
            old = known.get(new.client, ContractHistory(new.client, ())).in_force(period_of_date(new.starts_on))
        except ContractNotInForce:
            say(f"{new.client} has no contract in force in {new.version}: there is nothing to compare with.", console)
            return REFUSED
        closed = last_closed(known[new.client], periods, as_of)
        found.append((old, new, compare(old, new, closed) if closed else None))
    if as_json:
        say(json.dumps([_diff_document(*each) for each in found], indent=2), console)
    else:
        for each in found:
            _print_diff(*each, console)
    return DONE


def last_closed(history: ContractHistory, periods: PeriodReader, as_of: date) -> PeriodState | None:
    """The last closed period of a client that begins up to a day."""
    months = [period_of_date(history.versions[0].starts_on)]
    while months[-1] < period_of_date(as_of):
        months.append(next_period(months[-1]))
    states = periods.periods([(history.client, month) for month in months])
    closed = [month for month in months if states[history.client, month].status is PeriodStatus.CLOSED]
    return states[history.client, closed[-1]] if closed else None


def _notes(comparison: Comparison | None) -> list[str]:
    """What the figures do not say."""
    if comparison is None:
        return ["No period is closed yet, so there is no usage to compare on."]
    notes = [
        f"{line.text} has no price under {'the old' if line.was is None else 'the new'} terms; its {line.quantity} "
        "resolutions are left out of that total."
        for line in comparison.unpriced
    ]
    if comparison.rematched:
        notes.append("What the rates match has changed; the numbers are those that the old rates matched.")
    if comparison.discounted:
        notes.append("Discounts are those that were given; ratings are not judged anew.")
    return notes


def _print_diff(old: Contract, new: Contract, comparison: Comparison | None, console: Console) -> None:
    print_difference(old, new, console)
    if comparison is not None:
        console.print(_money_table(comparison))
    for note in _notes(comparison):
        say(note, console)


def _money_table(comparison: Comparison) -> Table:
    code = comparison.currency
    table = Table(title=f"The usage of {comparison.period} in {code}", title_justify="left")
    table.add_column("line")
    for name in ("resolutions", "old terms", "new terms", "difference"):
        table.add_column(name, justify="right")
    for line in comparison.lines:
        table.add_row(Text(_line_name(line)), *_cells(line, code))
    total = ComparedLine(LineKind.USAGE, "", 0, comparison.was, comparison.now)
    table.add_section()
    table.add_row("total", *_cells(total, code))
    return table


def _line_name(line: ComparedLine) -> str:
    return f"rate {line.text}" if line.kind is LineKind.USAGE else f"{line.kind}: {line.text}"


def _cells(line: ComparedLine, code: Currency) -> tuple[str, ...]:
    amounts = [None if amount is None else format_minor_units(amount, code) for amount in (line.was, line.now)]
    gap = None if line.was is None or line.now is None else format_minor_units(line.now - line.was, code)
    number = f"{line.quantity:,}" if line.quantity else ""
    return number, *("no price" if amount is None else amount for amount in amounts), gap or ""


def _diff_document(old: Contract, new: Contract, comparison: Comparison | None) -> dict[str, object]:
    document: dict[str, object] = {"client": new.client, "version": new.version, "against": old.version}
    document |= {"fields": difference_document(old, new), "usage": None, "notes": _notes(comparison)}
    if comparison is not None:
        code = comparison.currency
        lines = [_line_document(line, code) for line in comparison.lines]
        totals = {"was": format_minor_units(comparison.was, code), "now": format_minor_units(comparison.now, code)}
        document["usage"] = {"period": comparison.period, "currency": code, "lines": lines, "total": totals}
    return document


def _line_document(line: ComparedLine, code: Currency) -> dict[str, object]:
    amounts = [None if amount is None else format_minor_units(amount, code) for amount in (line.was, line.now)]
    named: dict[str, object] = {"kind": line.kind.value, "text": line.text}
    if line.kind is LineKind.USAGE:
        named["resolutions"] = line.quantity
    return named | {"was": amounts[0], "now": amounts[1]}
