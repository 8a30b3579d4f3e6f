"""Use cases as workers, and all that may come of them."""

from collections.abc import Sequence
from datetime import datetime

from settlement.bank_leg import follow_transfer
from settlement.send_payouts import send_payout
from tests.fake_stripe import FakeStripe
from tests.interleaving import Explored, Faults, Outside, Worker, explore, no_faults
from tests.paying import AGAIN, LATER, MONDAY, check_end, check_money, forked, id_of, seen, send_all
from tests.world import World


def sending(id_: str = id_of(), as_of: datetime = MONDAY) -> Worker:
    return lambda now: send_payout(now.store, now.registry, now.stripe, id_, as_of)


def following(id_: str = id_of(), as_of: datetime = LATER) -> Worker:
    """A webhook about the payout's transfer."""
    return lambda now: follow_transfer(now.store, now.registry, now.stripe, id_, as_of)


def explored(
    world: World,
    workers: Sequence[Worker],
    faults: Faults = no_faults,
    most_faults: int = 0,
    *,
    stripe: FakeStripe | None = None,
    then: Sequence[Worker] = (),
) -> tuple[Explored, list[tuple[World, FakeStripe]]]:
    """All schedules, and each way in which they end, checked: once workers `then` came and what is left was sent."""
    start = Outside(world.store, world.registry, stripe or FakeStripe())
    found = explore(start, workers, lambda now: check_money(seen(world, now), now.stripe), faults, most_faults, AGAIN)
    print(f"{len(workers)} workers, {most_faults} faults: {found.schedules:,} schedules, {found.states:,} states")  # noqa: T201  # how much was proven
    ends = []
    for end in found.ends:
        after, its_stripe = forked(world, end)
        for worker in then:
            worker(Outside(after.store, after.registry, its_stripe))
        send_all(after, its_stripe)
        check_end(after, its_stripe)
        ends.append((after, its_stripe))
    return found, ends
