"""What is special about each helpdesk's webhooks, and what of them cannot be read."""

from copy import deepcopy
from datetime import timedelta

import pytest

from events.adapters.doors import Agents
from events.adapters.payloads import Refusal
from events.adapters.systems import System
from events.adapters.webhooks import Reading
from events.facts import Completed, Rated, Resolver
from tests.reading_webhooks import delivered, facts, read, refusal, the_completion, with_leaf
from tests.ticketing import (
    NOW,
    PERSON,
    REOPENED_AT,
    SOLVED_AT,
    Json,
    Payload,
    a_door,
    freshdesk,
    gorgias,
    hubspot,
    intercom,
    intercom_rating,
    jira,
    salesforce,
    zendesk,
    zendesk_rating,
)


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
