"""Payouts: every step from one state to another is allowed or refused, and what each state means for the money."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from ledger.money import Currency
from payouts.payouts import Instant, Payout, PayoutStatus, PayoutStuck, hash_of, moved, payout_id, why_told

S = PayoutStatus
NOON = datetime(2026, 3, 16, 12, tzinfo=UTC)
# From each state to these, and to no other.
STEPS = {
    S.PLANNED: {S.APPROVED, S.FAILED},
    S.APPROVED: {S.SENDING},
    S.SENDING: {S.APPROVED, S.UNKNOWN, S.SENT, S.FAILED},
    S.UNKNOWN: {S.APPROVED, S.UNKNOWN, S.SENT, S.FAILED},
    S.SENT: {S.SENT, S.PAID, S.REVERSED},
    S.PAID: {S.SENT, S.PAID, S.REVERSED},
    S.FAILED: set[PayoutStatus](),
    S.REVERSED: {S.REVERSED},
}


def a_payout(**fields: object) -> Payout:
    known = Payout("payout:maya:USD:w1", "maya", Currency("USD"), 1000, "w1", NOON, "acct_1", withheld=240, fee=15)
    return replace(known, **fields)  # type: ignore[arg-type]  # a factory's fields


@pytest.mark.parametrize("after", list(S))
@pytest.mark.parametrize("before", list(S))
def test_each_step_is_allowed_or_refused(before: PayoutStatus, after: PayoutStatus) -> None:
    payout = a_payout(status=before, revision=3)
    if after in STEPS[before]:
        assert moved(payout, after, why="so") == replace(payout, status=after, why="so", revision=4)
        return
    with pytest.raises(PayoutStuck) as stuck:
        moved(payout, after)
    assert str(stuck.value) == f"payout:maya:USD:w1 is {before} and cannot become {after}"


@pytest.mark.parametrize(
    ("status", "has_transfer", "in_transit"),
    [
        (S.PLANNED, False, 1255),
        (S.APPROVED, False, 1255),
        (S.SENDING, False, 1255),
        (S.UNKNOWN, False, 1255),
        (S.SENT, True, 0),
        (S.PAID, True, 0),
        (S.REVERSED, True, 0),
        (S.FAILED, False, 0),
    ],
)
def test_the_reservation_stays_until_a_transfer_or_a_refusal_is_certain(
    status: PayoutStatus,
    has_transfer: bool,  # noqa: FBT001
    in_transit: int,
) -> None:
    payout = a_payout(status=status)
    assert (payout.has_transfer, payout.in_transit) == (has_transfer, in_transit)
    assert payout.is_finished == (has_transfer or status is S.FAILED)


@pytest.mark.parametrize(
    ("instant", "finished", "in_transit"),
    [("no", True, 0), ("wanted", False, 15), ("done", True, 0), ("refused", True, 0)],
)
def test_an_instant_fee_stays_in_transit_until_the_bank_leg_was_asked_for(
    instant: str,
    finished: bool,  # noqa: FBT001
    in_transit: int,
) -> None:
    payout = a_payout(status=S.SENT, instant=Instant(instant))
    assert (payout.is_finished, payout.in_transit) == (finished, in_transit)


def test_a_payout_takes_off_what_is_sent_withheld_and_charged() -> None:
    assert a_payout().gross == 1000 + 240 + 15


def test_ids_and_keys_are_derived_and_a_repetition_has_the_same() -> None:
    assert payout_id("maya", Currency("USD"), "w1") == "payout:maya:USD:w1"
    assert a_payout(attempt=2).idempotency_key == "payout:maya:USD:w1:2"


def test_an_approval_is_bound_to_ids_accounts_and_every_amount_in_no_order() -> None:
    one, two = a_payout(), a_payout(id="payout:noah:USD:w1", stripe_account="acct_2")
    rows = "payout:maya:USD:w1 acct_1 USD 1000 240 15\npayout:noah:USD:w1 acct_2 USD 1000 240 15"
    assert hash_of([two, one]) == hash_of([one, two]) == sha256(rows.encode()).hexdigest()
    changes = [
        {"amount": 999},
        {"withheld": 241},
        {"fee": 16},
        {"currency": Currency("EUR")},
        {"stripe_account": "acct_3"},
        {"id": "payout:maya:USD:w2"},
    ]
    others = {hash_of([replace(one, **change), two]) for change in changes}  # type: ignore[arg-type]
    assert len(others - {hash_of([one, two])}) == len(changes)
    assert hash_of([replace(one, status=S.SENT, revision=9, why="so"), two]) == hash_of([one, two])


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("rejected by dana: a duplicate of March", "rejected"),
        ("stopped: by omar because an audit", "stopped"),
        ("rejected", "rejected"),
        ("below_minimum", "below_minimum"),
        ("", ""),
    ],
)
def test_an_expert_is_told_why_but_not_by_whom(why: str, told: str) -> None:
    assert why_told(why) == told
