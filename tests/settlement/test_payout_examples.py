"""The payout examples of the signed-off sheet, each with its journal; the other earning examples stand beside it."""

import pytest

from ledger.entries import Entry
from payouts.payouts import Payout, PayoutStatus
from settlement.bank_leg import follow_bank_payout
from settlement.plan_payouts import NotPaid
from settlement.reconcile import reconcile
from settlement.send_payouts import send_payout
from settlement.stripe_port import BankPayoutStatus
from tests.fake_stripe import FakeStripe
from tests.paying import USD
from tests.world import World, a_plan, an_expert, at, show


def a_world(base: str, plan: dict[str, object] | None = None, **fields: object) -> World:
    """Maya earns `base` per resolution by a weekly plan with a minimum of 10.00 and a hold of 7 days."""
    terms = {"base": {"kind": "fixed", "amount": base}, "minimum_payout": "10.00", "hold_days": 7}
    world = World(plan=a_plan(**(terms | (plan or {}))))
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya", **fields)
    return world


def paid(world: World, stripe: FakeStripe, day: str) -> Payout:
    """The one payout of that day's run, sent."""
    [planned] = world.plan_payouts(day)
    assert isinstance(planned, Payout)
    return send_payout(world.store, world.registry, stripe, planned.id, at(day))


def payouts_of(world: World) -> list[Entry]:
    return [entry for entry in world.entries() if entry.book == "expert/maya"]


def tell(world: World, stripe: FakeStripe, request: pytest.FixtureRequest) -> None:
    """Print the story's journal, and check that it is whole."""
    print(f"\n{request.node.name}\n{show(payouts_of(world))}")  # noqa: T201  # the story is the point
    world.check()
    assert reconcile(world.store, stripe, at("2026-03-31")).is_clean


def test_e7_a_clawback_after_payout_is_netted_against_what_comes_next(request: pytest.FixtureRequest) -> None:
    bonus: dict[str, object] = {"language_bonus": {"languages": ["de"], "amount": "0.46"}}
    world, stripe = a_world("0.74", bonus), FakeStripe()
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(20)))
    assert paid(world, stripe, "2026-03-09").amount == 1480
    world.send(world.reopened("C1", "2026-03-09"))
    assert world.balance("expert/maya/payable") == "0.74"
    solved = [world.completed(f"D{i}", "2026-03-09", language="de" if i == 0 else "en") for i in range(16)]
    world.send(*solved)
    assert world.store.balances("maya").held[0].minor_units == 1230
    assert paid(world, stripe, "2026-03-16").amount == 1156
    assert world.balance("expert/maya/payable") == "0.00"
    tell(world, stripe, request)


def test_e8_backup_withholding_goes_to_the_tax_office_and_the_rest_to_the_expert(
    request: pytest.FixtureRequest,
) -> None:
    world, stripe = a_world("50.00", withholding_percent="24"), FakeStripe()
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(2)))
    sent = paid(world, stripe, "2026-03-09")
    assert (sent.gross, sent.withheld, stripe.transfers["tr_1"].amount) == (10_000, 2_400, 7_600)
    assert (world.balance("tax/withheld"), world.balance("stripe/balance")) == ("-24.00", "-76.00")
    assert show(payouts_of(world)).splitlines() == [
        "2026-03-09 payout_reserved payout:maya:USD:2026-W11:reserved",
        "    expert/maya/payable               100.00",
        "    expert/maya/in_transit                        100.00",
        "2026-03-09 payout_sent payout:maya:USD:2026-W11:sent",
        "    expert/maya/in_transit             76.00",
        "    stripe/balance                                 76.00",
        "2026-03-09 withheld   payout:maya:USD:2026-W11:withheld",
        "    expert/maya/in_transit             24.00",
        "    tax/withheld                                   24.00",
    ]
    tell(world, stripe, request)


@pytest.mark.parametrize(("percent", "withheld"), [("24", 12), ("25", 13), ("26", 13), ("27", 14), ("0", 0)])
def test_what_is_withheld_is_rounded_half_away_from_zero_once(percent: str, withheld: int) -> None:
    world = a_world("0.50", {"minimum_payout": "0"}, withholding_percent=percent)
    world.send(world.completed("C1", "2026-03-02"))
    sent = paid(world, FakeStripe(), "2026-03-09")
    assert (sent.withheld, sent.amount) == (withheld, 50 - withheld)


def test_e9_less_than_the_minimum_is_carried_and_says_so(request: pytest.FixtureRequest) -> None:
    world, stripe = a_world("9.99"), FakeStripe()
    world.send(world.completed("C1", "2026-03-02"))
    assert world.plan_payouts("2026-03-09") == [NotPaid("maya", USD, 999, ("below_minimum",))]
    assert world.balance("expert/maya/payable") == "-9.99"
    world.send(world.completed("C2", "2026-03-02"))
    assert paid(world, stripe, "2026-03-16").amount == 1998
    tell(world, stripe, request)


def test_e13_a_bank_payout_that_fails_five_days_later_is_noticed_and_changes_nothing_that_is_owed(
    request: pytest.FixtureRequest,
) -> None:
    world, stripe = a_world("11.56"), FakeStripe()
    world.send(world.completed("C1", "2026-03-02"))
    sent = paid(world, stripe, "2026-03-09")
    stripe.pay_out("po_1", "tr_1")
    follow_bank_payout(world.store, world.registry, stripe, "acct_maya", "po_1", at("2026-03-11"))
    assert world.store.stored_payouts[sent.id].status is PayoutStatus.PAID
    before = world.entries()
    stripe.end_bank_payout("po_1", BankPayoutStatus.FAILED, "account_closed")
    follow_bank_payout(world.store, world.registry, stripe, "acct_maya", "po_1", at("2026-03-16"))
    after = world.store.stored_payouts[sent.id]
    assert (after.status, after.bank_failure, after.reversed) == (PayoutStatus.SENT, "account_closed", 0)
    [notice] = [it for it in world.store.announced.values() if it.type == "payout.bank_failed"]
    assert (notice.data["expert"], notice.data["amount_minor"], notice.data["why"]) == ("maya", 1156, "account_closed")
    assert world.entries() == before
    assert world.balance("expert/maya/payable") == "0.00"
    tell(world, stripe, request)
