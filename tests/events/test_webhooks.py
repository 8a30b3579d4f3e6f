"""Each helpdesk's webhooks: what they tell, in any order and however often, and what never gets in."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from events.adapters.payloads import PayloadRefused, Refusal, find
from events.adapters.rules import Attribute, Field
from events.adapters.signatures import Request
from events.adapters.systems import SYSTEMS, System
from events.adapters.webhooks import Reading, read_webhook
from events.decode import envelop
from events.facts import Completed, Party, Rated, Reopened, Resolver, in_order
from tests.reading_webhooks import delivered, facts, read, refusal, with_leaf
from tests.ticketing import (
    HELPDESKS,
    MARKERS,
    NOW,
    PERSON,
    RATED_AT,
    REOPENED_AT,
    SECRET,
    SOLVED_AT,
    Helpdesk,
    Json,
    a_door,
    body_hash,
    request,
    rfc3339,
    tampered,
    zendesk,
)

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "ticketing"
SIGNING = [it for it in HELPDESKS if it.system not in {System.FRESHDESK, System.SALESFORCE, System.GORGIAS}]
TIMED = [it for it in HELPDESKS if it.system in {System.ZENDESK, System.HUBSPOT}]

every_helpdesk = pytest.mark.parametrize("desk", HELPDESKS, ids=str)


# What every helpdesk tells


@every_helpdesk
def test_solved_case_is_a_completion_by_the_expert_with_its_labels_at_the_events_own_time(desk: Helpdesk) -> None:
    door = a_door(desk.system)

    (delivery,) = delivered(read(desk.solved, door), door)

    fact = delivery.fact
    assert isinstance(fact, Completed)
    assert (delivery.client, delivery.case_id, fact.source) == ("acme", desk.case, f"{desk.system}/{door.account}")
    assert (fact.time, fact.resolver, fact.expert) == (SOLVED_AT, Resolver.EXPERT, "maya")
    labels = {it.value: getattr(fact, it) for it in Attribute}
    assert {name: label for name, label in labels.items() if label is not None} == desk.labels


@every_helpdesk
def test_case_that_is_open_again_is_a_reopening_at_the_events_own_time(desk: Helpdesk) -> None:
    (fact,) = facts(desk.reopened, a_door(desk.system))

    assert isinstance(fact, Reopened)
    assert fact.time == REOPENED_AT


@pytest.mark.parametrize("desk", [it for it in HELPDESKS if it.rated], ids=str)
def test_rating_keeps_its_score_and_scale(desk: Helpdesk) -> None:
    (fact,) = facts(desk.rated, a_door(desk.system))

    assert isinstance(fact, Rated)
    assert (fact.score, fact.scale_min, fact.scale_max) == desk.score
    assert fact.time == RATED_AT


@every_helpdesk
def test_what_is_no_news_tells_nothing(desk: Helpdesk) -> None:
    assert read(desk.ignored, a_door(desk.system)) == Reading(())


@every_helpdesk
def test_request_that_is_sent_again_tells_the_same_facts(desk: Helpdesk) -> None:
    door = a_door(desk.system)
    first = read_webhook(door, [SECRET], request(desk.system, desk.solved), NOW)
    minutes_later = NOW + timedelta(minutes=40)
    again = read_webhook(door, [SECRET], request(desk.system, desk.solved, minutes_later), minutes_later)

    assert first == again


@every_helpdesk
def test_facts_are_the_same_in_whatever_order_they_come(desk: Helpdesk) -> None:
    door = a_door(desk.system)
    payloads = [it for it in (desk.solved, desk.rated, desk.reopened) if it is not None]
    orders = [
        sorted((fact for one in order for fact in facts(one, door)), key=in_order) for order in permutations(payloads)
    ]

    assert all(order == orders[0] for order in orders)
    assert len({fact.id for fact in orders[0]}) == len(payloads)


# Who may say so


@pytest.mark.parametrize("desk", SIGNING, ids=str)
def test_body_that_was_changed_is_refused(desk: Helpdesk) -> None:
    sent = tampered(request(desk.system, desk.solved))

    with pytest.raises(PayloadRefused) as refused:
        read_webhook(a_door(desk.system), [SECRET], sent, NOW)

    assert (refused.value.code, refused.value.status) == (Refusal.UNAUTHENTICATED, 401)
    assert refused.value.digest == body_hash(sent)


@every_helpdesk
@pytest.mark.parametrize("secrets", [[], [""], ["another-secret"]], ids=str)
def test_request_is_refused_unless_one_of_the_secrets_fits(desk: Helpdesk, secrets: list[str]) -> None:
    sent, door = request(desk.system, desk.solved), a_door(desk.system)

    with pytest.raises(PayloadRefused) as refused:
        read_webhook(door, secrets, sent, NOW)

    assert refused.value.code == Refusal.UNAUTHENTICATED
    assert read_webhook(door, [*secrets, SECRET], sent, NOW).facts


@every_helpdesk
def test_request_without_headers_is_refused(desk: Helpdesk) -> None:
    with pytest.raises(PayloadRefused, match="not signed") as refused:
        read_webhook(a_door(desk.system), [SECRET], replace(request(desk.system, desk.solved), headers={}), NOW)

    assert refused.value.status == 401


@pytest.mark.parametrize("desk", TIMED, ids=str)
@pytest.mark.parametrize("minutes", [5, -5])
def test_signature_holds_for_five_minutes_and_not_longer(desk: Helpdesk, minutes: int) -> None:
    sent, door = request(desk.system, desk.solved), a_door(desk.system)
    last = NOW + timedelta(minutes=minutes)
    beyond = last + timedelta(seconds=1 if minutes > 0 else -1)

    assert read_webhook(door, [SECRET], sent, last).facts
    with pytest.raises(PayloadRefused) as refused:
        read_webhook(door, [SECRET], sent, beyond)

    assert (refused.value.code, refused.value.status) == (Refusal.STALE, 401)


def test_door_that_takes_no_webhooks_refuses_each() -> None:
    door = a_door(System.SERVICENOW, time_zone="UTC", maps={})

    with pytest.raises(PayloadRefused, match="not signed"):
        read_webhook(door, [SECRET], request(System.ZENDESK, {}), NOW)


@pytest.mark.parametrize("system", [System.HUBSPOT, System.INTERCOM])
def test_event_of_another_account_with_the_same_secret_is_refused(system: System) -> None:
    desk = next(it for it in HELPDESKS if it.system is system)

    refused = refusal(desk.solved, a_door(system, account="another"))

    assert (refused.code, refused.status) == (Refusal.OTHER_ACCOUNT, 404)


# What gets in: nothing about customers


def leaves(value: Json, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries: Json = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in entries:
        yield from leaves(inner, (*way, name))
    if not isinstance(value, dict | list):
        yield way


@every_helpdesk
def test_nothing_that_people_wrote_gets_in_wherever_it_stands(desk: Helpdesk) -> None:
    door = a_door(desk.system, maps={})
    for payload in (desk.solved, desk.reopened, desk.rated, desk.ignored):
        for way in leaves(payload) if payload else ():
            changed = with_leaf(payload, way, PERSON)  # type: ignore[arg-type]  # None has no leaves
            try:
                told = json.dumps(read(changed, door).facts)
            except PayloadRefused as refused:
                told = f"{refused} {refused.paths}"
            assert not [marker for marker in MARKERS if marker in told.lower()], way


@every_helpdesk
def test_single_word_that_people_wrote_gets_in_at_most_where_labels_are_chosen(desk: Helpdesk) -> None:
    door, word = a_door(desk.system, maps={}), "Jane"
    for payload in (desk.solved, desk.reopened, desk.rated, desk.ignored):
        for way in leaves(payload) if payload else ():
            changed = with_leaf(payload, way, word)  # type: ignore[arg-type]  # None has no leaves
            item = changed[0] if isinstance(changed, list) else changed
            paths = SYSTEMS[desk.system].feed.paths  # type: ignore[union-attr]  # each helpdesk here has a feed
            chosen = [paths.get(Field(it), "@") for it in Attribute] + [paths[Field.CASE], paths.get(Field.KEY, "@")]
            if any(word in str(find(item, one.strip())) for path in chosen for one in re.split(r"[|+]", path)):
                continue
            try:
                told = json.dumps(read(changed, door).facts)
            except PayloadRefused as refused:
                told = str(refused)
            assert "jane" not in told.lower(), way


# What a door may change


def test_field_of_the_clients_own_takes_the_place_of_the_systems() -> None:
    payload: Json = zendesk("SOLVED", "OPEN", SOLVED_AT)
    payload["detail"]["custom"] = {"solved_at": "2026-03-02T10:30:00+02:00", "queue": "Tablets"}
    fields = {
        Field.CASE: "detail.external_id | detail.id",
        Field.COMPLETED_AT: "detail.custom.solved_at",
        Field.ROUTE: "detail.custom.queue",
    }
    payload["detail"]["external_id"] = None
    door = a_door(System.ZENDESK, fields=fields, pick_lists=(Attribute.ROUTE,), case_prefix="")

    (delivery,) = delivered(read(payload, door), door)

    assert isinstance(delivery.fact, Completed)
    assert (delivery.case_id, delivery.fact.route) == ("5158", "tablets")
    assert delivery.fact.time == SOLVED_AT - timedelta(hours=2, minutes=30)


# The samples beside the project, composed from the vendors' documentation


def sample(name: str) -> tuple[System, Request]:
    file = json.loads((SAMPLES / f"{name}.json").read_text())
    headers, system = dict(file["headers"]), System(name.partition("_")[0])
    url = headers.pop("_request_uri", "https://api.example.com/")
    if system is System.SALESFORCE:
        headers = {"X-Solvent-Token": file["_meta"]["test_secret"]}
    return system, Request(method="POST", url=url, headers=headers, body=file["raw_body"].encode())


@pytest.mark.parametrize(
    ("name", "now", "fact_id"),
    [
        ("zendesk_ticket_solved", "2026-01-08T16:45:30Z", "zendesk-5158:completed:a8b9c1d2-0001"),
        ("zendesk_ticket_reopened", "2026-01-09T09:00:30Z", "zendesk-5158:reopened:a8b9c1d2-0002"),
        ("zendesk_rating_trigger", "2026-01-10T12:00:30Z", "zendesk-5158:rated:2026-01-10T12:00:00Z"),
        ("intercom_conversation_closed", "", "intercom-21322009097:completed:2026-01-08T16:45:19Z"),
        ("intercom_reopened", "", "intercom-21322009097:reopened:2026-01-08T16:45:19Z"),
        ("intercom_rating_added", "", "intercom-21322009097:rated:2026-01-08T16:50:00Z"),
        ("freshdesk_status_resolved", "", "freshdesk-11:completed:2026-03-02T12:00:00Z"),
        (
            "salesforce_case_closed_cdc",
            "",
            "salesforce-500XX0000000001AAA:completed:0002e9d8-0000-1111-2222-000000000001-1",
        ),
        ("gorgias_ticket_updated_closed", "", "gorgias-500:completed:2026-01-08T16:45:19Z"),
        ("hubspot_ticket_stage_closed", "2026-01-08T16:45:30Z", "hubspot-123:completed:2026-01-08T16:45:19Z"),
        ("jira_issue_resolved", "", "jira-SUP-154:completed:10124"),
    ],
)
def test_documented_sample_is_genuine_and_tells_one_fact(name: str, now: str, fact_id: str) -> None:
    if not SAMPLES.is_dir():
        return  # the payloads above have the same shapes
    system, sent = sample(name)
    at = NOW if not now else NOW.fromisoformat(now)
    door = a_door(system)

    reading = read_webhook(door, ["test-secret-not-real"], sent, at)

    assert [fact["id"] for fact in reading.facts] == [fact_id]
    told = json.dumps([envelop("acme", Party.CLIENT, at, fact) for fact in reading.facts])
    assert not [marker for marker in MARKERS if marker in told.lower()]


def test_times_are_told_as_the_engine_writes_them() -> None:
    assert read(zendesk("SOLVED", "OPEN", SOLVED_AT), a_door(System.ZENDESK)).facts[0]["time"] == rfc3339(SOLVED_AT)
