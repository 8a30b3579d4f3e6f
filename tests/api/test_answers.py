"""What callers get: amounts, pages, repetitions and refusals."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.decode import decode
from events.facts import Disputed, Party
from functions.api import operators
from functions.api.errors import KINDS
from payouts.payouts import PayoutStatus
from settlement.approve_payouts import waiting_runs
from settlement.ports import Contention
from tests.api.api_world import CALLS_PER_MINUTE, ApiWorld, an_api
from tests.paying import RUN, a_paying_world
from tests.world import GRADUATED, RATING, World, a_contract, at

ACME, MAYA = "client:acme", "expert:maya"


def over(world: World, now: str) -> ApiWorld:
    return ApiWorld(world, now=at(now))


def everything(api: ApiWorld, path: str, groups: str, **query: object) -> list[Any]:
    """All items of a list, page by page."""
    found, cursor = [], None
    while True:
        page = api.get(path, groups, **query, **({"cursor": cursor} if cursor else {})).body
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = page["next_cursor"]


# -- clients -----------------------------------------------------------------------------------------------------------


def test_usage_is_what_the_contract_counts_and_the_forecast_is_exact() -> None:
    world = World(contract=a_contract(cap={"amount": "20.00", "action": "alert"}, minimum="5.00"))
    world.solve(11, "2026-03-02")
    usage = over(world, "2026-03-10").get("/v1/usage", ACME).body
    # 11 x 0.99 in 10 of 31 days: 10.89 x 31 / 10 = 33.759
    assert usage | {"rates": []} == {
        "client": "acme",
        "period": "2026-03",
        "as_of": "2026-03-10T00:00:00Z",
        "closes_at": "2026-04-02T00:00:00Z",
        "currency": "USD",
        "contract": "2026-01",
        "resolutions": 11,
        "included_units": 0,
        "charged_minor": 1_089,
        "cap_minor": 2_000,
        "cap_left_minor": 911,
        "cap_action": "alert",
        "minimum_minor": 500,
        "commitment_units": None,
        "prepaid_left_minor": None,
        "forecast_resolutions": 34,
        "forecast_charged_minor": 3_376,
        "invoice_minor": 1_089,
        "rates": [],
    }
    [rate] = usage["rates"]
    assert (rate["rate"], rate["resolutions"], rate["usage_minor"]) == ("all", 11, 1_089)


def test_every_charge_is_listed_once_newest_first_with_what_was_taken_back() -> None:
    world = World(contract=a_contract(GRADUATED))
    world.solve(7)
    world.send(world.reopened("C3", "2026-03-04"))
    api = over(world, "2026-03-10")
    found = everything(api, "/v1/charges", ACME, limit=3)
    assert [(it["case"], it["kind"], it["amount_minor"]) for it in found] == [
        ("C3", "reversed", -99),
        *((f"C{n}", "settled", 99) for n in range(7, 0, -1)),
    ]
    assert found == api.get("/v1/charges", ACME, limit=100).body["data"]


def test_a_charge_that_comes_while_a_client_turns_pages_moves_none() -> None:
    world = World()
    world.solve(6)
    api = over(world, "2026-03-10")
    first = api.get("/v1/charges", ACME, limit=2).body
    world.send(world.completed("new", "2026-03-09"))
    rest = api.get("/v1/charges", ACME, limit=100, cursor=first["next_cursor"]).body
    assert [it["case"] for it in (*first["data"], *rest["data"])] == [f"C{n}" for n in range(6, 0, -1)]


def test_a_correction_of_pay_is_no_charge_and_evidence_names_no_expert() -> None:
    world = World(contract=a_contract(rating=RATING))
    world.send(world.completed("C1", "2026-03-02", channel="chat"), world.rated("C1", "2026-03-02T01:00:00", 5))
    api = over(world, "2026-03-10")
    charges = json.dumps(api.get("/v1/charges", ACME).body)
    evidence = api.get("/v1/charges/C1", ACME).body
    [cycle] = evidence["cycles"]
    assert (cycle["status"], cycle["net_minor"], cycle["list_price"]) == ("charged", 99, "0.99")
    assert [(it["type"], it["channel"], it["score"]) for it in evidence["facts"]] == [
        ("resolution.completed", "chat", None),
        ("resolution.rated", None, 5),
    ]
    for told in (charges, json.dumps(evidence)):
        assert not {word for word in ("maya", "trace", "release_on", "standard") if word in told}


def test_a_case_is_found_whatever_characters_its_id_has() -> None:
    case = "helpdesk/acme/7+a=b:c"
    world = World()
    world.send(world.completed(case, "2026-03-02"))
    api = over(world, "2026-03-10")
    assert api.get("/v1/charge_evidence", ACME, case=case).body["case"] == case
    assert api.get("/v1/charge_evidence", "client:globex", case=case).code == "not_found"
    assert api.get(f"/v1/charges/{case}", ACME).code == "not_found", "API Gateway decodes %2F before it routes"


def test_a_client_is_not_told_what_experts_say_of_each_other_or_of_their_pay() -> None:
    world = World()
    world.send(
        world.completed("C1", "2026-03-02"),
        world.peer_reviewed("C1", "2026-03-02T01:00:00", "noah", 2),
        world.fact("resolution.qa_reviewed", "C1", "2026-03-02T02:00:00", passed=True),
    )
    api = over(world, "2026-03-03")
    assert api.post("/v1/disputes", MAYA, {"case": "C1", "client": "acme"}).status == 200
    world.send(decode(api.facts[0]))
    told = [it["type"] for it in api.get("/v1/charges/C1", ACME).body["facts"]]
    assert told == ["resolution.completed", "resolution.qa_reviewed"]


def test_an_invoice_has_its_lines_and_says_how_many_resolutions_its_evidence_has() -> None:
    world = World(contract=a_contract(minimum="5.00"))
    world.solve(3)
    world.close("2026-04-02")
    api = over(world, "2026-04-03")
    invoice = api.get("/v1/invoices/2026-03", ACME).body
    assert [(it["kind"], it["amount_minor"]) for it in invoice["lines"]] == [("usage", 297), ("shortfall", 203)]
    assert (invoice["resolutions"], invoice["total_minor"], invoice["status"]) == (3, 500, "planned")
    assert [it["period"] for it in everything(api, "/v1/invoices", ACME, limit=1)] == ["2026-03", "2026-02", "2026-01"]


# -- disputes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("groups", "party"), [(ACME, Party.CLIENT), (MAYA, Party.EXPERT)])
def test_a_dispute_is_a_fact_that_the_queue_takes(groups: str, party: Party) -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    api = over(world, "2026-03-03")
    answered = api.post("/v1/disputes", groups, {"case": "C1", "client": "acme"}).body
    assert (answered["status"], answered["by"], answered["cycle"]) == ("received", party, 1)
    [message] = api.facts
    delivery = decode(message)
    assert isinstance(delivery.fact, Disputed)
    assert (delivery.client, delivery.case_id, delivery.party, delivery.fact.by) == ("acme", "C1", party, party)
    assert delivery.fact.dispute == answered["id"]
    world.send(delivery)
    again = api.post("/v1/disputes", groups, {"case": "C1", "client": "acme"}).body
    assert (again["status"], again["id"], len(api.facts)) == ("known", answered["id"], 1)


def test_the_same_dispute_by_two_keys_before_it_is_settled_parks_nothing() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    api = over(world, "2026-03-03")
    for second in range(2):
        api.now = at("2026-03-03") + timedelta(seconds=second)
        api.post("/v1/disputes", ACME, {"case": "C1"})
    assert world.send(*map(decode, api.facts)).parked == 0


@pytest.mark.parametrize(
    ("groups", "body", "expected"),
    [
        (ACME, {"case": "C2"}, "not_found"),
        (ACME, {"case": "C1", "client": "globex"}, "not_found"),
        ("expert:noah", {"case": "C1", "client": "acme"}, "not_found"),
        (MAYA, {"case": "C1"}, "parameter_invalid"),
        (ACME, {}, "parameter_invalid"),
        (ACME, {"case": "jane.doe@example.com"}, "parameter_invalid"),
        (ACME, {"case": "C1", "note": "PII-TEST"}, "parameter_invalid"),
        (ACME, {"case": 1}, "parameter_invalid"),
        (ACME, [], "body_unreadable"),
    ],
)
def test_a_dispute_that_cannot_be_meant_puts_nothing_in(groups: str, body: object, expected: str) -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    api = over(world, "2026-03-03")
    answered = api.post("/v1/disputes", groups, body)
    assert (answered.code, api.facts) == (expected, [])
    assert "PII-TEST" not in json.dumps(answered.body)


# -- experts -----------------------------------------------------------------------------------------------------------


def test_an_expert_sees_the_price_only_if_the_plan_shares_it() -> None:
    share, fixed = World(), a_paying_world()
    share.send(share.completed("C1", "2026-03-02"))
    [shared] = over(share, "2026-03-10").get("/v1/earnings", MAYA).body["data"]
    assert (shared["list_price"], shared["amount_minor"]) == ("0.99", 59)
    for line in over(fixed, "2026-03-10").get("/v1/earnings", MAYA).body["data"]:
        assert (line["list_price"], line["rate"], line["charged_minor"], line["amount_minor"]) == (
            None,
            None,
            None,
            5_000,
        )
        assert [part["component"] for part in line["trace"]] == ["base"]


def test_the_balance_is_what_the_statement_closes_with() -> None:
    api = an_api()
    api.now = at("2026-03-05")
    [balance] = api.get("/v1/balance", MAYA).body["balances"]
    assert (balance["available_minor"], balance["held_minor"], balance["in_transit_minor"]) == (0, 10_000, 0)
    assert balance["next_payout_on"] == "2026-03-09"  # the Monday after that Thursday
    assert balance["held"] == [{"release_on": "2026-03-09", "amount_minor": 10_000}]
    [section] = api.get("/v1/statements/2026-03", MAYA).body["currencies"]
    assert section["closing_minor"] == balance["available_minor"] + balance["held_minor"]


def test_an_instant_payout_is_what_was_quoted_once_per_key_and_is_asked_to_be_sent() -> None:
    api = an_api()
    quoted = api.post("/v1/instant_payouts/quote", MAYA, {"currency": "USD"}).body
    assert (quoted["gross_minor"], quoted["fee_minor"], quoted["net_minor"]) == (10_000, 150, 9_850)
    assert list(api.world.store.payouts()) == []
    other = api.post("/v1/instant_payouts", MAYA, {"currency": "USD", "net_minor": 9_851})
    assert (other.code, other.body["error"]["param"]) == ("not_as_it_stands", "net_minor")
    wanted = {"currency": "USD", "net_minor": 9_850}
    made = [api.post("/v1/instant_payouts", MAYA, wanted, key="k1") for _ in range(2)]
    assert made[0].body == made[1].body
    assert [it.headers.get("Idempotency-Replayed") for it in made] == [None, "true"]
    [payout] = api.world.store.payouts()
    assert (payout.amount, payout.fee, payout.status) == (9_850, 150, PayoutStatus.APPROVED)
    assert api.asked == [payout.id]
    api.repetitions.records.clear()  # a day later the key is forgotten, and the payout still is the one of that key
    assert api.post("/v1/instant_payouts", MAYA, wanted, key="k1").body["id"] == payout.id
    assert len(list(api.world.store.payouts())) == 1
    api.world.check()


def test_an_onboarding_link_makes_the_account_once_and_leads_nowhere_but_to_https() -> None:
    api = an_api()
    api.world.registry.all_experts["maya"] = api.world.registry.all_experts["maya"].model_copy(
        update={"stripe_account": None}
    )
    link = api.post("/v1/onboarding_link", MAYA, {"return_url": "https://experts.example/done"}).body["url"]
    assert link == "https://experts.example/done?account=acct_maya"
    assert api.world.registry.all_experts["maya"].stripe_account == "acct_maya"
    for url in ("http://experts.example", "javascript:alert(1)", "https://", "https://a b", "//experts.example"):
        assert api.post("/v1/onboarding_link", MAYA, {"return_url": url}).code == "parameter_invalid"


# -- finance and operators ---------------------------------------------------------------------------------------------


def a_waiting_run() -> ApiWorld:
    api = an_api(approve_above="10.00")
    api.world.plan_payouts()
    return api


def test_whoever_approves_is_not_who_planned_and_approves_what_it_is() -> None:
    api = a_waiting_run()
    [run] = api.get("/v1/runs", "approver").body["data"]
    assert (run["run"], run["payouts"], run["totals_minor"]) == (RUN, 2, {"USD": 20_000})
    path = f"/v1/runs/{RUN}/approve"
    assert api.post(path, "approver", {"hash": "0" * 64}).code == "not_as_it_stands"
    assert api.post(path, "finance", {"hash": run["hash"]}).code == "role_missing"
    approved = api.post(path, "approver", {"hash": run["hash"]}, sub="anna").body
    assert (approved["decision"], approved["by"], approved["payouts"]) == ("approved", "anna", sorted(api.asked))
    assert {it.approved_by for it in api.world.store.payouts()} == {"anna"}
    assert api.get("/v1/runs", "approver").body["data"] == []


def test_nobody_approves_the_payout_that_they_asked_for() -> None:
    api = an_api(approve_above="10.00")
    wanted = {"currency": "USD", "net_minor": 9_850}
    api.post("/v1/instant_payouts", MAYA, wanted, sub="maya-1")
    [run] = waiting_runs(api.world.store)
    path = f"/v1/runs/{run.run}/approve"
    assert api.post(path, "approver", {"hash": run.hash}, sub="maya-1").code == "second_person"
    assert api.asked == []
    assert api.post(path, "approver", {"hash": run.hash}, sub="anna").status == 200


def test_a_rejected_run_gives_the_money_back() -> None:
    api = a_waiting_run()
    answered = api.post(f"/v1/runs/{RUN}/reject", "approver", {"reason": "too early"}, sub="anna").body
    assert (answered["decision"], len(answered["payouts"])) == ("rejected", 2)
    assert {it.why for it in api.world.store.payouts()} == {"rejected by anna: too early"}
    api.world.check()


def test_what_is_parked_is_released_once_its_cause_is_mended() -> None:
    api = an_api()
    [parked] = api.get("/v1/parked", "finance").body["data"]
    assert (parked["reason"], parked["can_release"]) == ("unknown_expert", True)
    asked = {"id": parked["id"]}
    assert api.post("/v1/parked/release", "finance", asked).body["status"] == "parked_again"
    mended = api.world.registry.all_experts["noah"].model_copy(update={"id": "nobody"})
    api.world.registry.all_experts["nobody"] = mended
    assert api.post("/v1/parked/release", "finance", asked).body["status"] == "released"
    assert api.post("/v1/parked/release", "finance", asked).code == "not_found"


def test_the_trial_balance_balances_and_entries_come_newest_first() -> None:
    api = an_api()
    rows = everything(api, "/v1/ledger/accounts", "finance", limit=2)
    assert sum(it["debit_minor"] for it in rows) == sum(it["credit_minor"] for it in rows) > 0
    entries = everything(api, "/v1/ledger/entries", "finance", limit=2, book="client/acme")
    assert [it["seq"] for it in entries] == [4, 3, 2, 1]
    assert api.get("/v1/ledger/entries", "finance", book="client/nobody").body["data"] == []


def test_the_kill_switch_says_who_and_resuming_asks_for_what_waited() -> None:
    api = an_api()
    api.world.plan_payouts()
    stopped = api.post("/v1/sending/stop", "operator", {"reason": "a leak"}, sub="oscar").body
    assert (stopped["is_stopped"], stopped["by"], stopped["reason"]) == (True, "oscar", "a leak")
    assert api.get("/v1/sending", "finance").body == stopped
    assert api.post("/v1/sending/resume", "operator", None).body["is_stopped"] is False
    assert api.asked == sorted(api.world.store.unfinished_payouts())
    assert len(api.asked) == 2


# -- conventions -------------------------------------------------------------------------------------------------------


def test_a_key_used_for_something_else_is_refused_and_one_persons_key_is_nobody_elses() -> None:
    api = an_api()
    first = api.post("/v1/sending/stop", "operator", {"reason": "one"}, key="k", sub="a").body
    assert (
        api.post("/v1/sending/stop", "operator", {"reason": "two"}, key="k", sub="a").code == "idempotency_key_reused"
    )
    assert api.post("/v1/sending/stop", "operator", {"reason": "two"}, key="k", sub="b").body["reason"] == "two"
    assert api.post("/v1/sending/stop", "operator", {"reason": "one"}, key="k", sub="a").body == first


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
    api.calls["acme", "00:00"] = CALLS_PER_MINUTE - 1
    assert api.get("/v1/usage", ACME).status == 200
    refused = api.request("GET", "/v1/usage", ACME, sub="another-person")
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (429, "rate_limited", "47")
    assert api.get("/v1/usage", "client:globex").status == 200
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
