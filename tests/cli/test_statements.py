"""`solvent statement` and `solvent tax-report` over a store in memory."""

import csv
import json
from datetime import date
from io import StringIO

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app
from cli.printing import Form
from cli.statement_data import LINE_COLUMNS, TAX_COLUMNS
from cli.statements import span_wanted, statement, tax_report
from ledger.accounts import COST_INCENTIVE, expert_payable
from ledger.books import append
from ledger.entries import Entry, EntryId, evidence, expert_book, postings
from ledger.posting_rules import Reason
from payouts.payouts import Payout
from payouts.statements import Span
from settlement.ports import Changes, HoldChange
from settlement.send_payouts import send_payout
from tests.commands import printed
from tests.fake_stripe import FakeStripe
from tests.world import World, a_plan, an_expert, at

CSAT = [{"at_least_percent": "100", "amount": "0.15"}]


def a_paid_world(country: str = "US") -> World:
    """Maya earned 5.90, of which a quarter was withheld when it was paid, and 0.59 that is held until 17 March."""
    world = World(plan=a_plan(csat_bonus=CSAT))
    maya = an_expert("maya", stripe_account="acct_maya", withholding_percent="25", country=country)
    world.registry.all_experts["maya"] = maya
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(10)))
    for outcome in world.plan_payouts("2026-03-09"):
        assert isinstance(outcome, Payout)
        send_payout(world.store, world.registry, FakeStripe(), outcome.id, at("2026-03-09"))
    world.send(world.completed("D1", "2026-03-10"))
    return world


def shown(world: World, form: Form = Form(), span: str = "2026-03", expert: str = "maya", code: int = 0) -> str:  # noqa: B008  # frozen
    wanted = (expert, span_wanted(span, (None, None), date(2026, 3, 12)), at("2026-03-12"))
    return printed(statement, world.store, world.registry, wanted, form, code=code)


def report(world: World, form: Form = Form(), year: int = 2026, code: int = 0) -> str:  # noqa: B008  # frozen
    return printed(tax_report, world.store, world.registry, year, form, code=code)


# -- which days --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "first", "last", "wanted"),
    [
        ("2026-W10", None, None, (date(2026, 3, 2), date(2026, 3, 8))),
        (None, None, None, (date(2026, 3, 1), date(2026, 3, 31))),
        (None, date(2026, 3, 3), date(2026, 3, 4), (date(2026, 3, 3), date(2026, 3, 4))),
        (None, date(2026, 3, 3), None, (date(2026, 3, 3), date(2026, 3, 12))),
    ],
)
def test_the_days_are_those_asked_for_or_this_month(
    period: str | None, first: date | None, last: date | None, wanted: tuple[date, date]
) -> None:
    assert span_wanted(period, (first, last), date(2026, 3, 12)) == Span(*wanted)


@pytest.mark.parametrize(
    ("period", "first", "last", "why"),
    [
        ("March", None, None, "neither a month, such as 2026-10"),
        ("2026-03", date(2026, 3, 3), None, "give a --period, or --from and --to"),
        (None, None, date(2026, 3, 3), "give a --period, or --from and --to"),
        (None, date(2026, 3, 13), None, "2026-03-13 is after 2026-03-12"),
    ],
)
def test_days_that_do_not_fit_together_are_refused(
    period: str | None, first: date | None, last: date | None, why: str
) -> None:
    with pytest.raises(typer.BadParameter, match=why):
        span_wanted(period, (first, last), date(2026, 3, 12))


# -- the statement -----------------------------------------------------------------------------------------------------


def test_the_statement_shows_every_line_the_payout_what_is_held_and_the_year() -> None:
    text = shown(a_paid_world())
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "Statement of maya, 2026-03-01 to 2026-03-31" in rows
    assert "opening 0.00" in rows
    why = "base 0.59 (60% of the list price); csat_bonus 0.00 (nobody rated in time)"
    assert f"2026-03-02 earning acme C1/1 standard@2026-01-01 {why} 0.59 2026-03-09" in rows
    assert "2026-03-09 payout payout:maya:USD:2026-W11 -5.90" in rows
    assert "closing 0.59" in rows
    assert "kept on 2026-03-09: 1.48 USD, withholding, of payout:maya:USD:2026-W11" in rows
    assert "2026-W11 sent 5.90 1.48 0.00 4.42 USD 2026-03-09 tr_1 -" in rows
    assert "held: 0.59 USD until 2026-03-17" in rows
    assert "year USD 5.90 1.48 0.00 4.42 1 -" in rows
    assert "1099-NEC: reported: yes; tax was withheld, which is reported whatever the amount" in rows


def test_json_has_the_documented_keys_with_amounts_in_minor_units() -> None:
    data = json.loads(shown(a_paid_world(), Form(as_json=True)))
    assert (data["expert"], data["from"], data["to"], data["as_of"]) == (
        "maya",
        "2026-03-01",
        "2026-03-31",
        "2026-03-12T00:00:00Z",
    )
    [usd] = data["currencies"]
    assert (usd["currency"], usd["opening_minor"], usd["closing_minor"], usd["in_transit_minor"]) == ("USD", 0, 59, 0)
    assert usd["totals"] == {"earning": 649, "payout": -590}
    assert usd["opening_minor"] + sum(line["amount_minor"] for line in usd["lines"]) == usd["closing_minor"]
    line = usd["lines"][0]
    assert list(line) == list(LINE_COLUMNS)
    assert (line["case"], line["amount_minor"], line["list_price"], line["release_on"]) == (
        "C0",
        59,
        "0.99",
        "2026-03-09",
    )
    assert line["trace"][0] == {"component": "base", "minor_units": 59, "why": "60% of the list price"}
    [payout] = data["payouts"]
    assert [payout[f"{name}_minor"] for name in ("gross", "withheld", "fee", "net", "reversed")] == [
        590,
        148,
        0,
        442,
        0,
    ]
    [held] = data["owed_now"]
    assert held == {
        "currency": "USD",
        "available_minor": 0,
        "held": [{"release_on": "2026-03-17", "amount_minor": 59}],
        "missing": [],
    }
    year = data["year_to_date"]
    assert (year["year"], year["regime"], year["threshold_minor"], year["is_reportable"]) == (
        2026,
        "1099-NEC",
        200_000,
        True,
    )
    assert [quarter["gross_minor"] for quarter in year["paid"][0]["quarters"]] == [590, 0, 0, 0]
    assert year["paid"][0]["activities"] is None


def test_csv_has_a_row_for_each_line_that_sums_to_what_changed() -> None:
    rows = list(csv.DictReader(StringIO(shown(a_paid_world(), Form(as_csv=True)))))
    assert list(rows[0]) == list(LINE_COLUMNS)
    assert sum(int(row["amount_minor"]) for row in rows) == 59
    assert [(row["kind"], row["amount"], row["payout"]) for row in rows if row["kind"] == "payout"] == [
        ("payout", "-5.90", "payout:maya:USD:2026-W11")
    ]


def test_a_text_that_a_spreadsheet_would_run_or_that_looks_like_markup_is_shown_as_it_is() -> None:
    world, book = a_paid_world(), expert_book("maya")
    moves, told = ((COST_INCENTIVE, 5), (expert_payable("maya"), -5)), evidence({"why": "=1+1 [red]"})
    entry = Entry(EntryId("incentive:1"), book, Reason.INCENTIVE, postings(moves, "USD"), date(2026, 3, 10), told)
    sealed, after = append(world.store.head(book), [entry], at("2026-03-10"))
    held = (HoldChange("maya", world.plan.currency, date(2026, 3, 20), 5),)
    world.store.commit(Changes(entries=sealed, heads=((world.store.head(book), after),), holds=held))
    assert ",'=1+1 [red]," in shown(world, Form(as_csv=True))
    assert "=1+1 [red]" in shown(world)


def test_a_gate_that_is_missing_is_named() -> None:
    world = a_paid_world()
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya", gates={})
    assert "the next payout waits for: tax_form" in shown(world)


def test_an_unknown_expert_and_books_that_differ_are_said_with_their_exit_codes() -> None:
    world = a_paid_world()
    assert "there is no expert zoe; apply one" in shown(world, expert="zoe", code=2)
    world.store.commit(Changes(holds=(HoldChange("maya", world.plan.currency, date(2026, 3, 20), 7),)))
    assert "solvent reconcile" in shown(world, code=1)


# -- the tax report ----------------------------------------------------------------------------------------------------


def test_the_tax_report_says_who_is_above_which_threshold() -> None:
    row = " ".join(report(a_paid_world()).splitlines()[2].split())
    assert row.startswith("maya US 1099-NEC 5.90 1.48 0.00 USD 2000.00 USD yes")


def test_the_tax_report_as_csv_has_the_year_and_its_quarters() -> None:
    rows = list(csv.DictReader(StringIO(report(a_paid_world("DE"), Form(as_csv=True)))))
    assert list(rows[0]) == list(TAX_COLUMNS)
    told = [
        (row["period"], row["gross_minor"], row["net_minor"], row["activities"], row["is_reportable"]) for row in rows
    ]
    assert told[:2] == [("year", "590", "442", "10", "yes"), ("Q1", "590", "442", "10", "yes")]
    assert [period for period, *_ in told] == ["year", "Q1", "Q2", "Q3", "Q4"]


def test_the_tax_report_as_json_has_the_verdict_with_each_expert() -> None:
    [row] = json.loads(report(a_paid_world("DE"), Form(as_json=True)))
    assert (row["expert"], row["country"], row["regime"], row["threshold_minor"]) == ("maya", "DE", "DAC7", None)
    assert (row["is_reportable"], row["paid"][0]["activities"]) == (True, 10)


def test_what_nobody_knows_is_said_loudly_and_the_report_exits_with_one() -> None:
    world = a_paid_world("JP")
    assert "no reporting rule is known for JP" in report(world, code=1)
    assert "Not known of 1" in report(world, code=1)
    assert json.loads(report(world, Form(as_json=True), code=1))[0]["is_reportable"] is None


def test_a_year_in_which_nothing_was_paid_has_no_rows() -> None:
    assert json.loads(report(a_paid_world(), Form(as_json=True), year=2027)) == []


def test_json_and_csv_at_once_are_refused_before_anything_is_read() -> None:
    with pytest.raises(typer.BadParameter, match="not both"):
        Form(as_json=True, as_csv=True)


@pytest.mark.parametrize("call", [["statement"], ["tax-report"], ["tax-report", "--year", "1"]])
def test_a_call_without_what_it_needs_is_refused(call: list[str]) -> None:
    assert CliRunner().invoke(app, call).exit_code == 2


@pytest.mark.parametrize("command", ["statement", "tax-report"])
def test_help_has_an_example(command: str) -> None:
    assert f"solvent {command}" in CliRunner().invoke(app, [command, "--help"]).output
