"""A sandbox, the real SDK against it, and a receiver of webhooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import pytest
import stripe

from infra.local.stripe_sandbox import Settings, StripeSandbox
from infra.stripe.gateway import StripeGateway
from ledger.money import Currency
from payouts.payouts import Payout
from tests.http_server import http_server
from tests.world import an_expert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stripe.params.v2.core import AccountCreateParams

STARTED_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
RECIPIENT: AccountCreateParams = {
    "dashboard": "express",
    "contact_email": "expert@example.com",
    "configuration": {
        "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}},
    },
}


@pytest.fixture
def sandbox() -> Iterator[StripeSandbox]:
    with StripeSandbox(now=STARTED_AT, settings=Settings(new_accounts="active")) as running:
        yield running


class ClientMaker(Protocol):
    def __call__(self, sandbox: StripeSandbox, *, retries: int = 0, timeout_seconds: float = 10) -> stripe.StripeClient:
        """A real SDK client of the sandbox."""


@pytest.fixture
def client_of() -> ClientMaker:
    def make(sandbox: StripeSandbox, *, retries: int = 0, timeout_seconds: float = 10) -> stripe.StripeClient:
        return stripe.StripeClient(
            sandbox.api_key,
            base_addresses={"api": sandbox.url},
            max_network_retries=retries,
            http_client=stripe.RequestsClient(timeout=timeout_seconds),
        )

    return make


@pytest.fixture
def client(sandbox: StripeSandbox, client_of: ClientMaker) -> stripe.StripeClient:
    return client_of(sandbox)


@pytest.fixture
def expert(client: stripe.StripeClient) -> str:
    """The id of a connected account that may receive transfers."""
    return client.v2.core.accounts.create(RECIPIENT).id


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK retries as ever, but hardly rests before it does."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)


@pytest.fixture
def gateway(sandbox: StripeSandbox, quick_retries: None) -> StripeGateway:
    assert quick_retries is None
    return StripeGateway(sandbox.api_key, sandbox.url)


@pytest.fixture
def maya(gateway: StripeGateway) -> str:
    """The connected account of an expert of ours, as the gateway makes it."""
    return gateway.account(an_expert("maya"))


def a_payout(account: str, amount: int = 1_000, *, run: str = "2026-w10", attempt: int = 1) -> Payout:
    """A payout of ours to that account, in dollars."""
    id_ = f"payout:maya:USD:{run}"
    return Payout(id_, "maya", Currency("USD"), amount, run, STARTED_AT, account, attempt=attempt)


@pytest.fixture
def funded(client: stripe.StripeClient) -> None:
    """The platform has 1,000.00 usd available."""
    client.v1.topups.create({"amount": 100_000, "currency": "usd"})


class InvoiceMaker(Protocol):
    def __call__(self, *amounts: int, currency: str = "usd") -> stripe.Invoice:
        """An open invoice with one item for each amount, due in 30 days."""


@pytest.fixture
def open_invoice(client: stripe.StripeClient) -> InvoiceMaker:
    def make(*amounts: int, currency: str = "usd") -> stripe.Invoice:
        customer = client.v1.customers.create({"name": "Acme", "email": "billing@acme.example"})
        invoice = client.v1.invoices.create(
            {
                "customer": customer.id,
                "currency": currency,
                "auto_advance": False,
                "collection_method": "send_invoice",
                "days_until_due": 30,
                "pending_invoice_items_behavior": "exclude",
            }
        )
        for amount in amounts:
            client.v1.invoice_items.create(
                {"customer": customer.id, "invoice": invoice.id, "amount": amount, "currency": currency}
            )
        return client.v1.invoices.finalize_invoice(invoice.id)

    return make


@dataclass
class Receiver:
    """An HTTP server that keeps what it is sent, and answers the statuses it was given, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[tuple[str, str]] = field(default_factory=list)

    def take(self, payload: str, signature: str) -> int:
        self.received.append((payload, signature))
        return self.answers.pop(0) if self.answers else 200


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()
    with http_server(lambda it: (kept.take(it.body.decode(), it.headers["stripe-signature"]), {}, b"")) as url:
        kept.url = f"{url}/hooks"
        yield kept
