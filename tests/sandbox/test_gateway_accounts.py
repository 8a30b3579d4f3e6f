"""What the gateway tells about an expert's account: may it be paid, what is asked for, and to which bank it goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from events.stripe_webhook import read_event
from infra.local.stripe_sandbox import Settings, StripeSandbox
from infra.stripe.gateway import StripeGateway
from settlement.stripe_port import StripeRefused, TransfersCapability
from tests.sandbox.conftest import STARTED_AT, a_payout
from tests.world import an_expert

if TYPE_CHECKING:
    import stripe

    from tests.sandbox.conftest import Receiver

PAPERS = "identity.individual.verification.document"


def bank_of(gateway: StripeGateway, account: str) -> str:
    bank = gateway.account_status(account).bank
    assert bank is not None
    return bank


def test_an_onboarded_expert_has_the_capability_and_a_bank_account_and_owes_nothing(
    gateway: StripeGateway, maya: str
) -> None:
    status = gateway.account_status(maya)

    assert (status.id, status.expert, status.transfers) == (maya, "maya", TransfersCapability.ACTIVE)
    assert status.requirements == ()
    assert status.bank


def test_an_expert_has_no_bank_account_before_the_onboarding_link_was_opened() -> None:
    with StripeSandbox(now=STARTED_AT, settings=Settings(new_accounts="restricted")) as sandbox:
        client = StripeGateway(sandbox.api_key, sandbox.url)
        account = client.account(an_expert())
        before = client.account_status(account)
        link = client.onboarding_link(account, "https://solvent.example/done")
        sandbox.control(link.removeprefix(f"{sandbox.url}/_sandbox/"), method="GET")
        after = client.account_status(account)

    assert (before.transfers, before.bank) == (TransfersCapability.RESTRICTED, None)
    assert before.requirements == ("external_account", PAPERS)
    assert (after.expert, after.transfers, after.requirements) == ("maya", TransfersCapability.ACTIVE, ())
    assert after.bank


@pytest.mark.parametrize(
    ("capability", "asked"),
    [("pending", ()), ("restricted", (PAPERS,)), ("rejected", ()), ("unsupported", ())],
)
def test_a_lost_capability_is_seen_with_what_is_asked_for_and_comes_back(
    sandbox: StripeSandbox, gateway: StripeGateway, maya: str, capability: str, asked: tuple[str, ...]
) -> None:
    bank = bank_of(gateway, maya)

    sandbox.control("capability", {"account": maya, "status": capability})

    lost = gateway.account_status(maya)
    assert (lost.transfers, lost.requirements, lost.bank) == (TransfersCapability(capability), asked, bank)
    sandbox.control("capability", {"account": maya, "status": "active"})
    assert gateway.account_status(maya).transfers is TransfersCapability.ACTIVE


def test_an_account_that_never_asked_for_transfers_does_not_support_them(
    client: stripe.StripeClient, gateway: StripeGateway
) -> None:
    plain = client.v2.core.accounts.create({"configuration": {"recipient": {}}})

    status = gateway.account_status(plain.id)

    assert (status.expert, status.transfers) == (None, TransfersCapability.UNSUPPORTED)


def test_an_account_that_does_not_exist_is_refused(gateway: StripeGateway) -> None:
    with pytest.raises(StripeRefused, match="resource_missing"):
        gateway.account_status("acct_unknown")


def test_another_bank_account_has_another_fingerprint_and_the_same_one_given_again_has_not(
    sandbox: StripeSandbox, gateway: StripeGateway, maya: str
) -> None:
    seen = []
    for number in ("000111222", "000333444", "000111222"):
        sandbox.control("bank", {"account": maya, "number": number})
        seen.append(bank_of(gateway, maya))

    assert seen[0] == seen[2] != seen[1]


def test_each_currency_may_have_a_bank_account_of_its_own(
    sandbox: StripeSandbox, gateway: StripeGateway, maya: str
) -> None:
    dollars = bank_of(gateway, maya)
    sandbox.control("bank", {"account": maya, "currency": "eur"})
    both = bank_of(gateway, maya)
    sandbox.control("bank", {"account": maya, "currency": "eur"})

    assert dollars in both.split("+")
    assert len(both.split("+")) == 2
    assert dollars in bank_of(gateway, maya)
    assert bank_of(gateway, maya) != both


def test_a_bank_account_that_nothing_is_paid_to_changes_nothing(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    bank = bank_of(gateway, maya)

    sandbox.control("bank", {"account": maya, "default": False})

    assert len(client.v1.accounts.external_accounts.list(maya).data) == 2
    assert bank_of(gateway, maya) == bank


def test_a_change_of_the_bank_account_is_told_at_connect_scope_by_ids_only(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, maya: str
) -> None:
    (before,) = client.v1.accounts.external_accounts.list(maya).data
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"], "connect": True})
    client.v1.webhook_endpoints.create({"url": receiver.url + "/platform", "enabled_events": ["*"]})

    sandbox.control("bank", {"account": maya})
    sandbox.control("webhooks/flush")

    (after,) = client.v1.accounts.external_accounts.list(maya).data
    told = [read_event(payload.encode()) for payload, _signature in receiver.received]
    assert [(it["type"], it["object"], it["account"]) for it in told] == [
        ("account.external_account.created", after.id, maya),
        ("account.external_account.deleted", before.id, maya),
        ("account.updated", maya, maya),
    ]
    assert {it["subject"] for it in told} == {""}


def test_a_lost_capability_is_told_by_thin_events_that_name_the_account(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, maya: str
) -> None:
    client.v2.core.event_destinations.create(
        {
            "name": "accounts",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": ["*"],
            "webhook_endpoint": {"url": receiver.url},
        }
    )

    sandbox.control("capability", {"account": maya, "status": "restricted"})
    sandbox.control("webhooks/flush")

    told = [read_event(payload.encode()) for payload, _signature in receiver.received]
    assert [it["type"] for it in told] == [
        "v2.core.account[configuration.recipient].capability_status_updated",
        "v2.core.account[requirements].updated",
    ]
    assert {(it["object"], it["account"], it["created"]) for it in told} == {(maya, maya, STARTED_AT.isoformat())}
    assert all("data" not in json.loads(payload) for payload, _signature in receiver.received)


@pytest.mark.usefixtures("funded")
def test_a_failed_payout_makes_stripe_ask_for_a_bank_account_until_it_is_mended(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    bank = bank_of(gateway, maya)
    gateway.transfer(a_payout(maya))
    sandbox.control("fail_payout", {"account": maya})
    sandbox.control("clock", {"now": "2026-03-06T00:00:00Z"})
    failed = gateway.account_status(maya)
    assert (failed.transfers, failed.requirements) == (TransfersCapability.ACTIVE, ("external_account",))
    assert failed.bank == bank

    for _ in range(2):
        sandbox.control("resume_payouts", {"account": maya})

    assert gateway.account_status(maya).requirements == ()
    updates = client.v1.events.list({"type": "account.external_account.updated"}, {"stripe_account": maya}).data
    assert [event.data.object["status"] for event in updates] == ["new", "errored"]
