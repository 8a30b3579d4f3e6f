"""Entries made by hand: two people, one entry, whatever crashes, comes twice or is done by two at once."""

from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime

import pytest

from ledger.accounts import BANK_CASH, COST_FEES, REVENUE_RESOLUTIONS, STRIPE_BALANCE, Account
from ledger.entries import PLATFORM_BOOK, Entry, EntryId
from ledger.money import Currency
from settlement.manual_entries import (
    Draft,
    ManualEntry,
    ManualEntryRefused,
    ManualLine,
    ManualStatus,
    approve,
    content_hash,
    propose,
    propose_reversal,
    withdraw,
)
from settlement.reconcile import reconcile
from settlement.stripe_port import MovementKind
from tests.exploring import explored
from tests.fake_stripe import FakeStripe, a_movement
from tests.faults import crashes, disappearances
from tests.interleaving import Outside, Worker
from tests.paying import LATER, MONDAY
from tests.world import World, at

USD = Currency("USD")
DAY = date(2026, 3, 12)


def lines(*amounts: tuple[str, int], currency: Currency = USD) -> tuple[ManualLine, ...]:
    return tuple(ManualLine(Account(account), currency, minor) for account, minor in amounts)


def a_draft(**fields: object) -> Draft:
    usual = Draft("Fee of the bank", "statement 3, line 14", DAY, lines((COST_FEES, 1250), (BANK_CASH, -1250)))
    return replace(usual, **fields)  # type: ignore[arg-type]  # checked by replace


def posted(world: World, draft: Draft | None = None) -> ManualEntry:
    proposed = propose(world.store, draft or a_draft(), "ann", MONDAY)
    return approve(world.store, proposed.id, "bob", LATER)


def by_hand(world: World) -> list[Entry]:
    return [it.entry for it in world.store.journal.get(PLATFORM_BOOK, []) if it.entry.reason == "manual"]


def test_what_one_proposed_is_posted_once_another_approves_it() -> None:
    world = World()
    proposed = propose(world.store, a_draft(), "ann", MONDAY)
    assert (proposed.status, by_hand(world)) == (ManualStatus.WAITING, [])
    done = approve(world.store, proposed.id, "bob", LATER)
    assert (done.status, done.decided_by, done.decided_at, done.seq) == (ManualStatus.POSTED, "bob", LATER, 1)
    [entry] = by_hand(world)
    assert (entry.id, entry.effective_on, entry.book) == (f"manual:{proposed.id}", DAY, PLATFORM_BOOK)
    assert entry.evidence == (
        '{"approved_by":"bob","because":"Fee of the bank","proposed_by":"ann","reference":"statement 3, line 14"}'
    )
    assert (world.balance(COST_FEES), world.balance(BANK_CASH)) == ("12.50", "-12.50")
    world.check()


def test_whoever_proposed_it_cannot_approve_it_under_any_name_of_theirs() -> None:
    world = World()
    ann = "arn:aws:sts::1:assumed-role/finance/ann"
    proposed = propose(world.store, a_draft(), ann, MONDAY)
    for same in (ann, "arn:aws:sts::1:assumed-role/operators/ann"):
        with pytest.raises(ManualEntryRefused, match="somebody else has to approve"):
            approve(world.store, proposed.id, same, LATER)
    assert by_hand(world) == []


def test_proposing_and_approving_again_is_once() -> None:
    world = World()
    first = propose(world.store, a_draft(), "ann", MONDAY)
    assert propose(world.store, a_draft(), "carl", LATER) == first
    done = approve(world.store, first.id, "bob", LATER)
    assert approve(world.store, first.id, "dora", LATER) == done
    assert len(by_hand(world)) == 1
    with pytest.raises(ManualEntryRefused, match=f"posted as manual:{first.id}"):
        propose(world.store, a_draft(), "ann", LATER)


def test_every_value_is_in_the_hash() -> None:
    others = [
        a_draft(),
        a_draft(reason="Another fee"),
        a_draft(reference="statement 4"),
        a_draft(effective_on=date(2026, 3, 11)),
        a_draft(lines=lines((COST_FEES, 1251), (BANK_CASH, -1251))),
        a_draft(lines=lines((BANK_CASH, 1250), (COST_FEES, -1250))),
        a_draft(lines=lines((COST_FEES, 1250), (BANK_CASH, -1250), currency=Currency("EUR"))),
        a_draft(movement="txn_1"),
        a_draft(reverses=EntryId("manual:1")),
    ]
    assert len({content_hash(draft) for draft in others}) == len(others)
    assert content_hash(a_draft()) == "c194182dd5ae3413", "stored for ever"


def test_what_was_changed_in_the_table_is_not_posted() -> None:
    world = World()
    proposed = propose(world.store, a_draft(), "ann", MONDAY)
    changed = replace(proposed, draft=a_draft(lines=lines((COST_FEES, 9), (BANK_CASH, -9))))
    world.store.stored_manual_entries[proposed.id] = changed
    with pytest.raises(ManualEntryRefused, match="not what was proposed"):
        approve(world.store, proposed.id, "bob", LATER)
    assert by_hand(world) == []


def test_what_was_withdrawn_is_not_posted_until_it_is_proposed_again() -> None:
    world = World()
    proposed = propose(world.store, a_draft(), "ann", MONDAY)
    gone = withdraw(world.store, proposed.id, "carl", LATER)
    assert (gone.status, gone.decided_by) == (ManualStatus.WITHDRAWN, "carl")
    assert withdraw(world.store, proposed.id, "dora", LATER) == gone
    with pytest.raises(ManualEntryRefused, match="withdrawn by carl"):
        approve(world.store, proposed.id, "bob", LATER)
    again = propose(world.store, a_draft(), "bob", LATER)
    assert (again.id, again.status, again.proposed_by) == (proposed.id, ManualStatus.WAITING, "bob")
    assert approve(world.store, proposed.id, "ann", LATER).status is ManualStatus.POSTED
    with pytest.raises(ManualEntryRefused, match="`solvent finance entry reverse manual:"):
        withdraw(world.store, proposed.id, "ann", LATER)


def test_what_nobody_proposed_is_neither_approved_nor_withdrawn() -> None:
    for act in (approve, withdraw):
        with pytest.raises(ManualEntryRefused, match="nothing was proposed under 0123"):
            act(World().store, "0123", "bob", LATER)


@pytest.mark.parametrize(
    ("draft", "field", "said"),
    [
        (a_draft(reason=" "), ("reason",), "one line"),
        (a_draft(reason="a\nb"), ("reason",), "one line"),
        (a_draft(reference="x" * 201), ("evidence",), "at most 200"),
        (a_draft(effective_on=date(2026, 3, 17)), ("effective_on",), "yet to come"),
        (a_draft(lines=lines((COST_FEES, 2), (BANK_CASH, -1))), ("postings",), "differ"),
        (a_draft(lines=()), ("postings",), "no lines"),
        (a_draft(lines=lines((COST_FEES, 0), (BANK_CASH, 0))), ("postings",), "zero"),
        (a_draft(lines=lines((COST_FEES, 1), (COST_FEES, -1))), ("postings",), "twice"),
        (a_draft(lines=lines((COST_FEES, 1), ("cost/lunch", -1))), ("postings", 1, "account"), "chart of accounts"),
        (a_draft(lines=lines(("expert/maya/payable", -1), (COST_FEES, 1))), ("postings", 0, "account"), "holds"),
        (a_draft(lines=lines(("client/acme/receivable", 1), (COST_FEES, -1))), ("postings", 0, "account"), "invoice"),
        (a_draft(lines=lines((COST_FEES, 1), (STRIPE_BALANCE, -1))), ("movement",), "txn_"),
    ],
)
def test_what_could_not_be_posted_or_would_break_the_books_is_refused_with_its_field(
    draft: Draft, field: tuple[str | int, ...], said: str
) -> None:
    world = World()
    with pytest.raises(ManualEntryRefused, match=said) as refused:
        propose(world.store, draft, "ann", MONDAY)
    assert refused.value.field == field
    assert world.store.stored_manual_entries == {}


def test_a_movement_that_nobody_books_is_booked_by_hand_and_reconciles() -> None:
    world, stripe = World(), FakeStripe()
    stripe.moved = [a_movement(MovementKind.OTHER, "adj", -700)]
    [found] = reconcile(world.store, stripe, LATER).differences
    assert found.amount == -700
    draft = a_draft(movement="txn_adj", lines=lines((COST_FEES, 700), (STRIPE_BALANCE, -700)))
    done = posted(world, draft)
    assert reconcile(world.store, stripe, LATER).is_clean
    reversal = propose_reversal(world.store, done.entry_id, "booked for the wrong account", "ann", LATER)
    approve(world.store, reversal.id, "bob", LATER)
    assert [it.amount for it in reconcile(world.store, stripe, LATER).differences] == [-700]


# -- reversals ---------------------------------------------------------------------------------------------------------


def test_a_reversal_swaps_the_sides_names_the_entry_and_needs_two_people_as_well() -> None:
    world = World()
    done = posted(world)
    reversal = propose_reversal(world.store, done.entry_id, "It was Ann's own", "bob", LATER)
    with pytest.raises(ManualEntryRefused, match="bob proposed this"):
        approve(world.store, reversal.id, "bob", LATER)
    approve(world.store, reversal.id, "ann", LATER)
    first, second = by_hand(world)
    assert {(it.account, -it.amount) for it in first.postings} == {(it.account, it.amount) for it in second.postings}
    assert f'"reverses":"{first.id}"' in second.evidence
    assert (second.effective_on, world.balance(COST_FEES)) == (LATER.date(), "0.00")
    world.check()


def test_an_entry_is_reversed_once_and_a_reversal_can_be_reversed() -> None:
    world = World()
    done = posted(world)
    one = propose_reversal(world.store, done.entry_id, "wrong", "ann", LATER)
    two = propose_reversal(world.store, done.entry_id, "wrong in another way", "ann", LATER)
    approve(world.store, one.id, "bob", LATER)
    with pytest.raises(ManualEntryRefused, match="is reversed already"):
        approve(world.store, two.id, "bob", LATER)
    with pytest.raises(ManualEntryRefused, match="is reversed already"):
        propose_reversal(world.store, done.entry_id, "wrong", "ann", at("2026-03-19"))
    back = propose_reversal(world.store, one.entry_id, "right after all", "ann", LATER)
    approve(world.store, back.id, "bob", LATER)
    assert (len(by_hand(world)), world.balance(COST_FEES)) == (3, "12.50")


def test_only_what_was_posted_by_hand_is_reversed_by_hand() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    waiting = propose(world.store, a_draft(), "ann", MONDAY)
    for entry_id, said in (
        ("charge:acme/C1/1:1", "only entries made by hand"),
        ("manual:0123", "only entries made by hand"),
        (waiting.entry_id, "nothing to reverse"),
    ):
        with pytest.raises(ManualEntryRefused, match=said):
            propose_reversal(world.store, entry_id, "wrong", "bob", LATER)


# -- locked months -----------------------------------------------------------------------------------------------------


def test_nothing_is_proposed_or_approved_for_a_locked_month() -> None:
    world = World()
    proposed = propose(world.store, a_draft(), "ann", MONDAY)
    world.store.lock_through("2026-03")
    with pytest.raises(ManualEntryRefused, match="2026-03-12 is in a locked month"):
        approve(world.store, proposed.id, "bob", at("2026-04-05"))
    with pytest.raises(ManualEntryRefused, match="locked month") as refused:
        propose(world.store, a_draft(reason="Another"), "ann", at("2026-04-05"))
    assert (refused.value.field, by_hand(world)) == (("effective_on",), [])
    april = propose(world.store, a_draft(effective_on=date(2026, 4, 1)), "ann", at("2026-04-05"))
    assert approve(world.store, april.id, "bob", at("2026-04-05")).status is ManualStatus.POSTED


def test_a_month_that_is_locked_while_an_entry_is_approved_does_not_take_it() -> None:
    world = World()
    proposed = propose(world.store, a_draft(), "ann", MONDAY)

    def lock(_: object) -> None:
        world.store.before_commit = lambda _: None
        world.store.lock_through("2026-03")

    world.store.before_commit = lock
    with pytest.raises(ManualEntryRefused, match="locked month"):
        approve(world.store, proposed.id, "bob", at("2026-04-05"))
    assert by_hand(world) == []


# -- crashes and rivals ------------------------------------------------------------------------------------------------


def proposing_and_approving(approver: str = "bob", as_of: datetime = LATER) -> Worker:
    def work(now: Outside) -> None:
        with suppress(ManualEntryRefused):  # it was posted before this one came again
            propose(now.store, a_draft(), "ann", MONDAY)
        approve(now.store, content_hash(a_draft()), approver, as_of)

    return work


def withdrawing() -> Worker:
    def work(now: Outside) -> None:
        with suppress(ManualEntryRefused):  # it is posted
            withdraw(now.store, content_hash(a_draft()), "carl", LATER)

    return work


def reversing(entry_id: str, reason: str) -> Worker:
    def work(now: Outside) -> None:
        with suppress(ManualEntryRefused):  # it was reversed before
            proposed = propose_reversal(now.store, entry_id, reason, "ann", LATER)
            approve(now.store, proposed.id, "bob", LATER)

    return work


@pytest.mark.parametrize("faults", [crashes, disappearances])
def test_a_crash_at_any_point_and_two_approvers_at_once_post_it_once(faults: object) -> None:
    rival = proposing_and_approving("dora", at("2026-03-19"))
    found, ends = explored(World(), [proposing_and_approving(), rival], faults, 1, then=[rival])  # type: ignore[arg-type]  # one of the two
    assert found.schedules > 100
    for world, _ in ends:
        assert len(by_hand(world)) == 1
        assert world.balance(COST_FEES) == "12.50"


def test_whoever_withdraws_while_another_approves_is_first_or_finds_it_posted() -> None:
    start = World()
    proposed = propose(start.store, a_draft(), "ann", MONDAY)

    def approving(now: Outside) -> None:
        with suppress(ManualEntryRefused):  # it is withdrawn
            approve(now.store, proposed.id, "bob", LATER)

    _, ends = explored(start, [approving, withdrawing()], crashes, 1)
    stored = [(world.store.stored_manual_entries[proposed.id].status, len(by_hand(world))) for world, _ in ends]
    assert set(stored) == {(ManualStatus.POSTED, 1), (ManualStatus.WITHDRAWN, 0)}


def test_two_reversals_of_one_entry_at_once_reverse_it_once() -> None:
    start = World()
    done = posted(start)
    _, ends = explored(start, [reversing(done.entry_id, "one"), reversing(done.entry_id, "two")], crashes, 1)
    for world, _ in ends:
        assert (len(by_hand(world)), world.balance(COST_FEES)) == (2, "0.00")


def test_revenue_can_be_moved_by_hand() -> None:
    world = World()
    draft = a_draft(lines=lines((REVENUE_RESOLUTIONS, 99), ("client/acme/unbilled", -99)))
    posted(world, draft)
    assert world.balance("client/acme/unbilled") == "-0.99"
