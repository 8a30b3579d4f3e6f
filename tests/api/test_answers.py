"""What callers get: amounts, pages, decisions."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from events.decode import decode
from events.facts import Disputed, Party
from functions.api.pages import cursor_at
from payouts.payouts import PayoutStatus
from settlement.approve_payouts import waiting_runs
from tests.api.api_world import ApiWorld, an_api, everything
from tests.paying import RUN, a_paying_world
from tests.world import GRADUATED, RATING, World, a_contract, at

ACME, MAYA = "client:acme", "expert:maya"


def over(world: World, now: str) -> ApiWorld:
    return ApiWorld(world, now=at(now))


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


def test_a_cursor_that_was_made_up_finds_nothing_that_is_not_there() -> None:
    world = World()
    world.solve(3)
    api = over(world, "2026-03-10")
    beyond = api.get("/v1/charges", ACME, cursor=cursor_at("charges", 2**53 - 1))
    assert beyond.body == api.get("/v1/charges", ACME).body
    assert api.get("/v1/charges", ACME, cursor=cursor_at("charges", 0)).body["data"] == []
    books = {"book": "client/acme", "cursor": cursor_at("entries/client/acme", 2**53 - 1)}
    assert [it["seq"] for it in api.get("/v1/ledger/entries", "finance", **books).body["data"]] == [3, 2, 1]


def test_a_month_in_other_digits_than_ours_is_refused() -> None:
    api = an_api()
    assert api.get("/v1/invoices/20\u0662\u0666-01", ACME).code == "parameter_invalid"
    assert api.get("/v1/statements/20\u0662\u0666-01", MAYA).code == "parameter_invalid"
    assert api.get("/v1/earnings", MAYA, month="20\u0662\u0666-01").code == "parameter_invalid"


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


@pytest.mark.parametrize(
    ("planner", "approver", "code"),
    [
        ("anna", "Anna", "second_person"),
        ("arn:aws:sts::1:assumed-role/Finance/anna", "anna", "second_person"),
        ("subject-1", "anna", "second_person"),
        ("arn:aws:sts::1:assumed-role/Finance/anna", "bob", ""),
    ],
)
def test_a_person_is_the_same_through_every_door_by_their_name(planner: str, approver: str, code: str) -> None:
    api = a_waiting_run()
    payouts = api.world.store.stored_payouts
    payouts |= {id_: replace(payout, planned_by=planner) for id_, payout in payouts.items()}
    [run] = waiting_runs(api.world.store)
    path, headers = f"/v1/runs/{RUN}/approve", {"idempotency-key": "k", "content-type": "application/json"}
    body, claims = json.dumps({"hash": run.hash}), {"username": approver}
    answered = api.request("POST", path, "approver", body=body, headers=headers, sub="subject-1", claims=claims)
    assert (answered.code, answered.body.get("by")) == (code, None if code else approver)


def test_a_rejected_run_gives_the_money_back() -> None:
    api = a_waiting_run()
    answered = api.post(f"/v1/runs/{RUN}/reject", "approver", {"reason": "too early"}, sub="anna").body
    assert (answered["decision"], len(answered["payouts"])) == ("rejected", 2)
    assert {it.why for it in api.world.store.payouts()} == {"rejected by anna: too early"}
    assert [it["why"] for it in api.get("/v1/payouts", MAYA).body["data"]] == ["rejected"], "by whom is not hers to see"
    for path in ("/v1/statements/2026-03", "/v1/earnings"):
        text = json.dumps(api.get(path, MAYA).body)
        assert ("rejected" in text, "anna" in text) == (True, False)
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


def test_what_is_parked_under_the_longest_ids_is_listed_page_by_page_and_released() -> None:
    api = an_api()
    for case in ("a" * 128, "b" * 128):
        api.world.send(api.world.completed(case, "2026-03-03", "nobody", id="f" * 128, source="s" * 64))
    ids = [it["id"] for it in everything(api, "/v1/parked", "finance", limit=1)]
    assert len(set(ids)) == 3
    assert api.post("/v1/parked/release", "finance", {"id": max(ids, key=len)}).body["status"] == "parked_again"
    assert api.post("/v1/parked/release", "finance", {"id": "\u20ac" * 600}).code == "parameter_invalid"


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
