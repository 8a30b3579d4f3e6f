"""The charge examples of the signed-off sheet, each played as facts; a failing one prints its journal."""

from collections.abc import Iterator
from datetime import date

import pytest

from billing.invoices import Invoice, LineKind
from billing.prepaid import Lot, PrepaidRefused
from ledger.money import format_minor_units
from settlement.cases import CycleState, CycleStatus
from settlement.prepaid import buy_credits, expire_credits, refund_credits
from tests.stories import check_story
from tests.world import GRADUATED, PACKAGE, RATING, VOLUME, World, a_contract, a_plan, at, per_unit, show

MARCH = {"starts_on": "2026-03-01"}


def a_world(price: object = None, **fields: object) -> World:
    """A client whose contract starts in March, and experts who are paid a fixed amount in its currency."""
    currency = str(fields.get("currency", "USD"))
    fixed = {"kind": "fixed", "amount": "10" if currency == "JPY" else "0.10"}
    contract = a_contract(price, **(MARCH | fields))  # type: ignore[arg-type]
    return World(contract=contract, plan=a_plan(currency=currency, base=fixed))


def lines(invoice: Invoice) -> dict[LineKind, str]:
    return {line.kind: format_minor_units(line.amount, invoice.currency) for line in invoice.lines}


def total(invoice: Invoice) -> str:
    return format_minor_units(invoice.total, invoice.currency)


def state(world: World, case: str, number: int = 1) -> CycleState:
    found = world.cycle(case, number)
    assert isinstance(found, CycleState)
    return found


@pytest.fixture(autouse=True)
def journal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check every world and what is told of its cases, and print its journal: pytest shows it when the story fails."""
    worlds: list[World] = []
    made = World.__post_init__

    def remembered(world: World) -> None:
        made(world)
        worlds.append(world)

    monkeypatch.setattr(World, "__post_init__", remembered)
    yield
    for world in worlds:
        print(f"\n{request.node.name}\n{show(world.entries()[:40])}")  # noqa: T201  # the story is the point
        world.check()
        cases = [case.case_id for case in world.store.stored_cases.values()]
        for case in {*cases[:3], *cases[-2:]}:
            check_story(world, case)


def test_c1_graduated_tiers_price_each_resolution_in_its_tier() -> None:
    world = a_world(GRADUATED)
    world.solve(1250)
    assert world.balance("client/acme/unbilled") == "1187.50"
    assert total(world.close()) == "1187.50"


def test_c2_the_close_trues_up_what_reversals_left_in_the_wrong_tier() -> None:
    world = a_world(GRADUATED)
    world.solve(1250)
    world.send(*(world.reopened(f"C{i}", "2026-03-04") for i in (1, 2, 3)))
    assert world.balance("client/acme/unbilled") == "1184.53"
    invoice = world.close()
    true_up = next(entry for entry in world.entries() if entry.reason == "true_up")
    assert max(posting.amount.minor_units for posting in true_up.postings) == 60
    assert total(invoice) == "1185.13"


def test_c3_volume_is_accrued_at_list_price_and_trued_up_to_the_tier_of_the_total() -> None:
    world = a_world(VOLUME)
    world.solve(501)
    assert world.balance("client/acme/unbilled") == "601.00"
    assert total(world.close()) == "501.00"


def test_c4_a_started_package_is_charged_whole() -> None:
    world = a_world(PACKAGE)
    world.solve(101)
    assert total(world.close()) == "150.00"


def test_c5_fractions_of_a_cent_are_rounded_once_over_the_period() -> None:
    world = a_world(per_unit("0.00125"), minimum="0")
    world.solve(333)
    assert world.balance("client/acme/unbilled") == "0.42"
    world.close()
    assert world.balance("revenue/resolutions") == "-0.42"


def test_c6_yen_have_no_minor_unit() -> None:
    world = a_world(per_unit("110"), currency="JPY")
    world.solve(17)
    assert world.close().total == 1870


def test_c7_dinars_have_three_decimals() -> None:
    world = a_world(per_unit("0.350"), currency="BHD")
    world.solve(3)
    assert world.close().total == 1050


def test_c8_a_minimum_is_reached_by_a_shortfall_line() -> None:
    world = a_world(per_unit("4.2042"), minimum="500.00")
    world.solve(100)
    invoice = world.close()
    assert lines(invoice)[LineKind.USAGE] == "420.42"
    assert lines(invoice)[LineKind.SHORTFALL] == "79.58"
    assert total(invoice) == "500.00"


def test_c9_the_cap_takes_what_goes_beyond_it_in_order_of_settlement() -> None:
    world = a_world(cap={"amount": "100.00"})
    world.solve(105)
    charges = [state(world, f"C{i}").charge for i in range(1, 106)]
    assert [charge.net for charge in charges if charge] == [99] * 101 + [1, 0, 0, 0]
    assert world.balance("client/acme/unbilled") == "100.00"
    invoice = world.close()
    assert [line.quantity for line in invoice.lines if line.kind is LineKind.USAGE] == [105]
    assert (lines(invoice)[LineKind.USAGE], lines(invoice)[LineKind.CAP]) == ("103.95", "-3.95")
    assert total(invoice) == "100.00"


def test_room_under_the_cap_that_a_reversal_frees_goes_to_the_next_and_the_close_trues_up_the_rest() -> None:
    world = a_world(cap={"amount": "100.00"})
    world.solve(105)
    world.send(world.reopened("C1", "2026-03-03"), world.reopened("C2", "2026-03-03"))
    assert world.balance("client/acme/unbilled") == "98.02"
    world.send(world.completed("D1", "2026-03-04"))
    assert world.balance("client/acme/unbilled") == "99.01"
    assert total(world.close()) == "100.00"


def test_a_discount_that_is_dropped_again_is_charged_as_far_as_the_cap_leaves_room() -> None:
    """Found by the simulation's 151st seed: only the first charge of a cycle was held against the cap."""
    rating = RATING | {"below": "discount", "discount_percent": "50"}
    world = a_world(cap={"amount": "1.70"}, rating=rating)
    for case, score in (("C1", 1), ("C2", 5)):
        world.send(world.completed(case, "2026-03-02"), world.rated(case, "2026-03-02T01:00:00", score))
    assert world.balance("client/acme/unbilled") == "1.48"
    world.send(world.rated("C1", "2026-03-02T02:00:00", 5))
    charge = state(world, "C1").charge
    assert charge is not None
    assert (charge.accrued, charge.discount, charge.capped, charge.net) == (99, 0, 28, 71)
    assert world.balance("client/acme/unbilled") == "1.70"


def test_each_part_of_the_cap_is_told_once() -> None:
    world = a_world(cap={"amount": "10.00", "action": "alert"})
    told = []
    for i in range(12):
        world.send(world.completed(f"C{i}", "2026-03-02"))
        told.append(len(world.store.announced))
    assert told == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    world.send(world.reopened("C1", "2026-03-03"), world.reopened("C2", "2026-03-03"))
    world.send(world.completed("D1", "2026-03-03"), world.completed("D2", "2026-03-03"))
    usage = [id_ for id_ in world.store.announced if id_.startswith("usage:")]
    assert usage == [f"usage:acme:2026-03:cap:{percent}" for percent in (50, 80, 100)]
    assert world.store.announced["usage:acme:2026-03:cap:80"].data["charged_minor"] == 891


def test_a_cap_that_only_alerts_limits_nothing() -> None:
    world = a_world(cap={"amount": "1.00", "action": "alert"})
    world.solve(3)
    assert total(world.close()) == "2.97"


def test_what_the_cap_waives_earns_by_the_plan() -> None:
    world = a_world(cap={"amount": "0.99"})
    world.solve(2)
    assert world.balance("expert/maya/payable") == "-0.10"


def test_resolutions_missing_from_a_commitment_are_charged_at_their_own_price() -> None:
    world = a_world(commitment={"units": 10, "unit": "0.50"})
    world.solve(7)
    invoice = world.close()
    assert lines(invoice)[LineKind.COMMITMENT] == "1.50"
    assert total(invoice) == "8.43"


def a_lot(amount: int, name: str = "wire-1", expires_on: date | None = None) -> Lot:
    return Lot(name, date(2026, 3, 1), expires_on, amount, amount)


def test_c10_prepaid_credits_are_told_about_as_they_are_used_and_applied_at_the_close() -> None:
    world = a_world(prepaid=True)
    buy_credits(world.store, world.registry, "acme", a_lot(5000), at("2026-03-01"))
    assert world.balance("client/acme/prepaid") == "-50.00"
    world.solve(61)
    assert world.balance("client/acme/unbilled") == "60.39"
    assert [told.data["percent"] for told in world.store.announced.values()] == [50, 80, 100]
    assert "usage:acme:2026-03:prepaid:100" in world.store.announced
    invoice = world.close()
    assert lines(invoice)[LineKind.PREPAID] == "-50.00"
    assert total(invoice) == "10.39"
    assert world.balance("client/acme/prepaid") == "0.00"
    assert world.balance("client/acme/receivable") == "10.39"
    assert world.balance("client/acme/unbilled") == "0.00"


def test_what_is_taken_back_after_the_close_tells_nobody_that_credits_are_used_up() -> None:
    world = a_world(prepaid=True)
    buy_credits(world.store, world.registry, "acme", a_lot(1000), at("2026-03-01"))
    world.solve(6, start="2026-03-30")
    world.close()
    world.send(world.reopened("C1", "2026-04-03"))
    assert {told.type for told in world.store.announced.values()} == {"usage.prepaid_alert", "charge.reversed"}
    assert [told.data["percent"] for told in world.store.announced.values() if "percent" in told.data] == [50]


def test_credits_that_pay_everything_leave_nothing_due_and_never_less_than_stripe_charges() -> None:
    world = a_world(prepaid=True)
    buy_credits(world.store, world.registry, "acme", a_lot(1000), at("2026-03-01"))
    world.solve(10)
    invoice = world.close()
    assert (invoice.total, invoice.status) == (0, "paid")
    assert world.balance("client/acme/prepaid") == "-0.10"
    world.send(world.completed("D1", "2026-04-10"))
    april = world.close("2026-05-03")
    assert lines(april)[LineKind.PREPAID] == "-0.10"
    assert total(april) == "0.89"


def test_buying_the_same_credits_twice_is_once_and_with_other_terms_refused() -> None:
    world = a_world(prepaid=True)
    for _ in range(2):
        buy_credits(world.store, world.registry, "acme", a_lot(1000), at("2026-03-01"))
    assert world.balance("client/acme/prepaid") == "-10.00"
    with pytest.raises(PrepaidRefused, match="wire-1"):
        buy_credits(world.store, world.registry, "acme", a_lot(2000), at("2026-03-01"))


def test_credits_expire_after_their_last_day_and_what_expires_first_is_used_first() -> None:
    world = a_world(prepaid=True)
    buy_credits(world.store, world.registry, "acme", a_lot(1000), at("2026-03-01"))
    buy_credits(world.store, world.registry, "acme", a_lot(500, "wire-2", date(2026, 4, 10)), at("2026-03-01"))
    world.solve(3)
    world.close()
    assert [lot.left for lot in world.store.stored_prepaids["acme"].lots] == [1000, 203]
    assert expire_credits(world.store, world.registry, ["acme"], at("2026-04-10T23:59:59")) == []
    expire_credits(world.store, world.registry, ["acme"], at("2026-04-11"))
    assert world.balance("client/acme/prepaid") == "-10.00"
    assert expire_credits(world.store, world.registry, ["acme"], at("2026-04-12")) == []


def test_what_is_left_of_credits_can_be_refunded_once() -> None:
    world = a_world(prepaid=True)
    buy_credits(world.store, world.registry, "acme", a_lot(1000), at("2026-03-01"))
    for _ in range(2):
        refund_credits(world.store, world.registry, "acme", "wire-1", at("2026-03-05"))
    assert world.balance("client/acme/prepaid") == "0.00"
    assert world.balance("bank/cash") == "0.00"
    with pytest.raises(PrepaidRefused, match="wire-9"):
        refund_credits(world.store, world.registry, "acme", "wire-9", at("2026-03-05"))


def test_c11_a_discount_is_a_line_of_its_own_rounded_in_the_clients_favour() -> None:
    world = a_world(rating=RATING | {"below": "discount", "discount_percent": "50"})
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01:00:00", 2))
    charge = state(world, "C1").charge
    assert charge is not None
    assert (charge.accrued, charge.discount, charge.net) == (99, 50, 49)
    invoice = world.close()
    assert lines(invoice)[LineKind.USAGE] == "0.99"
    assert lines(invoice)[LineKind.DISCOUNT] == "-0.50"


def test_c12_a_rating_below_the_threshold_waives_and_one_above_charges() -> None:
    world = a_world(rating=RATING)
    world.send(
        world.completed("C1", "2026-03-02"),
        world.rated("C1", "2026-03-02T01:00:00", 3),
        world.completed("C2", "2026-03-02"),
        world.rated("C2", "2026-03-02T01:00:00", 4),
    )
    assert (state(world, "C1").status, state(world, "C2").status) == (CycleStatus.WAIVED, CycleStatus.CHARGED)
    assert world.balance("client/acme/unbilled") == "0.99"
    assert lines(world.close())[LineKind.USAGE] == "0.99"


def test_c13_without_a_rating_the_end_of_the_window_decides_and_a_later_rating_changes_nothing() -> None:
    world = a_world(rating=RATING)
    world.send(world.completed("C1", "2026-03-02"))
    world.sweep("2026-03-04T23:59:59")
    assert world.balance("client/acme/unbilled") == "0.00"
    world.sweep("2026-03-05")
    assert world.balance("client/acme/unbilled") == "0.99"
    before = world.entries()
    world.send(world.rated("C1", "2026-03-08T08:00:00", 1))
    assert world.entries() == before
    assert [fact.type for fact in world.store.stored_cases["acme", "C1"].facts][-1] == "resolution.rated"  # type: ignore[index]


def test_c14_a_case_reopened_in_its_window_and_solved_by_another_is_charged_once() -> None:
    world = a_world()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.reopened("C1", "2026-03-05"))
    world.send(world.completed("C1", "2026-03-06", expert="noah"))
    assert world.balance("client/acme/unbilled") == "0.99"
    assert world.balance("expert/maya/payable") == "0.00"
    assert world.balance("expert/noah/payable") == "-0.10"


def test_c15_a_case_reopened_after_its_window_is_a_new_cycle() -> None:
    world = a_world()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.reopened("C1", "2026-03-11"), world.completed("C1", "2026-03-12", expert="noah"))
    assert world.balance("client/acme/unbilled") == "1.98"
    assert state(world, "C1", 2).status == CycleStatus.CHARGED


def test_c16_a_reopening_after_the_close_is_credited_in_the_open_period() -> None:
    world = a_world()
    world.send(world.completed("C1", "2026-03-30"), world.completed("C2", "2026-03-30"))
    march = world.close()
    world.send(world.reopened("C1", "2026-04-02"))
    assert total(march) == "1.98"
    assert world.balance("revenue/credits") == "0.99"
    assert world.balance("client/acme/unbilled") == "-0.99"
    assert world.balance("expert/maya/payable") == "-0.10"
    april = world.close("2026-05-03")
    assert lines(april)[LineKind.CREDITS] == "-0.99"
    assert april.status == "carried"


def test_c17_a_cycle_belongs_to_the_period_in_which_its_window_ends() -> None:
    world = a_world(rating=RATING)
    world.send(world.completed("C1", "2026-03-31"))
    world.sweep("2026-04-03")
    price = state(world, "C1").price
    assert price is not None
    assert price.period == "2026-04"


def test_c18_solved_again_in_the_same_period_keeps_ordinal_and_price() -> None:
    world = a_world(GRADUATED)
    world.solve(10)
    world.send(world.reopened("C10", "2026-03-03"))
    world.send(*(world.completed(f"D{i}", "2026-03-03") for i in range(1000)))
    world.send(world.completed("C10", "2026-03-04"))
    price = state(world, "C10").price
    assert price is not None
    assert (price.ordinal, price.accrued) == (10, 99)
    world.send(world.completed("E1", "2026-03-04"))
    newest = state(world, "E1").price
    assert newest is not None
    assert newest.ordinal == 1011


def test_c19_a_credit_after_the_close_is_at_most_what_the_invoice_charged_for_one() -> None:
    world = a_world(VOLUME)
    world.solve(501, start="2026-03-30")
    assert total(world.close()) == "501.00"
    world.send(world.reopened("C1", "2026-04-02"))
    assert world.balance("revenue/credits") == "1.00"


def test_c20_included_units_are_free_and_the_tiers_begin_after_them() -> None:
    world = a_world(GRADUATED, included=100)
    world.solve(340)
    assert world.balance("client/acme/unbilled") == "237.60"
    assert total(world.close()) == "237.60"


def test_c21_tax_is_taken_on_usage_and_shortfall_together() -> None:
    world = a_world(GRADUATED, included=100, minimum="300.00", tax_percent="8.875")
    world.solve(340)
    invoice = world.close()
    assert lines(invoice)[LineKind.SHORTFALL] == "62.40"
    assert lines(invoice)[LineKind.TAX] == "26.63"
    assert total(invoice) == "326.63"
    assert world.balance("client/acme/receivable") == "326.63"
    assert world.balance("client/acme/unbilled") == "0.00"
