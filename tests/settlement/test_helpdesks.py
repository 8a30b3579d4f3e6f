"""What helpdesks send, settled: the same books in whatever order and however often it comes."""

from itertools import permutations

import pytest

from events.adapters.doors import Agents, Door
from events.adapters.webhooks import read_webhook
from events.decode import Delivery, decode, envelop
from events.facts import Party
from settlement.parking import ParkReason
from tests.ticketing import HELPDESKS, NOW, SECRET, Helpdesk, a_door, request
from tests.world import World, a_contract

every_helpdesk = pytest.mark.parametrize("desk", HELPDESKS, ids=str)


def deliveries(desk: Helpdesk, payload: object, door: Door) -> list[Delivery]:
    reading = read_webhook(door, [SECRET], request(desk.system, payload), NOW)
    return [decode(envelop(door.client, Party.CLIENT, NOW, fact)) for fact in reading.facts]


def a_world() -> World:
    return World(contract=a_contract(reopen_window_hours=24))


@every_helpdesk
def test_solved_and_reopened_case_costs_nothing_in_whatever_order_and_however_often(desk: Helpdesk) -> None:
    door = a_door(desk.system)
    sent = [deliveries(desk, payload, door) for payload in (desk.solved, desk.reopened, desk.rated) if payload]
    solved = a_world()
    solved.send(*sent[0])
    assert solved.balance("client/acme/unbilled") == "0.99"

    for order in permutations(sent):
        world = a_world()
        for one in (*order, *order):
            world.send(*one)

        world.check()
        assert (world.balance("client/acme/unbilled"), world.balance("expert/maya/payable")) == ("0.00", "0.00")
        assert not world.store.stored_parked


@every_helpdesk
def test_case_of_an_unknown_agent_is_parked_and_settles_once_the_door_says_who_it_is(desk: Helpdesk) -> None:
    world = a_world()

    world.send(*deliveries(desk, desk.solved, a_door(desk.system, agents=Agents())))

    (parked,) = world.store.stored_parked.values()
    assert parked.reason is ParkReason.UNKNOWN_EXPERT
    assert f"there is no expert {desk.system}-" in parked.detail

    world.send(*deliveries(desk, desk.solved, a_door(desk.system)))

    assert world.balance("expert/maya/payable") == "-0.59"
