"""The charge examples of the signed-off sheet, each played as facts; a failing one prints its journal."""

from collections.abc import Iterator

import pytest

from billing.invoices import Invoice, LineKind
from ledger.money import format_minor_units
from settlement.cases import CycleState, CycleStatus
from tests.world import GRADUATED, PACKAGE, RATING, VOLUME, World, a_contract, a_plan, per_unit, show

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
    """Check every world that a story made, and print its journal: pytest shows it when the story fails."""
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
