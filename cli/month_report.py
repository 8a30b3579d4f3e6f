"""`solvent finance report`: what the report of a month says and shows, for its page and its PDF alike."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

from rich.console import Console

from billing.periods import Period
from cli.charts import Chart, Picture, Series, bars, columns
from cli.month_figures import (
    AGES,
    NO_INVOICE,
    NOT_DUE,
    Band,
    Figures,
    MonthFigures,
    NothingToReport,
    Outcomes,
    Result,
    last_day_of,
    read_figures,
)
from cli.printing import DONE, FAILED, REFUSED, refused, say
from ledger.money import Currency, format_minor_units, round_half_away

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_CLIENTS_DRAWN, _CLIENTS_LISTED = 10, 50
# So many days on which pay becomes payable are drawn; if there are more, weeks are.
_DAYS_DRAWN = 14


@dataclass(frozen=True, slots=True)
class Key:
    """A key figure: what it is called, what it is, and what to know about it."""

    name: str
    value: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Texts in rows; the first column names the row, the others are numbers. A long one may be folded."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_long: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart, what it shows in words, and the same as a table."""

    title: str
    says: str
    picture: Picture
    table: Table


@dataclass(frozen=True, slots=True)
class Section:
    """One currency."""

    title: str
    keys: Sequence[Key]
    plots: Sequence[Plot]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole: the same for the page and the PDF."""

    title: str
    month: Period
    keys: Sequence[Key]
    sections: Sequence[Section]
    notes: Sequence[str]


def write_report(folder: Path, month: Period, to: Path | None, pdf: Path | None, console: Console) -> int:
    """Write the report of a month as a page, as a PDF, or both.

    1 if the export holds nothing of the month, 2 if there is no export or nowhere to write to.
    """
    from cli.report_page import as_html  # noqa: PLC0415  # one of the two may not be asked for
    from cli.report_pdf import as_pdf  # noqa: PLC0415  # it takes long to import

    if to is None and pdf is None:
        return refused("say where to write to: --to report.html, --pdf report.pdf, or both", console, REFUSED)
    try:
        report = report_of(read_figures(folder, month))
        if to is not None:
            to.write_bytes(as_html(report).encode())
        if pdf is not None:
            pdf.write_bytes(as_pdf(report))
    except NothingToReport as nothing:
        return refused(nothing, console, FAILED)
    except (OSError, ValueError) as unreadable:
        return refused(unreadable, console, REFUSED)
    say(f"{report.title}: {', '.join(str(place) for place in (to, pdf) if place)}", console)
    return DONE


def report_of(found: MonthFigures) -> Report:
    """What is said and shown of a month's figures."""
    year, month = found.month.split("-")
    return Report(
        title=f"{_MONTHS[int(month) - 1]} {year}",
        month=found.month,
        keys=tuple(_outcome_keys(found.outcomes)),
        sections=tuple(_section(figures, last_day_of(found.month)) for figures in found.currencies),
        notes=tuple(_notes(found)),
    )


def _outcome_keys(found: Outcomes) -> Iterator[Key]:
    csat = "-" if found.csat is None else f"{_decimal(found.csat, 1)}%"
    yield Key("Resolutions charged", f"{found.charged:,}", f"and {found.free:,} free: included, or beyond the cap")
    yield Key("Waived", f"{found.waived:,}", "of those with a posting: by the contract's terms")
    yield Key("Reversed", f"{found.reversed:,}", "taken back, since the customer came back")
    yield Key("CSAT", csat, f"average of {found.rated:,} ratings of resolutions with a posting, 0 to 100%")


def _notes(found: MonthFigures) -> Iterator[str]:
    source, last = found.source, last_day_of(found.month)
    runs = "run 1" if source.runs == 1 else f"runs 1 to {source.runs}"
    yield (
        f"Made from {runs} of an export of the ledger: {source.entries:,} entries, {source.entries_of_month:,} of them "
        f"of this month, recorded until {source.recorded_until:%Y-%m-%d %H:%M:%S} UTC."
    )
    yield f"SHA-256 of the last manifest: {source.manifest}. `solvent finance verify` proves the export."
    yield (
        "Amounts count on their accounting date, which is in a client's time zone for its charges; what is owed is as "
        f"of the end of {last}. Currencies are never added up."
    )
    yield (
        "Resolutions are counted by what they posted in the month: one that is charged, taken back and charged again "
        "counts three times. One for which nobody pays and nobody earns posts nothing, so neither it nor its rating is "
        "here: where low ratings are waived and unpaid, CSAT is that of the others."
    )


# -- one currency ------------------------------------------------------------------------------------------------------


def _section(found: Figures, last: date) -> Section:
    shown, total = _shower(found.currency), found.total
    owed = sum(found.receivable.values())
    late = sum(minor for age, minor in found.receivable.items() if age not in {NOT_DUE, NO_INVOICE})
    return Section(
        title=found.currency,
        keys=(
            Key("Revenue", shown(total.revenue), "charged, less credits"),
            Key("Expert cost", shown(total.pay), "base pay, bonuses and incentives"),
            Key("Margin", shown(total.margin), f"{_share(total)} of revenue; other costs {shown(total.other_costs)}"),
            Key(
                "Owed to experts",
                shown(found.payable + found.in_transit),
                f"{shown(found.in_transit)} of it on its way",
            ),
            Key("Owed by clients", shown(owed), f"{shown(late)} of it past due"),
        ),
        plots=(_by_day(found), _by_rating(found), _by_client(found), _by_release(found, last), _by_age(found)),
    )


def _by_day(found: Figures) -> Plot:
    code, shown, total = found.currency, _shower(found.currency), found.total
    days = _whole_month(found.days)
    results = [found.days.get(day, Result()) for day in days]
    says = f"Revenue is {shown(total.revenue)} {code} in the month and expert cost {shown(total.pay)} {code}."
    if days:
        top, day = max(zip(results, days, strict=True), key=lambda it: (it[0].revenue, -it[1].day))
        says += f" The day with the most revenue is {_day(day)}, with {shown(top.revenue)} {code}."
    series = (Series("revenue", [it.revenue for it in results]), Series("cost", [it.pay for it in results]))
    title = "Revenue and expert cost by day"
    chart = Chart(f"{code}-days", title, says, f"{code} a day", [str(day.day) for day in days], series, shown)
    rows = [(day.isoformat(), *_result_cells(found.days[day], shown)) for day in sorted(found.days)]
    table = Table(("Day", *_RESULT_COLUMNS), (*rows, ("All", *_result_cells(total, shown))), is_long=True)
    return Plot(title, says, columns(chart), table)


def _by_rating(found: Figures) -> Plot:
    code, shown = found.currency, _shower(found.currency)
    average = [round_half_away(Fraction(it.charged, it.resolutions)) if it.resolutions else 0 for it in found.bands]
    resolutions, charged = sum(it.resolutions for it in found.bands), sum(it.charged for it in found.bands)
    says = (
        f"{resolutions:,} resolutions that stand at the end of the month are charged {shown(charged)} {code}. Each "
        "column is what one is charged on average, by its rating; under it is how many there are."
    )
    title = "CSAT against charge"
    chart = Chart(
        id=f"{code}-csat",
        title=title,
        description=says,
        unit=f"{code} a resolution",
        labels=[it.name for it in found.bands],
        series=(Series("average charge", average),),
        shown=shown,
        notes=[f"{it.resolutions:,}" for it in found.bands],
    )
    rows = [_band_cells(it, shown) for it in (*found.bands, Band("All", resolutions, charged))]
    return Plot(title, says, columns(chart), Table(("Rating", "Resolutions", "Charged", "Average"), rows))


def _band_cells(band: Band, shown: Callable[[int], str]) -> Sequence[str]:
    average = shown(round_half_away(Fraction(band.charged, band.resolutions))) if band.resolutions else "-"
    return (band.name, f"{band.resolutions:,}", shown(band.charged), average)


def _by_client(found: Figures) -> Plot:
    code, shown, total = found.currency, _shower(found.currency), found.total
    drawn, listed = (_first(found.clients, most) for most in (_CLIENTS_DRAWN, _CLIENTS_LISTED))
    says = (
        f"The margin is revenue less expert cost and other costs: {shown(total.margin)} {code} in all, which is "
        f"{_share(total)} of revenue. Clients with the most revenue come first."
    )
    title = "Margin by client"
    chart = Chart(
        id=f"{code}-clients",
        title=title,
        description=says,
        unit=code,
        labels=list(drawn),
        series=(
            Series("revenue", [it.revenue for it in drawn.values()]),
            Series("cost", [it.pay + it.other_costs for it in drawn.values()]),
        ),
        shown=shown,
        notes=[f"margin {_share(it)}" for it in drawn.values()],
    )
    rows = [(name, *_result_cells(it, shown), _share(it)) for name, it in (*listed.items(), ("All", total))]
    return Plot(title, says, bars(chart), Table(("Client", *_RESULT_COLUMNS, "Margin %"), rows))


def _first(clients: Mapping[str | None, Result], most: int) -> dict[str, Result]:
    """The first so many by name, and what the others come to."""
    named = [("no client" if client is None else client, result) for client, result in clients.items()]
    rest = [result for _, result in named[most:]]
    sums = (sum(getattr(it, name) for it in rest) for name in ("revenue", "pay", "other_costs"))
    return dict(named[:most]) | ({f"{len(rest):,} others": Result(*sums)} if rest else {})


def _by_release(found: Figures, last: date) -> Plot:
    code, shown = found.currency, _shower(found.currency)
    now = found.payable - sum(found.held.values())
    owed = found.payable + found.in_transit
    says = (
        f"Experts are owed {shown(owed)} {code} at the end of {last}: {shown(found.in_transit)} {code} is on its way "
        f"to them, {shown(now)} {code} can be paid, the rest once its hold ends."
    )
    drawn = found.held if len(found.held) <= _DAYS_DRAWN else _by_week(found.held)
    title = "Payout liabilities by release"
    labels = ["transit", "now", *(_day(day) for day in drawn)]
    series = Series("owed", [found.in_transit, now, *drawn.values()])
    chart = Chart(f"{code}-held", title, says, code, labels, (series,), shown)
    rows = [("On its way", shown(found.in_transit)), ("Payable now", shown(now))]
    rows += [(f"Payable from {day}", shown(minor)) for day, minor in found.held.items()]
    rows += [("All", shown(owed))]
    return Plot(title, says, columns(chart), Table(("Release", f"{code}"), rows))


def _by_week(held: Mapping[date, int]) -> dict[date, int]:
    """What becomes payable in each week, by its Monday."""
    sums: dict[date, int] = {}
    for day, minor in held.items():
        monday = day - timedelta(days=day.weekday())
        sums[monday] = sums.get(monday, 0) + minor
    return sums


def _by_age(found: Figures) -> Plot:
    code, shown = found.currency, _shower(found.currency)
    owed = {age: found.receivable.get(age, 0) for age in AGES if age in found.receivable or age != NO_INVOICE}
    says = f"Clients owe {shown(sum(owed.values()))} {code} on invoices, by days past their due day."
    title = "Receivables by days past due"
    chart = Chart(f"{code}-ages", title, says, code, list(owed), (Series("owed", list(owed.values())),), shown)
    rows = [(age, shown(minor)) for age, minor in (*owed.items(), ("All", sum(owed.values())))]
    return Plot(title, says, columns(chart), Table(("Days past due", f"{code}"), rows))


# -- words and numbers -------------------------------------------------------------------------------------------------

_RESULT_COLUMNS = ("Revenue", "Expert cost", "Other costs", "Margin")


def _result_cells(result: Result, shown: Callable[[int], str]) -> Sequence[str]:
    return tuple(map(shown, (result.revenue, result.pay, result.other_costs, result.margin)))


def _share(result: Result) -> str:
    """The margin in percent of revenue; a dash where there is none."""
    return f"{_decimal(Fraction(result.margin * 10_000, result.revenue), 1)}%" if result.revenue > 0 else "-"


def _decimal(basis_points: Fraction, places: int) -> str:
    """Basis points as per cent, rounded half away from zero."""
    digits = round_half_away(basis_points * 10**places / 100)
    sign, size = ("-" if digits < 0 else ""), abs(digits)
    return f"{sign}{size // 10**places}.{size % 10**places:0{places}d}"


def _shower(code: Currency) -> Callable[[int], str]:
    """Minor units as people read them: 1,187.50."""

    def shown(minor_units: int) -> str:
        whole, dot, decimals = format_minor_units(minor_units, code).partition(".")
        return f"{'-' if whole.startswith('-') else ''}{int(whole.lstrip('-')):,}{dot}{decimals}"

    return shown


def _whole_month(days: Iterable[date]) -> list[date]:
    """Every day of the month that the days are in; none of no days."""
    known = sorted(days)
    if not known:
        return []
    first = known[0].replace(day=1)
    return [first + timedelta(days=it) for it in range(last_day_of(Period(f"{first:%Y-%m}")).day)]


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1][:3]}"
