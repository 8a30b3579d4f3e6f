"""The doors at every crash point: nothing is lost behind them, and what they let in twice is known once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from events.adapters.doors import Door
from events.decode import envelop
from events.facts import Party
from functions import deliver_webhooks, poll_ticketing, receive_ticketing
from infra.helpdesks.cursors import Poll
from infra.helpdesks.polling import Here, Polled, poll_listing
from settlement.webhooks import Attempt, Delivery, DeliveryState, Webhook, after_attempt
from tests.simulation.api_calls import World, worlds
from tests.simulation.door_calls import DOOR_CALLS, try_door


@pytest.fixture(scope="module")
def history() -> Sequence[World]:
    return worlds()


@pytest.mark.parametrize("name", DOOR_CALLS, ids=" ".join)
def test_whatever_call_goes_wrong_all_is_known_once_behind_the_door(
    name: tuple[str, str], history: Sequence[World]
) -> None:
    tried = try_door(name, history)
    assert tried.failed == []
    assert tried.points > 4 * tried.calls > 8, "each call has two deaths, each is recovered from in two ways"


# -- that the trials see what is wrong ---------------------------------------------------------------------------------


def test_a_cursor_that_moves_on_before_the_facts_is_found(
    history: Sequence[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def poll(door: Door, key: str, poll: Poll, here: Here) -> Polled:
        held = list[Mapping[str, object]]()
        polled = poll_listing(door, key, poll, replace(here, put_facts=held.extend))
        here.put_facts(held)
        return polled

    monkeypatch.setattr(poll_ticketing, "poll_listing", poll)
    failed = try_door(("poll_ticketing", "two helpdesks"), history, only_deaths=True).failed
    assert any("hubspot-1:rated" in it and "known 0 times" in it for it in failed)


def test_a_fact_that_is_another_each_time_it_is_received_is_found(
    history: Sequence[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def envelop_anew(client: str, party: Party, at: datetime, fact: Mapping[str, object]) -> dict[str, object]:
        return envelop(client, party, at, {**fact, "id": f"{fact['id']}-{at:%S}"})

    monkeypatch.setattr(receive_ticketing, "envelop", envelop_anew)
    assert try_door(("receive_ticketing", "in part"), history, only_deaths=True).failed


def test_a_webhook_that_is_given_up_at_once_is_found(history: Sequence[World], monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(
        webhook: Webhook, attempt: Attempt, attempts: int, first_at: datetime, now: datetime
    ) -> tuple[Delivery, int | None]:
        delivery, _ = after_attempt(webhook, attempt, attempts, first_at, now)
        is_taken = attempt.is_delivered
        return replace(delivery, state=DeliveryState.DELIVERED if is_taken else DeliveryState.FAILED), None

    monkeypatch.setattr(deliver_webhooks, "after_attempt", give_up)
    [failed, *_] = try_door(("deliver_webhooks", "down at first"), history, only_deaths=True).failed
    assert "known 0 times" in failed
