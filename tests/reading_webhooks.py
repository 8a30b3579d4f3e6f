"""What a door reads in a helpdesk's webhook, as every test of webhooks asks it."""

import json
from copy import deepcopy

import pytest

from events.adapters.doors import Door
from events.adapters.payloads import PayloadRefused
from events.adapters.webhooks import Reading, read_webhook
from events.decode import Delivery, decode, envelop
from events.facts import Completed, Fact, Party
from tests.ticketing import NOW, SECRET, Json, Payload, request


def read(payload: object, door: Door) -> Reading:
    return read_webhook(door, [SECRET], request(door.system, payload), NOW)


def delivered(reading: Reading, door: Door) -> list[Delivery]:
    messages = [envelop(door.client, Party.CLIENT, NOW, fact) for fact in reading.facts]
    return [decode(json.loads(json.dumps(message))) for message in messages]


def facts(payload: object, door: Door) -> list[Fact]:
    return [it.fact for it in delivered(read(payload, door), door)]


def refusal(payload: object, door: Door) -> PayloadRefused:
    with pytest.raises(PayloadRefused) as refused:
        read(payload, door)
    return refused.value


def the_completion(payload: object, door: Door) -> Completed:
    (fact,) = facts(payload, door)
    assert isinstance(fact, Completed)
    return fact


def with_leaf(payload: Payload, way: tuple[str | int, ...], value: object) -> Json:
    changed: Json = deepcopy(payload)
    around = changed
    for step in way[:-1]:
        around = around[step]
    around[way[-1]] = value
    return changed
