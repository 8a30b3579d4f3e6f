"""What went back of an invoice is closed once: paid by bank, given as a credit, or lost, and recovered if won."""

from dataclasses import replace

import pytest

from billing.corrections import Outcome
from billing.periods import Period
from settlement.invoicing import follow_unfinished
from settlement.movements import record_movements
from settlement.ports import Changes
from settlement.reconcile import reconcile
from settlement.returned import CannotSettle, settle_returned
from settlement.stripe_port import MovementKind
from tests.fake_stripe import FakeStripe, a_movement
from tests.world import World, a_contract, at, per_unit

NOW, KEY = at("2026-04-02T12:00:00"), ("acme", Period("2026-03"))


def a_world_where_44_went_back() -> tuple[World, FakeStripe]:
    """Acme paid 110.00, of which 10.00 are tax, and charged 44.00 of it back."""
    contract = a_contract(per_unit("10.00"), starts_on="2026-03-01", tax_percent="10")
    world, stripe = World(contract=contract), FakeStripe()
    world.send(*(world.completed(f"C{i}", f"2026-03-31T0{i}:00:00", expert=None) for i in range(10)))
    world.close("2026-04-02")
    follow_unfinished(world.store, world.registry, stripe, NOW)
    stripe.pay("in_acme_2026-03", 110_00)
    follow_unfinished(world.store, world.registry, stripe, NOW)
    stripe.moved.append(a_movement(MovementKind.DISPUTE, "dp_1", -44_00, origin="ch_in_acme_2026-03_1"))
    record_movements(world.store, stripe, NOW)
    return world, stripe


def settle(world: World, outcome: Outcome, amount: int | None = None, reference: str = "ref-1") -> int:
    return settle_returned(world.store, KEY, outcome, amount, reference, NOW).returned


@pytest.mark.parametrize(
    ("outcome", "balances"),
    [
        (Outcome.PAID, {"bank/cash": "44.00"}),
        (Outcome.LOST, {"cost/bad_debt": "44.00"}),
        (Outcome.CREDITED, {"revenue/credits": "40.00", "tax/payable": "-6.00"}),
    ],
)
def test_what_went_back_is_closed_against_what_became_of_it(outcome: Outcome, balances: dict[str, str]) -> None:
    world, stripe = a_world_where_44_went_back()
    for _ in range(2):
        assert settle(world, outcome) == 0
    assert {name: world.balance(name) for name in balances} == balances
    assert world.balance("client/acme/receivable") == "0.00"
    assert reconcile(world.store, stripe, NOW).findings == ()
    world.check()


def test_it_is_closed_in_parts_and_never_for_more() -> None:
    world, stripe = a_world_where_44_went_back()
    assert settle(world, Outcome.PAID, 40_00) == 4_00
    for amount in (4_01, 0, -1):
        with pytest.raises(CannotSettle, match=r"4\.00 USD went back and stand open"):
            settle(world, Outcome.LOST, amount, "ref-2")
    assert [it.amount for it in reconcile(world.store, stripe, NOW).open] == [4_00]
    assert settle(world, Outcome.LOST, 4_00, "ref-2") == 0
    with pytest.raises(CannotSettle, match=r"0\.00 USD went back"):
        settle(world, Outcome.LOST, None, "ref-3")
    world.check()


def test_a_dispute_that_is_won_after_it_was_given_up_is_recovered() -> None:
    world, stripe = a_world_where_44_went_back()
    settle(world, Outcome.LOST)
    stripe.moved.append(a_movement(MovementKind.DISPUTE, "dp_won", 44_00, origin="ch_in_acme_2026-03_1"))
    record_movements(world.store, stripe, NOW)
    assert [it.amount for it in reconcile(world.store, stripe, NOW).open] == [-44_00]
    for outcome, amount in ((Outcome.PAID, None), (Outcome.LOST, -1_00)):
        with pytest.raises(CannotSettle, match="as `lost` only"):
            settle(world, outcome, amount, "ref-2")
    assert settle(world, Outcome.LOST, None, "ref-2") == 0
    assert (world.balance("cost/bad_debt"), world.balance("client/acme/receivable")) == ("0.00", "0.00")
    assert reconcile(world.store, stripe, NOW).findings == ()
    world.check()


def test_an_unknown_invoice_or_a_reference_that_is_none_is_refused() -> None:
    world, _ = a_world_where_44_went_back()
    with pytest.raises(CannotSettle, match="acme has no invoice of 2026-04"):
        settle_returned(world.store, ("acme", Period("2026-04")), Outcome.LOST, None, "ref-1", NOW)
    for reference in ("", "a b", "-x", "x" * 65):
        with pytest.raises(CannotSettle, match="is no reference"):
            settle(world, Outcome.LOST, None, reference)


def test_a_rival_that_settles_first_leaves_no_second_entry() -> None:
    world, _ = a_world_where_44_went_back()
    entered: list[Changes] = []

    def rival(changes: Changes) -> None:
        if not entered:
            entered.append(changes)
            settle(world, Outcome.LOST)

    world.store.before_commit = rival
    assert settle(world, Outcome.LOST) == 0
    assert world.balance("cost/bad_debt") == "44.00"
    world.check()


def test_a_credit_leaves_the_notes_of_the_invoice_as_they_were() -> None:
    world, _ = a_world_where_44_went_back()
    before = world.store.stored_invoices[KEY]
    settle(world, Outcome.CREDITED)
    after = world.store.stored_invoices[KEY]
    assert after == replace(before, returned=0, revision=before.revision + 1)
