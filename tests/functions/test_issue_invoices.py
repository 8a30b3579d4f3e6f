"""The function that issues invoices: at once, or where the template says so once a second person approved them."""

from types import SimpleNamespace

import pytest

from billing.periods import Period
from functions import issue_invoices as function
from functions import stripe_wiring
from infra.local.deployment import packaged_template
from settlement.month_close import MonthClose, Outcome, Person, Step, approve_invoices, run_close
from settlement.month_steps import Closing
from tests.fake_stripe import FakeStripe
from tests.world import World, a_contract, at

CONTEXT = SimpleNamespace(function_name="issue", memory_limit_in_mb=1, invoked_function_arn="", aws_request_id="1")
MARCH, NOW = Period("2026-03"), at("2026-04-03")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A month that was closed; its invoice is planned."""
    world, stripe = World(contract=a_contract(starts_on="2026-03-01")), FakeStripe()
    world.solve(3)
    world.close("2026-04-03")
    for module in (function, stripe_wiring):
        monkeypatch.setattr(module, "store", lambda: world.store)
        monkeypatch.setattr(module, "stripe", lambda: stripe)
    monkeypatch.setattr(function, "registry", lambda: world.registry)
    return world


def issued() -> list[str]:
    answer = function.handler({"time": "2026-04-03T06:40:00Z"}, CONTEXT)
    assert answer["failed"] == {}
    invoices = answer["invoices"]
    assert isinstance(invoices, dict)
    return list(invoices)


def draft_and_approve(world: World) -> None:
    def nothing(_: MonthClose | None = None) -> Outcome:
        return Outcome()

    closing = Closing(world.store, world.registry, FakeStripe(), MARCH, NOW, nothing, nothing)
    list(run_close(world.store, MARCH, closing.steps(), Person("ann", NOW), Step.DRAFTS))
    approve_invoices(world.store, MARCH, world.store.month_close(MARCH).drafts, "bob", NOW)


@pytest.mark.parametrize("setting", [None, "no"])
def test_planned_invoices_are_issued_at_once(
    world: World, setting: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if setting:
        monkeypatch.setenv("SOLVENT_INVOICES_WAIT", setting)
    assert issued() == ["invoice:acme:2026-03"]
    assert world.store.stored_closes == {}


def test_where_invoices_wait_for_the_close_only_approved_ones_are_issued(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOLVENT_INVOICES_WAIT", "for_close")
    assert issued() == []
    draft_and_approve(world)
    assert issued() == ["invoice:acme:2026-03"]


def test_every_function_that_issues_invoices_is_told_whether_they_wait() -> None:
    resources = packaged_template("")["Resources"]
    for name in ("IssueInvoices", "Reconcile"):
        assert resources[name]["Properties"]["Environment"]["Variables"]["SOLVENT_INVOICES_WAIT"] == {
            "Ref": "InvoicesWait"
        }
