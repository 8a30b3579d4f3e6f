"""`solvent plan diff`: what a pay plan's file changes against what is in force, in words and in money."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table

from billing.periods import Period, period_end
from cli.contracts import PeriodReader, last_closed
from cli.printing import DONE, REFUSED, say
from cli.terms_files import read_plans
from cli.versions import difference_document, print_difference, read_versions
from ledger.money import Currency, format_minor_units
from payouts.plans import PayPlan, PlanHistory, PlanNotInForce
from settlement.apply import CurrentTerms, TermsRegistry
from settlement.backtest import backtest
from settlement.backtest_figures import SideFigures
from settlement.decide import Terms
from settlement.misfits import misfits
from settlement.recorded_facts import RecordedFacts, recorded_facts
from settlement.tried_terms import Months, put_plan

PARTS = ("base", "bonus")


class Store(RecordedFacts, PeriodReader, Protocol):
    """What is read of a stack, and never written."""


@dataclass(frozen=True, slots=True)
class _Costs:
    """What all experts of a client cost in a month, by part, in minor units of the plan's currency."""

    client: str
    period: Period
    was: Mapping[str, int]
    now: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Difference:
    """One plan of the file against the version that it would replace."""

    old: PayPlan
    new: PayPlan
    costs: tuple[_Costs, ...]
    notes: tuple[str, ...]


def diff(file: Path, registry: TermsRegistry, store: Store, as_of: date, console: Console, *, as_json: bool) -> int:
    """Print what each plan in a file changes against the version that would else be in force from its first day.

    In words per field, and in money: for each client whose experts work by it, what they cost in the last closed month
    up to `as_of` under both. 2 for a broken file, or a plan that has nothing to compare with.
    """
    read = read_versions(read_plans, [file], console)
    if read is None:
        return REFUSED
    found, current = [], registry.current_terms()
    for new in read.terms.plans:
        try:
            old = current.plans.get(new.id, PlanHistory(new.id, ())).in_force(new.starts_on)
        except PlanNotInForce:
            say(f"{new.id} has no version in force on {new.starts_on}: there is nothing to compare with.", console)
            return REFUSED
        if old.currency != new.currency:
            say(f"{new.id} is in {old.currency} for life, not in {new.currency}; make a new plan instead.", console)
            return REFUSED
        found.append(_difference(old, new, current, store, as_of))
    if as_json:
        say(json.dumps([_document(each) for each in found], indent=2), console)
    else:
        for each in found:
            _print(each, console)
    return DONE


def _difference(old: PayPlan, new: PayPlan, current: CurrentTerms, store: Store, as_of: date) -> _Difference:
    costs, notes = list[_Costs](), list[str]()
    clients = sorted(
        {client for it in current.experts.values() for client, plan in it.assignments.items() if plan == new.id}
    )
    for client in clients:
        history = current.contracts.get(client)
        closed = last_closed(history, store, as_of) if history else None
        if history is None or closed is None:
            notes.append(f"No month of {client} is closed yet, so it has no usage to compare on.")
            continue
        costs.append(_compare(old, new, Terms(client, history, current.experts, current.plans), store, closed.period))
        notes += [f"{client}: {it.what}" for it in misfits(history, PlanHistory(new.id, (new,)), as_of)]
    if not clients:
        notes.append("Nobody works by this plan.")
    if old.incentives != new.incentives:
        notes.append("Weekly incentives are not in the figures.")
    return _Difference(old, new, tuple(costs), tuple(notes))


def _compare(old: PayPlan, new: PayPlan, terms: Terms, store: Store, period: Period) -> _Costs:
    """The month's recorded facts under both plans, as they stand now."""
    cases, end = recorded_facts(store, terms.client).cases, period_end(period, terms.contracts.time_zone)
    compared = backtest(cases, put_plan(terms, old), put_plan(terms, new), Months(period, period), end)
    return _Costs(terms.client, period, _costs(compared.old, old.currency), _costs(compared.new, new.currency))


def _costs(side: SideFigures | None, code: Currency) -> Mapping[str, int]:
    found = Counter[str]()
    for rate in (rate for period in side.periods for rate in period.rates) if side else ():
        found["base"] += rate.base.get(code, 0)
        found["bonus"] += rate.bonus.get(code, 0)
    return found


# -- what is printed ---------------------------------------------------------------------------------------------------


def _print(found: _Difference, console: Console) -> None:
    print_difference(found.old, found.new, console)
    if found.costs:
        console.print(_table(found))
    for note in found.notes:
        say(note, console)


def _table(found: _Difference) -> Table:
    code = found.new.currency
    table = Table(title=f"What all experts of a client cost in {code}", title_justify="left")
    for name in ("client", "month", "part"):
        table.add_column(name)
    for name in ("old plan", "new plan", "difference"):
        table.add_column(name, justify="right")
    for costs in found.costs:
        for part in PARTS:
            table.add_row(costs.client, costs.period, part, *_cells(costs.was[part], costs.now[part], code))
    table.add_section()
    table.add_row("total", "", "", *_cells(*_totals(found), code))
    return table


def _totals(found: _Difference) -> tuple[int, int]:
    return sum(sum(it.was.values()) for it in found.costs), sum(sum(it.now.values()) for it in found.costs)


def _cells(was: int, now: int, code: Currency) -> Iterator[str]:
    return (format_minor_units(amount, code) for amount in (was, now, now - was))


def _document(found: _Difference) -> dict[str, object]:
    code = found.new.currency

    def pair(was: int, now: int) -> dict[str, str]:
        return {"was": format_minor_units(was, code), "now": format_minor_units(now, code)}

    return {
        "plan": found.new.id,
        "version": found.new.version,
        "against": found.old.version,
        "fields": difference_document(found.old, found.new),
        "currency": code,
        "costs": [
            {"client": it.client, "period": it.period} | {part: pair(it.was[part], it.now[part]) for part in PARTS}
            for it in found.costs
        ],
        "total": pair(*_totals(found)) if found.costs else None,
        "notes": list(found.notes),
    }
