"""The API over HTTP: API Gateway's own check of tokens that Cognito issued, the function and its role, the tables."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from functions.api.openapi import document
from infra.local.player import Player
from tests.end_to_end.api_stack import ApiStack, api_stack


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiStack]:
    with api_stack(tmp_path_factory.mktemp("api")) as running:
        yield running


def test_without_a_token_that_cognito_issued_nothing_answers_but_the_document(api: ApiStack) -> None:
    assert api.request("GET", "/v1/openapi.json", None)[:2] == (200, json.loads(json.dumps(document())))
    forged = api.token("client:acme")[:-8] + "AAAAAAAA"
    for token in (None, "x", "a.b.c", forged):
        assert api.request("GET", "/v1/usage", token)[0] == 401
    for path in document()["paths"]:
        assert api.request("GET", path.replace("{", "").replace("}", ""), None)[0] == 401


def test_what_has_no_route_is_answered_in_the_apis_own_form(api: ApiStack) -> None:
    for method, path in (("GET", "/"), ("GET", "/nowhere"), ("POST", "/v2/events"), ("GET", "/webhooks/acme")):
        status, body, _ = api.request(method, path, None)
        assert (status, body["error"]["code"]) == (404, "not_found"), (method, path)


def test_a_role_gets_its_own_and_neither_another_roles_nor_another_tenants(api: ApiStack) -> None:
    acme, nordwind = api.token("client:acme"), api.token("client:nordwind")
    status, charges, _ = api.request("GET", "/v1/charges", acme)
    assert (status, {it["case"] for it in charges["data"]}) == (200, {f"acme-{n}" for n in range(4)})
    assert api.request("GET", "/v1/charges/acme-0", acme)[0] == 200
    assert api.request("GET", "/v1/charges/acme-0", nordwind)[0] == 404
    assert api.request("GET", "/v1/balance", acme)[0] == 403
    maya = api.token("expert:maya")
    status, earnings, _ = api.request("GET", "/v1/earnings", maya)
    assert (status, {it["client"] for it in earnings["data"]}) == (200, {"acme"})
    assert api.request("GET", "/v1/usage", maya)[0] == 403


def test_a_machine_is_let_in_by_its_scope_and_audience(api: ApiStack) -> None:
    machine = api.token("finance", "export", is_machine=True)
    status, accounts, _ = api.request("GET", "/v1/ledger/accounts?limit=100", machine)
    assert status == 200
    assert sum(it["debit_minor"] - it["credit_minor"] for it in accounts["data"]) == 0
    tenant = api.token("client:acme", "helpdesk", is_machine=True)
    assert api.request("GET", "/v1/usage", tenant)[1]["client"] == "acme"
    api.tokens.clear()  # a second token for the same machine, whose scope, client and audience are there already
    again = api.token("client:acme", "helpdesk", is_machine=True)
    assert again != tenant
    assert api.request("GET", "/v1/usage", again)[0] == 200


def test_every_read_of_the_document_answers_with_the_functions_own_role(api: ApiStack) -> None:
    """Each policy that a route needs is in the template: the emulator enforces them."""
    grants = {"client": "client:acme", "expert": "expert:maya"}
    url = {"url": "https://acme.example/reads"}
    endpoint = api.request("POST", "/v1/webhook_endpoints", api.token("client:acme"), url, "reads")[1]["id"]
    known = {"{case}": "acme-0", "{month}": "2026-10"}
    asked = {"/v1/ledger/entries": "?book=client/acme", "/v1/charge_evidence": "?case=acme-0"}
    Player(api.stack).trigger("reconcile", datetime.now(UTC))
    missing = {"/v1/invoices/{period}": "2020-01", "/v1/payouts/{payout}": "payout:maya:USD:x", "/v1/runs/{run}": "x"}
    for path, operations in document()["paths"].items():
        if "get" in operations:
            role = operations["get"]["x-roles"][0]
            place = path
            for name, value in known.items():
                place = place.replace(name, value)
            if path in missing:
                place = path.partition("{")[0] + missing[path]
            place += asked.get(path, "")
            place = place.replace("{endpoint}", endpoint)
            status, body, _ = api.request("GET", place, api.token(grants.get(role, role)))
            assert status == (404 if path in missing else 200), (place, body)


def test_a_dispute_reaches_the_case_and_a_repetition_is_told_as_one(api: ApiStack) -> None:
    acme = api.token("client:acme")
    status, first, headers = api.request("POST", "/v1/disputes", acme, {"case": "acme-1"}, "d1")
    assert (status, first["status"], headers.get("idempotency-replayed")) == (200, "received", None)
    _, again, headers = api.request("POST", "/v1/disputes", acme, {"case": "acme-1"}, "d1")
    assert (again, headers.get("idempotency-replayed")) == (first, "true")
    assert (
        api.request("POST", "/v1/disputes", acme, {"case": "acme-2"}, "d1")[1]["error"]["type"] == "idempotency_error"
    )
    kinds, deadline = list[str](), time.monotonic() + 20
    while time.monotonic() < deadline:
        kinds = [it["type"] for it in api.request("GET", "/v1/charges/acme-1", acme)[1]["facts"]]
        if "resolution.disputed" in kinds:
            break
    assert kinds == ["resolution.completed", "resolution.rated", "resolution.disputed"]


def test_what_acts_may_do_what_it_says_and_no_more(api: ApiStack) -> None:
    operator = api.token("operator")
    assert api.request("POST", "/v1/sending/stop", operator, {"reason": "a test"}, "s1")[1]["is_stopped"] is True
    assert api.request("POST", "/v1/sending/resume", operator, None, "s2")[1]["is_stopped"] is False
    maya = api.token("expert:maya")
    link = api.request("POST", "/v1/onboarding_link", maya, {"return_url": "https://experts.example"}, "o1")
    assert link[0] == 200, link
    quote = api.request("POST", "/v1/instant_payouts/quote", maya, {"currency": "USD"}, "q1")
    assert (quote[0], quote[1]["error"]["code"]) == (409, "not_as_it_stands")
    run = api.request("POST", "/v1/runs/2026-W41/approve", api.token("approver"), {"hash": "0" * 64}, "a1")
    assert run[1]["error"]["code"] == "not_as_it_stands"
    release = api.request("POST", "/v1/parked/release", api.token("finance"), {"id": "fact:none"}, "r1")
    assert release[0] == 404


def test_a_client_has_its_webhooks_made_rotated_and_deleted_with_the_functions_own_role(api: ApiStack) -> None:
    acme, url = api.token("client:acme"), {"url": "https://acme.example/hooks"}
    made = api.request("POST", "/v1/webhook_endpoints", acme, url, "w1")[1]
    assert made["secret"].startswith("whsec_"), made
    assert api.request("POST", "/v1/webhook_endpoints", acme, url, "w1")[1] == made
    here = f"/v1/webhook_endpoints/{made['id']}"
    rotated = api.request("POST", f"{here}/rotate_secret", acme, None, "w2")[1]
    assert (rotated["secrets"], rotated["secret"] == made["secret"]) == (2, False)
    assert api.request("POST", f"{here}/finish_rotation", acme, None, "w3")[1]["secrets"] == 1
    assert api.request("GET", f"{here}/undelivered", acme)[:2] == (
        200,
        {"object": "list", "data": [], "has_more": False, "next_cursor": None},
    )
    replayed = api.request("POST", f"{here}/replay", acme, {"since": "2020-01-01T00:00:00Z"}, "w4")
    assert (replayed[0], replayed[1]["id"]) == (200, made["id"])
    assert api.request("DELETE", here, api.token("client:nordwind"))[0] == 404
    assert api.request("DELETE", here, acme)[1] == {"id": made["id"], "is_deleted": True}
    assert made["id"] not in {it["id"] for it in api.request("GET", "/v1/webhook_endpoints", acme)[1]["data"]}


def test_nothing_failed_and_no_token_is_in_a_log(api: ApiStack) -> None:
    logs = api.stack.client("logs")
    group = f"/aws/lambda/{api.stack.address.stack_name}-serve-api"
    lines = [it["message"] for it in logs.filter_log_events(logGroupName=group)["events"]]
    assert lines
    assert [line for line in lines if '"level":"ERROR"' in line] == []
    assert not [line for line in lines if "Bearer" in line or "eyJ" in line]
