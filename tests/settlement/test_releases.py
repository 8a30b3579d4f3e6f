"""A crash at any call of a release, and a rival at any moment: what was parked is settled once, and parked no more."""

from contextlib import suppress

import pytest

from settlement.parking import ParkReason
from settlement.release import CannotRelease, release
from tests.fake_stripe import FakeStripe
from tests.faults import crashes, disappearances
from tests.interleaving import Outside, Worker, calls_of, explore
from tests.paying import AGAIN, forked
from tests.world import World, an_expert, at

NOW = at("2026-03-03")


def a_client_that_was_unknown() -> World:
    """Its fact is parked by itself."""
    world = World()
    known = dict(world.registry.contract_histories)
    world.registry.contract_histories.clear()
    world.send(world.completed("C1", "2026-03-02"))
    world.registry.contract_histories |= known
    return world


def an_expert_who_was_unknown() -> World:
    """The case is parked with all its facts."""
    world = World()
    world.send(world.completed("C1", "2026-03-02", expert="zoe"))
    world.registry.all_experts["zoe"] = an_expert("zoe")
    return world


PARKED = {
    ParkReason.UNKNOWN_CLIENT: a_client_that_was_unknown,
    ParkReason.UNKNOWN_EXPERT: an_expert_who_was_unknown,
}


def releasing(world: World, reason: ParkReason) -> Worker:
    """An operator, who is told that nothing is parked any more if somebody else was faster."""
    [parked] = world.store.stored_parked.values()
    assert parked.reason is reason

    def work(now: Outside) -> None:
        with suppress(CannotRelease):
            release(now.store, now.registry, parked.id, NOW)

    return work


def settled(world: World) -> tuple[str, list[str], list[str]]:
    return world.balance("client/acme/unbilled"), [it.id for it in world.entries()], list(world.store.stored_parked)


def outside(world: World) -> Outside:
    return Outside(world.store, world.registry, FakeStripe())


@pytest.mark.parametrize("reason", PARKED)
def test_a_release_that_dies_anywhere_twice_is_settled_once_when_it_is_tried_again(reason: ParkReason) -> None:
    world = PARKED[reason]()
    work = releasing(world, reason)
    calls = calls_of(outside(world), work)
    assert [call.name for call in calls].count("commit") >= 2, "it is settled, and then parked no more"
    found = explore(outside(world), [work], lambda _: None, crashes, 2, AGAIN)
    assert found.schedules > len(calls) ** 2
    for end in found.ends:
        after, _ = forked(world, end)
        after.check()
        assert settled(after) == ("0.99", ["charge:acme/C1/1:1"], [])


@pytest.mark.parametrize("reason", PARKED)
def test_a_release_that_dies_for_good_loses_nothing(reason: ParkReason) -> None:
    """Whatever is still parked can be released; what is not is settled."""
    world = PARKED[reason]()
    work = releasing(world, reason)
    for end in explore(outside(world), [work], lambda _: None, disappearances, 1).ends:
        after, stripe = forked(world, end)
        work(Outside(after.store, after.registry, stripe))
        after.check()
        assert settled(after) == ("0.99", ["charge:acme/C1/1:1"], [])


@pytest.mark.parametrize("reason", PARKED)
def test_two_who_release_at_once_settle_once(reason: ParkReason) -> None:
    world = PARKED[reason]()
    work = releasing(world, reason)
    found = explore(outside(world), [work, work], lambda _: None, crashes, 1, AGAIN)
    assert found.schedules > 100
    for end in found.ends:
        after, _ = forked(world, end)
        after.check()
        assert settled(after) == ("0.99", ["charge:acme/C1/1:1"], [])
