"""What is told of what happens: once, with the fields of the table, and with nobody's name in it."""

import json
from datetime import date

import pytest

from billing.prepaid import Lot
from payouts.payouts import PayoutStatus, moved
from settlement.announcements import TOLD, Announcement
from settlement.approve_payouts import approve_small_runs, reject_run
from settlement.bank_leg import follow_bank_payout, follow_transfer
from settlement.invoicing import follow_unfinished
from settlement.ports import Changes
from settlement.prepaid import buy_credits
from settlement.reissue import reissue_invoice, void_invoice
from settlement.send_payouts import send_payout
from settlement.stripe_port import BankPayoutStatus
from tests.fake_stripe import FakeStripe
from tests.paying import LATER, MONDAY, RUN, a_paying_world, id_of, with_policy
from tests.world import RATING, World, a_contract, a_plan, an_expert, at


def of_type(world: World, type_: str) -> list[Announcement]:
    return [it for it in world.store.announced.values() if it.type == type_]


def reversals(world: World) -> list[dict[str, int | str]]:
    return [dict(it.data) for it in of_type(world, "charge.reversed")]


# -- charges -----------------------------------------------------------------------------------------------------------


def test_a_reopening_tells_what_was_taken_back_and_why() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.reopened("C1", "2026-03-03"))

    [told] = of_type(world, "charge.reversed")

    assert (told.client, told.subject, told.at) == ("acme", "case:acme/C1", at("2026-03-03"))
    expected = {"case": "C1", "cycle": 1, "period": "2026-03", "currency": "USD", "why": "reopened"}
    assert told.data == expected | {"reversed_minor": 99, "charged_minor": 0}


def test_a_late_rating_that_only_discounts_tells_what_still_is_charged() -> None:
    discount = RATING | {"below": "discount", "discount_percent": "50"}
    world = World(contract=a_contract(rating=discount))
    world.send(world.completed("C1", "2026-03-02"))
    world.sweep("2026-03-06")
    world.send(world.rated("C1", "2026-03-03", 1, received="2026-03-07"))

    [told] = reversals(world)

    assert (told["reversed_minor"], told["charged_minor"], told["why"]) == (50, 49, "rated_below_threshold")


def test_what_is_taken_back_of_a_closed_period_names_the_period_that_gets_it() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-31"))
    world.close("2026-04-02")
    world.send(world.reopened("C1", "2026-04-01", received="2026-04-03"))

    [told] = reversals(world)

    assert (told["period"], told["reversed_minor"], told["charged_minor"]) == ("2026-04", 99, 0)


def test_a_client_that_was_never_charged_hears_of_no_reversal() -> None:
    world = World(contract=a_contract(included=5), plan=a_plan(not_charged="base"))
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.reopened("C1", "2026-03-03"))

    assert world.entries()
    assert of_type(world, "charge.reversed") == []


def test_each_reversal_of_a_case_is_told_by_an_id_of_its_own_and_a_repeated_fact_tells_nothing() -> None:
    world = World()
    for day in (2, 4):
        world.send(world.completed("C1", f"2026-03-0{day}", id=f"done{day}"))
        reopened = world.reopened("C1", f"2026-03-0{day + 1}", id=f"again{day}")
        world.send(reopened)
        world.send(reopened)

    assert [it.id for it in of_type(world, "charge.reversed")] == [
        "charge.reversed:charge:acme/C1/1:2",
        "charge.reversed:charge:acme/C1/1:4",
    ]


def test_a_reversal_is_told_in_the_transaction_that_books_it() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    written: list[Changes] = []
    world.store.before_commit = written.append
    world.send(world.reopened("C1", "2026-03-03"))

    assert [(len(it.entries), len(it.announcements)) for it in written] == [(1, 1)]


# -- invoices ----------------------------------------------------------------------------------------------------------


def test_an_invoice_is_told_once_it_is_issued_and_each_attempt_again() -> None:
    world, stripe, written = World(), FakeStripe(), list[Changes]()
    world.send(*(world.completed(f"C{i}", "2026-03-31", expert=None) for i in range(3)))
    invoice = world.close("2026-04-02")
    assert of_type(world, "invoice.issued") == []
    world.store.before_commit = written.append
    for _ in range(2):
        follow_unfinished(world.store, world.registry, stripe, at("2026-04-02"))
    key = (invoice.client, invoice.period)
    void_invoice(world.store, world.registry, stripe, key, at("2026-04-03"))
    reissue_invoice(world.store, world.registry, stripe, key, at("2026-04-04"))

    first, second = of_type(world, "invoice.issued")

    issued = {"invoice": invoice.id, "period": "2026-03", "currency": "USD", "total_minor": 297}
    assert {name: first.data[name] for name in issued} == issued
    assert str(first.data["due_on"]).startswith("2026-")
    assert (first.subject, first.client) == (second.subject, second.client) == (invoice.id, "acme")
    assert first.id != second.id
    assert all(len(it.invoices) == 1 for it in written if it.announcements)


# -- payouts -----------------------------------------------------------------------------------------------------------


def test_a_payout_that_is_held_back_is_told_once_a_run_with_codes_only() -> None:
    world = with_policy(a_paying_world("maya", "noah"), cooling_off_days=3)
    world.registry.all_experts["maya"] = an_expert("maya", gates={"contract_signed": "2026-01-01"})
    world.plan_payouts()
    world.plan_payouts()

    [told] = of_type(world, "payout.held")

    assert (told.id, told.subject) == (f"payout.held:{id_of()}", id_of())
    assert told.data == {
        "payout": id_of(),
        "expert": "maya",
        "currency": "USD",
        "available_minor": 10_000,
        "missing": "background_check training tax_form no_stripe_account",
    }


def test_having_earned_too_little_yet_is_no_news() -> None:
    world = a_paying_world(plan={"minimum_payout": "500.00"})
    world.plan_payouts()

    assert world.store.announced == {}


def test_who_rejected_a_payout_and_in_which_words_stays_inside() -> None:
    world = with_policy(a_paying_world(), approve_above="10.00")
    world.plan_payouts()
    approve_small_runs(world.store, world.registry, RUN, MONDAY)
    reject_run(world.store, RUN, "Jane Doe", "PII-TEST: looks wrong", LATER)

    [told] = of_type(world, "payout.failed")

    assert told.data["why"] == "rejected"
    assert "Jane" not in json.dumps(dict(told.data))


# -- all of them -------------------------------------------------------------------------------------------------------


def _usage() -> World:
    world = World(contract=a_contract(cap={"amount": "1.00", "action": "alert"}, prepaid=True))
    buy_credits(world.store, world.registry, "acme", Lot("wire-1", date(2026, 3, 1), None, 100, 100), at("2026-03-01"))
    world.solve(2)
    world.send(world.reopened("C1", "2026-03-03"))
    return world


def _invoiced() -> World:
    world = World()
    world.send(world.completed("C1", "2026-03-31", expert=None))
    world.close("2026-04-02")
    follow_unfinished(world.store, world.registry, FakeStripe(), at("2026-04-02"))
    return world


def _paid() -> World:
    """Maya's payout is sent and paid, then returned by the bank and taken back; Noah's is held; Ines's is rejected."""
    world, stripe = a_paying_world("ines", "maya", "noah"), FakeStripe()
    world.registry.all_experts["noah"] = an_expert("noah")
    with_policy(world, approve_above="10.00")
    world.plan_payouts()
    waiting = approve_small_runs(world.store, world.registry, RUN, MONDAY)
    [maya] = [payout for payout in waiting.payouts if payout.expert == "maya"]
    world.store.commit(Changes(payouts=(moved(maya, PayoutStatus.APPROVED),)))
    reject_run(world.store, RUN, "Jane Doe", "PII-TEST", LATER)
    send_payout(world.store, world.registry, stripe, maya.id, MONDAY)
    stripe.pay_out("po_1", "tr_1", created_at=MONDAY)
    for status in (BankPayoutStatus.PAID, BankPayoutStatus.FAILED):
        stripe.end_bank_payout("po_1", status, "account_closed" if status is BankPayoutStatus.FAILED else None)
        follow_bank_payout(world.store, world.registry, stripe, "acct_maya", "po_1", LATER)
    stripe.reverse("tr_1", 2_500)
    follow_transfer(world.store, world.registry, stripe, maya.id, LATER)
    return world


@pytest.fixture(scope="module")
def everything() -> list[Announcement]:
    """What whole stories announce, as the use cases make it."""
    return [told for world in (_usage(), _invoiced(), _paid()) for told in world.store.announced.values()]


def test_every_type_of_the_table_is_announced_by_some_use_case(everything: list[Announcement]) -> None:
    assert {told.type for told in everything} == {*TOLD}


def test_every_field_that_somebody_may_see_is_there(everything: list[Announcement]) -> None:
    for told in everything:
        for audience, fields in TOLD[told.type].items():
            assert {*fields} <= told.data.keys(), (told.type, audience)


def test_no_personal_data_is_announced_to_anybody(everything: list[Announcement]) -> None:
    """Ids of clients, experts and cases are told; names, addresses, who decided and what people wrote are not."""
    for told in everything:
        text = json.dumps([told.id, told.subject, dict(told.data)])
        assert not any(marker in text for marker in ("Jane", "PII-TEST", "@", "example", "acct_", "bank_maya")), text


def test_what_is_told_of_one_thing_has_one_subject(everything: list[Announcement]) -> None:
    by_payout = {(str(told.data["payout"]), told.subject) for told in everything if "payout" in told.data}

    assert all(payout == subject for payout, subject in by_payout)
    assert len({told.subject for told in everything if told.type.startswith("usage.")}) == 1
