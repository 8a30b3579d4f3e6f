"""Credits are the client's by its own calendar, and by the contract that has them."""

from datetime import date

import pytest

from billing.prepaid import Lot
from settlement.prepaid import buy_credits, expire_credits, refund_credits
from tests.world import World, a_contract, at

LAST = date(2026, 3, 15)


def a_world(*, prepaid: bool = True) -> World:
    world = World(contract=a_contract(prepaid=prepaid, time_zone="Pacific/Kiritimati"))
    buy_credits(world.store, world.registry, "acme", Lot("L1", date(2026, 3, 1), LAST, 500, 500), at("2026-03-01"))
    return world


def test_credits_expire_when_the_clients_day_ends_not_when_utcs_does() -> None:
    world = a_world()
    # Kiritimati is 14 hours ahead: its 16 March begins at 10:00 UTC of the 15th.
    assert expire_credits(world.store, world.registry, ["acme"], at("2026-03-15T09:59:59")) == []
    [after] = expire_credits(world.store, world.registry, ["acme"], at("2026-03-15T10:00"))
    assert after.lots[0].left == 0
    assert world.balance("client/acme/prepaid") == "0.00"
    assert world.balance("revenue/resolutions") == "-5.00"
    [entry] = world.entries()[1:]
    assert (entry.id, entry.effective_on) == ("prepaid:acme:before:2026-03-16:prepaid_expired", date(2026, 3, 16))
    assert expire_credits(world.store, world.registry, ["acme"], at("2026-03-16")) == []


def test_where_the_contract_has_no_credits_any_more_none_expire() -> None:
    world = a_world(prepaid=False)
    assert expire_credits(world.store, world.registry, ["acme"], at("2026-03-20")) == []
    assert world.balance("client/acme/prepaid") == "-5.00"


def test_a_refund_is_of_what_is_left_and_once() -> None:
    world = a_world()
    for _ in range(2):
        assert refund_credits(world.store, world.registry, "acme", "L1", at("2026-03-10")).lots[0].left == 0
    assert [it.id for it in world.entries()] == ["prepaid:acme:L1:prepaid_bought", "prepaid:acme:L1:prepaid_refunded"]
    assert world.balance("bank/cash") == "0.00"
    with pytest.raises(LookupError, match="there is no contract for globex; apply one"):
        refund_credits(world.store, world.registry, "globex", "L1", at("2026-03-10"))
