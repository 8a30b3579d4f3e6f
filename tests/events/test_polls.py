"""Polled listings: what a page tells, and that going on from its cursor passes nothing over."""

import json
from pathlib import Path

import pytest

from events.adapters.payloads import PayloadRefused, Refusal
from events.adapters.polls import Cursor, Page, read_page, url_and_query
from events.adapters.rules import Field
from events.adapters.systems import System
from events.decode import Delivery, decode, envelop
from events.facts import Completed, Party, Rated, Reopened
from tests.ticketing import MARKERS, NOW, PERSON, RATED_AT, REOPENED_AT, SOLVED_AT, a_door

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "ticketing"
SERVICENOW = a_door(System.SERVICENOW, time_zone="UTC", maps={})
SATISFACTION = {Field.RATING: "fields.customfield_10105.rating", Field.RATED_AT: "fields.customfield_10106"}
DOORS = {System.SERVICENOW: SERVICENOW, System.JIRA: a_door(System.JIRA, fields=SATISFACTION)}
START = Cursor()


def read(system: System, listing: str, payload: object, cursor: Cursor = START) -> Page:
    door = DOORS.get(system) or a_door(system)
    return read_page(door, listing, json.dumps(payload).encode(), cursor, NOW)


def delivered(page: Page) -> list[Delivery]:
    return [decode(envelop("acme", Party.CLIENT, NOW, fact)) for fact in page.facts]


def incident(number: str, updated: str, **more: object) -> dict[str, object]:
    known = {"number": number, "state": "6", "sys_updated_on": updated, "resolved_at": "2026-03-02 11:00:00"}
    people = {"short_description": PERSON, "caller_id": {"value": "6816f79c", "link": PERSON}, "close_notes": PERSON}
    labels = {"contact_type": "phone", "category": "Network", "priority": "3", "assignment_group": {"value": "g1"}}
    by = {"resolved_by": {"value": "6816f79cc0a8016401c5a33be04be441", "link": PERSON}, "opened_at": ""}
    return known | people | labels | by | more


def feedback(number: int, **properties: object) -> dict[str, object]:
    known = {"hs_survey_type": "CSAT", "hs_value": "2", "hs_createdate": "2026-03-02T11:10:00Z", "hs_content": PERSON}
    tickets = {"tickets": {"results": [{"id": "123", "type": "feedback_submission_to_ticket"}]}}
    return {"id": str(number), "properties": known | properties, "associations": tickets}


# What pages tell


def test_servicenow_incident_tells_its_solution_and_its_reopening() -> None:
    item = incident("INC1", "2026-03-02 11:30:00", reopened_time="2026-03-02 11:20:00")

    page = read(System.SERVICENOW, "incidents", {"result": [item]})

    completed, reopened = (it.fact for it in delivered(page))
    assert isinstance(completed, Completed)
    assert isinstance(reopened, Reopened)
    assert (completed.time, completed.expert, completed.skill, completed.route) == (SOLVED_AT, "maya", "network", "g1")
    assert reopened.time == REOPENED_AT
    assert [it.case_id for it in delivered(page)] == ["INC1", "INC1"]
    assert not [marker for marker in MARKERS if marker in json.dumps(page.facts).lower()]


@pytest.mark.parametrize("change", [{"state": "2"}, {"resolved_at": ""}, {"state": "8"}])
def test_servicenow_incident_that_is_not_solved_tells_nothing(change: dict[str, object]) -> None:
    assert (
        read(System.SERVICENOW, "incidents", {"result": [incident("INC1", "2026-03-02 11:30:00", **change)]}).facts
        == ()
    )


def test_servicenow_incident_that_is_listed_again_after_a_change_is_the_same_solution() -> None:
    first, again = (
        read(System.SERVICENOW, "incidents", {"result": [incident("INC1", at, state=state)]})
        for at, state in (("2026-03-02 11:30:00", "6"), ("2026-03-02 11:45:00", "7"))
    )

    assert first.facts == again.facts


@pytest.mark.parametrize(("face", "score"), [(103, 7), (100, 4), (-101, 3), (-103, 1)])
def test_freshdesk_face_is_its_place_among_seven(face: int, score: int) -> None:
    item = {"id": 1, "ticket_id": 11, "ratings": {"default_question": face}, "created_at": "2026-03-02T11:10:00Z"}

    (delivery,) = delivered(read(System.FRESHDESK, "ratings", [item | {"feedback": PERSON}]))

    assert isinstance(delivery.fact, Rated)
    assert (delivery.fact.score, delivery.fact.scale_min, delivery.fact.scale_max) == (score, 1, 7)
    assert (delivery.case_id, delivery.fact.time) == ("freshdesk-11", RATED_AT)


def test_hubspot_feedback_rates_the_ticket_that_it_belongs_to() -> None:
    surveys = [
        feedback(1),
        feedback(2, hs_survey_type="NPS", hs_value="9"),
        feedback(3) | {"associations": {}},
        feedback(4, hs_value=None),
    ]

    (delivery,) = delivered(read(System.HUBSPOT, "feedback", {"results": surveys}))

    assert isinstance(delivery.fact, Rated)
    assert (delivery.case_id, delivery.fact.score, delivery.fact.scale_max) == ("hubspot-123", 2, 2)


def test_gorgias_survey_that_nobody_answered_is_no_rating() -> None:
    surveys = [
        {"ticket_id": 500, "score": score, "scored_datetime": at, "body_text": PERSON}
        for score, at in ((5, "2026-03-02T11:10:00"), (None, None))
    ]

    (delivery,) = delivered(read(System.GORGIAS, "surveys", {"data": surveys, "meta": {"next_cursor": None}}))

    assert delivery.fact.time == RATED_AT


def issue(key: str, rating: object, rated_at: str) -> dict[str, object]:
    return {"key": key, "fields": {"customfield_10105": rating, "customfield_10106": rated_at, "summary": PERSON}}


def test_jira_satisfaction_is_told_at_its_own_date_however_often_it_is_listed() -> None:
    listed = {"issues": [issue("SUP-154", {"rating": 4}, "2026-03-02T12:10:00.000+0100")], "isLast": True}

    first = read(System.JIRA, "feedback", listed)
    again = read(System.JIRA, "feedback", listed, first.cursor)

    (delivery,) = delivered(first)
    assert (delivery.case_id, delivery.fact.time) == ("jira-SUP-154", RATED_AT)
    assert isinstance(delivery.fact, Rated)
    assert (delivery.fact.score, delivery.fact.scale_min, delivery.fact.scale_max) == (4, 1, 5)
    assert again.facts == first.facts
    assert not [marker for marker in MARKERS if marker in json.dumps(first.facts).lower()]


def test_jira_satisfaction_that_is_given_anew_is_another_rating() -> None:
    first, second = ("2026-03-02T11:10:00.000+0000", "2026-03-02T11:20:00.000+0000")

    pages = [read(System.JIRA, "feedback", {"issues": [issue("SUP-154", {"rating": 4}, at)]}) for at in (first, second)]

    assert len({delivery.fact.id for page in pages for delivery in delivered(page)}) == 2


def test_item_that_cannot_be_read_is_refused_beside_the_others() -> None:
    good = {"ticket_id": 11, "ratings": {"default_question": 103}, "created_at": "2026-03-02T11:10:00Z"}
    bad = good | {"ratings": {"default_question": 99}}

    page = read(System.FRESHDESK, "ratings", [bad, good])

    assert len(page.facts) == 1
    assert [(it.code, it.paths) for it in page.refused] == [(Refusal.NOT_ON_SCALE, ("[0].ratings.default_question",))]


@pytest.mark.parametrize(
    ("system", "listing", "payload", "path"),
    [
        (System.SERVICENOW, "incidents", {"error": {"message": "no"}}, "result"),
        (System.SERVICENOW, "incidents", {"result": [incident("INC1", "yesterday")]}, "sys_updated_on"),
        (System.HUBSPOT, "feedback", {"status": "error"}, "results"),
        (System.HUBSPOT, "feedback", {"results": [], "paging": {"next": {"after": "x" * 501}}}, "paging.next.after"),
        (System.HUBSPOT, "feedback", {"results": [], "paging": {"next": {"after": "9"}}}, "paging.next.after"),
    ],
)
def test_page_that_is_no_such_listing_is_refused(system: System, listing: str, payload: object, path: str) -> None:
    with pytest.raises(PayloadRefused) as refused:
        read(system, listing, payload, Cursor(page="9"))

    assert refused.value.paths == (path,)


# How to go on


def test_first_page_is_asked_for_from_the_beginning() -> None:
    url, query = url_and_query(SERVICENOW, "incidents", Cursor())

    assert url == "/api/now/table/incident"
    assert query["sysparm_query"] == "sys_updated_on>=1970-01-01 00:00:00^ORDERBYsys_updated_on^ORDERBYnumber"
    assert (query["sysparm_offset"], query["sysparm_limit"]) == ("0", "100")


@pytest.mark.parametrize(
    ("since", "day"),
    [
        ("", "1970-01-01"),
        ("2026-03-02T00:10:00.000+0100", "2026-02-28"),
        ("2026-03-02T00:10:00.000-1000", "2026-03-01"),
    ],
)
def test_jira_is_asked_from_the_day_before_since_its_days_are_of_a_zone_of_its_own(since: str, day: str) -> None:
    url, query = url_and_query(DOORS[System.JIRA], "feedback", Cursor(since=since))

    assert url == "/rest/api/3/search/jql"
    assert query == {
        "jql": f'"Satisfaction date" >= "{day}"',
        "fields": "customfield_10105,customfield_10106",
        "maxResults": "100",
    }


def test_jira_is_read_to_its_last_page_before_the_day_moves_on() -> None:
    listed = {"issues": [issue("SUP-1", {"rating": 4}, "2026-03-02T11:10:00.000+0000")], "nextPageToken": "abc"}
    older = {"issues": [issue("SUP-2", {"rating": 4}, "2026-03-02T11:00:00.000+0000")], "isLast": True}

    first = read(System.JIRA, "feedback", listed)
    last = read(System.JIRA, "feedback", older, first.cursor)

    assert (first.has_more, first.cursor.since, first.cursor.page) == (True, "", "abc")
    assert (last.has_more, last.cursor) == (False, Cursor(since="2026-03-02T11:10:00.000+0000"))


def test_query_leaves_out_what_is_empty() -> None:
    _, query = url_and_query(a_door(System.HUBSPOT), "feedback", Cursor())

    assert "after" not in query


def test_ordered_listing_goes_on_from_the_newest_time_of_a_full_page() -> None:
    full = [incident(f"INC{number}", f"2026-03-02 11:{number // 2:02}:00") for number in range(100)]

    page = read(System.SERVICENOW, "incidents", {"result": full}, Cursor(since="2026-03-01 00:00:00"))

    assert (page.has_more, page.cursor) == (True, Cursor(since="2026-03-02 11:49:00"))


def test_ordered_listing_turns_pages_while_all_are_of_one_instant() -> None:
    full = {"result": [incident(f"INC{number}", "2026-03-02 11:00:00") for number in range(100)]}
    since = Cursor(since="2026-03-02 11:00:00")

    page = read(System.SERVICENOW, "incidents", full, since)
    following = read(System.SERVICENOW, "incidents", full, page.cursor)

    assert (page.has_more, page.cursor.since, page.cursor.page) == (True, since.since, "100")
    assert (following.has_more, following.cursor.page) == (True, "200")


def test_last_page_moves_the_beginning_of_the_next_poll() -> None:
    page = read(System.SERVICENOW, "incidents", {"result": [incident("INC1", "2026-03-02 11:30:00")]})

    assert (page.has_more, page.cursor) == (False, Cursor(since="2026-03-02 11:30:00"))


def test_empty_page_moves_nothing() -> None:
    cursor = Cursor(since="2026-03-02 11:30:00")

    assert read(System.SERVICENOW, "incidents", {"result": []}, cursor).cursor == cursor


def test_unordered_listing_is_read_to_its_end_before_its_beginning_moves() -> None:
    ratings = [
        {"ticket_id": number, "ratings": {"default_question": 103}, "created_at": f"2026-03-02T11:{number % 60:02}:00Z"}
        for number in range(100)
    ]
    begun = Cursor(since="2026-03-01T00:00:00Z")

    first = read(System.FRESHDESK, "ratings", ratings, begun)
    last = read(System.FRESHDESK, "ratings", ratings[:3], first.cursor)

    assert (first.has_more, first.cursor) == (True, Cursor(begun.since, "2", "2026-03-02T11:59:00Z"))
    assert (last.has_more, last.cursor) == (False, Cursor(since="2026-03-02T11:59:00Z"))


def test_listing_with_tokens_goes_on_at_its_last_page_or_begins_anew() -> None:
    hubspot = read(System.HUBSPOT, "feedback", {"results": [feedback(1)], "paging": {"next": {"after": "17"}}})
    hubspot_end = read(System.HUBSPOT, "feedback", {"results": [feedback(2)]}, hubspot.cursor)
    gorgias = read(System.GORGIAS, "surveys", {"data": [], "meta": {"next_cursor": "abc"}})
    gorgias_end = read(System.GORGIAS, "surveys", {"data": [], "meta": {}}, gorgias.cursor)

    assert [(it.has_more, it.cursor.page) for it in (hubspot, hubspot_end)] == [(True, "17"), (False, "17")]
    assert [(it.has_more, it.cursor.page) for it in (gorgias, gorgias_end)] == [(True, "abc"), (False, "")]


# The samples beside the project


@pytest.mark.parametrize(
    ("name", "listing", "wrap", "fact_id"),
    [
        ("freshdesk_satisfaction_rating", "ratings", None, "freshdesk-11:rated:2026-01-10T09:08:16Z"),
        ("gorgias_satisfaction_survey", "surveys", "data", "gorgias-500:rated:2026-01-09T10:00:00Z"),
        ("hubspot_feedback_submission", "feedback", "results", "hubspot-123:rated:2026-01-09T10:00:00Z"),
    ],
)
def test_documented_sample_tells_one_rating(name: str, listing: str, wrap: str | None, fact_id: str) -> None:
    if not SAMPLES.is_dir():
        return  # the pages above have the same shapes
    tickets = {"associations": {"tickets": {"results": [{"id": "123"}]}}}  # what HubSpot adds where it is asked to
    body = json.loads((SAMPLES / f"{name}.json").read_text())["body"]
    payload = {wrap: [body | tickets]} if wrap else body

    page = read(System(name.partition("_")[0]), listing, payload)

    assert [fact["id"] for fact in page.facts] == [fact_id]
    assert not [marker for marker in MARKERS if marker in json.dumps(page.facts).lower()]
