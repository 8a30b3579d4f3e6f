"""A payout's transfer over the real SDK: one, whatever breaks; and what of it was taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from events.stripe_webhook import read_event
from infra.stripe import gateway as gateway_module
from infra.stripe.gateway import StripeGateway
from ledger.money import Currency
from settlement.stripe_port import (
    MovementKind,
    NotEnoughFunds,
    StripeBusy,
    StripeRefused,
    StripeUnclear,
    Transfer,
)
from tests.sandbox.conftest import a_payout

if TYPE_CHECKING:
    import stripe

    from infra.local.stripe_sandbox import StripeSandbox
    from tests.sandbox.conftest import Receiver

pytestmark = pytest.mark.usefixtures("funded")
TRANSFERS = {"method": "POST", "path_prefix": "/v1/transfers"}
# One try and the two retries of the SDK.
EVERY_TRY = 3


def order(sandbox: StripeSandbox, fault: str, times: int = 1, **more: object) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": fault, "times": times, **more})


def made(client: stripe.StripeClient) -> list[str]:
    return [transfer.id for transfer in client.v1.transfers.list({"limit": 100})]


@pytest.fixture
def hasty(sandbox: StripeSandbox, quick_retries: None, monkeypatch: pytest.MonkeyPatch) -> StripeGateway:
    """A gateway that waits for an answer for a third of a second only."""
    assert quick_retries is None
    monkeypatch.setattr(gateway_module, "TIMEOUT_SECONDS", 0.3)
    return StripeGateway(sandbox.api_key, sandbox.url)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("timeout_after_commit", {}),
        ("drop_before", {}),
        ("drop_after_commit", {}),
        ("conflict_409", {}),
        ("rate_limit_429", {"should_retry": True}),
    ],
)
def test_what_goes_wrong_twice_is_retried_with_the_same_key_and_makes_one_transfer(
    sandbox: StripeSandbox,
    client: stripe.StripeClient,
    hasty: StripeGateway,
    maya: str,
    fault: str,
    more: dict[str, bool],
) -> None:
    order(sandbox, fault, EVERY_TRY - 1, **more)

    assert [hasty.transfer(a_payout(maya))] == made(client)


@pytest.mark.parametrize(
    ("fault", "count"), [("timeout_after_commit", 1), ("drop_after_commit", 1), ("drop_before", 0)]
)
def test_no_answer_at_all_is_unclear_and_the_same_key_finds_or_makes_the_one_transfer(
    sandbox: StripeSandbox, client: stripe.StripeClient, hasty: StripeGateway, maya: str, fault: str, count: int
) -> None:
    order(sandbox, fault, EVERY_TRY)

    with pytest.raises(StripeUnclear) as unclear:
        hasty.transfer(a_payout(maya))

    assert not unclear.value.replayed
    assert [it for it in (hasty.find_transfer(a_payout(maya).id),) if it is not None] == made(client)
    assert len(made(client)) == count
    assert [hasty.transfer(a_payout(maya))] == made(client)


@pytest.mark.parametrize(("fault", "count"), [("status_500_before", 0), ("status_500_after_commit", 1)])
def test_a_stored_500_is_told_as_replayed_and_only_a_search_tells_whether_a_transfer_exists(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str, fault: str, count: int
) -> None:
    order(sandbox, fault, should_retry=False)
    with pytest.raises(StripeUnclear) as first:
        gateway.transfer(a_payout(maya))
    with pytest.raises(StripeUnclear) as again:
        gateway.transfer(a_payout(maya))

    assert (first.value.replayed, again.value.replayed) == (False, True)
    found = gateway.find_transfer(a_payout(maya).id)
    assert [it for it in (found,) if it is not None] == made(client)
    assert len(made(client)) == count
    if found is None:
        assert [gateway.transfer(a_payout(maya, attempt=2))] == made(client)


@pytest.mark.parametrize(
    ("times", "more"), [(1, {}), (1, {"should_retry": False}), (EVERY_TRY, {"should_retry": True})]
)
def test_a_429_says_nothing_and_spends_nothing_whether_or_not_its_header_asks_for_retries(
    sandbox: StripeSandbox,
    client: stripe.StripeClient,
    gateway: StripeGateway,
    maya: str,
    times: int,
    more: dict[str, bool],
) -> None:
    order(sandbox, "rate_limit_429", times, **more)

    with pytest.raises(StripeBusy):
        gateway.transfer(a_payout(maya))

    assert made(client) == []
    assert [gateway.transfer(a_payout(maya))] == made(client)


def test_a_wrong_key_or_a_key_used_for_something_else_proves_nothing(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    with pytest.raises(StripeBusy):
        StripeGateway("sk_test_wrong", sandbox.url).transfer(a_payout(maya))
    first = gateway.transfer(a_payout(maya))

    with pytest.raises(StripeBusy):
        gateway.transfer(a_payout(maya, 999))

    assert made(client) == [first]


def test_a_refusal_is_kept_for_its_attempt_and_gone_with_the_next(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    sandbox.control("capability", {"account": maya, "status": "restricted"})
    for _ in range(2):
        with pytest.raises(StripeRefused) as refused:
            gateway.transfer(a_payout(maya))
        assert refused.value.code == "insufficient_capabilities_for_transfer"
        sandbox.control("capability", {"account": maya, "status": "active"})

    assert [gateway.transfer(a_payout(maya, attempt=2))] == made(client)


def test_a_balance_that_is_too_small_refuses_until_a_new_attempt_after_a_top_up(
    client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    with pytest.raises(NotEnoughFunds):
        gateway.transfer(a_payout(maya, 150_000))
    gateway.top_up("more", 100_000, Currency("USD"))
    with pytest.raises(NotEnoughFunds):
        gateway.transfer(a_payout(maya, 150_000))

    assert [gateway.transfer(a_payout(maya, 150_000, attempt=2))] == made(client)


def test_a_transfer_tells_what_of_it_was_taken_back_in_parts_and_in_whole(
    client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    id_ = gateway.transfer(a_payout(maya))
    seen = [gateway.transfer_now(id_)]
    for amount in (300, 700):
        client.v1.transfers.reversals.create(id_, {"amount": amount})
        seen.append(gateway.transfer_now(id_))

    assert seen == [Transfer(id_, a_payout(maya).id, Currency("USD"), 1_000, back) for back in (0, 300, 1_000)]
    moved = gateway.movements([MovementKind.TRANSFER, MovementKind.TRANSFER_REVERSAL])
    assert sorted(movement.net for movement in moved) == [-1_000, 300, 700]
    at_maya = client.v1.balance_transactions.list({"expand": ["data.source"]}, {"stripe_account": maya}).data
    assert [(entry.type, entry.net) for entry in at_maya] == [
        ("payment_refund", -700),
        ("payment_refund", -300),
        ("payment", 1_000),
    ]


def test_a_transfer_made_by_hand_is_for_no_payout_of_ours(
    client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    by_hand = client.v1.transfers.create({"amount": 5, "currency": "usd", "destination": maya})

    assert gateway.transfer_now(by_hand.id).payout is None
    with pytest.raises(StripeRefused, match="resource_missing"):
        gateway.transfer_now("tr_unknown")


def test_every_reversal_is_told_with_our_own_id_and_stripes(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, receiver: Receiver, maya: str
) -> None:
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    id_ = gateway.transfer(a_payout(maya))
    client.v1.transfers.update(id_, {"description": "PII-TEST"})
    client.v1.transfers.reversals.create(id_, {"amount": 300})
    client.v1.transfers.reversals.create(id_)
    sandbox.control("webhooks/flush")

    told = [read_event(payload.encode()) for payload, _signature in receiver.received]
    assert [it["type"] for it in told] == [
        "transfer.created",
        "transfer.updated",
        "transfer.reversed",
        "transfer.reversed",
    ]
    assert {(it["subject"], it["object"], it["account"]) for it in told} == {(a_payout(maya).id, id_, "")}
    assert "PII-TEST" not in str(told)
