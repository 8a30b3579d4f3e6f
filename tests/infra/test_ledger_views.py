"""Every view of finance against sums made from the entries themselves."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing.corrections import Outcome
from infra.exports import export_ledger
from infra.ledger_views import VIEWS, open_views
from ledger.accounts import (
    BANK_CASH,
    COST_BASE,
    REVENUE_CREDITS,
    REVENUE_RESOLUTIONS,
    STRIPE_BALANCE,
    STRIPE_CLEARING,
    TAX_PAYABLE,
    Kind,
    client_receivable,
    client_unbilled,
    expert_payable,
    kind_of,
)
from ledger.balances import trial_balance
from ledger.books import append
from ledger.entries import Entry, EntryId, Posting, client_book, evidence, postings
from ledger.money import Money, minor_unit_exponent
from ledger.posting_rules import Reason
from settlement.movements import record_movements
from settlement.ports import Changes
from settlement.returned import settle_returned
from settlement.stripe_port import MovementKind
from tests.fake_stripe import a_movement
from tests.invoicing import ISSUED, MARCH, Story, reissue, void
from tests.simulated_month import Month, simulated_month
from tests.world import World, a_contract, at

DAYS = (None, date(2026, 10, 15), date(2026, 10, 31), date(2026, 11, 30))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    return simulated_month(tmp_path_factory.mktemp("simulated") / "export")


def rows(folder: Path, view: str, as_of: date | None = None) -> list[dict[str, Any]]:
    with closing(open_views(folder, as_of)) as connection:
        found = connection.execute(f"SELECT * FROM {view}")  # noqa: S608  # a constant of a test
        columns = [column[0] for column in found.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]


def major(money: Money) -> Decimal:
    return Decimal(money.minor_units).scaleb(-minor_unit_exponent(money.currency))


def lines_until(month: Month, as_of: date | None) -> Iterator[tuple[Entry, Posting]]:
    for entry in month.entries:
        if as_of is None or entry.effective_on <= as_of:
            yield from ((entry, it) for it in entry.postings)


def summed(
    lines: Iterable[tuple[Entry, Posting]], key: Callable[[Entry, Posting], object]
) -> dict[tuple[object, str], Decimal]:
    """What lines sum to by key and currency, those without a key left out, and zeros."""
    sums: defaultdict[tuple[object, str], Decimal] = defaultdict(Decimal)
    for entry, it in lines:
        if (name := key(entry, it)) is not None:
            sums[name, it.amount.currency] += major(it.amount)
    return {name: amount for name, amount in sums.items() if amount}


def told(found: Iterable[dict[str, Any]], keys: tuple[str, ...], column: str) -> dict[tuple[object, str], Decimal]:
    """A column of a view by its keys and currency, without zeros."""
    by_key = {(tuple(row[key] for key in keys), row["currency"]): row[column] for row in found}
    assert len(by_key) == len({(*name, code) for name, code in by_key}), "a key comes twice"
    return {name: amount for name, amount in by_key.items() if amount}


# -- a simulated month -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_of", DAYS)
def test_trial_balance_is_that_of_the_entries(month: Month, as_of: date | None) -> None:
    wanted = trial_balance([it for it in month.entries if as_of is None or it.effective_on <= as_of]).balances

    found = rows(month.folder, "trial_balance", as_of)

    assert {(row["account"], row["currency"]): row["minor_units"] for row in found} == wanted
    assert len({row["currency"] for row in found}) > 1
    for row in found:
        assert (row["account_kind"], row["debit"] - row["credit"]) == (
            kind_of(row["account"]).value,
            Decimal(row["minor_units"]).scaleb(-minor_unit_exponent(row["currency"])),
        )
        assert min(row["debit"], row["credit"]) == 0


@pytest.mark.parametrize("as_of", DAYS)
@pytest.mark.parametrize("by", ["client", "expert", "skill"])
def test_margins_by_month_sum_to_income_less_expenses(month: Month, by: str, as_of: date | None) -> None:
    def of_profit(entry: Entry, it: Posting) -> object:
        return (f"{entry.effective_on:%Y-%m}",) if kind_of(it.account) in {Kind.INCOME, Kind.EXPENSE} else None

    found = rows(month.folder, f"margin_by_{by}", as_of)

    sums: defaultdict[tuple[object, str], Decimal] = defaultdict(Decimal)
    for row in found:
        sums[(row["month"],), row["currency"]] -= row["margin"]
        assert row["margin"] == row["revenue"] - row["pay"] - row["other_costs"]
    assert {key: amount for key, amount in sums.items() if amount} == summed(lines_until(month, as_of), of_profit)
    assert sums


def test_margin_by_client_takes_what_its_book_holds(month: Month) -> None:
    def of_revenue(entry: Entry, it: Posting) -> object:
        owner = entry.book.removeprefix("client/")
        return (f"{entry.effective_on:%Y-%m}", owner) if it.account.startswith("revenue/") else None

    def of_pay(entry: Entry, it: Posting) -> object:
        is_pay = it.account in {"cost/base", "cost/bonus", "cost/incentive"}
        side, _, owner = entry.book.partition("/")
        return (f"{entry.effective_on:%Y-%m}", owner if side == "client" else None) if is_pay else None

    found = rows(month.folder, "margin_by_client")

    credits_ = {key: -amount for key, amount in summed(lines_until(month, None), of_revenue).items()}
    assert told(found, ("month", "client"), "revenue") == credits_
    assert told(found, ("month", "client"), "pay") == summed(lines_until(month, None), of_pay)


def test_margin_by_expert_takes_pay_from_what_each_is_owed(month: Month) -> None:
    def of_pay(entry: Entry, it: Posting) -> object:
        is_earned = entry.reason in {"settled", "corrected", "reversed", "credited", "incentive", "incentive_corrected"}
        owner = it.account.split("/")[1] if it.account.startswith("expert/") else None
        return (f"{entry.effective_on:%Y-%m}", owner) if owner and is_earned else None

    found = rows(month.folder, "margin_by_expert")

    wanted = {key: -amount for key, amount in summed(lines_until(month, None), of_pay).items()}
    assert told(found, ("month", "expert"), "pay") == wanted
    assert len(wanted) > 3


@pytest.mark.parametrize("as_of", DAYS)
def test_what_clients_owe_and_are_owed_is_in_their_accounts(month: Month, as_of: date | None) -> None:
    def of_account(name: str) -> Callable[[Entry, Posting], object]:
        return lambda _, it: (it.account.split("/")[1],) if it.account.endswith(f"/{name}") else None

    accruals = rows(month.folder, "accrued_and_deferred_revenue", as_of)
    owed: defaultdict[tuple[object, str], Decimal] = defaultdict(Decimal)
    for row in rows(month.folder, "ageing", as_of):
        owed[(row["client"],), row["currency"]] += row["amount"]
        assert row["invoice"].startswith(f"invoice:{row['client']}:")

    def lines() -> Iterator[tuple[Entry, Posting]]:
        return lines_until(month, as_of)

    assert told(accruals, ("client",), "accrued") == summed(lines(), of_account("unbilled"))
    assert {key: -it for key, it in told(accruals, ("client",), "deferred").items()} == summed(
        lines(), of_account("prepaid")
    )
    assert {key: it for key, it in owed.items() if it} == summed(lines(), of_account("receivable"))


@pytest.mark.parametrize("as_of", DAYS)
def test_what_experts_are_owed_is_in_their_accounts(month: Month, as_of: date | None) -> None:
    def of_account(name: str) -> Callable[[Entry, Posting], object]:
        return lambda _, it: (
            (it.account.split("/")[1],)
            if it.account.startswith("expert/") and it.account.endswith(f"/{name}")
            else None
        )

    found = rows(month.folder, "expert_liabilities", as_of)

    for name in ("payable", "in_transit"):
        wanted = {key: -amount for key, amount in summed(lines_until(month, as_of), of_account(name)).items()}
        assert told(found, ("expert",), name) == wanted
    assert all(row["owed"] == row["payable"] + row["in_transit"] for row in found)


# -- examples ----------------------------------------------------------------------------------------------------------


def post(world: World, *entries: Entry, recorded_at: str = "2026-04-02T10:00:00") -> None:
    for entry in entries:
        head = world.store.head(entry.book)
        sealed, after = append(head, [entry], at(recorded_at))
        world.store.commit(Changes(entries=sealed, heads=((head, after),)))


def exported(world: World, folder: Path) -> Path:
    export_ledger(world.store, folder)
    return folder


def a_receipt(id_: str, amount: int, reason: Reason, day: date, **facts: object) -> Entry:
    """`amount` minor units off what acme owes."""
    others = {
        Reason.INVOICE_PAID: STRIPE_CLEARING,
        Reason.INVOICE_REFUNDED: STRIPE_BALANCE,
        Reason.CREDIT_NOTE: REVENUE_CREDITS,
        Reason.MANUAL: BANK_CASH,
    }
    amounts = ((others[reason], amount), (client_receivable("acme"), -amount))
    return Entry(EntryId(id_), client_book("acme"), reason, postings(amounts, "USD"), day, evidence(facts))


def test_invoice_is_due_after_its_net_days_and_ages_from_then(tmp_path: Path) -> None:
    world = World(contract=a_contract(net_days=14))
    world.solve(100)
    world.sweep("2026-04-01")
    world.close("2026-04-02")  # recorded on 2 April, so due on the 16th
    folder = exported(world, tmp_path / "export")

    def ages(day: date) -> tuple[object, ...]:
        (row,) = rows(folder, "ageing", day)
        assert (row["invoice"], row["invoiced_on"], row["due_on"]) == (
            "invoice:acme:2026-03",
            date(2026, 3, 31),
            date(2026, 4, 16),
        )
        return row["days_past_due"], row["bucket"], row["amount"]

    owed = Decimal("99.000")
    assert ages(date(2026, 3, 31)) == (-16, "not due", owed)
    assert ages(date(2026, 4, 16)) == (0, "not due", owed)
    assert ages(date(2026, 4, 17)) == (1, "1 to 30", owed)
    assert ages(date(2026, 5, 16)) == (30, "1 to 30", owed)
    assert ages(date(2026, 5, 17)) == (31, "31 to 60", owed)
    assert ages(date(2026, 7, 15)) == (90, "61 to 90", owed)
    assert ages(date(2026, 7, 16)) == (91, "over 90", owed)


def test_payments_notes_and_refunds_belong_to_the_invoice_they_are_of(tmp_path: Path) -> None:
    world = World(contract=a_contract(net_days=14))
    world.solve(100)
    world.close("2026-04-02")
    invoice, day = "invoice:acme:2026-03", date(2026, 4, 20)
    post(
        world,
        a_receipt(f"{invoice}:paid:ch_1", 5000, Reason.INVOICE_PAID, day, payment="ch_1"),
        a_receipt(f"{invoice}:credit:1", 900, Reason.CREDIT_NOTE, day, invoice=invoice),
        a_receipt("movement:txn_1", -700, Reason.INVOICE_REFUNDED, day, movement="txn_1", payment="ch_1"),
        a_receipt("manual:1", 100, Reason.MANUAL, day, invoice=invoice),
        a_receipt("manual:2", -30, Reason.MANUAL, day),
    )

    found = rows(exported(world, tmp_path / "export"), "ageing")

    assert [(row["invoice"], row["bucket"], row["minor_units"]) for row in found] == [
        (invoice, "1 to 30", 9900 - 5000 - 900 + 700 - 100),
        (None, "no invoice", 30),
    ]


def test_what_settled_a_chargeback_of_a_reissued_invoice_belongs_to_that_one(tmp_path: Path) -> None:
    story = Story()
    void(story)
    reissue(story)
    story.stripe.pay(f"{ISSUED}_2", 100_00)
    story.follow()
    story.stripe.moved.append(a_movement(MovementKind.DISPUTE, "dp_1", -44_00, origin=f"ch_{ISSUED}_2_1"))
    record_movements(story.world.store, story.stripe, at("2026-04-08"))
    (open_one,) = rows(exported(story.world, tmp_path / "before"), "ageing")
    assert (open_one["invoice"], open_one["minor_units"]) == ("invoice:acme:2026-03:2", 44_00)

    settle_returned(story.world.store, MARCH, Outcome.PAID, None, "ref-1", at("2026-04-09"))

    assert rows(exported(story.world, tmp_path / "after"), "ageing") == []


def test_skill_of_the_last_solution_counts_for_the_whole_cycle(tmp_path: Path) -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02", skill="billing"), world.completed("C2", "2026-03-02", skill="tax"))
    world.send(world.completed("C3", "2026-03-02"))
    world.send(world.reopened("C2", "2026-03-03"), world.completed("C2", "2026-03-04", skill="refunds"))
    world.sweep("2026-03-20")

    found = rows(exported(world, tmp_path / "export"), "margin_by_skill")

    told = {row["skill"]: (row["revenue"], row["pay"]) for row in found}
    one = (Decimal("0.990"), Decimal("0.590"))
    assert told == {"billing": one, "refunds": one, None: one}


def test_entry_that_moves_an_earning_between_experts_counts_for_each_of_them(tmp_path: Path) -> None:
    world = World()
    world.solve(1)
    moved = ((expert_payable("maya"), 59), (expert_payable("noah"), -70), (COST_BASE, 11))
    on = date(2026, 3, 5)
    facts = evidence({"case": "C1", "cycle": 1})
    lines = postings(moved, "USD")
    post(world, Entry(EntryId("charge:acme/C1/1:2"), client_book("acme"), Reason.CORRECTED, lines, on, facts))

    found = rows(exported(world, tmp_path / "export"), "margin_by_expert")

    assert {row["expert"]: row["pay"] for row in found} == {"maya": 0, "noah": Decimal("0.700")}


def test_views_of_an_empty_ledger_are_empty(tmp_path: Path) -> None:
    world = World()
    one = postings(((client_unbilled("acme"), 1), (REVENUE_RESOLUTIONS, -1)), "USD")
    post(world, Entry(EntryId("manual:1"), client_book("acme"), Reason.MANUAL, one, date(2026, 3, 5), evidence({})))
    folder = exported(world, tmp_path / "export")

    assert {view: rows(folder, view, date(2026, 3, 4)) for view in VIEWS} == {view: [] for view in VIEWS}


def test_tax_is_told_by_the_rate_that_was_charged_less_what_was_credited(tmp_path: Path) -> None:
    world = World(contract=a_contract(tax_percent="19"))
    world.solve(100)
    world.close("2026-04-02")
    invoice = "invoice:acme:2026-03"
    amounts = ((client_unbilled("acme"), 1000), (TAX_PAYABLE, 190), (client_receivable("acme"), -1190))
    note = Entry(
        EntryId(f"{invoice}:credit:1"),
        client_book("acme"),
        Reason.CREDIT_NOTE,
        postings(amounts, "USD"),
        date(2026, 4, 5),
        evidence({"invoice": invoice, "taken_from": "2026-04"}),
    )
    post(world, note)

    def told(as_of: date | None) -> list[tuple[object, ...]]:
        return [tuple(row.values()) for row in rows(folder, "tax_by_client", as_of)]

    folder = exported(world, tmp_path / "export")

    before, after = (Decimal(it) for it in ("99.000", "89.000"))
    tax_before, tax_after = (Decimal(it) for it in ("18.810", "16.910"))
    assert told(date(2026, 4, 4)) == [(2026, "acme", "19%", "USD", before, tax_before, before + tax_before)]
    assert told(None) == [(2026, "acme", "19%", "USD", after, tax_after, after + tax_after)]


def test_tax_of_the_month_is_what_the_ledger_owes_the_tax_office(month: Month) -> None:
    def of_tax(entry: Entry, it: Posting) -> object:
        return (entry.effective_on.year, entry.book.removeprefix("client/")) if it.account == "tax/payable" else None

    sums: defaultdict[tuple[object, str], Decimal] = defaultdict(Decimal)
    for row in rows(month.folder, "tax_by_client"):
        sums[(row["tax_year"], row["client"]), row["currency"]] -= row["tax"]
        assert row["percent"] is not None or row["tax"] == 0
        assert row["gross"] == row["net"] + row["tax"]

    assert {key: amount for key, amount in sums.items() if amount} == summed(lines_until(month, None), of_tax)
    assert sums
