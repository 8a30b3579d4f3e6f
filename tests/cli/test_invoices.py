"""`solvent invoice preview`, `list` and `evidence` over a store in memory."""

import csv
import json
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from billing.invoices import Invoice, InvoiceStatus, LineKind, Payment, PaymentFailure
from billing.periods import Period
from cli.invoices import COLUMNS, list_invoices, preview, write_evidence
from cli.main import app
from ledger.entries import Book, evidence
from ledger.money import Currency, parse_decimal
from settlement.described import exact_price, standing
from settlement.invoice_preview import preview_invoice
from tests.commands import printed
from tests.world import RATING, World, a_contract, a_plan, at, per_unit

MARCH = Period("2026-03")
TERMS = {"starts_on": "2026-03-01", "tax_percent": "10"}


def a_world(price: object = None, **terms: object) -> World:
    fixed = {"kind": "fixed", "amount": "0.10"}
    return World(contract=a_contract(price, **(TERMS | terms)), plan=a_plan(base=fixed))  # type: ignore[arg-type]


def shown(world: World, period: str | None = MARCH, as_of: str = "2026-03-20", code: int = 0) -> str:
    wanted = (Period(period) if period else None, at(as_of))
    return printed(preview, world.store, world.registry, "acme", wanted, code=code)


def as_data(world: World, period: str = MARCH) -> dict[str, object]:
    wanted = (Period(period), at("2026-03-20"))
    text = printed(preview, world.store, world.registry, "acme", wanted, as_json=True)
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


# -- preview -----------------------------------------------------------------------------------------------------------


def test_the_preview_is_the_invoice_that_the_close_makes_and_writes_nothing() -> None:
    world = a_world(minimum="5.00", cap={"amount": "3.00"}, commitment={"units": 9, "unit": "0.10"})
    world.solve(4)
    before = (world.entries(), dict(world.store.stored_periods), dict(world.store.stored_invoices))
    data = as_data(world)
    assert (world.entries(), world.store.stored_periods, world.store.stored_invoices) == before
    invoice = world.close()
    assert data["total_minor"] == invoice.total == 550
    wanted = [
        {"kind": it.kind, "text": it.text, "quantity": it.quantity, "amount_minor": it.amount} for it in invoice.lines
    ]
    assert data["lines"] == wanted


def test_the_preview_shows_usage_per_rate_and_how_far_it_is_from_what_was_agreed() -> None:
    world = a_world(minimum="5.00", cap={"amount": "3.00"}, commitment={"units": 9, "unit": "0.10"})
    world.solve(4)
    text = shown(world, None)
    assert "acme 2026-03, as if it were closed now" in text
    assert ["all", "4", "3.96", "0.00", "0.96", "3.96"] in [line.split() for line in text.splitlines()]
    assert "Cap: 3.00 of 3.00 USD stand charged (100%); beyond it: waive" in text
    assert "Minimum: 3.00 of 5.00 USD" in text
    assert "Commitment: 4 of 9 resolutions" in text
    assert "The period is closed at 2026-04-02T00:00:00Z" in text


def test_the_month_of_the_instant_is_that_of_the_contracts_time_zone() -> None:
    world = a_world(time_zone="America/New_York")
    assert "acme 2026-03" in shown(world, None, "2026-04-01T03:59:59")
    assert "acme 2026-04" in shown(world, None, "2026-04-01T04:00:00")


def test_a_preview_takes_earlier_open_periods_as_closed_before_it() -> None:
    world = a_world(per_unit("0.30"))
    world.send(world.completed("C1", "2026-03-02"), world.completed("C2", "2026-04-02"))
    text = shown(world, "2026-04")
    assert "Taken as closed before it: 2026-03" in text
    found = preview_invoice(world.store, world.registry.contract_histories["acme"], Period("2026-04"))
    carried = [line.amount for line in found.closing.invoice.lines if line.kind is LineKind.CARRIED]
    assert (carried, found.closing.invoice.total) == ([30], 66)
    world.close("2026-04-02")
    again = preview_invoice(world.store, world.registry.contract_histories["acme"], Period("2026-04"))
    assert (again.closing.invoice, again.open_before) == (found.closing.invoice, ())


def test_a_closed_period_or_one_without_a_contract_has_no_preview() -> None:
    world = a_world()
    world.solve(1)
    world.close()
    assert "2026-03 is closed" in shown(world, code=2)
    assert "no contract in force in 2026-02" in shown(world, "2026-02", code=2)
    wanted = (MARCH, at("2026-03-20"))
    text = printed(preview, world.store, world.registry, "globex", wanted, code=2)
    assert "no contract for globex" in text


# -- list --------------------------------------------------------------------------------------------------------------


def an_invoice(**fields: object) -> Invoice:
    invoice = Invoice("acme", MARCH, Currency("USD"), (), 1000, 30, InvoiceStatus.OPEN, due_on=date(2026, 5, 2))
    return replace(invoice, **fields)  # type: ignore[arg-type]


HALF = Payment("pay_1", 500, 15, date(2026, 4, 20), date(2026, 4, 22), is_available=True)


@pytest.mark.parametrize(
    ("invoice", "words"),
    [
        (an_invoice(status=InvoiceStatus.PLANNED, due_on=None), "planned"),
        (an_invoice(due_on=date(2026, 5, 3)), "open"),
        (an_invoice(), "overdue"),
        (an_invoice(due_on=date(2026, 5, 3), payments=(HALF,)), "partly paid"),
        (an_invoice(payments=(HALF,)), "overdue, partly paid"),
        (
            an_invoice(last_failure=PaymentFailure("card_declined", date(2026, 5, 1))),
            "overdue, last payment failed: card_declined",
        ),
        (an_invoice(status=InvoiceStatus.PAID, payments=(HALF, HALF)), "paid"),
        (an_invoice(status=InvoiceStatus.PAID, payments=(HALF, HALF), returned=500), "paid, some went back"),
        (an_invoice(payments=(HALF,), returned=500), "overdue, partly paid, some went back"),
        (an_invoice(status=InvoiceStatus.UNCOLLECTIBLE, payments=(HALF,)), "uncollectible"),
        (an_invoice(status=InvoiceStatus.VOID), "void"),
        (an_invoice(status=InvoiceStatus.CARRIED, due_on=None), "carried"),
    ],
)
def test_where_an_invoice_stands_is_said_in_words(invoice: Invoice, words: str) -> None:
    assert standing(invoice, date(2026, 5, 3)) == words


def test_the_list_has_every_invoice_with_what_was_paid_and_what_is_owed() -> None:
    world = World()
    world.store.stored_invoices = {
        ("acme", MARCH): an_invoice(stripe_invoice="in_1", payments=(HALF,)),
        ("tokyo", MARCH): an_invoice(client="tokyo", currency=Currency("JPY"), due_on=None),
    }
    day = date(2026, 5, 3)
    text = printed(list_invoices, world.store, None, day)
    rows = [line.split() for line in text.splitlines()[2:]]
    assert rows[0] == [
        "acme",
        "2026-03",
        "overdue,",
        "partly",
        "paid",
        "10.00",
        "0.00",
        "5.00",
        "0.00",
        "5.00",
        "USD",
        "2026-05-02",
        "in_1",
    ]
    assert rows[1] == ["tokyo", "2026-03", "open", "1000", "0", "0", "0", "1000", "JPY", "-", "-"]
    (one,) = json.loads(printed(list_invoices, world.store, "acme", day, as_json=True))
    assert (one["standing"], one["is_overdue"], one["owed_minor"]) == ("overdue, partly paid", True, 500)


# -- evidence ----------------------------------------------------------------------------------------------------------


def written(world: World, folder: Path) -> list[dict[str, str]]:
    wanted = ("acme", MARCH)
    printed(write_evidence, world.store, world.registry, wanted, folder)
    with (folder / "invoice-acme-2026-03.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_file_sums_to_the_invoice_and_names_what_decided_each_row(tmp_path: Path) -> None:
    world = a_world(per_unit("1.005"), rating=RATING | {"below": "discount", "discount_percent": "50"})
    world.send(
        world.completed("C1", "2026-03-02T10:00:00", id="s1", channel="chat"),
        world.rated("C1", "2026-03-02T11:00:00", 2, id="r1"),
        world.completed("C2", "2026-03-03"),
        world.rated("C2", "2026-03-03T01:00:00", 5),
    )
    world.send(world.reopened("C2", "2026-03-05"))
    invoice = world.close()
    rows = written(world, tmp_path / "new" / "folder")
    assert sum(parse_decimal(row["net"]) for row in rows) * 100 == invoice.total
    first, second, third, tax = rows
    wanted = {
        "kind": "settled",
        "case": "C1",
        "cycle": "1",
        "resolved_at": "2026-03-02T10:00:00Z",
        "settled_at": "2026-03-02T11:00:00Z",
        "resolver": "expert",
        "channel": "chat",
        "rate": "all",
        "ordinal": "1",
        "list_price": "1.005",
        "quantity": "1",
        "accrued": "1.01",
        "discount": "0.51",
        "capped": "0.00",
        "net": "0.50",
        "currency": "USD",
        "score": "2",
        "scale_min": "1",
        "scale_max": "5",
        "rating_percent": "25.00",
        "why": "rated_below_threshold",
        "contract": "2026-03",
        "entry": "charge:acme/C1/1:1",
        "facts": "helpdesk#s1 helpdesk#r1",
    }
    assert {name: first[name] for name in wanted} == wanted
    assert (second["net"], third["net"], third["quantity"]) == ("1.00", "-1.00", "-1")
    assert (tax["kind"], tax["net"], tax["accrued"], tax["entry"]) == ("tax", "0.05", "", "invoice:acme:2026-03")


def test_no_row_shows_who_solved_a_case_or_what_that_earned(tmp_path: Path) -> None:
    world = a_world(per_unit("7.00"))
    world.send(world.completed("C1", "2026-03-02", "maya"), world.completed("C2", "2026-03-02", "noah"))
    world.send(world.reopened("C1", "2026-03-03"))
    world.close()
    written(world, tmp_path)
    text = (tmp_path / "invoice-acme-2026-03.csv").read_text()
    assert [word for word in ("maya", "noah", "standard", "0.10", "trace", "plan", "base") if word in text] == []
    assert text.splitlines()[0] == ",".join(COLUMNS)


def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(tmp_path: Path) -> None:
    world = a_world(per_unit("7.00"))
    world.solve(1)
    world.close()
    (recorded, *others), book = world.store.journal[Book("client/acme")], Book("client/acme")
    told = json.loads(recorded.entry.evidence) | {"case": "=1+1", "facts": ["@now"], "why": "-2"}
    forged = replace(recorded.entry, evidence=evidence(told))
    world.store.journal[book] = [replace(recorded, entry=forged), *others]
    row, _ = written(world, tmp_path)
    assert (row["case"], row["facts"], row["why"], row["net"]) == ("'=1+1", "'@now", "'-2", "7.00")


def test_evidence_that_does_not_sum_leaves_the_file_of_before_and_nothing_else(tmp_path: Path) -> None:
    world = a_world(per_unit("7.00"))
    world.solve(2)
    world.close()
    written(world, tmp_path)
    before = (tmp_path / "invoice-acme-2026-03.csv").read_text()
    world.store.journal[Book("client/acme")].pop(0)
    wanted = ("acme", MARCH)
    text = printed(write_evidence, world.store, world.registry, wanted, tmp_path, code=1)
    assert "invoice:acme:2026-03" in text
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("invoice-acme-2026-03.csv", before)]


def test_an_open_period_or_an_unknown_client_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    world = a_world()
    world.solve(1)
    for client, why in (("acme", "not closed"), ("globex", "no contract for globex")):
        wanted = (client, MARCH)
        folder = tmp_path / client
        text = printed(write_evidence, world.store, world.registry, wanted, folder, code=2)
        assert why in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("price", "code", "text"),
    [
        ("99", "USD", "0.99"),
        ("1/8", "USD", "0.00125"),
        ("7500", "USD", "75.00"),
        ("110", "JPY", "110"),
        ("351/2", "BHD", "0.1755"),
        ("100/3", "USD", "0.333333333333"),
    ],
)
def test_a_list_price_is_written_exactly_where_a_decimal_can(price: str, code: str, text: str) -> None:
    assert exact_price(Fraction(price), Currency(code)) == text


def test_a_month_is_asked_for_as_a_month() -> None:
    refused = CliRunner().invoke(app, ["invoice", "evidence", "acme", "out", "--period", "October"])
    assert refused.exit_code == 2
    assert "October" in refused.output
