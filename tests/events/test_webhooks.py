"""Each helpdesk's webhooks: what they tell, in any order and however often, and what never gets in."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from events.adapters.doors import Agents, Door
from events.adapters.payloads import PayloadRefused, Refusal, find
from events.adapters.rules import Attribute, Field
from events.adapters.signatures import Request
from events.adapters.systems import SYSTEMS, System
from events.adapters.webhooks import Reading, read_webhook
from events.decode import Delivery, decode, envelop
from events.facts import Completed, Fact, Party, Rated, Reopened, Resolver, in_order
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
    Payload,
    a_door,
    body_hash,
    freshdesk,
    gorgias,
    hubspot,
    intercom,
    intercom_rating,
    jira,
    request,
    rfc3339,
    salesforce,
    tampered,
    zendesk,
    zendesk_rating,
)

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "ticketing"
SIGNING = [it for it in HELPDESKS if it.system not in {System.FRESHDESK, System.SALESFORCE, System.GORGIAS}]
TIMED = [it for it in HELPDESKS if it.system in {System.ZENDESK, System.HUBSPOT}]

every_helpdesk = pytest.mark.parametrize("desk", HELPDESKS, ids=str)


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


def with_leaf(payload: Payload, way: tuple[str | int, ...], value: object) -> Json:
    changed: Json = deepcopy(payload)
    around = changed
    for step in way[:-1]:
        around = around[step]
    around[way[-1]] = value
    return changed


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


# What is special about each


@pytest.mark.parametrize("previous", ["NEW", "OPEN", "PENDING", "HOLD"])
@pytest.mark.parametrize("current", ["SOLVED", "CLOSED"])
def test_zendesk_ticket_is_solved_from_any_open_state_also_when_closed_directly(current: str, previous: str) -> None:
    assert isinstance(the_completion(zendesk(current, previous, SOLVED_AT), a_door(System.ZENDESK)), Completed)


@pytest.mark.parametrize("rating", ["offered", "unoffered"])
def test_zendesk_survey_that_nobody_answered_is_no_rating(rating: str) -> None:
    assert facts(zendesk_rating(rating), a_door(System.ZENDESK)) == []


@pytest.mark.parametrize(
    ("rating", "score"), [("Good, I\u2019m satisfied", 1), ("bad, i'm unsatisfied", 0), ("BAD", 0)]
)
def test_zendesk_rating_is_good_or_bad_in_the_words_of_its_placeholder(rating: str, score: int) -> None:
    (fact,) = facts(zendesk_rating(rating), a_door(System.ZENDESK))

    assert isinstance(fact, Rated)
    assert (fact.score, fact.scale_min, fact.scale_max) == (score, 0, 1)


def test_zendesk_rating_in_a_language_that_the_door_does_not_know_is_refused_by_path() -> None:
    refused = refusal(zendesk_rating("Bien, je suis satisfait"), a_door(System.ZENDESK))

    assert (refused.code, refused.paths, refused.status) == (Refusal.NOT_ON_SCALE, ("rating",), 422)
    assert "satisfait" not in str(refused)


def test_zendesk_rating_without_a_time_happened_when_it_was_signed() -> None:
    payload = zendesk_rating("good")
    assert isinstance(payload, dict)
    del payload["rated_at"]

    (fact,) = facts(payload, a_door(System.ZENDESK))

    assert fact.time == NOW


def test_intercom_bot_that_closes_is_an_ai_unless_the_door_says_who_it_is() -> None:
    payload = intercom("conversation.admin.closed", "close", SOLVED_AT, author="bot")

    assert the_completion(payload, a_door(System.INTERCOM, agents=Agents())).resolver is Resolver.AI
    assert the_completion(payload, a_door(System.INTERCOM)).expert == "maya"


def test_intercom_customer_is_never_taken_for_the_agent() -> None:
    payload = intercom("conversation.admin.closed", "comment", SOLVED_AT, author="user")

    fact = the_completion(payload, a_door(System.INTERCOM, agents=Agents(others=Resolver.EMPLOYEE)))

    assert (fact.resolver, fact.expert) == (Resolver.EMPLOYEE, None)


@pytest.mark.parametrize(
    ("statistics", "told"),
    [
        ({"last_close_at": 1_772_449_200}, ["resolution.reopened"]),
        ({"last_close_at": 1_772_449_200, "last_admin_reply_at": 1_772_449_100}, ["resolution.reopened"]),
        ({"last_close_at": 1_772_449_200, "last_admin_reply_at": 1_772_449_300}, []),
        ({"last_admin_reply_at": 1_772_449_300}, []),
        ({"last_close_at": None}, []),
        (None, []),
    ],
)
def test_intercom_reply_reopens_a_closed_conversation_until_somebody_answers(
    statistics: dict[str, object] | None, told: list[str]
) -> None:
    payload = intercom("conversation.user.replied", "comment", REOPENED_AT, "user", statistics=statistics)

    assert [fact.type for fact in facts(payload, a_door(System.INTERCOM))] == told


def test_intercom_rating_that_was_taken_back_is_no_rating() -> None:
    assert facts(intercom_rating(None), a_door(System.INTERCOM)) == []


@pytest.mark.parametrize(
    ("event", "status", "told"),
    [
        ("{status:{from:2,to:4}}", "Resolved", "resolution.completed"),
        ("{ status : { from : 3 , to : 5 } }", "Closed", "resolution.completed"),
        ('{"status":{"from":"Open","to":"Resolved"}}', "Resolved", "resolution.completed"),
        ("", "Resolved", "resolution.completed"),
        ("{status:{from:4,to:5}}", "Closed", None),
        ("{status:{from:2,to:3}}", "Pending", None),
        ("{ticket_action:created}", "Resolved", None),
        ("{status:{from:5,to:3}}", "Pending", "resolution.reopened"),
        ("{status:from", "Open", None),
    ],
)
def test_freshdesk_says_in_its_own_notation_what_changed(event: str, status: str, told: str | None) -> None:
    found = facts(freshdesk(event, SOLVED_AT, status), a_door(System.FRESHDESK))

    assert [fact.type for fact in found] == ([told] if told else [])


def test_freshdesk_event_without_a_time_happened_when_it_came() -> None:
    payload: Json = freshdesk("{status:{from:2,to:4}}", SOLVED_AT)
    del payload["freshdesk_webhook"]["ticket_updated_at"]

    assert the_completion(payload, a_door(System.FRESHDESK)).time == NOW


@pytest.mark.parametrize("wrapped", [("payload",), ("detail", "payload"), ("data", "payload")])
def test_salesforce_change_is_found_in_the_envelopes_that_carry_it(wrapped: tuple[str, ...]) -> None:
    payload: object = salesforce({"IsClosed": True}, SOLVED_AT)
    for name in reversed(wrapped):
        payload = {name: payload, "schema": "IeRuaY6cbI_HsV8Rv1Mc5g"}

    assert the_completion(payload, a_door(System.SALESFORCE)).time == SOLVED_AT


def test_salesforce_change_of_several_cases_tells_of_each() -> None:
    payload: Json = salesforce({"IsClosed": True}, SOLVED_AT)
    payload["ChangeEventHeader"]["recordIds"] = ["500XX0000000001AAA", "500XX0000000002AAA"]
    door = a_door(System.SALESFORCE)

    deliveries = delivered(read(payload, door), door)

    assert [it.case_id for it in deliveries] == ["salesforce-500XX0000000001AAA", "salesforce-500XX0000000002AAA"]
    assert len({it.fact.id for it in deliveries}) == 2


def test_salesforce_closing_with_a_rating_tells_both() -> None:
    payload = salesforce({"IsClosed": True, "CSAT__c": 5}, SOLVED_AT)

    assert [fact.type for fact in facts(payload, a_door(System.SALESFORCE))] == [
        "resolution.completed",
        "resolution.rated",
    ]


@pytest.mark.parametrize("change", ["GAP_UPDATE", "GAP_CREATE", "GAP_OVERFLOW"])
def test_salesforce_gap_is_refused_since_it_does_not_say_what_changed(change: str) -> None:
    refused = refusal(salesforce({}, SOLVED_AT, change), a_door(System.SALESFORCE))

    assert (refused.code, refused.paths) == (Refusal.INCOMPLETE, ("ChangeEventHeader.changeType",))


def test_salesforce_wildcard_stands_for_no_case() -> None:
    payload: Json = salesforce({"IsClosed": True}, SOLVED_AT)
    payload["ChangeEventHeader"]["recordIds"] = ["500*"]

    assert refusal(payload, a_door(System.SALESFORCE)).code == Refusal.NOT_AN_ID


def test_salesforce_owner_goes_before_who_saved_the_case() -> None:
    payload = salesforce({"IsClosed": True, "OwnerId": "005XX000000000BBBB"}, SOLVED_AT)

    assert the_completion(payload, a_door(System.SALESFORCE)).expert == "salesforce-005xx000000000bbbb"


def test_gorgias_closed_ticket_that_is_saved_again_is_the_same_solution() -> None:
    door = a_door(System.GORGIAS)
    payload: Json = gorgias("ticket-updated", "closed", SOLVED_AT)
    payload["ticket"]["updated_datetime"] = "2026-03-02T11:59:00"

    assert read(payload, door) == read(gorgias("ticket-closed", "closed", SOLVED_AT), door)


def test_gorgias_times_are_of_the_doors_zone() -> None:
    fact = the_completion(
        gorgias("ticket-closed", "closed", SOLVED_AT), a_door(System.GORGIAS, time_zone="Europe/Berlin")
    )

    assert fact.time == SOLVED_AT - timedelta(hours=1)


def test_hubspot_batch_tells_of_each_ticket_and_refuses_only_what_it_must() -> None:
    broken = hubspot("4", SOLVED_AT, 7) | {"occurredAt": PERSON}
    batch = [hubspot("4", SOLVED_AT), broken, hubspot("2", REOPENED_AT, 125)]
    door = a_door(System.HUBSPOT)

    reading = read(batch, door)

    assert [it.case_id for it in delivered(reading, door)] == ["hubspot-123", "hubspot-125"]
    (refused,) = reading.refused
    assert (refused.code, refused.paths) == (Refusal.NOT_A_TIME, ("[1].occurredAt",))


def test_hubspot_change_of_a_generic_object_counts_if_that_is_a_ticket() -> None:
    event = hubspot("4", SOLVED_AT) | {"subscriptionType": "object.propertyChange"}
    door = a_door(System.HUBSPOT)

    assert len(facts([event | {"objectTypeId": "0-5"}], door)) == 1
    assert facts([event | {"objectTypeId": "0-1"}], door) == []


def test_hubspot_event_that_is_tried_again_is_the_same_fact() -> None:
    door, event = a_door(System.HUBSPOT), hubspot("4", SOLVED_AT)

    assert read([event | {"attemptNumber": 3, "eventId": 999}], door) == read([event], door)


@pytest.mark.parametrize("stages", [("998", "4"), ("Closed",)])
def test_hubspot_stages_that_mean_solved_are_the_clients(stages: tuple[str, ...]) -> None:
    door = a_door(System.HUBSPOT, solved=stages)

    assert [facts([hubspot(stage, SOLVED_AT)], door)[0].type for stage in (stages[0], "2")] == [
        "resolution.completed",
        "resolution.reopened",
    ]


def test_jira_change_of_something_else_tells_nothing() -> None:
    payload: Json = jira({"from": None, "to": "10000"}, SOLVED_AT)
    payload["changelog"]["items"] = [{"field": "assignee", "from": None, "to": "x"}]

    assert facts(payload, a_door(System.JIRA)) == []


def test_jira_issue_without_an_assignee_was_solved_by_who_saved_it() -> None:
    payload: Json = jira({"from": None, "to": "10000"}, SOLVED_AT)
    payload["issue"]["fields"]["assignee"] = None

    assert the_completion(payload, a_door(System.JIRA)).expert == "jira-557058-bbbb"


# What cannot be read


def without(payload: Payload, *way: str) -> Json:
    changed: Json = deepcopy(payload)
    around = changed
    for step in way[:-1]:
        around = around[step]
    del around[way[-1]]
    return changed


@pytest.mark.parametrize(
    ("payload", "code", "path"),
    [
        (without(zendesk("SOLVED", "OPEN", SOLVED_AT), "time"), Refusal.MISSING, "time"),
        (without(zendesk("SOLVED", "OPEN", SOLVED_AT), "detail", "id"), Refusal.MISSING, "detail.id | ticket_id"),
        (zendesk("SOLVED", "OPEN", SOLVED_AT) | {"time": "yesterday"}, Refusal.NOT_A_TIME, "time"),  # type: ignore[operator]
        (zendesk("SOLVED", "OPEN", SOLVED_AT) | {"time": "2026-03-02T11:00:00"}, Refusal.NO_TIME_ZONE, "time"),  # type: ignore[operator]
        (zendesk("SOLVED", "OPEN", SOLVED_AT) | {"time": "0001-01-01T00:00:00+14:00"}, Refusal.NOT_A_TIME, "time"),  # type: ignore[operator]
        (zendesk("SOLVED", "OPEN", SOLVED_AT) | {"time": 10**15}, Refusal.NOT_A_TIME, "time"),  # type: ignore[operator]
        (
            with_leaf(zendesk("SOLVED", "OPEN", SOLVED_AT), ("detail", "id"), "J D"),
            Refusal.NOT_AN_ID,
            "detail.id | ticket_id",
        ),
        (
            with_leaf(zendesk("SOLVED", "OPEN", SOLVED_AT), ("detail", "id"), "x" * 121),
            Refusal.NOT_AN_ID,
            "detail.id | ticket_id",
        ),
        (
            with_leaf(zendesk("SOLVED", "OPEN", SOLVED_AT), ("detail", "priority"), "@"),
            Refusal.NOT_A_LABEL,
            "detail.priority",
        ),
        (
            with_leaf(zendesk("SOLVED", "OPEN", SOLVED_AT), ("detail", "created_at"), "x"),
            Refusal.NOT_A_TIME,
            "detail.created_at",
        ),
        ([], None, ""),
        ([1], Refusal.WRONG_TYPE, "[0]"),
        (7, Refusal.WRONG_TYPE, ""),
        (None, Refusal.WRONG_TYPE, ""),
    ],
)
def test_event_that_cannot_be_read_is_refused_by_path(payload: object, code: Refusal | None, path: str) -> None:
    door = a_door(System.ZENDESK)
    if code is None:
        assert read(payload, door) == Reading(())
        return

    refused = refusal(payload, door)

    assert (refused.code, refused.paths) == (code, (path,) if path else ())


def test_more_events_than_a_request_may_hold_are_refused() -> None:
    payload: Json = salesforce({"IsClosed": True}, SOLVED_AT)
    payload["ChangeEventHeader"]["recordIds"] = [f"500{number:015}" for number in range(501)]

    refused = refusal(payload, a_door(System.SALESFORCE))

    assert (refused.code, refused.status) == (Refusal.TOO_MANY, 413)


def test_key_that_is_no_id_is_known_by_its_hash() -> None:
    (fact,) = facts(zendesk("SOLVED", "OPEN", SOLVED_AT, event="an event of ours"), a_door(System.ZENDESK))

    assert len(fact.id) == 64


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
