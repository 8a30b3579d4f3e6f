"""The table of views: what every role is shown, and that nothing else gets through."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, get_args, get_origin

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # comes with aws-sam-translator
from pydantic import BaseModel

from functions.api import clients, experts, finance, operators, views, webhooks
from functions.api.application import resolver
from functions.api.openapi import document
from functions.api.routes import Answer, Call
from functions.api.views import Only, View, listed, roles_of, shown
from settlement.expert_status import ExpertStatus
from settlement.grants import Caller, Role
from tests.api.api_world import an_api
from tests.paying import RUN
from tests.world import at

ALL = [it for it in vars(views).values() if isinstance(it, type) and issubclass(it, View) and it is not View]


@pytest.mark.parametrize("view", ALL, ids=lambda view: view.__name__)
def test_every_field_of_every_view_is_for_some_role(view: type[View]) -> None:
    assert view.SEEN_BY
    for name in view.model_fields:
        assert roles_of(view, name), name
        assert roles_of(view, name) <= view.SEEN_BY, name
    assert not set(view.HIDDEN) & view.model_fields.keys()
    assert all(view.HIDDEN.values())


@pytest.mark.parametrize("view", ALL, ids=lambda view: view.__name__)
def test_a_role_that_a_view_does_not_name_is_shown_nothing(view: type[View]) -> None:
    for role in set(Role) - view.SEEN_BY:
        with pytest.raises(ValueError, match="is not shown"):
            shown(view, role)


def test_what_is_in_a_view_is_seen_by_those_who_see_the_view() -> None:
    for view in ALL:
        for field in view.model_fields.values():
            inner = get_args(field.annotation)[0] if get_origin(field.annotation) is list else field.annotation
            if isinstance(inner, type) and issubclass(inner, View):
                assert view.SEEN_BY <= inner.SEEN_BY, (view, inner)


class Pair(View):
    SEEN_BY = frozenset({Role.CLIENT, Role.FINANCE})
    HIDDEN: ClassVar[dict[str, str]] = {"secret": "a test"}
    price: int
    cost: Annotated[int, Only(frozenset({Role.FINANCE}))]


class Pairs(View):
    SEEN_BY = frozenset({Role.CLIENT, Role.FINANCE})
    pairs: list[Pair]


def test_a_role_is_shown_its_own_fields_at_every_depth_and_no_other() -> None:
    data = {"pairs": [{"price": 2, "cost": 1, "secret": 3, "unknown": 4}], "other": 5}
    assert shown(Pairs, Role.CLIENT).model_validate(data).model_dump() == {"pairs": [{"price": 2}]}
    assert shown(Pairs, Role.FINANCE).model_validate(data).model_dump() == {"pairs": [{"price": 2, "cost": 1}]}


# No view that one side sees has a field of this name.
FORBIDDEN = {
    Role.CLIENT: {"expert", "experts", "reviewer", "earned", "trace", "plan", "payable", "pay", "release_on", "base"},
    Role.EXPERT: {"accrued_minor", "discount_minor", "capped_minor", "ordinal", "contract", "cap_minor", "invoice"},
}


@pytest.mark.parametrize("role", FORBIDDEN)
def test_a_client_never_sees_pay_and_an_expert_never_what_the_contract_says(role: Role) -> None:
    for view in ALL:
        if role in view.SEEN_BY:
            assert not FORBIDDEN[role] & shown(view, role).model_fields.keys(), view


def test_the_document_has_no_field_that_its_roles_are_not_shown() -> None:
    schemas = document()["components"]["schemas"]
    for view in ALL:
        if view.__name__ in schemas:
            named = {field.alias or name for name, field in view.model_fields.items()}
            assert set(schemas[view.__name__]["properties"]) == named


def test_every_operation_says_what_it_does_and_every_body_has_an_example_that_fits() -> None:
    whole = document()
    tags = {it["name"] for it in whole["tags"]}
    for path, operations in whole["paths"].items():
        for operation in operations.values():
            assert operation["summary"].endswith("."), path
            assert operation["description"], path
            assert tags.issuperset(operation["tags"]), path
            assert all(it["description"] for it in operation.get("parameters", ())), path
            for media in operation.get("requestBody", {}).get("content", {}).values():
                schema = media["schema"]
                named = whole["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
                assert named["examples"], path
                Draft202012Validator(named | {"components": whole["components"]}).validate(named["examples"][0])


# -- what reads yield is in the table ----------------------------------------------------------------------------------


def of(handle: Callable[..., Answer], role: Role, model: type[BaseModel], **arguments: object) -> Any:  # noqa: ANN401
    return pytest.param(handle, arguments, role, model, id=handle.__name__)


CLIENT, EXPERT, FINANCE, _, OPERATOR = Role
READS = [
    of(clients.get_usage, CLIENT, views.Usage),
    of(clients.list_charges, CLIENT, listed(views.Charge, CLIENT)),
    of(clients.get_charge, CLIENT, views.ChargeEvidence, case="rated"),
    of(clients.get_charge_evidence, CLIENT, views.ChargeEvidence, case="rated"),
    of(clients.list_invoices, CLIENT, listed(views.Invoice, CLIENT)),
    of(clients.get_invoice, CLIENT, views.InvoiceWithLines, period="2026-02"),
    of(webhooks.list_webhook_endpoints, CLIENT, listed(views.WebhookEndpoint, CLIENT)),
    of(
        webhooks.list_undelivered_webhooks,
        CLIENT,
        listed(views.WebhookUndelivered, CLIENT),
        endpoint="acme-billing",
    ),
    of(experts.list_earnings, EXPERT, listed(views.Earning, EXPERT)),
    of(experts.get_balance, EXPERT, views.Balances),
    of(experts.list_payouts, EXPERT, listed(views.Payout, EXPERT)),
    of(experts.get_payout, EXPERT, views.Payout, payout=f"payout:maya:USD:{RUN}"),
    of(experts.get_statement, EXPERT, views.Statement, month="2026-03"),
    of(finance.list_accounts, FINANCE, listed(views.AccountBalance, FINANCE)),
    of(finance.list_entries, FINANCE, listed(views.JournalEntry, FINANCE), book="client/acme"),
    of(finance.list_runs, FINANCE, listed(views.Run, FINANCE)),
    of(finance.get_run, FINANCE, views.Run, run=RUN),
    of(finance.list_parked, FINANCE, listed(views.Parked, FINANCE)),
    of(finance.list_held, FINANCE, listed(views.HeldPayout, FINANCE)),
    of(finance.get_reconciliation, FINANCE, views.ReconciliationSeen),
    of(operators.list_clients, OPERATOR, listed(views.ClientSeen, OPERATOR)),
    of(operators.list_experts, OPERATOR, listed(views.ExpertSeen, OPERATOR)),
    of(operators.list_contracts, OPERATOR, listed(views.TermsSeen, OPERATOR)),
    of(operators.list_pay_plans, OPERATOR, listed(views.TermsSeen, OPERATOR)),
    of(operators.get_sending, OPERATOR, views.Sending),
]


def unknown_fields(model: Any, data: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401  # any annotation
    """What `data` has and the view neither shows nor hides."""
    if get_origin(model) is list:
        for item in data:
            yield from unknown_fields(get_args(model)[0], item, f"{path}[]")
    elif isinstance(model, type) and issubclass(model, BaseModel) and isinstance(data, Mapping):
        known = {field.alias or name: field for name, field in model.model_fields.items()}
        hidden = model.HIDDEN if issubclass(model, View) else {}
        yield from (f"{path}.{name}" for name in data.keys() - known.keys() - hidden.keys())
        for name in data.keys() & known.keys():
            yield from unknown_fields(known[name].annotation, data[name], f"{path}.{name}")


@pytest.mark.parametrize(("handle", "arguments", "role", "model"), READS)
def test_all_that_a_read_yields_is_shown_or_hidden_by_name(
    handle: Callable[..., Answer], arguments: dict[str, Any], role: Role, model: type[BaseModel]
) -> None:
    """Catches the field that is added to a read, and of which nobody has said who may see it."""
    api = an_api(approve_above="10.00")
    world = api.world
    world.send(world.completed("rated", "2026-03-03"), world.rated("rated", "2026-03-04", 5))
    world.close("2026-03-10")
    world.plan_payouts()
    world.send(*(world.completed(f"{name}-9", "2026-03-09", name) for name in ("maya", "noah")))
    world.registry.known_statuses["noah"] = ExpertStatus("noah")  # and so is held back
    tenant = {CLIENT: "acme", EXPERT: "maya"}.get(role, "")
    call = Call(Caller("u-1", frozenset({role}), tenant), role, at("2026-03-17"), api.backend)
    resolver().append_context(call=call)  # type: ignore[no-untyped-call]  # the library's own
    answer = handle(**arguments)
    assert set(unknown_fields(model, answer)) == set()
    assert answer.get("data") != [], "nothing was read, so nothing is shown by it"
    model.model_validate(answer)


def test_every_read_of_the_document_is_tried() -> None:
    tried = {read.id for read in READS}
    assert {it["get"]["operationId"] for it in document()["paths"].values() if "get" in it} == tried
