"""What holds for every route: keys and repetitions, limits, and refusals in one form."""

import base64
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api import operators
from functions.api.errors import KINDS
from infra.aws.bus import NotPut
from infra.aws.queues import NotSent
from settlement.ports import Contention
from tests.api.api_world import CALLS_PER_MINUTE, ApiWorld, an_api, everything
from tests.world import at

ACME, MAYA = "client:acme", "expert:maya"


def test_a_key_used_for_something_else_is_refused_and_one_persons_key_is_nobody_elses() -> None:
    api = an_api()
    first = api.post("/v1/sending/stop", "operator", {"reason": "one"}, key="k", sub="a").body
    assert (
        api.post("/v1/sending/stop", "operator", {"reason": "two"}, key="k", sub="a").code == "idempotency_key_reused"
    )
    assert api.post("/v1/sending/stop", "operator", {"reason": "two"}, key="k", sub="b").body["reason"] == "two"
    assert api.post("/v1/sending/stop", "operator", {"reason": "one"}, key="k", sub="a").body == first


def test_a_key_of_one_person_with_tokens_for_two_tenants_is_another_key_for_each() -> None:
    api, wanted = an_api(), {"url": "https://hooks.example/solvent"}
    acme, globex = (
        api.post("/v1/webhook_endpoints", groups, wanted, key="k", sub="machine")
        for groups in ("client:acme", "client:globex")
    )
    assert (acme.status, globex.status, globex.headers.get("Idempotency-Replayed")) == (200, 200, None)
    assert acme.body["id"] != globex.body["id"]
    assert {it.id: it.client for it in api.world.registry.endpoints().values()} | {"acme-billing": "acme"} == {
        "acme-billing": "acme",
        acme.body["id"]: "acme",
        globex.body["id"]: "globex",
    }


def test_a_key_used_again_after_a_day_never_pretends_that_something_else_was_done() -> None:
    api = an_api()
    api.world.send(api.world.completed("lost-2", "2026-03-03", "nobody"))
    first, second = (it["id"] for it in everything(api, "/v1/parked", "finance"))
    mended = api.world.registry.all_experts["noah"].model_copy(update={"id": "nobody"})
    api.world.registry.all_experts["nobody"] = mended
    for id_ in (first, second, second):
        assert api.post("/v1/parked/release", "finance", {"id": id_}, key="k").body["status"] == "released"
        api.repetitions.records.clear()
    assert everything(api, "/v1/parked", "finance") == []
    made = api.post("/v1/webhook_endpoints", ACME, {"url": "https://one.example"}, key="k").body
    api.repetitions.records.clear()
    assert api.post("/v1/webhook_endpoints", ACME, {"url": "https://one.example"}, key="k").body == made
    api.repetitions.records.clear()
    other = api.post("/v1/webhook_endpoints", ACME, {"url": "https://two.example"}, key="k")
    assert (other.code, other.body["error"]["param"]) == ("idempotency_key_reused", "Idempotency-Key")


def test_a_request_that_is_refused_is_not_remembered() -> None:
    api = an_api()
    api.now = at("2026-03-02")
    body = {"currency": "USD"}
    assert api.post("/v1/instant_payouts/quote", MAYA, body, key="k").code == "not_as_it_stands"
    api.now = at("2026-03-16")
    assert api.post("/v1/instant_payouts/quote", MAYA, body, key="k").status == 200


def test_a_post_without_a_key_is_refused() -> None:
    api = an_api()
    answered = api.request("POST", "/v1/sending/stop", "operator", body='{"reason": "x"}')
    assert (answered.code, answered.body["error"]["param"]) == ("idempotency_key_missing", "Idempotency-Key")
    assert api.world.registry.stopped is None


def test_a_tenants_calls_are_limited_per_minute_together_and_nobody_elses() -> None:
    api = an_api()
    api.now = at("2026-03-16") + timedelta(seconds=13)
    api.calls["client:acme", "00:00"] = CALLS_PER_MINUTE - 1
    assert api.get("/v1/usage", ACME).status == 200
    refused = api.request("GET", "/v1/usage", ACME, sub="another-person")
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (429, "rate_limited", "47")
    assert api.get("/v1/usage", "client:globex").status == 200
    assert api.get("/v1/payouts", "expert:acme").code == "not_found", "a client and an expert may have the same id"
    api.now += timedelta(seconds=47)
    assert api.get("/v1/usage", ACME).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/v1/nothing", None, "not_found"),
        ("DELETE", "/v1/charges", None, "method_not_allowed"),
        ("GET", "/v1/charges/a@b", None, "parameter_invalid"),
        ("POST", "/v1/disputes", "{", "body_unreadable"),
        ("POST", "/v1/disputes", "null", "body_unreadable"),
        ("POST", "/v1/disputes", '"C1"', "body_unreadable"),
        ("POST", "/v1/disputes", "[" * 60_000, "body_unreadable"),
        ("POST", "/v1/disputes", '{"case": "' + "C" * 90_000 + '"}', "body_unreadable"),
        ("POST", "/v1/disputes", '{"case": "\\ud800"}', "body_unreadable"),
        ("POST", "/v1/disputes", '{"case": NaN}', "body_unreadable"),
        ("POST", "/v1/disputes", '{"case": 1e999}', "body_unreadable"),
        ("POST", "/v1/disputes", '{"case": ' + "9" * 5000 + "}", "body_unreadable"),
    ],
)
def test_bad_input_is_refused_in_one_form_and_stores_nothing(
    method: str, path: str, body: str | None, expected: str
) -> None:
    api = an_api()
    answered = api.request(method, path, ACME, body=body, headers={"idempotency-key": "k"})
    error = answered.body["error"]
    assert (answered.code, error["type"], answered.status) == (expected, KINDS[expected].type, KINDS[expected].status)
    assert (error["request_id"], error["doc_url"]) == ("req-1", f"/v1/openapi.json#/x-errors/{expected}")
    assert (api.facts, api.repetitions.records) == ([], {})


@given(st.binary(max_size=200))
def test_no_body_whatever_breaks_the_api(body: bytes) -> None:
    text = base64.b64encode(body).decode()
    for is_encoded, sent in ((True, text), (False, body.decode("latin-1"))):
        answered = an_api().request(
            "POST", "/v1/disputes", ACME, body=sent, headers={"idempotency-key": "k"}, is_encoded=is_encoded
        )
        assert answered.status == 400


def test_a_rival_who_was_faster_is_told_as_something_to_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    api = an_api()

    def overtaken(_: object) -> None:
        raise Contention("overtaken")

    monkeypatch.setattr(api.world.registry, "stop_payouts", overtaken)
    answered = api.post("/v1/sending/stop", "operator", {"reason": "x"})
    assert (answered.status, answered.code) == (503, "try_again")


@pytest.mark.parametrize(
    ("method", "busy", "path", "groups", "body"),
    [
        ("_put", NotPut(), "/v1/disputes", ACME, {"case": "maya-0"}),
        ("_ask", NotSent(), "/v1/instant_payouts", MAYA, {"currency": "USD", "net_minor": 9_850}),
    ],
)
def test_a_bus_or_queue_that_takes_nothing_is_told_as_something_to_repeat(
    method: str, busy: Exception, path: str, groups: str, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = an_api()

    def refuse(*_: object) -> None:
        raise busy

    with monkeypatch.context() as patch:
        patch.setattr(ApiWorld, method, refuse)
        assert api.post(path, groups, body, key="k").code == "try_again"
    assert api.post(path, groups, body, key="k").status == 200
    assert len(api.facts) + len(api.asked) == 1
    api.world.check()


def test_a_bug_is_told_as_500_without_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    api = an_api()

    def broken(_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.world.registry, "stop_payouts", broken)
    answered = api.post("/v1/sending/stop", "operator", {"reason": "x"})
    assert (answered.status, answered.code) == (500, "internal")
    assert "secret" not in json.dumps(answered.body)


def test_an_answer_that_is_not_what_its_view_says_is_a_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    api = an_api()
    monkeypatch.setattr(operators, "_sending", lambda: {"is_stopped": "perhaps", "by": "secret"})
    answered = api.get("/v1/sending", "operator")
    assert (answered.status, answered.code) == (500, "internal")
    assert "secret" not in json.dumps(answered.body)


def test_an_id_token_is_refused() -> None:
    api = an_api()
    answered = api.request("GET", "/v1/usage", ACME, claims={"token_use": "id"})
    assert (answered.status, answered.code) == (401, "token_refused")
