"""`solvent contract backtest`: what recorded or imported facts would have come to under other terms."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from billing.contracts import Contract, ContractHistory
from billing.invoices import Invoice, LineKind
from billing.periods import Period
from cli.apply import refuse
from cli.options import open_export
from cli.printing import DONE, REFUSED, say
from cli.terms_files import read_contracts, read_plans
from cli.yaml_documents import BrokenFiles
from events.adapters.rows import ColumnsMissing, UnreadableRow
from events.adapters.servicenow import read_log
from events.decode import Delivery
from events.facts import Completed, Resolver
from ledger.money import Currency, format_minor_units
from payouts.plans import PayPlan, PlanHistory
from settlement.apply import check_versions
from settlement.backtest import backtest
from settlement.backtest_figures import Comparison, PeriodFigures, RateFigures, SideFigures
from settlement.decide import Terms
from settlement.parking import ParkReason
from settlement.ports import Registry
from settlement.recorded_facts import PastCase, RecordedFacts, cases_from, recorded_facts
from settlement.registry import Expert
from settlement.tried_terms import BacktestRefused, Months, put_contract, put_plan

# Who solved every case of a log when a pay plan is tried on it.
_ANYBODY = "anybody"
_EVERY = 500
_SHOWN_ROWS = 5
_REVENUE = frozenset({LineKind.USAGE, LineKind.DISCOUNT, LineKind.CAP, LineKind.COMMITMENT, LineKind.SHORTFALL})


class Store(RecordedFacts, Protocol):
    """What is read of a stack, and never written."""

    def invoice(self, client: str, period: Period) -> Invoice | None:
        """The invoice of a period, if it was closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is tried: a contract file, and a plan's if given, in the place of a client's own."""

    file: Path
    client: str
    months: Months
    as_of: datetime
    plan: Path | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A helpdesk's log; `format` says whose, and `old` are the terms to compare with."""

    file: Path
    format: str
    old: Path | None
    time_zone: str


@dataclass(frozen=True, slots=True)
class _Result:
    """What a backtest came to, and what it could not look at. `invoiced` is before tax, in minor units."""

    request: Request
    comparison: Comparison
    left_out: Mapping[str, int]
    invoiced: Mapping[Period, int]


def backtest_recorded(request: Request, store: Store, registry: Registry, console: Console, progress: Console) -> int:
    """Print what the recorded facts of a client come to under its own terms and under those that are tried.

    0 when done; 2, with every problem, for files that are broken or cannot be compared. Nothing is written.
    """
    try:
        contract, plan = _read_contract(request.file, request.client), _read_plan(request.plan)
        old = _registered(registry, request.client)
        new = replace(old, contracts=put_contract(old.contracts, contract, request.months))
        new = put_plan(new, plan) if plan else new
    except BrokenFiles as broken:
        return refuse(broken.problems, console, "")
    except BacktestRefused as refused:
        say(str(refused), console)
        return REFUSED
    recorded = recorded_facts(store, request.client)
    cases = _shown(recorded.cases, None, progress)
    compared = backtest(cases, old, new, request.months, request.as_of)
    _print(_Result(request, compared, _named(recorded.left_out), _invoiced(store, request.client, compared)), console)
    return DONE


def backtest_log(request: Request, log: Log, console: Console, progress: Console) -> int:
    """Print what the cases of a helpdesk's log come to, before anything of its client is known to a stack.

    Its resolvers are employees, who earn nothing; with a plan everybody is paid by it. Codes as `backtest_recorded`.
    """
    try:
        contract, plan = _read_contract(request.file, request.client), _read_plan(request.plan)
        old = put_contract(None, _read_contract(log.old, request.client), request.months) if log.old else None
        new = put_contract(old, contract, request.months)
        with open_export(log.file) as lines:
            cases, rows = _read_log(lines, request.client, log)
    except BrokenFiles as broken:
        return refuse(broken.problems, console, "")
    except (BacktestRefused, ColumnsMissing) as refused:
        say(f"{log.file}: {refused}" if isinstance(refused, ColumnsMissing) else str(refused), console)
        return REFUSED
    for row in rows[:_SHOWN_ROWS]:
        say(f"{log.file.name}:{row.line}: {row.field}: {row.problem}", progress)
    cases = [_solved_by_anybody(case) for case in cases] if plan else cases
    sides = (None if old is None else _terms(old, plan), _terms(new, plan))
    compared = backtest(_shown(cases, len(cases), progress), *sides, request.months, request.as_of)
    _print(_Result(request, compared, {"unreadable_row": len(rows)} if rows else {}, {}), console)
    return DONE


# -- what is read ------------------------------------------------------------------------------------------------------


def _read_contract(file: Path, client: str) -> Contract:
    read = read_contracts([file])
    problems = {read.problem(it.place, it.path, it.what, it.other) for it in check_versions(read.terms)}
    if problems:
        raise BrokenFiles(sorted(problems))
    found = [contract for contract in read.terms.contracts if contract.client == client]
    if len(found) != 1:
        raise BacktestRefused(f"{file}: holds {len(found)} contracts of {client}, not one")
    return found[0]


def _read_plan(file: Path | None) -> PayPlan | None:
    if file is None:
        return None
    plans = read_plans([file]).terms.plans
    if len(plans) != 1:
        raise BacktestRefused(f"{file}: holds {len(plans)} pay plans, not one")
    return plans[0]


def _registered(registry: Registry, client: str) -> Terms:
    history = registry.contracts([client]).get(client)
    if history is None:
        raise BacktestRefused(f"client: {client} has no contract to compare with; for a log of its cases give --log")
    experts = registry.experts()
    plans = {it.assignments[client] for it in experts.values() if client in it.assignments}
    return Terms(client, history, experts, registry.plans(sorted(plans)))


def _terms(history: ContractHistory, plan: PayPlan | None) -> Terms:
    """Terms without a registry: nobody is paid or, with a plan, anybody by it."""
    if plan is None:
        return Terms(history.client, history, {}, {})
    expert = Expert(id=_ANYBODY, country="ZZ", email="anybody@example.com", assignments={history.client: plan.id})
    terms = Terms(history.client, history, {_ANYBODY: expert}, {plan.id: PlanHistory(plan.id, (plan,))})
    return put_plan(terms, plan)


_READERS = {"servicenow": read_log}


def _read_log(lines: IO[str], client: str, log: Log) -> tuple[list[PastCase], list[UnreadableRow]]:
    rows: list[UnreadableRow] = []
    try:
        zone = ZoneInfo(log.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise BacktestRefused(f"time zone: {log.time_zone!r} is not an IANA time zone, such as Europe/Berlin") from None

    def facts() -> Iterator[Delivery]:
        for item in _READERS[log.format](lines, client=client, time_zone=zone):
            if isinstance(item, UnreadableRow):
                rows.append(item)
            else:
                yield item

    return cases_from(facts()), rows


def _solved_by_anybody(case: PastCase) -> PastCase:
    facts = (
        replace(fact, resolver=Resolver.EXPERT, expert=_ANYBODY) if isinstance(fact, Completed) else fact
        for fact in case.facts
    )
    return replace(case, facts=tuple(facts))


def _invoiced(store: Store, client: str, compared: Comparison) -> dict[Period, int]:
    periods = compared.old.periods if compared.old else ()
    invoices = [store.invoice(client, it.period) for it in periods]
    return {
        invoice.period: sum(line.amount for line in invoice.lines if line.kind in _REVENUE)
        for invoice in invoices
        if invoice is not None
    }


def _named(counts: Mapping[ParkReason, int]) -> dict[str, int]:
    return {reason.value: number for reason, number in counts.items()}


def _shown(cases: Iterable[PastCase], total: int | None, console: Console) -> Iterator[PastCase]:
    """The cases as they are, with a bar that says how far they are."""
    columns = (TextColumn("Cases"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Cases", total=total)
        for number, case in enumerate(cases, 1):
            if number % _EVERY == 0:
                progress.update(task, completed=number)
            yield case


# -- what is printed ---------------------------------------------------------------------------------------------------


def _print(result: _Result, console: Console) -> None:
    if result.request.as_json:
        say(json.dumps(_document(result), indent=2), console)
        return
    compared = result.comparison
    console.print(_money_table(result))
    for title, table in (("Not charged", _waived_table(compared)), ("Not decided", _undecided_table(compared))):
        if table.row_count:
            say(f"\n{title}", console)
            console.print(table)
    say(f"\n{compared.cases:,} cases", console)
    for name, side in _sides(compared):
        counts = f"{side.waiting:,} wait, {side.unsolved:,} reopened and not solved again"
        say(f"  {name}: {counts}, {side.elsewhere:,} settle in other periods", console)
    code = compared.new.currency
    for period, minor in result.invoiced.items():
        say(f"{period} was invoiced at {format_minor_units(minor, code)} before tax; above, all facts count.", console)
    for reason, number in result.left_out.items():
        say(f"Left out: {number} {reason}.", console)


_Sides = tuple[tuple[str, SideFigures], ...]


def _sides(compared: Comparison) -> _Sides:
    return (*((("old", compared.old),) if compared.old else ()), ("new", compared.new))


def _money_table(result: _Result) -> Table:
    title = f"{result.request.client}, {result.comparison.new.currency}"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("period", "rate", "terms"):
        table.add_column(name, no_wrap=name != "rate", overflow="fold")
    for name in ("charged", "waived", "revenue", "expert cost", "margin"):
        table.add_column(name, justify="right", no_wrap=True)
    sides = _sides(result.comparison)
    for period in _periods(sides):
        for row in _period_rows({name: it for name, side in sides for it in side.periods if it.period == period}):
            cells = _cells(*row[2:], result.comparison.new.currency)
            table.add_row(period, *row[:2], *(("", "", cells[2], "", "") if row[0] == _SHORTFALL else cells))
        table.add_row()
    return table


_SHORTFALL = "shortfall"
_Row = tuple[str, str, tuple[RateFigures, ...], int, Mapping[Currency, int]]


def _period_rows(found: Mapping[str, PeriodFigures]) -> Iterator[_Row]:
    """Rate by rate, then what commitment and minimum add, then all of it; each under the old and the new terms."""
    for name in dict.fromkeys(rate.rate for figures in found.values() for rate in figures.rates):
        for terms, figures in found.items():
            yield from ((name, terms, (it,), it.revenue, it.cost) for it in figures.rates if it.rate == name)
    for terms, figures in found.items():
        if figures.shortfall:
            yield _SHORTFALL, terms, (), figures.shortfall, {}
    for terms, figures in found.items():
        yield "all" if figures.is_over else "all so far", terms, figures.rates, figures.revenue, figures.cost


def _periods(sides: _Sides) -> list[Period]:
    return sorted({it.period for _, side in sides for it in side.periods})


def _cells(
    rates: tuple[RateFigures, ...], revenue: int, cost: Mapping[Currency, int], code: Currency
) -> tuple[str, ...]:
    charged, waived = sum(it.resolutions for it in rates), sum(sum(it.waived.values()) for it in rates)
    margin = _margin(revenue, cost, code)
    return (
        f"{charged:,}",
        f"{waived:,}",
        format_minor_units(revenue, code),
        _cost(cost, code),
        "-" if margin is None else format_minor_units(margin, code),
    )


def _margin(revenue: int, cost: Mapping[Currency, int], code: Currency) -> int | None:
    """Revenue less cost; None if experts are paid in another currency too."""
    return None if any(minor for other, minor in cost.items() if other != code) else revenue - cost.get(code, 0)


def _cost(cost: Mapping[Currency, int], code: Currency) -> str:
    others = [f"{format_minor_units(minor, other)} {other}" for other, minor in sorted(cost.items()) if other != code]
    return " + ".join([format_minor_units(cost.get(code, 0), code), *others])


def _waived_table(compared: Comparison) -> Table:
    sides = _sides(compared)
    counts = {
        name: sum((Counter(rate.waived) for it in side.periods for rate in it.rates), Counter[str]())
        for name, side in sides
    }
    table = Table("reason", *(name for name, _ in sides), box=None, pad_edge=False)
    for reason in sorted(set(chain.from_iterable(counts.values()))):
        table.add_row(reason, *(f"{counts[name][reason]:,}" for name, _ in sides))
    return table


def _undecided_table(compared: Comparison) -> Table:
    sides = _sides(compared)
    table = Table("reason", *(name for name, _ in sides), "the first", box=None, pad_edge=False)
    for reason in sorted({reason for _, side in sides for reason in side.undecided}):
        found = [side.undecided.get(reason) for _, side in sides]
        first = next(it.first for it in found if it is not None)
        table.add_row(reason, *(f"{it.number:,}" if it else "0" for it in found), first)
    return table


# -- JSON: amounts are minor units -------------------------------------------------------------------------------------


def _document(result: _Result) -> dict[str, Any]:
    request, compared = result.request, result.comparison
    sides = _sides(compared)
    return {
        "client": request.client,
        "currency": compared.new.currency,
        "from": request.months.first,
        "to": request.months.last,
        "as_of": request.as_of.isoformat(),
        "cases": compared.cases,
        "left_out": dict(result.left_out),
        "periods": [
            {
                "period": period,
                "invoiced_minor": result.invoiced.get(period),
                **{
                    name: _period_document(it, side.currency)
                    for name, side in sides
                    for it in side.periods
                    if it.period == period
                },
            }
            for period in _periods(sides)
        ],
        **{name: _side_document(side) for name, side in sides},
    }


def _side_document(side: SideFigures) -> dict[str, Any]:
    return {
        "waiting": side.waiting,
        "unsolved": side.unsolved,
        "elsewhere": side.elsewhere,
        "undecided": {reason.value: {"number": it.number, "first": it.first} for reason, it in side.undecided.items()},
    }


def _period_document(figures: PeriodFigures, code: Currency) -> dict[str, Any]:
    return {
        "is_over": figures.is_over,
        "revenue_minor": figures.revenue,
        "shortfall_minor": figures.shortfall,
        "cost_minor": dict(figures.cost),
        "margin_minor": _margin(figures.revenue, figures.cost, code),
        "rates": [
            {
                "rate": rate.rate,
                "resolutions": rate.resolutions,
                "waived": dict(rate.waived),
                "usage_minor": rate.usage,
                "discounts_minor": rate.discounts,
                "capped_minor": rate.capped,
                "revenue_minor": rate.revenue,
                "base_minor": dict(rate.base),
                "bonus_minor": dict(rate.bonus),
                "margin_minor": _margin(rate.revenue, rate.cost, code),
            }
            for rate in figures.rates
        ],
    }
