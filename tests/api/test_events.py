"""`POST /v1/events`: who may say what, of each event by itself; and what is no request at all."""

import base64
import json
from typing import Any

import pytest

from events.decode import decode
from events.facts import Party, PeerReviewed
from functions.api.errors import KINDS
from infra.aws.bus import NotPut
from tests.api.api_world import CALLS_PER_MINUTE, Answered, ApiWorld, an_api
from tests.ticketing import MARKERS, PERSON

PATH = "/v1/events"
JSON = {"content-type": "application/json"}


def event(id_: str = "e1", kind: str = "resolution.reopened", case: str = "C-1", **data: object) -> dict[str, object]:
    at = "2026-03-05T10:00:00Z"
    return {"id": id_, "type": kind, "source": "desk", "time": at, "subject": case, "data": data}


def send(api: ApiWorld, groups: str, body: object, **query: str) -> Answered:
    return api.request("POST", PATH, groups, body=json.dumps(body), headers=JSON, query=query)


def fates(answered: Answered) -> list[str]:
    assert answered.status == 200, answered.body
    return [it["status"] for it in answered.body["data"]]


@pytest.fixture
def api() -> ApiWorld:
    return an_api()


def test_one_event_or_a_list_of_a_hundred_is_queued_as_the_clients_own(api: ApiWorld) -> None:
    assert fates(send(api, "client:acme", event())) == ["accepted"]
    assert fates(send(api, "client:acme", [event(f"e{n}") for n in range(100)])) == ["accepted"] * 100
    delivered = [decode(message) for message in api.facts]
    assert len(delivered) == 101
    assert {(it.client, it.party, it.received_at) for it in delivered} == {("acme", Party.CLIENT, api.now)}


def test_each_event_is_judged_by_itself_and_told_of_in_its_place(api: ApiWorld) -> None:
    passed = event("e2", "resolution.qa_reviewed", passed=True)
    rated = event("e3", "resolution.rated", score=7, scale_min=1, scale_max=5)
    late = event("e4") | {"time": "2026-03-30T10:00:00Z"}
    answered = send(api, "client:acme", [event("e1"), passed, rated, late, {"id": PERSON * 9}, event("e5")])
    assert fates(answered) == ["accepted", "refused", "refused", "refused", "refused", "accepted"]
    assert [it["id"] for it in answered.body["data"]] == ["e1", "e2", "e3", "e4", None, "e5"]
    errors = [it["error"] for it in answered.body["data"] if it["error"]]
    assert [error["param"] for error in errors] == ["type", "data", "time", "subject"]
    assert {error["code"] for error in errors} == {"event_refused"}
    assert [decode(message).fact.id for message in api.facts] == ["e1", "e5"]


def test_what_is_not_on_the_allow_list_goes_no_further(api: ApiWorld) -> None:
    solved = event("e1", "resolution.completed", resolver="ai", customer=PERSON, comment=PERSON) | {"actor": PERSON}
    answered = send(api, "client:acme", solved)
    text = json.dumps([api.facts, answered.body]).lower()
    assert [marker for marker in MARKERS if marker in text] == []


def test_an_expert_reviews_peers_in_its_own_name_only(api: ApiWorld) -> None:
    by_maya = event("r1", "resolution.peer_reviewed", "noah-0", reviewer="maya", score=4, scale_min=1, scale_max=5)
    assert fates(send(api, "expert:noah", by_maya, client="acme")) == ["refused"]
    forged = by_maya | {"source": "desk"}
    assert fates(send(api, "expert:maya", [forged, event("r2")], client="acme")) == ["accepted", "refused"]
    [delivered] = [decode(message) for message in api.facts]
    assert isinstance(delivered.fact, PeerReviewed)
    assert (delivered.party, delivered.fact.source) == (Party.EXPERT, "experts/maya")


def test_an_expert_disputes_what_it_solved_and_nothing_else(api: ApiWorld) -> None:
    disputed = [event("d1", "resolution.disputed", case, dispute="expert/d") for case in ("maya-0", "noah-0", "none")]
    answered = send(api, "expert:maya", disputed, client="acme")
    assert fates(answered) == ["accepted", "refused", "refused"]
    assert [it["error"]["code"] for it in answered.body["data"][1:]] == ["not_found"] * 2


@pytest.mark.parametrize(
    ("groups", "name", "fate"),
    [
        ("expert:maya", "client/1/acme", "refused"),
        ("expert:maya", "d1", "refused"),
        ("expert:maya", "expert/1/maya", "accepted"),
        ("client:acme", "expert/1/maya", "refused"),
        ("client:acme", "d1", "accepted"),
    ],
)
def test_no_party_names_its_dispute_as_the_others_so_that_one_decision_is_for_one(
    api: ApiWorld, groups: str, name: str, fate: str
) -> None:
    answered = send(api, groups, event("d1", "resolution.disputed", "maya-0", dispute=name), client="acme")
    assert fates(answered) == [fate]
    error = answered.body["data"][0]["error"]
    assert fate == "accepted" or (error["code"], error["param"]) == ("event_refused", "dispute")


def test_a_client_says_nothing_under_an_experts_source(api: ApiWorld) -> None:
    answered = send(api, "client:acme", [event() | {"source": "experts/maya"}, event() | {"source": "expertsystem"}])
    assert fates(answered) == ["refused", "accepted"]
    assert answered.body["data"][0]["error"]["param"] == "source"


@pytest.mark.parametrize("role", ["finance", "operator"])
def test_finance_and_operators_speak_for_the_platform(api: ApiWorld, role: str) -> None:
    answered = send(api, role, [event("q", "resolution.qa_reviewed", passed=False), event("x")], client="globex")
    assert fates(answered) == ["accepted", "refused"]
    assert [(decode(it).client, decode(it).party) for it in api.facts] == [("globex", Party.PLATFORM)]


@pytest.mark.parametrize(
    ("groups", "client", "code"),
    [
        ("approver", "acme", "role_missing"),
        ("", "acme", "role_missing"),
        ("client:acme expert:maya", "acme", "token_refused"),
        ("client:globex", "acme", "not_found"),
        ("expert:maya", "globex", "not_found"),
        ("expert:stranger", "acme", "not_found"),
        ("operator", "nobody", "not_found"),
        ("operator", None, "parameter_invalid"),
        ("expert:maya", None, "parameter_invalid"),
        ("client:acme", "../acme", "parameter_invalid"),
    ],
)
def test_nobody_speaks_of_what_is_not_theirs(api: ApiWorld, groups: str, client: str | None, code: str) -> None:
    answered = send(api, groups, event(), **({"client": client} if client else {}))
    assert (answered.status, answered.code) == (KINDS[code].status, code)
    assert api.facts == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "body_unreadable"),
        ("", "body_unreadable"),
        ("[]", "body_unreadable"),
        ("7", "body_unreadable"),
        ('[{"id": "e1"}, 7]', "body_unreadable"),
        ('{"id": "e1", "id": "e2"}', "body_unreadable"),
        ('{"id": 1e999}', "body_unreadable"),
        ('{"id": "\\ud800"}', "body_unreadable"),
        ("[" * 40 + "]" * 40, "body_unreadable"),
        ("[" + "{}," * 100 + "{}]", "too_large"),
        ('{"id": "' + "x" * 270_000 + '"}', "too_large"),
    ],
)
def test_what_is_no_list_of_events_is_refused_as_a_whole(api: ApiWorld, body: str | None, code: str) -> None:
    answered = api.request("POST", PATH, "client:acme", body=body, headers=JSON)
    assert (answered.status, answered.code) == (KINDS[code].status, code)
    assert api.facts == []


def test_a_body_in_base64_is_read_and_one_in_another_encoding_or_form_is_not(api: ApiWorld) -> None:
    def post(content: bytes, media: str = "application/cloudevents+json; charset=utf-8") -> Answered:
        body = base64.b64encode(content).decode()
        return api.request("POST", PATH, "client:acme", body=body, headers={"content-type": media}, is_encoded=True)

    assert fates(post(json.dumps(event()).encode())) == ["accepted"]
    assert post(json.dumps(event()).encode("utf-16")).code == "body_unreadable"
    assert post(json.dumps(event()).encode(), "text/plain").code == "media_type"


def test_a_tenant_that_calls_too_often_waits_and_a_full_bus_asks_to_try_again(
    api: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:  # noqa: ANN401  # whatever it is
        raise NotPut

    with monkeypatch.context() as patch:
        patch.setattr(ApiWorld, "_put", refuse)
        assert send(api, "client:acme", event()).code == "try_again"
    for _ in range(CALLS_PER_MINUTE - 1):
        api._count("client:acme", api.now)  # noqa: SLF001  # as other calls would
    answered = send(api, "client:acme", event())
    assert (answered.code, answered.headers["Retry-After"]) == ("rate_limited", str(60 - api.now.second))
    assert fates(send(api, "client:globex", event())) == ["accepted"]
