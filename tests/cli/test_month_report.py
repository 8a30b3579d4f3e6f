"""The report of a month: figures against sums of the entries, the page and the PDF against the figures."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime
from html.parser import HTMLParser
from io import BytesIO, StringIO
from pathlib import Path
from shutil import copytree

import duckdb
import pytest
from pypdf import PdfReader
from rich.console import Console
from typer.testing import CliRunner

from billing.periods import Period, period_of_date
from cli.main import app
from cli.month_figures import Band, Figures, MonthFigures, NothingToReport, Outcomes, Result, Source, read_figures
from cli.month_report import Report, Table, report_of, write_report
from cli.report_page import as_html
from cli.report_pdf import as_pdf
from infra.exports import export_ledger
from ledger.accounts import COST_BASE, COST_BONUS, COST_INCENTIVE, Kind, kind_of, role_of
from ledger.entries import Entry, Posting
from ledger.money import Currency
from tests.simulated_month import Month, simulated_month
from tests.world import RATING, World, a_contract, a_plan

OCTOBER, MARCH = Period("2026-10"), Period("2026-03")
PAY = {COST_BASE, COST_BONUS, COST_INCENTIVE}


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    return simulated_month(tmp_path_factory.mktemp("simulated") / "export")


@pytest.fixture(scope="module")
def found(month: Month) -> MonthFigures:
    return read_figures(month.folder, OCTOBER)


@pytest.fixture(scope="module")
def report(found: MonthFigures) -> Report:
    return report_of(found)


def summed(entries: Iterable[Entry], key: Callable[[Entry, Posting], object]) -> Counter[object]:
    """Minor units by key, debits above zero; those whose key is None left out, and zeros."""
    sums = Counter[object]()
    for entry in entries:
        for posting in entry.postings:
            if (name := key(entry, posting)) is not None:
                sums[name] += posting.amount.minor_units
    return Counter({name: minor for name, minor in sums.items() if minor})


def of_month(month: Month) -> list[Entry]:
    return [entry for entry in month.entries if period_of_date(entry.effective_on) == OCTOBER]


def until_then(month: Month) -> list[Entry]:
    return [entry for entry in month.entries if period_of_date(entry.effective_on) <= OCTOBER]


# -- figures against the entries ---------------------------------------------------------------------------------------


def test_revenue_and_costs_by_day_are_what_the_entries_sum_to(month: Month, found: MonthFigures) -> None:
    def told(name: str) -> dict[object, int]:
        cells = (
            ((it.currency, day), getattr(result, name)) for it in found.currencies for day, result in it.days.items()
        )
        return {key: minor for key, minor in cells if minor}

    def of(kind: Kind, *, pay: bool) -> Callable[[Entry, Posting], object]:
        return lambda entry, it: (
            (it.amount.currency, entry.effective_on)
            if kind_of(it.account) is kind and (it.account in PAY) is pay
            else None
        )

    assert len(found.currencies) > 1
    revenue = summed(of_month(month), of(Kind.INCOME, pay=False))
    assert told("revenue") == {key: -minor for key, minor in revenue.items()}
    assert told("pay") == summed(of_month(month), of(Kind.EXPENSE, pay=True))
    assert told("other_costs") == summed(of_month(month), of(Kind.EXPENSE, pay=False))


def test_margins_of_all_clients_come_to_the_months_results(found: MonthFigures) -> None:
    for it in found.currencies:
        assert sum(result.revenue for result in it.clients.values()) == it.total.revenue
        assert sum(result.margin for result in it.clients.values()) == it.total.margin
        assert len(it.clients) == len(set(it.clients))


def test_what_is_owed_is_what_the_entries_sum_to_at_the_end_of_the_month(month: Month, found: MonthFigures) -> None:
    owed = summed(until_then(month), lambda _, it: (role_of(it.account), it.amount.currency))
    for it in found.currencies:
        assert it.payable == -owed["expert/payable", it.currency]
        assert it.in_transit == -owed["expert/in_transit", it.currency]
        assert sum(it.receivable.values()) == owed["client/receivable", it.currency]
        assert all(day > date(2026, 10, 31) for day in it.held)
    assert any(it.held for it in found.currencies)


def test_the_source_is_the_export(month: Month, found: MonthFigures) -> None:
    assert (found.source.runs, found.source.entries) == (1, len(month.entries))
    assert found.source.entries_of_month == len(of_month(month))


# -- a small world, by hand --------------------------------------------------------------------------------------------


def an_export(world: World, folder: Path) -> Path:
    export_ledger(world.store, folder)
    return folder


def a_small_world() -> World:
    """Of six: one is free, one charged and waived, one unpaid and paid by nobody, one reversed, two charged."""
    plan = a_plan(not_charged="base", csat_bonus=[{"at_least_percent": "100", "amount": "0.15"}])
    world = World(contract=a_contract(rating=RATING, included=1), plan=plan)
    for number in range(1, 7):
        world.send(world.completed(f"C{number}", f"2026-03-0{number}"))
        world.send(world.rated(f"C{number}", f"2026-03-0{number}T01", 2 if number == 3 else 5))
    world.send(world.rated("C2", "2026-03-02T02", 1, received="2026-03-06"))
    world.send(world.reopened("C4", "2026-03-09"))
    return world


def test_resolutions_are_counted_by_what_they_posted(tmp_path: Path) -> None:
    found = read_figures(an_export(a_small_world(), tmp_path / "export"), MARCH)
    assert found.outcomes == Outcomes(charged=4, free=1, waived=2, reversed=1, rated=5, rating_sum=3 * 10_000 + 2500)
    [usd] = found.currencies
    charged = {it.name: (it.resolutions, it.charged) for it in usd.bands if it.resolutions}
    assert charged == {"0-19%": (1, 0), "20-39%": (1, 0), "80-100%": (3, 198)}
    assert usd.total.revenue == 198


def test_pay_is_held_until_the_day_that_its_entry_names(tmp_path: Path) -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-20"), world.completed("C2", "2026-03-29"))
    world.send(world.completed("C3", "2026-03-30"), world.reopened("C2", "2026-03-31"))
    [usd] = read_figures(an_export(world, tmp_path / "export"), MARCH).currencies
    assert (usd.payable, usd.held) == (118, {date(2026, 4, 6): 59})


# -- the page ----------------------------------------------------------------------------------------------------------


class _Tables(HTMLParser):
    """The tables of a page: section, label, rows of cells; and every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[tuple[str, str, list[list[str]]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._section, self._in_cell = "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        self.tags.append((tag, fields))
        self._section = str(fields["aria-label"]) if tag == "section" else self._section
        if tag == "table":
            self.tables.append((self._section, str(fields["aria-label"]), []))
        elif tag == "tr":
            self.tables[-1][2].append([])
        self._in_cell = tag in {"td", "th"}
        if self._in_cell:
            self.tables[-1][2][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][2][-1][-1] += data


def tables_of(report: Report) -> Iterator[tuple[str, str, Table]]:
    for section in report.sections:
        for plot in section.plots:
            yield section.title, plot.title, plot.table


def minor(text: str) -> int:
    return int(text.replace(",", "").replace(".", ""))


def test_the_page_has_the_figures_of_the_entries(month: Month, report: Report) -> None:
    tables = {(section, label): rows for section, label, rows in _Tables(as_html(report)).tables}
    revenue = summed(of_month(month), lambda _, it: it.amount.currency if kind_of(it.account) is Kind.INCOME else None)
    assert revenue
    for code, amount in revenue.items():
        header, *days, total = tables[str(code), "Revenue and expert cost by day"]
        assert header == ["Day", "Revenue", "Expert cost", "Other costs", "Margin"]
        assert minor(total[1]) == sum(minor(row[1]) for row in days) == -amount
        *_, all_clients = tables[str(code), "Margin by client"]
        assert minor(all_clients[1]) == -amount
        for label in ("CSAT against charge", "Payout liabilities by release", "Receivables by days past due"):
            _, *rows, total = tables[str(code), label]
            assert [sum(minor(row[1]) for row in rows)] == [minor(total[1])]


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(report: Report) -> None:
    page = as_html(report)
    tags = _Tables(page).tags
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in tags}
    assert not {"src", "href", "action", "style"} & {name for _, fields in tags for name in fields}
    assert not re.search(r"url\(|@import|\son\w+=", page)
    assert set(re.findall(r"\w+://[^\"'\s<]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page


def test_every_chart_has_title_description_and_the_same_as_a_table(report: Report) -> None:
    tags = _Tables(as_html(report)).tags
    ids = [fields["id"] for _, fields in tags if "id" in fields]
    assert len(ids) == len(set(ids))
    charts = [fields for tag, fields in tags if tag == "svg"]
    assert len(charts) == sum(1 for tag, _ in tags if tag == "table") == len(list(tables_of(report)))
    for fields in charts:
        assert fields["role"] == "img"
        assert set(str(fields["aria-labelledby"]).split()) <= set(ids)


def test_the_pdf_has_the_figures_of_the_page(report: Report) -> None:
    pages = PdfReader(BytesIO(as_pdf(report))).pages
    text = " ".join("\n".join(page.extract_text() for page in pages).split())
    for _, title, table in tables_of(report):
        assert title in text
        for row in table.rows:
            assert " ".join(row) in text
    for key in (*report.keys, *(key for section in report.sections for key in section.keys)):
        assert f"{key.name} {key.value} {key.about}" in text
    assert report.notes[1].split(":")[1].split(".")[0].strip() in text


def test_the_same_export_gives_the_same_bytes(month: Month, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder, page, pdf = (tmp_path / f"{name}{end}" for end in ("", ".html", ".pdf"))
        copytree(month.folder, folder)
        assert write_report(folder, OCTOBER, page, pdf, Console(file=StringIO())) == 0
        made.append((page.read_bytes(), pdf.read_bytes()))
    assert made[0] == made[1]


HOSTILE = ["<script>alert(1)</script>", '" onload="x', "-->]]></style>&amp;", "日本の顧客", "a" * 200]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name: str, tmp_path: Path) -> None:
    folder = an_export(a_small_world(), tmp_path / "export")
    for file in folder.glob("*/month=*/*.parquet"):
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE rows AS FROM read_parquet(?, hive_partitioning = false)", [str(file)])
            connection.execute("UPDATE rows SET client = $1 WHERE client IS NOT NULL", [name])
            connection.execute(f"COPY rows TO '{file}' (FORMAT parquet)")
    report = report_of(read_figures(folder, MARCH))
    parsed = _Tables(as_html(report))
    [[_, named, _]] = [rows for _, label, rows in parsed.tables if label == "Margin by client"]
    assert named[0] == name
    assert {tag for tag, _ in parsed.tags} == {tag for tag, _ in _Tables(as_html(report_of(a_months_figures()))).tags}
    assert len(PdfReader(BytesIO(as_pdf(report))).pages) > 0


# -- more than fits, and nothing ---------------------------------------------------------------------------------------


def a_months_figures(**fields: object) -> MonthFigures:
    usd = Figures(
        currency=Currency("USD"),
        days={date(2026, 3, 2): Result(revenue=99, pay=59)},
        clients={"acme": Result(revenue=99, pay=59)},
        bands=(Band("not rated", 1, 99),),
        payable=59,
        held={},
        in_transit=0,
        receivable={},
    )
    source = Source(3, "0" * 64, 10, 5, datetime(2026, 4, 1))  # noqa: DTZ001  # as DuckDB tells it: UTC
    figures = replace(usd, **fields)  # type: ignore[arg-type]  # checked by replace
    return MonthFigures(MARCH, Outcomes(1, 0, 0, 0, 0, 0), (figures,), source)


def rows_of(found: MonthFigures, title: str) -> list[tuple[str, ...]]:
    return [tuple(row) for _, it, table in tables_of(report_of(found)) if it == title for row in table.rows]


def test_clients_beyond_those_listed_are_one_row_and_nothing_is_lost() -> None:
    clients = {f"client-{number}": Result(revenue=1000 - number, pay=10) for number in range(120)}
    rows = rows_of(
        a_months_figures(clients=clients, days={date(2026, 3, 1): Result(113_000, 1200)}), "Margin by client"
    )
    assert len(rows) == 52
    assert rows[50][0] == "70 others"
    assert sum(minor(row[1]) for row in rows[:-1]) == sum(it.revenue for it in clients.values())


def test_pay_of_no_client_and_a_negative_margin_are_shown_as_they_are() -> None:
    clients = {"acme": Result(revenue=100, pay=250), None: Result(pay=2500)}
    rows = rows_of(a_months_figures(clients=clients), "Margin by client")
    assert rows[0] == ("acme", "1.00", "2.50", "0.00", "-1.50", "-150.0%")
    assert rows[1] == ("no client", "0.00", "25.00", "0.00", "-25.00", "-")


def test_a_currency_in_which_only_something_is_owed_has_its_section() -> None:
    found = a_months_figures(days={}, clients={}, bands=(), payable=-74, receivable={"over 90": 1_234_567})
    report = report_of(found)
    assert rows_of(found, "Payout liabilities by release") == [
        ("On its way", "0.00"),
        ("Payable now", "-0.74"),
        ("All", "-0.74"),
    ]
    assert rows_of(found, "Receivables by days past due")[-1] == ("All", "12,345.67")
    assert "12,345.67 of it past due" in as_html(report)
    assert as_pdf(report).startswith(b"%PDF")


def test_a_month_of_which_the_export_holds_nothing_is_refused(month: Month) -> None:
    with pytest.raises(NothingToReport, match="has no entry of 2031-01; it holds 2026-"):
        read_figures(month.folder, Period("2031-01"))


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["finance", "report", *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_exit_codes_say_what_became_of_it(tmp_path: Path) -> None:
    folder, page = str(an_export(a_small_world(), tmp_path / "export")), str(tmp_path / "r.html")
    assert call(folder, "--month", "2026-03", "--to", page) == (0, f"March 2026: {page}")
    code, said = call(folder, "--month", "2031-01", "--to", page)
    assert (code, "has no entry of 2031-01" in said) == (1, True)
    code, said = call(str(tmp_path), "--month", "2026-03", "--to", page)
    assert (code, "holds no export" in said) == (2, True)
    code, said = call(folder, "--month", "2026-03")
    assert (code, "say where to write to" in said) == (2, True)
    assert call(folder, "--month", "2026-03", "--to", str(tmp_path / "no" / "r.html"))[0] == 2
    assert "solvent finance report" in call("--help")[1]
