"""Doors beside each other and beside what is registered."""

from datetime import date

import pytest

from events.adapters.doors import Door
from events.adapters.systems import System
from ledger.terms import format_path
from settlement.apply import CurrentTerms, Kind, NewTerms, TermsRefused, plan_changes
from settlement.registry import Client
from tests.ticketing import a_door

ACME = Client(id="acme", name="Acme", email="billing@acme.example")
ZENDESK = a_door(System.ZENDESK)


def problems(known: tuple[Door, ...], *new: Door) -> list[str]:
    """What is wrong with new doors beside known ones of the client acme."""
    current = CurrentTerms(clients={"acme": ACME}, doors={door.id: door for door in known})
    try:
        plan_changes(current, NewTerms(doors=new), date(2026, 10, 1))
    except TermsRefused as refused:
        return [f"{it.place.position}: {format_path(it.path)}: {it.what}" for it in refused.problems]
    return []


def test_a_door_is_created_changed_and_left_as_it_is() -> None:
    current = CurrentTerms(clients={"acme": ACME})
    [made] = plan_changes(current, NewTerms(doors=(ZENDESK,)), date(2026, 10, 1))
    assert (made.kind, made.id, made.what, made.document) == (Kind.DOOR, "acme-zendesk", "created", ZENDESK)
    current = CurrentTerms(clients={"acme": ACME}, doors={ZENDESK.id: ZENDESK})
    assert plan_changes(current, NewTerms(doors=(ZENDESK,)), date(2026, 10, 1)) == ()
    [changed] = plan_changes(current, NewTerms(doors=(a_door(System.ZENDESK, secret="other"),)), date(2026, 10, 1))  # noqa: S106  # a name
    assert "secret" in changed.what


def test_a_door_is_of_a_client_that_is_there() -> None:
    assert problems((), a_door(System.ZENDESK, client="globex")) == ["0: client: there is no client globex"]


@pytest.mark.parametrize("changes", [{"account": "acme2"}, {"case_prefix": "zd-"}, {"client": "acme2"}])
def test_what_case_ids_are_made_of_stays(changes: dict[str, object]) -> None:
    found = problems((ZENDESK,), a_door(System.ZENDESK, **changes))
    wanted = "0: id: acme-zendesk makes cases of acme from zendesk/acme, as zendesk-<id>, and that stays"
    assert any(it.startswith(wanted) for it in found)


def test_two_accounts_whose_cases_would_look_alike_are_refused_also_beside_a_known_one() -> None:
    second = a_door(System.ZENDESK, id="acme-zendesk-2", account="acme2")
    [found] = problems((ZENDESK,), second)
    assert found.startswith("0: case_prefix: cases of zendesk/acme2 and of zendesk/acme begin alike")
    assert problems((ZENDESK,), a_door(System.ZENDESK, id="acme-2", account="acme2", case_prefix="zd2-")) == []


def test_a_helpdesk_is_asked_over_https() -> None:
    poll = {"address": "http://acme.freshdesk.com", "key": "freshdesk-key"}
    [found] = problems((), a_door(System.FRESHDESK, poll=poll))
    assert found.startswith("0: poll.address: http://acme.freshdesk.com is not https")
    assert problems((), a_door(System.FRESHDESK, poll=poll | {"address": "https://acme.freshdesk.com"})) == []


def test_a_jira_door_says_where_the_search_has_the_satisfaction_not_where_webhooks_have_it() -> None:
    poll = {"address": "https://acme.atlassian.net", "key": "jira-key"}
    date = {"rated_at": "fields.customfield_10106"}
    for rating in ("fields.customfield_10105.rating", "rating | fields.customfield_10105.rating"):
        assert a_door(System.JIRA, poll=poll, fields={"rating": rating, **date}).polled == ("feedback",)
    with pytest.raises(ValueError, match=r"fields\.rating: is missing; say where feedback has it"):
        a_door(System.JIRA, poll=poll, fields={"rating": "issue.fields.customfield_10105.rating", **date})


@pytest.mark.parametrize(
    ("system", "listings", "said"),
    [
        (System.ZENDESK, (), "zendesk has nothing that is polled; leave it out"),
        (System.JIRA, (), "fields.rating: is missing; say where feedback has it, such as fields.customfield_10010"),
        (System.FRESHDESK, ("surveys",), "freshdesk has no listing surveys; there is ratings"),
    ],
)
def test_a_door_polls_what_its_system_lists(system: System, listings: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        a_door(system, poll={"address": "https://acme.example", "key": "key", "listings": listings})
