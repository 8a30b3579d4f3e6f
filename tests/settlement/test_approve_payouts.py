"""The second person: what is large waits for somebody else, who approves or rejects exactly what they saw."""

from dataclasses import replace

import pytest

from ledger.money import Currency
from payouts.payouts import PayoutStatus, hash_of, moved
from settlement.approve_payouts import (
    ApprovalRefused,
    WaitingRun,
    approve_run,
    approve_small_runs,
    reject_run,
    waiting_runs,
)
from settlement.pay_on_demand import pay_on_demand, quote
from settlement.ports import Changes
from settlement.send_payouts import send_payout
from tests.fake_stripe import FakeStripe
from tests.paying import LATER, MONDAY, RUN, USD, a_paying_world, check_end, id_of, send_all, with_policy
from tests.world import World

S = PayoutStatus


def a_planned_run(*names: str, **policy: object) -> tuple[World, WaitingRun]:
    """A run of 100.00 for each of maya and noah, as it waits once what is small was approved."""
    world = with_policy(a_paying_world(*(names or ("maya", "noah"))), **({"approve_above": "199.99"} | policy))
    world.plan_payouts()
    return world, approve_small_runs(world.store, world.registry, RUN, MONDAY)


def statuses(world: World) -> dict[str, PayoutStatus]:
    return {payout.expert: payout.status for payout in world.store.payouts()}


@pytest.mark.parametrize(("threshold", "waits"), [("199.99", True), ("200.00", False), (None, False)])
def test_a_run_above_the_threshold_waits_and_one_of_exactly_the_threshold_does_not(
    threshold: str | None, *, waits: bool
) -> None:
    world, waiting = a_planned_run(approve_above=threshold)
    assert [it.id for it in waiting.payouts] == ([id_of("maya"), id_of("noah")] if waits else [])
    stripe = FakeStripe()
    send_all(world, stripe)
    assert len(stripe.transfers) == (0 if waits else 2)
    assert {it.approved_by for it in world.store.payouts()} == ({None} if waits else {"policy"})
    check_end(world, stripe)


def test_what_waits_is_announced_once_with_its_total_and_hash() -> None:
    world, waiting = a_planned_run()
    approve_small_runs(world.store, world.registry, RUN, LATER)
    [told] = [it for it in world.store.announced.values() if it.type == "payout_run.waiting"]
    assert told.data == {"run": RUN, "payouts": 2, "total_USD": 20_000, "hash": waiting.hash}
    assert waiting_runs(world.store) == (waiting,)


def test_an_approval_names_who_approved_what_in_the_payout_and_in_the_ledger() -> None:
    world, waiting = a_planned_run()
    assert approve_run(world.store, RUN, waiting.hash, "bob") == (id_of("maya"), id_of("noah"))
    stripe = FakeStripe()
    send_all(world, stripe)
    assert {(it.status, it.approved_by, it.approval) for it in world.store.payouts()} == {(S.SENT, "bob", waiting.hash)}
    sent = [entry for entry in world.entries() if entry.reason == "payout_sent"]
    assert all('"approved_by":"bob"' in entry.evidence for entry in sent)
    assert waiting_runs(world.store) == ()
    check_end(world, stripe)


def test_the_hash_covers_everything_that_is_sent() -> None:
    _, waiting = a_planned_run("maya", approve_above="10.00")
    [payout] = waiting.payouts
    others = (
        replace(payout, id="x"),
        replace(payout, stripe_account="acct_x"),
        replace(payout, currency=Currency("EUR")),
        replace(payout, amount=1),
        replace(payout, withheld=1),
        replace(payout, fee=1),
    )
    assert len({hash_of([it]) for it in (payout, *others)}) == 7
    assert hash_of([payout, *others]) == hash_of([*others, payout])


def test_an_approval_of_something_else_is_refused_and_names_what_is_there() -> None:
    world, waiting = a_planned_run()
    with pytest.raises(ApprovalRefused, match=f"not what {'0' * 64} stands for, but {waiting.hash}"):
        approve_run(world.store, RUN, "0" * 64, "bob")
    assert set(statuses(world).values()) == {S.PLANNED}


def test_what_was_planned_after_the_look_has_to_be_looked_at() -> None:
    _, seen = a_planned_run("maya", approve_above="10.00")
    world, _ = a_planned_run("maya", "noah", approve_above="10.00")
    with pytest.raises(ApprovalRefused, match="look at it again"):
        approve_run(world.store, RUN, seen.hash, "bob")
    [now] = waiting_runs(world.store)
    assert now.hash != seen.hash
    approve_run(world.store, RUN, now.hash, "bob")


def test_an_approval_that_was_interrupted_goes_on_when_it_is_repeated() -> None:
    world, waiting = a_planned_run()
    commits: list[Changes] = []

    def die(changes: Changes) -> None:
        commits.append(changes)
        if len(commits) == 2:
            raise ConnectionError

    world.store.before_commit = die
    with pytest.raises(ConnectionError):
        approve_run(world.store, RUN, waiting.hash, "bob")
    assert statuses(world) == {"maya": S.APPROVED, "noah": S.PLANNED}
    assert approve_run(world.store, RUN, waiting.hash, "bob") == (id_of("maya"), id_of("noah"))
    assert statuses(world) == {"maya": S.APPROVED, "noah": S.APPROVED}


def test_what_an_interrupted_approval_left_is_not_small_for_that() -> None:
    world, waiting = a_planned_run(approve_above="100.00")
    approved = moved(waiting.payouts[0], S.APPROVED, approved_by="bob", approval=waiting.hash)
    world.store.commit(Changes(payouts=(approved,)))
    left = approve_small_runs(world.store, world.registry, RUN, LATER)
    assert [it.id for it in left.payouts] == [id_of("noah")]


def test_what_is_rejected_is_owed_again_and_a_later_run_pays_it() -> None:
    world, _ = a_planned_run()
    assert reject_run(world.store, RUN, "bob", "the wrong week", MONDAY) == (id_of("maya"), id_of("noah"))
    assert {it.why for it in world.store.payouts()} == {"rejected by bob: the wrong week"}
    assert world.balance("expert/maya/payable") == "-100.00"
    assert world.balance("expert/maya/in_transit") == "0.00"
    world.check()
    assert world.plan_payouts() == []
    assert [it.expert for it in world.plan_payouts("2026-03-23")] == ["maya", "noah"]
    stripe = FakeStripe()
    send_all(world, stripe)
    assert stripe.transfers == {}
    check_end(world, stripe)


def test_nothing_that_waits_is_nothing_to_approve_or_to_reject() -> None:
    world, waiting = a_planned_run()
    approve_run(world.store, RUN, waiting.hash, "bob")
    send_all(world, FakeStripe())
    nothing = f"run {RUN} has nothing that waits for approval"
    with pytest.raises(ApprovalRefused, match=nothing):
        approve_run(world.store, RUN, waiting.hash, "bob")
    with pytest.raises(ApprovalRefused, match=nothing):
        reject_run(world.store, RUN, "bob", "too late", LATER)


def a_large_instant_payout(key: str, by: str = "alice") -> World:
    policy = {"approve_above": "10.00", "instant_fee_percent": "1"}
    world = with_policy(a_paying_world(), **policy)
    shown = quote(world.store, world.registry, "maya", USD, MONDAY)
    pay_on_demand(world.store, world.registry, shown, key, by, MONDAY)
    return world


def test_who_asked_for_a_payout_cannot_approve_it_under_whichever_role() -> None:
    world = a_large_instant_payout("k1", "arn:aws:sts::123456789012:assumed-role/finance/alice")
    [waiting] = waiting_runs(world.store)
    for same in ("arn:aws:sts::123456789012:assumed-role/approvers/alice", "arn:aws:iam::123456789012:user/Alice"):
        with pytest.raises(ApprovalRefused, match="somebody else has to approve it"):
            approve_run(world.store, waiting.run, waiting.hash, same)
    approve_run(world.store, waiting.run, waiting.hash, "arn:aws:sts::123456789012:assumed-role/approvers/bob")
    assert send_payout(world.store, world.registry, FakeStripe(), waiting.payouts[0].id, LATER).status is S.SENT


def test_a_key_that_ends_like_a_run_is_not_in_that_run() -> None:
    world = a_large_instant_payout(f"x:{RUN}")
    [waiting] = waiting_runs(world.store)
    assert waiting.run == f"on-demand-x:{RUN}"
    with pytest.raises(ApprovalRefused, match=f"run {RUN} has nothing"):
        reject_run(world.store, RUN, "bob", "all of it", MONDAY)
    assert reject_run(world.store, waiting.run, "bob", "this one", MONDAY) == (waiting.payouts[0].id,)
