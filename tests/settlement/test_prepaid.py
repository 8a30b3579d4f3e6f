"""Credits are the client's by its own calendar, and by the contract that has them."""

from datetime import date

import pytest

from billing.prepaid import Lot
from settlement.prepaid import buy_credits, expire_credits, refund_credits
from tests.world import World, a_contract, at

LAST = date(2026, 3, 15)


def a_world(*, prepaid: bool = True) -> World:
    world = World(contract=a_contract(starts_on="2026-03-01", prepaid=prepaid, time_zone="Pacific/Kiritimati"))
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


def test_what_may_be_used_on_the_last_day_of_a_period_stays_until_its_close() -> None:
    world = World(contract=a_contract(starts_on="2026-03-01", prepaid=True, close_delay_hours=24))
    for name, last in (("L1", date(2026, 3, 31)), ("L2", date(2026, 3, 30))):
        buy_credits(world.store, world.registry, "acme", Lot(name, date(2026, 3, 1), last, 500, 500), at("2026-03-01"))
    world.solve(10)

    [after] = expire_credits(world.store, world.registry, ["acme"], at("2026-04-01T12:00"))
    assert [lot.left for lot in after.lots] == [500, 0]

    assert world.close("2026-04-02").total == 490
    assert expire_credits(world.store, world.registry, ["acme"], at("2026-04-02")) == []


def test_what_the_close_left_of_them_expires_then() -> None:
    world = World(contract=a_contract(starts_on="2026-03-01", prepaid=True))
    lot = Lot("L1", date(2026, 3, 1), date(2026, 3, 31), 500, 500)
    buy_credits(world.store, world.registry, "acme", lot, at("2026-03-01"))
    assert expire_credits(world.store, world.registry, ["acme"], at("2026-04-01T12:00")) == []

    world.close("2026-04-02")

    assert [it.lots[0].left for it in expire_credits(world.store, world.registry, ["acme"], at("2026-04-02"))] == [0]
    assert world.entries()[-1].id == "prepaid:acme:before:2026-04-02:prepaid_expired"


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
