"""Every route, every role, own and other tenant: the expected status. The routes are those of the OpenAPI document."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from functions.api.openapi import document
from settlement.approve_payouts import waiting_runs
from settlement.grants import TENANTS, Role, grant
from tests.api.api_world import Answered, ApiWorld, an_api
from tests.paying import RUN
from tests.world import at

CLIENT, EXPERT, FINANCE, APPROVER, OPERATOR = Role
# As which tenant the owner of what the rules name calls, and as which somebody else.
OWN = {CLIENT: "acme", EXPERT: "maya"}
OTHER = {CLIENT: "globex", EXPERT: "noah"}
Body = dict[str, object] | Callable[[ApiWorld], dict[str, object]] | None


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call; with what the owner's call works; what another tenant gets for the same: 200 shows its own."""

    roles: frozenset[Role]
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    body: Body = None
    other: int = 200
    others: tuple[tuple[Role, int], ...] = ()

    def status(self, role: Role, tenant: str) -> int:
        """What a role gets that may call."""
        return dict(self.others).get(role, self.other) if tenant == OTHER.get(role) else 200


def rule(
    *roles: Role, path: str = "", query: dict[str, str] | None = None, body: Body = None, other: int = 200
) -> Rule:
    return Rule(frozenset(roles), path, tuple((query or {}).items()), body, other)


def hash_of_run(api: ApiWorld) -> dict[str, object]:
    return {"hash": waiting_runs(api.world.store)[0].hash}


def parked_id(api: ApiWorld) -> dict[str, object]:
    return {"id": next(api.world.store.parked()).id}


WEBHOOKS = "/v1/webhook_endpoints/acme-billing"
RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/v1/usage"): rule(CLIENT),
    ("GET", "/v1/charges"): rule(CLIENT),
    ("GET", "/v1/charges/{case}"): rule(CLIENT, path="/v1/charges/maya-0", other=404),
    ("GET", "/v1/charge_evidence"): rule(CLIENT, query={"case": "maya-0"}, other=404),
    ("GET", "/v1/invoices"): rule(CLIENT),
    ("GET", "/v1/invoices/{period}"): rule(CLIENT, path="/v1/invoices/2026-02", other=404),
    # An expert who did not solve the case does not find it, nor does another client.
    ("POST", "/v1/disputes"): rule(CLIENT, EXPERT, body={"case": "maya-0", "client": "acme"}, other=404),
    # Noah works for acme, too: what he may say of which case is judged event by event.
    ("POST", "/v1/events"): Rule(
        frozenset({CLIENT, EXPERT, FINANCE, OPERATOR}),
        query=(("client", "acme"),),
        body={"id": "1", "type": "resolution.reopened", "source": "helpdesk", "time": "2026-03-16T00:00:00Z"},
        others=((CLIENT, 404), (EXPERT, 200)),
    ),
    ("GET", "/v1/webhook_endpoints"): rule(CLIENT),
    ("POST", "/v1/webhook_endpoints"): rule(CLIENT, body={"url": "https://hooks.example/solvent"}),
    ("DELETE", "/v1/webhook_endpoints/{endpoint}"): rule(CLIENT, path=WEBHOOKS, other=404),
    ("POST", "/v1/webhook_endpoints/{endpoint}/rotate_secret"): rule(
        CLIENT, path=f"{WEBHOOKS}/rotate_secret", other=404
    ),
    ("POST", "/v1/webhook_endpoints/{endpoint}/finish_rotation"): rule(
        CLIENT, path=f"{WEBHOOKS}/finish_rotation", other=404
    ),
    ("GET", "/v1/webhook_endpoints/{endpoint}/undelivered"): rule(CLIENT, path=f"{WEBHOOKS}/undelivered", other=404),
    ("POST", "/v1/webhook_endpoints/{endpoint}/replay"): rule(
        CLIENT, path=f"{WEBHOOKS}/replay", body={"since": "2026-03-01T00:00:00Z"}, other=404
    ),
    ("GET", "/v1/earnings"): rule(EXPERT),
    ("GET", "/v1/balance"): rule(EXPERT),
    ("GET", "/v1/payouts"): rule(EXPERT),
    ("GET", "/v1/payouts/{payout}"): rule(EXPERT, path=f"/v1/payouts/payout:maya:USD:{RUN}", other=404),
    ("GET", "/v1/statements/{month}"): rule(EXPERT, path="/v1/statements/2026-03"),
    ("POST", "/v1/onboarding_link"): rule(EXPERT, body={"return_url": "https://experts.example/done"}),
    ("POST", "/v1/instant_payouts/quote"): rule(EXPERT, body={"currency": "USD"}),
    ("POST", "/v1/instant_payouts"): rule(EXPERT, body={"currency": "USD", "net_minor": 4_925}),
    ("GET", "/v1/ledger/accounts"): rule(FINANCE),
    ("GET", "/v1/ledger/entries"): rule(FINANCE, query={"book": "client/acme"}),
    ("GET", "/v1/runs"): rule(FINANCE, APPROVER),
    ("GET", "/v1/runs/{run}"): rule(FINANCE, APPROVER, path=f"/v1/runs/{RUN}"),
    ("POST", "/v1/runs/{run}/approve"): rule(APPROVER, path=f"/v1/runs/{RUN}/approve", body=hash_of_run),
    ("POST", "/v1/runs/{run}/reject"): rule(APPROVER, path=f"/v1/runs/{RUN}/reject", body={"reason": "too early"}),
    ("GET", "/v1/parked"): rule(FINANCE),
    ("POST", "/v1/parked/release"): rule(FINANCE, body=parked_id),
    ("GET", "/v1/held_payouts"): rule(FINANCE),
    ("GET", "/v1/reconciliation"): rule(FINANCE),
    ("GET", "/v1/clients"): rule(OPERATOR),
    ("GET", "/v1/experts"): rule(OPERATOR),
    ("GET", "/v1/contracts"): rule(OPERATOR),
    ("GET", "/v1/pay_plans"): rule(OPERATOR),
    ("GET", "/v1/sending"): rule(OPERATOR, FINANCE),
    ("POST", "/v1/sending/stop"): rule(OPERATOR, body={"reason": "a test"}),
    ("POST", "/v1/sending/resume"): rule(OPERATOR),
}


def documented() -> dict[tuple[str, str], dict[str, list[str]]]:
    return {
        (method.upper(), path): operation
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }


def cases() -> Iterator[tuple[str, str, Role, str, int]]:
    """Method, path, role, tenant, and the expected status."""
    for (method, path), operation in documented().items():
        known = RULES.get((method, path))
        for role in Role:
            tenants = (OWN[role], OTHER[role]) if role in TENANTS else ("",)
            for tenant in tenants:
                allowed = known is not None and role in known.roles
                expected = known.status(role, tenant) if allowed and known is not None else 403
                yield method, path, role, tenant, expected
        assert operation["x-roles"], path


@pytest.fixture
def api() -> ApiWorld:
    """A run waits for a second person; more is available since, and February is closed."""
    made = an_api(approve_above="10.00")
    made.world.close("2026-03-10")
    made.world.plan_payouts()
    made.world.send(*(made.world.completed(f"{name}-9", "2026-03-09", name) for name in ("maya", "noah")))
    made.now = at("2026-03-17")
    return made


def ask(api: ApiWorld, method: str, path: str, groups: str) -> Answered:
    known = RULES[method, path]
    body = known.body(api) if callable(known.body) else known.body
    if method != "POST":
        return api.request(method, known.path or path, groups, query=dict(known.query))
    return api.post(known.path or path, groups, body, query=dict(known.query))


def test_every_route_has_a_rule_and_every_rule_a_route() -> None:
    assert set(documented()) == set(RULES)


def test_the_document_names_the_roles_of_the_rules() -> None:
    said = {route: frozenset(map(Role, operation["x-roles"])) for route, operation in documented().items()}
    assert said == {route: rule.roles for route, rule in RULES.items()}


@pytest.mark.parametrize(("method", "path", "role", "tenant", "expected"), list(cases()))
def test_a_role_gets_what_the_rules_say(
    api: ApiWorld, method: str, path: str, role: Role, tenant: str, expected: int
) -> None:
    answered = ask(api, method, path, grant(role, tenant))
    assert (answered.status, answered.code) == (expected, {403: "role_missing", 404: "not_found"}.get(expected, ""))
    if expected == 200 and tenant == OTHER.get(role):
        text = json.dumps(answered.body)
        assert OWN[role] not in text.replace("acme", "") if role is EXPERT else "maya" not in text
        assert role is EXPERT or "acme" not in text


@pytest.mark.parametrize(("method", "path"), list(RULES))
def test_a_token_without_grants_gets_nothing(api: ApiWorld, method: str, path: str) -> None:
    assert ask(api, method, path, "").code == "role_missing"
    assert ask(api, method, path, "admin root client: expert:../x finance:acme").code == "role_missing"


@pytest.mark.parametrize("path", ["/v1/charges/{}", "/v1/invoices/{}", "/v1/payouts/{}"])
def test_what_is_somebody_elses_and_what_is_nobodys_get_the_same_answer(api: ApiWorld, path: str) -> None:
    theirs = {"/v1/charges/{}": "maya-0", "/v1/invoices/{}": "2026-02", "/v1/payouts/{}": f"payout:maya:USD:{RUN}"}
    nobodys = {"/v1/charges/{}": "maya-X", "/v1/invoices/{}": "2026-01", "/v1/payouts/{}": "payout:maya:USD:2026-W01"}
    groups = "expert:noah" if "payouts" in path else "client:globex"
    found, missing = (api.get(path.format(named[path]), groups) for named in (theirs, nobodys))
    assert found.status == missing.status == 404
    told = found.body["error"]["message"].replace(theirs[path], ""), missing.body["error"]["message"]
    assert told[0] == told[1].replace(nobodys[path], "")
