"""What outside systems say about an expert, and what of it holds a payout: pure, whatever repeats or comes late."""

from dataclasses import replace
from datetime import date
from itertools import permutations

import pytest

from ledger.money import Currency
from settlement.expert_status import (
    ExpertStatus,
    GatePassed,
    cooling_off,
    held_back,
    with_account,
    with_bank_payout,
    with_gate,
)
from settlement.registry import Gate
from settlement.stripe_port import AccountStatus, BankPayout, BankPayoutStatus, TransfersCapability
from tests.world import an_expert, at

DAY = date(2026, 3, 16)
MAYA = an_expert(stripe_account="acct_maya")
ACTIVE = ExpertStatus("maya", transfers=TransfersCapability.ACTIVE, bank="bank_1")
ACCOUNT = AccountStatus("acct_maya", "maya", TransfersCapability.ACTIVE, bank="bank_1")
B = BankPayoutStatus


def a_bank_payout(number: int, status: BankPayoutStatus, bank: str | None = "bank_1") -> BankPayout:
    """The payout made on that day of March."""
    made_at = at(f"2026-03-{number:02d}")
    return BankPayout(f"po_{number}", "acct_maya", status, Currency("USD"), 100, made_at, DAY, bank)


def returned(status: ExpertStatus) -> list[str]:
    return [id_ for id_, _ in status.failed_bank_payouts]


# -- gates -------------------------------------------------------------------------------------------------------------


def test_what_a_system_says_replaces_what_it_said_before_and_not_what_others_say() -> None:
    first = GatePassed(Gate.TRAINING, date(2025, 1, 1), "academy", expires_on=date(2025, 12, 31))
    other = GatePassed(Gate.TRAINING, date(2025, 2, 1), "partner")
    renewed = replace(first, passed_on=date(2026, 1, 1), expires_on=date(2026, 12, 31))
    status = ACTIVE
    for fact in (first, other, first, renewed, renewed):
        status = with_gate(status, fact)
    assert status.gates == (renewed, other)


@pytest.mark.parametrize(
    ("day", "holds"), [("2026-01-09", False), ("2026-01-10", True), ("2026-02-10", True), ("2026-02-11", False)]
)
def test_a_gate_holds_from_its_day_to_the_end_of_its_last(day: str, *, holds: bool) -> None:
    passed = GatePassed(Gate.TAX_FORM, date(2026, 1, 10), "forms", expires_on=date(2026, 2, 10))
    assert passed.holds_on(date.fromisoformat(day)) == holds
    file_says_nothing = MAYA.model_copy(update={"gates": {}})
    missing = held_back(file_says_nothing, with_gate(ACTIVE, passed), date.fromisoformat(day), 0)
    assert ("tax_form" not in missing) == holds


def test_a_gate_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="2026-01-01 is before 2026-01-02"):
        GatePassed(Gate.TAX_FORM, date(2026, 1, 2), "forms", expires_on=date(2026, 1, 1))


def test_where_a_system_speaks_of_a_gate_the_experts_file_no_longer_counts() -> None:
    expired = GatePassed(Gate.BACKGROUND_CHECK, date(2025, 1, 1), "checkr", expires_on=date(2026, 1, 1))
    assert held_back(MAYA, ACTIVE, DAY, 0) == ()
    assert held_back(MAYA, with_gate(ACTIVE, expired), DAY, 0) == ("background_check",)


# -- the account -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capability", list(TransfersCapability))
def test_only_an_active_capability_lets_payouts_through_and_the_others_say_what_is_asked(
    capability: TransfersCapability,
) -> None:
    status = with_account(ACTIVE, replace(ACCOUNT, transfers=capability, requirements=("id_number",)), DAY)
    named = (f"stripe_transfers_{capability}: Stripe asks for id_number",)
    assert held_back(MAYA, status, DAY, 0) == (() if capability is TransfersCapability.ACTIVE else named)


def test_without_an_account_only_that_is_asked_for() -> None:
    nobody = MAYA.model_copy(update={"stripe_account": None})
    assert held_back(nobody, ExpertStatus("maya"), DAY, 0) == ("no_stripe_account",)


def test_the_first_bank_account_is_no_change_and_every_other_begins_a_cooling_off() -> None:
    status = ExpertStatus("maya")
    changes = [
        ("bank_1", None),
        ("bank_1", None),
        (None, None),
        ("bank_1", None),
        ("bank_2", 5),
        (None, 5),
        ("bank_1", 7),
    ]
    for day, (bank, changed_on) in enumerate(changes, 1):
        status = with_account(status, replace(ACCOUNT, bank=bank), date(2026, 3, day))
        assert status.bank_changed_on == (date(2026, 3, changed_on) if changed_on else None)


@pytest.mark.parametrize(("days", "waits_on"), [(0, []), (1, [16]), (3, [16, 17, 18])])
def test_a_cooling_off_is_so_many_whole_days_from_the_change(days: int, waits_on: list[int]) -> None:
    status = replace(ACTIVE, bank_changed_on=DAY)
    assert [day for day in range(16, 21) if cooling_off(status, date(2026, 3, day), days)] == waits_on
    assert cooling_off(ACTIVE, DAY, 90) is None


# -- the bank ----------------------------------------------------------------------------------------------------------


def test_in_whichever_order_and_however_often_bank_payouts_are_told_the_same_row_remains() -> None:
    story = [
        a_bank_payout(1, B.FAILED),
        a_bank_payout(2, B.FAILED),
        a_bank_payout(3, B.PAID),
        a_bank_payout(4, B.FAILED),
    ]
    for order in permutations(story):
        status = ACTIVE
        for seen in (*order, *order):
            status = with_bank_payout(status, seen)
        assert returned(status) == ["po_4"]


def test_one_that_was_taken_and_then_returned_counts_as_returned() -> None:
    status = ACTIVE
    for seen in (a_bank_payout(1, B.PAID), a_bank_payout(1, B.FAILED), a_bank_payout(1, B.PAID)):
        status = with_bank_payout(status, seen)
    assert returned(status) == ["po_1"]


@pytest.mark.parametrize("status", [B.PENDING, B.IN_TRANSIT, B.CANCELED])
def test_what_is_on_its_way_or_was_called_off_says_nothing_about_the_bank(status: BankPayoutStatus) -> None:
    before = with_bank_payout(ACTIVE, a_bank_payout(1, B.FAILED))
    assert with_bank_payout(before, a_bank_payout(2, status)) == before


def test_a_payout_to_another_bank_account_says_nothing_about_this_one() -> None:
    assert returned(with_bank_payout(ACTIVE, a_bank_payout(1, B.FAILED, "bank_0"))) == []
    both = replace(ACTIVE, bank="bank_0+bank_1")
    assert returned(with_bank_payout(both, a_bank_payout(1, B.FAILED, "bank_0"))) == ["po_1"]
    assert returned(with_bank_payout(ACTIVE, a_bank_payout(1, B.FAILED, None))) == ["po_1"]


def test_another_bank_account_begins_with_a_clean_row() -> None:
    status = with_bank_payout(ACTIVE, a_bank_payout(1, B.FAILED))
    changed = with_account(status, replace(ACCOUNT, bank="bank_2"), DAY)
    assert returned(changed) == []
    assert returned(with_account(status, ACCOUNT, DAY)) == ["po_1"]
