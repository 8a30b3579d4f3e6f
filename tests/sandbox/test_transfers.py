"""Transfers to experts and their reversals, as Stripe would do and refuse them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import stripe

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox


def available(client: stripe.StripeClient, account: str | None = None) -> int:
    balance = client.v1.balance.retrieve(options={"stripe_account": account} if account else {})
    return sum(part.amount for part in balance.available)


@pytest.mark.usefixtures("funded")
def test_a_transfer_moves_available_money_from_the_platform_to_the_expert(
    client: stripe.StripeClient, expert: str
) -> None:
    transfer = client.v1.transfers.create(
        {
            "amount": 2_500,
            "currency": "usd",
            "destination": expert,
            "transfer_group": "payout:expert-1:usd:run-1",
            "metadata": {"payout": "payout:expert-1:usd:run-1"},
        },
        {"idempotency_key": "payout-1-attempt-1"},
    )

    assert (transfer.amount, transfer.currency, transfer.destination) == (2_500, "usd", expert)
    assert transfer.metadata["payout"] == "payout:expert-1:usd:run-1"
    assert available(client) == 97_500
    assert available(client, expert) == 2_500
    found = client.v1.transfers.list({"transfer_group": "payout:expert-1:usd:run-1"})
    assert [entry.id for entry in found] == [transfer.id]
    assert not client.v1.transfers.list({"transfer_group": "another"}).data


@pytest.mark.usefixtures("funded")
def test_a_transfer_beyond_the_available_balance_is_refused_and_moves_nothing(
    client: stripe.StripeClient, expert: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.create({"amount": 100_001, "currency": "usd", "destination": expert})

    assert (refused.value.http_status, refused.value.code) == (400, "balance_insufficient")
    assert available(client) == 100_000
    assert not client.v1.transfers.list().data


def test_a_balance_in_one_currency_does_not_pay_a_transfer_in_another(client: stripe.StripeClient, expert: str) -> None:
    client.v1.topups.create({"amount": 5_000, "currency": "eur"})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.create({"amount": 100, "currency": "usd", "destination": expert})

    assert refused.value.code == "balance_insufficient"


@pytest.mark.usefixtures("funded")
@pytest.mark.parametrize("status", ["pending", "restricted"])
def test_a_transfer_to_an_expert_without_the_capability_is_refused(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str, status: str
) -> None:
    sandbox.control("capability", {"account": expert, "status": status})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.create({"amount": 100, "currency": "usd", "destination": expert})

    assert refused.value.code == "insufficient_capabilities_for_transfer"
    account = client.v2.core.accounts.retrieve(expert, {"include": ["configuration.recipient"]})
    assert account.configuration is not None
    assert account.configuration.recipient is not None
    capabilities = account.configuration.recipient.capabilities
    assert capabilities is not None
    assert capabilities.stripe_balance is not None
    assert capabilities.stripe_balance.stripe_transfers is not None
    assert capabilities.stripe_balance.stripe_transfers.status == status


@pytest.mark.usefixtures("funded")
def test_opening_the_account_link_makes_a_restricted_expert_payable(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str
) -> None:
    sandbox.control("capability", {"account": expert, "status": "restricted"})
    link = client.v2.core.account_links.create(
        {
            "account": expert,
            "use_case": {
                "type": "account_onboarding",
                "account_onboarding": {"refresh_url": "https://example.com/again"},
            },
        }
    )

    sandbox.control(link.url.removeprefix(f"{sandbox.url}/_sandbox/"), method="GET")

    assert client.v1.transfers.create({"amount": 100, "currency": "usd", "destination": expert}).amount == 100


@pytest.mark.usefixtures("funded")
@pytest.mark.parametrize("amount", [0, -5])
def test_a_transfer_of_less_than_one_minor_unit_is_refused(
    client: stripe.StripeClient, expert: str, amount: int
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.create({"amount": amount, "currency": "usd", "destination": expert})

    assert refused.value.param == "amount"


def test_an_amount_in_dinars_must_end_in_zero(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.topups.create({"amount": 1_001, "currency": "bhd"})

    assert client.v1.topups.create({"amount": 1_010, "currency": "bhd"}).amount == 1_010


@pytest.mark.usefixtures("funded")
def test_reversals_return_the_money_and_never_more_than_was_sent(client: stripe.StripeClient, expert: str) -> None:
    transfer = client.v1.transfers.create({"amount": 1_000, "currency": "usd", "destination": expert})

    client.v1.transfers.reversals.create(transfer.id, {"amount": 300})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.transfers.reversals.create(transfer.id, {"amount": 701})
    client.v1.transfers.reversals.create(transfer.id)

    again = client.v1.transfers.retrieve(transfer.id)
    assert (again.amount_reversed, again.reversed) == (1_000, True)
    assert [reversal.amount for reversal in client.v1.transfers.reversals.list(transfer.id)] == [700, 300]
    assert (available(client), available(client, expert)) == (100_000, 0)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.transfers.reversals.create(transfer.id)


@pytest.mark.usefixtures("funded")
def test_a_reversal_of_money_that_went_to_the_bank_is_refused(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str
) -> None:
    transfer = client.v1.transfers.create({"amount": 1_000, "currency": "usd", "destination": expert})
    sandbox.control("clock", {"now": "2026-03-03T00:00:00Z"})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.reversals.create(transfer.id)

    assert refused.value.code == "balance_insufficient"
    assert client.v1.transfers.retrieve(transfer.id).amount_reversed == 0


def test_many_threads_never_send_more_than_the_balance(client: stripe.StripeClient, expert: str) -> None:
    client.v1.topups.create({"amount": 1_000, "currency": "usd"})

    def send(number: int) -> str | None:
        try:
            client.v1.transfers.create(
                {"amount": 100, "currency": "usd", "destination": expert}, {"idempotency_key": f"send-{number}"}
            )
        except stripe.InvalidRequestError as refused:
            return refused.code
        return "sent"

    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(send, range(24)))

    assert (sent.count("sent"), sent.count("balance_insufficient")) == (10, 14)
    assert (available(client), available(client, expert)) == (0, 1_000)
