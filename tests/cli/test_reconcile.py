"""`solvent reconcile`: what is printed, and the exit code."""

import csv
import json
from io import StringIO

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cli.main import app
from cli.printing import Form
from cli.reconcile import COLUMNS, show_reconciliation
from settlement.stripe_port import MovementKind, StripeUnclear
from tests.fake_stripe import FakeStripe, a_movement
from tests.world import World, at

NOW = at("2026-03-19T12:00:00")


@pytest.fixture
def stripe() -> FakeStripe:
    """A movement that is pending, and one that nobody books."""
    waiting = a_movement(MovementKind.TOP_UP, "tu_1", 5_00, is_available=False, available_on=NOW.date())
    return FakeStripe(moved=[waiting, a_movement(MovementKind.OTHER, "=x_1", 1234_50)])


def printed(stripe: FakeStripe, form: Form | None = None) -> tuple[int, str]:
    out = StringIO()
    console = Console(file=out, width=200)
    return show_reconciliation(World().store, stripe, NOW, form or Form(), console), out.getvalue()


def test_clean_books_exit_with_zero_and_say_what_was_compared() -> None:
    assert printed(FakeStripe()) == (
        0,
        "0 movements at Stripe, 0 payouts, 0 invoices: no differences, 0 under way\n",
    )


def test_what_is_only_under_way_exits_with_zero(stripe: FakeStripe) -> None:
    stripe.moved.pop()
    code, text = printed(stripe)
    assert code == 0
    assert "Under way" in text
    assert "Differences" not in text
    assert "waits for Stripe to make it available, expected 2026-03-19" in text


def test_differences_exit_with_one_and_say_amount_age_and_next_step(stripe: FakeStripe) -> None:
    code, text = printed(stripe)
    assert code == 1
    first, *_ = (line for line in text.splitlines() if line.startswith("txn_=x_1"))
    assert [word for word in first.split() if word in {"1234.50", "USD", "10"}][-3:] == ["1234.50", "USD", "10"]
    assert "finance books it by a manual entry" in " ".join(text.split())
    assert text.endswith("2 movements at Stripe, 0 payouts, 0 invoices: 1 differences, 1 under way\n")


def test_json_has_minor_units_and_both_lists(stripe: FakeStripe) -> None:
    code, text = printed(stripe, Form(as_json=True))
    found = json.loads(text)
    assert (code, found["is_clean"], found["as_of"][:10], found["movements"]) == (1, False, "2026-03-19", 2)
    [difference], [waiting] = found["differences"], found["open"]
    assert difference == {
        "about": "txn_=x_1",
        "detail": "txn_=x_1: a kind of movement that is not booked by itself; "
        "the ledger moved 0.00 USD, Stripe 1234.50 USD",
        "amount_minor": 123450,
        "currency": "USD",
        "since": "2026-03-09",
        "age_days": 10,
        "next_step": "finance books it by a manual entry with `movement`: txn_=x_1 in its evidence",
    }
    assert (waiting["about"], waiting["amount_minor"]) == ("tu_1", 500)


def test_csv_has_a_row_for_each_with_amounts_in_major_units_and_nothing_that_a_spreadsheet_runs(
    stripe: FakeStripe,
) -> None:
    stripe.moved[1] = a_movement(MovementKind.OTHER, "x", -1, id="=1+1")
    code, text = printed(stripe, Form(as_csv=True))
    rows = list(csv.DictReader(StringIO(text)))
    assert (code, tuple(rows[0])) == (1, COLUMNS)
    assert [(row["state"], row["about"], row["amount"]) for row in rows] == [
        ("difference", "'=1+1", "-0.01"),
        ("open", "tu_1", "5.00"),
    ]


def test_a_stripe_that_does_not_answer_exits_with_one_and_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    stripe = FakeStripe()

    def fails(*_: object) -> object:
        raise StripeUnclear("no answer from Stripe: timed out")

    monkeypatch.setattr(stripe, "movements", fails)
    said = "nothing was compared, for Stripe does not answer as it should: no answer from Stripe: timed out\n"
    assert printed(stripe) == (1, said)


def test_both_forms_at_once_are_refused() -> None:
    with pytest.raises(typer.BadParameter, match="not both"):
        Form(as_json=True, as_csv=True)
    assert CliRunner().invoke(app, ["reconcile", "--json", "--csv"]).exit_code == 2
