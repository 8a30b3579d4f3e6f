"""The sample month as webhooks: the doors of the sample world read from them what the month says."""

from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from cli.terms_files import read_folder
from events.adapters.signatures import Request
from events.adapters.webhooks import read_webhook
from events.decode import Delivery, FactRefused, decode, envelop
from events.facts import Completed, Party, Rated
from infra.local.helpdesks import Posted, secret_of, webhook_of
from infra.local.sample_month import SAMPLE_WORLD, sample_month

DOORS = {door.id: door for door in read_folder(SAMPLE_WORLD).terms.doors}
MONTH = sample_month()


def read(posted: Posted, message: dict[str, Any]) -> Delivery:
    door, now = DOORS[posted.door], datetime.fromisoformat(message["received_at"])
    request = Request(method="POST", url="https://x", headers=posted.headers, body=posted.body)
    [event] = read_webhook(door, [secret_of(str(door.secret))], request, now).facts
    return decode(envelop(door.client, Party.CLIENT, now, event))


def comparable(delivery: Delivery) -> object:
    """What decides about money: all but the names of the event; a rating by its place on the scale."""
    fact = replace(delivery.fact, id="x", source="x")
    if isinstance(fact, Rated):
        return replace(delivery, fact=replace(fact, score=1, scale_min=0, scale_max=1)), fact.basis_points
    if isinstance(
        fact, Completed
    ):  # Zendesk does not tell when the first response came, and nobody there is paid by it
        fact = replace(fact, first_response_at=None, expert="stranger" if _is_stranger(fact.expert) else fact.expert)
    return replace(delivery, fact=fact)


def _is_stranger(expert: str | None) -> bool:
    return expert == "zoe" or str(expert).startswith(("zendesk-", "intercom-", "jira-"))


def test_every_door_of_the_sample_world_is_used() -> None:
    posted = Counter(it.door for message in MONTH.messages if (it := webhook_of(message)))
    assert posted.keys() == DOORS.keys()
    assert {DOORS[door].system for door in posted} == {"zendesk", "intercom", "jira"}
    assert posted.total() > 0.8 * len(MONTH.messages)


@pytest.mark.parametrize("client", ["acme", "nordwind", "sakura"])
def test_doors_read_from_the_webhooks_what_the_month_says(client: str) -> None:
    for message in MONTH.messages:
        posted = webhook_of(message) if message["client"] == client else None
        if posted is not None:
            assert comparable(read(posted, dict(message))) == comparable(decode(message))


def test_the_first_response_is_told_where_experts_are_paid_by_it() -> None:
    for message in MONTH.messages:
        posted = webhook_of(message)
        if posted is not None and posted.door == "nordwind":
            fact, said = read(posted, dict(message)).fact, decode(message).fact
            assert getattr(fact, "first_response_at", None) == getattr(said, "first_response_at", None)


def test_facts_that_differ_have_ids_that_differ_and_repetitions_the_same() -> None:
    ids: dict[tuple[str, str], tuple[str, str]] = {}
    for message in MONTH.messages:
        if posted := webhook_of(message):
            told, said = read(posted, dict(message)).fact, decode(message).fact
            assert ids.setdefault((told.source, told.id), (said.source, said.id)) == (said.source, said.id)
    assert len(set(ids.values())) == len(ids)


def test_what_no_helpdesk_tells_goes_another_way() -> None:
    for message in MONTH.messages:
        try:
            decoded = decode(message)
        except FactRefused:
            assert webhook_of(message) is None
            continue
        is_told = decoded.fact.type in {"resolution.completed", "resolution.rated", "resolution.reopened"}
        assert (webhook_of(message) is not None) is is_told
