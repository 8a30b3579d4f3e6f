"""Doors: who an agent is, what a label means, and which doors cannot be."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.adapters.doors import Agents, Door, agents_by_unknown_id, door_problems, label_slug, unknown_expert
from events.adapters.payloads import Refusal, Unreadable
from events.adapters.rules import Attribute, Field, Scale
from events.adapters.signatures import SCHEMES, SchemeName
from events.adapters.systems import System
from events.facts import OwnerId, Resolver
from tests.ticketing import a_door

AGENTS = Agents(experts={"31": "maya"}, employees=("32",), ai=("33",), kinds={"Bot": Resolver.AI})

# Agents


@pytest.mark.parametrize(
    ("agent", "kind", "told"),
    [
        ("31", "", {"resolver": "expert", "expert": "maya"}),
        ("32", "", {"resolver": "employee"}),
        ("33", "", {"resolver": "ai"}),
        ("31", "bot", {"resolver": "expert", "expert": "maya"}),
        ("34", "bot", {"resolver": "ai"}),
        ("34", "human", {"resolver": "expert", "expert": "zendesk-34"}),
        ("34", "", {"resolver": "expert", "expert": "zendesk-34"}),
        ("", "", {"resolver": "expert", "expert": "zendesk-unassigned"}),
    ],
)
def test_agent_is_who_the_door_says_or_else_an_expert_whom_nobody_knows(
    agent: str, kind: str, told: dict[str, str]
) -> None:
    assert AGENTS.resolver_of(System.ZENDESK, agent, kind) == told


def test_others_and_nobody_are_what_the_door_says() -> None:
    agents = Agents(others=Resolver.EMPLOYEE, unassigned=Resolver.AI)

    assert agents.resolver_of(System.ZENDESK, "34") == {"resolver": "employee"}
    assert agents.resolver_of(System.ZENDESK, "") == {"resolver": "ai"}


def test_agents_may_be_named_by_their_ids_as_experts() -> None:
    agents = Agents(named_by_expert_id=True)

    assert agents.resolver_of(System.CSV, "noah") == {"resolver": "expert", "expert": "noah"}
    assert agents.resolver_of(System.CSV, "Noah K.")["expert"].startswith("csv-")


@pytest.mark.parametrize(
    ("agent", "expert"),
    [
        ("900100", "zendesk-900100"),
        ("005XX000000000AAAA", "zendesk-005xx000000000aaaa"),
        ("557058:aaaa-12", "zendesk-557058-aaaa-12"),
        ("userId:12345", "zendesk-userid-12345"),
    ],
)
def test_unknown_agent_keeps_its_id_in_the_form_of_an_experts(agent: str, expert: str) -> None:
    assert unknown_expert(System.ZENDESK, agent) == expert


@pytest.mark.parametrize("agent", ["Jane Doe", "jane.doe@example.com", "jane.doe", "jane", "7" * 49, "é1", "1-", "-"])
def test_unknown_agent_who_may_be_called_by_name_is_known_by_a_hash(agent: str) -> None:
    assert re.fullmatch("zendesk-[0-9a-f]{16}", unknown_expert(System.ZENDESK, agent))


@given(st.sampled_from(System), st.text())
def test_every_unknown_agent_has_the_form_of_an_expert(system: System, agent: str) -> None:
    assert re.fullmatch(get_args(OwnerId)[1].pattern, unknown_expert(system, agent.encode(errors="ignore").decode()))


def test_door_tells_later_who_an_unknown_expert_was() -> None:
    door = a_door(System.ZENDESK, agents=AGENTS)

    assert agents_by_unknown_id([door]) == {("zendesk/acme", "zendesk-31"): "maya"}


# Labels


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (["vip", "LANG_ES", "lang_de"], "es"),
        (["vip"], "en"),
        (["vip", ""], "en"),
        ([""], None),
        ([], None),
    ],
)
def test_first_value_that_a_map_lists_is_taken_and_the_star_stands_for_all_others(
    values: list[str], label: str | None
) -> None:
    door = a_door(System.ZENDESK, maps={"language": {"lang_es": "es", "lang_de": "de", "*": "en"}})

    assert door.label(Attribute.LANGUAGE, values) == label


def test_map_without_a_star_leaves_the_rest_empty() -> None:
    door = a_door(System.ZENDESK, maps={"language": {"lang_es": "es"}})

    assert door.label(Attribute.LANGUAGE, ["Jane Doe"]) is None


@pytest.mark.parametrize(
    ("text", "slug"),
    [("3 - Moderate", "3-moderate"), ("URGENT", "urgent"), ("Café_Süd & Co.", "cafe_sud-co"), ("web", "web")],
)
def test_label_without_a_map_passes_in_small_letters(text: str, slug: str) -> None:
    assert a_door(System.ZENDESK).label(Attribute.PRIORITY, [text]) == label_slug(text) == slug


@pytest.mark.parametrize("text", ["jane.doe@example.com", "日本", "--", "x" * 65])
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        a_door(System.ZENDESK).label(Attribute.PRIORITY, [text])

    assert unreadable.value.code == Refusal.NOT_A_LABEL


# Scales


@pytest.mark.parametrize(("rating", "score"), [("1", 1), ("5", 5), ("4.0", 4), ("+3", 3), ("2.", 2)])
def test_whole_number_of_the_scale_is_a_score(rating: str, score: int) -> None:
    assert Scale(scale_min=1, scale_max=5).score_of(rating) == score


@pytest.mark.parametrize("rating", ["0", "6", "4.5", "-1", "five", "5/5", "1e0", "10000000", "٣"])
def test_rating_beside_the_scale_is_refused(rating: str) -> None:
    with pytest.raises(Unreadable):
        Scale(scale_min=1, scale_max=5).score_of(rating)


def test_scale_of_names_takes_no_numbers() -> None:
    scale = Scale.model_validate({"scale_min": 0, "scale_max": 1, "values": {"Good": 1, "offered": None}})

    assert (scale.score_of("GOOD"), scale.score_of("offered")) == (1, None)
    with pytest.raises(Unreadable):
        scale.score_of("1")


# Doors that cannot be


def door(**changes: object) -> Door:
    known = {"id": "d", "client": "acme", "system": "zendesk", "account": "acme", "secret": "doors/d"}
    return Door.model_validate({name: value for name, value in (known | changes).items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"secret": None}, "secret: is missing"),
        ({"scheme": "rot13"}, "scheme"),
        ({"header": "X-Token"}, "header: the scheme has its own"),
        ({"system": "gorgias"}, "time_zone: is missing; gorgias gives times without a zone"),
        ({"system": "servicenow", "time_zone": "UTC", "scheme": "basic"}, "scheme: servicenow sends no webhooks"),
        ({"time_zone": "Europe/Berln"}, "is not an IANA time zone"),
        ({"account": "Acme Inc"}, "account"),
        ({"case_prefix": "a b"}, "case_prefix"),
        ({"fields": {"property": "x"}}, "fields.property: zendesk has no use for it"),
        ({"fields": {"case": "a..b"}}, "fields.case: 'a..b' is not a path"),
        ({"fields": {"case": "detail.id | a..b"}}, "fields.case: 'a..b' is not a path"),
        ({"fields": {"key": "id + a["}}, "fields.key"),
        ({"fields": {"skill": "detail.subject"}}, "maps: skill is read from a field of your own"),
        ({"system": "salesforce", "fields": {"rating": "CSAT__c"}}, "rating: is missing; salesforce has no scale"),
        ({"rating": {"scale_min": 5, "scale_max": 5}}, "scale_max: is above scale_min"),
        ({"rating": {"scale_min": 0, "scale_max": 1, "values": {"good": 2}}}, "values: each score is on the scale"),
        ({"agents": {"experts": {"1": "maya"}, "ai": ["1"]}}, "'1' is listed twice"),
        ({"system": "csv", "fields": {"case": "Id"}}, "time_zone: is missing"),
        ({"system": "csv", "time_zone": "UTC", "fields": {"case": "Id"}}, "fields: nothing to read"),
        ({"system": "csv", "time_zone": "UTC", "fields": {"completed_at": "At"}}, "fields: case is missing"),
        (
            {"system": "csv", "time_zone": "UTC", "fields": {"case": "Id", "rating": "Stars"}},
            "rating: is missing; csv has no scale",
        ),
        ({"export": {"time_formats": ["%q %Y"]}}, "'%q %Y' is not a time format such as"),
        ({"secrets": "x"}, "secrets"),
    ],
)
def test_door_that_cannot_be_says_what_to_do(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(problem)):
        door(**changes)


def test_rating_column_needs_the_column_of_its_time() -> None:
    form = {"fields": {"case": "Id", "rating": "Stars"}, "rating": {"scale_min": 1, "scale_max": 5}}

    with pytest.raises(ValidationError, match="fields: rated_at is missing"):
        door(system="csv", time_zone="UTC", **form)


@pytest.mark.parametrize(
    ("system", "prefix"), [("zendesk", "zendesk-"), ("jira", "jira-"), ("servicenow", ""), ("csv", "")]
)
def test_case_ids_begin_with_the_system_unless_its_ids_are_exported_ones(system: str, prefix: str) -> None:
    fields = {"case": "Id", "completed_at": "At"} if system == "csv" else {}

    assert door(system=system, time_zone="UTC", fields=fields).prefix == prefix


def test_door_survives_being_stored() -> None:
    for one in (
        a_door(System.ZENDESK, fields={Field.RATING: "a.b"}),
        a_door(System.SALESFORCE),
        a_door(System.GORGIAS),
    ):
        assert Door.model_validate_json(one.model_dump_json(exclude_defaults=True), strict=True) == one


def test_each_system_with_webhooks_has_a_scheme_that_a_door_may_replace() -> None:
    assert a_door(System.ZENDESK).authenticity == SCHEMES[SchemeName.ZENDESK]
    assert door(scheme="basic", header="X-Auth").authenticity == SCHEMES[SchemeName.BASIC]
    assert a_door(System.SERVICENOW, time_zone="UTC").authenticity is None


# Doors among each other


def test_two_doors_of_one_id_and_two_accounts_with_like_cases_are_named() -> None:
    doors = [
        door(),
        door(id="e", account="other"),
        door(id="f", account="other", case_prefix="other-"),
        door(id="g", client="beta", account="other"),
        door(),
    ]

    problems = list(door_problems(doors))

    assert [(position, path) for position, path, _ in problems] == [(1, ("case_prefix",)), (4, ("id",))]
    assert "zendesk/other and of zendesk/acme begin alike" in problems[0][2]


def test_webhooks_and_export_of_one_account_may_share_their_cases() -> None:
    fields = {"case": "Id", "completed_at": "At"}
    export = door(id="e", system="csv", time_zone="UTC", case_prefix="zendesk-", fields=fields)

    assert list(door_problems([door(), export])) == []
