"""Webhooks: signed as Stripe signs them, and as late, doubled and disordered as asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import stripe

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox
    from tests.sandbox.conftest import InvoiceMaker, Receiver

CHANGED = "v2.core.account[configuration.recipient].capability_status_updated"


def types_of(receiver: Receiver) -> list[str]:
    return [json.loads(payload)["type"] for payload, _signature in receiver.received]


def numbers_of(receiver: Receiver) -> list[str]:
    return [json.loads(payload)["id"] for payload, _signature in receiver.received]


def test_deliveries_carry_a_signature_that_the_sdk_accepts_with_that_endpoints_secret_only(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    secret = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["topup.created"]}).secret
    client.v1.topups.create({"amount": 500, "currency": "usd"})
    sandbox.control("webhooks/flush")

    ((payload, signature),) = receiver.received
    event = stripe.Webhook.construct_event(payload, signature, str(secret))

    assert (event.type, event.data.object["amount"]) == ("topup.created", 500)
    assert client.v1.events.retrieve(event.id).type == "topup.created"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(payload, signature, "whsec_another")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(payload.replace("500", "501"), signature, str(secret))


def test_the_life_of_an_invoice_is_told_in_order(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, open_invoice: InvoiceMaker
) -> None:
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})

    client.v1.invoices.pay(open_invoice(1_000).id)
    sandbox.control("webhooks/flush")

    assert types_of(receiver) == [
        "invoice.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


def test_duplicated_and_shuffled_deliveries_hold_every_event_twice_in_another_order(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["topup.created"]})
    sandbox.control("webhooks", {"duplicate": 1, "shuffle": 7, "hold": True})
    for _number in range(6):
        client.v1.topups.create({"amount": 100, "currency": "usd"})
    assert receiver.received == []

    counts = sandbox.control("webhooks/flush")

    in_order = [event.id for event in client.v1.events.list({"type": "topup.created"})][::-1]
    assert counts == {"delivered": 12, "failed": 0, "pending": 0}
    assert sorted(numbers_of(receiver)) == sorted(in_order * 2)
    assert list(dict.fromkeys(numbers_of(receiver))) != in_order


def test_a_receiver_that_fails_is_tried_again_until_it_answers(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["topup.created"]})
    receiver.answers = [500, 503]

    client.v1.topups.create({"amount": 100, "currency": "usd"})
    sandbox.control("webhooks/flush")

    assert len(receiver.received) == 3
    assert sandbox.control("state", method="GET")["deliveries"] == {"delivered": 1, "failed": 0, "pending": 0}


def test_a_receiver_that_never_answers_leaves_a_failed_delivery(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["topup.created"]})
    receiver.answers = [500] * 5

    client.v1.topups.create({"amount": 100, "currency": "usd"})
    sandbox.control("webhooks/flush")

    state = sandbox.control("state", method="GET")
    (delivery,) = state["objects"]["dlv"].values()
    assert (delivery["status"], delivery["attempts"], delivery["last_answer"]) == ("failed", 5, 500)


@pytest.mark.usefixtures("funded")
def test_platform_and_connect_endpoints_hear_of_their_own_events_only(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, expert: str
) -> None:
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"], "connect": True})
    client.v1.transfers.create({"amount": 1_000, "currency": "usd", "destination": expert})

    sandbox.control("clock", {"now": "2026-03-05T00:00:00Z"})
    sandbox.control("webhooks/flush")

    assert types_of(receiver) == ["payout.created", "payout.reconciliation_completed", "payout.paid"]
    assert {json.loads(payload)["account"] for payload, _signature in receiver.received} == {expert}


def test_a_capability_change_is_told_by_a_thin_event_that_the_sdk_parses_and_fetches(
    sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, expert: str
) -> None:
    destination = client.v2.core.event_destinations.create(
        {
            "name": "capabilities",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": [CHANGED, "v2.core.account[requirements].updated"],
            "webhook_endpoint": {"url": receiver.url},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    assert destination.webhook_endpoint is not None
    sandbox.control("capability", {"account": expert, "status": "restricted"})
    sandbox.control("webhooks/flush")

    assert types_of(receiver) == [CHANGED, "v2.core.account[requirements].updated"]
    payload, signature = receiver.received[0]
    secret = str(destination.webhook_endpoint.signing_secret)
    notification = client.parse_event_notification(payload, signature, secret)

    assert notification.type == CHANGED
    assert json.loads(payload)["related_object"]["id"] == expert
    assert client.v2.core.events.retrieve(notification.id).id == notification.id


def test_the_sandbox_refuses_to_deliver_to_another_machine(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.webhook_endpoints.create({"url": "https://example.com/hooks", "enabled_events": ["*"]})

    assert (refused.value.code, refused.value.param) == ("url_invalid", "url")
