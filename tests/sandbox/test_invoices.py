"""Invoices from draft to paid, void or uncollectible, with partial payments and credit notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import stripe

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox
    from tests.sandbox.conftest import InvoiceMaker

DAY_SECONDS = 86_400


def test_an_invoice_goes_from_draft_over_open_to_paid(
    sandbox: StripeSandbox, client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    invoice = open_invoice(9_900, 1_881)

    assert (invoice.status, invoice.total, invoice.amount_due) == ("open", 11_781, 11_781)
    assert invoice.number == "SANDBOX-000001"
    assert invoice.due_date == invoice.created + 30 * DAY_SECONDS
    assert [line.amount for line in invoice.lines] == [9_900, 1_881]

    sandbox.control("pay_invoice", {"invoice": invoice.id})

    paid = client.v1.invoices.retrieve(invoice.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 11_781, 0)
    assert paid.status_transitions.paid_at == paid.created


def test_a_payment_can_be_followed_to_its_balance_transaction_and_fee(
    client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    invoice = client.v1.invoices.pay(open_invoice(10_000).id)

    (payment,) = client.v1.invoice_payments.list({"invoice": invoice.id}).data
    assert (payment.status, payment.amount_paid, payment.payment.type) == ("paid", 10_000, "payment_intent")
    intent = client.v1.payment_intents.retrieve(
        str(payment.payment.payment_intent), {"expand": ["latest_charge.balance_transaction"]}
    )

    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    transaction = charge.balance_transaction
    assert isinstance(transaction, stripe.BalanceTransaction)
    assert (transaction.amount, transaction.fee, transaction.net) == (10_000, 320, 9_680)
    assert (transaction.status, transaction.reporting_category) == ("pending", "charge")
    assert transaction.available_on == invoice.created + 2 * DAY_SECONDS


@pytest.mark.parametrize(
    ("currency", "amount", "fee"),
    [("usd", 50, 31), ("usd", 500, 45), ("usd", 501, 45), ("usd", 518, 45), ("jpy", 1_000, 59)],
)
def test_the_fee_is_rounded_half_up_in_minor_units(
    client: stripe.StripeClient, open_invoice: InvoiceMaker, currency: str, amount: int, fee: int
) -> None:
    client.v1.invoices.pay(open_invoice(amount, currency=currency).id)

    (transaction,) = client.v1.balance_transactions.list({"type": "charge"}).data
    assert transaction.fee == fee


def test_partial_payments_add_up_and_only_the_last_pays_the_invoice(
    sandbox: StripeSandbox, client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    invoice = open_invoice(10_000)

    sandbox.control("pay_invoice", {"invoice": invoice.id, "amount": 4_000})
    partly = client.v1.invoices.retrieve(invoice.id)
    sandbox.control("pay_invoice", {"invoice": invoice.id})

    assert (partly.status, partly.amount_paid, partly.amount_remaining) == ("open", 4_000, 6_000)
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"
    payments = client.v1.invoice_payments.list({"invoice": invoice.id}).data
    assert sorted(payment.amount_paid or 0 for payment in payments) == [4_000, 6_000]
    with pytest.raises(ValueError, match="already paid"):
        sandbox.control("pay_invoice", {"invoice": invoice.id})


def test_more_than_remains_cannot_be_paid(
    sandbox: StripeSandbox, client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    invoice = open_invoice(10_000)

    with pytest.raises(ValueError, match="1 to 10000"):
        sandbox.control("pay_invoice", {"invoice": invoice.id, "amount": 10_001})

    assert client.v1.invoices.retrieve(invoice.id).amount_paid == 0


def test_a_declined_payment_leaves_the_invoice_open_and_moves_no_money(
    sandbox: StripeSandbox, client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    invoice = open_invoice(10_000)
    sandbox.control("fail_payment", {"invoice": invoice.id, "when": "next_pay"})

    with pytest.raises(stripe.CardError) as declined:
        client.v1.invoices.pay(invoice.id)

    assert declined.value.code == "card_declined"
    assert client.v1.invoices.retrieve(invoice.id).status == "open"
    assert not client.v1.balance_transactions.list().data
    assert client.v1.invoices.pay(invoice.id).status == "paid"


def test_a_credit_note_lowers_what_remains_and_more_than_that_is_refused(
    client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    invoice = open_invoice(10_000)

    note = client.v1.credit_notes.create(
        {
            "invoice": invoice.id,
            "amount": 2_500,
            "lines": [
                {"type": "custom_line_item", "description": "case 17 reopened", "quantity": 1, "unit_amount": 2_500}
            ],
        }
    )
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.credit_notes.create({"invoice": invoice.id, "amount": 7_501})

    credited = client.v1.invoices.retrieve(invoice.id)
    assert (note.type, note.amount, note.lines.data[0].description) == ("pre_payment", 2_500, "case 17 reopened")
    assert (credited.amount_remaining, credited.pre_payment_credit_notes_amount) == (7_500, 2_500)
    client.v1.credit_notes.create({"invoice": invoice.id, "amount": 7_500})
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"
    assert not client.v1.balance_transactions.list().data


def test_a_credit_note_after_payment_goes_to_the_customers_balance_up_to_what_was_paid(
    client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    invoice = client.v1.invoices.pay(open_invoice(10_000).id)

    note = client.v1.credit_notes.create({"invoice": invoice.id, "amount": 4_000, "credit_amount": 4_000})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.credit_notes.create({"invoice": invoice.id, "amount": 6_001, "credit_amount": 6_001})

    assert note.type == "post_payment"
    assert client.v1.customers.retrieve(str(invoice.customer)).balance == -4_000


def test_a_draft_cannot_be_credited_and_an_open_invoice_takes_no_more_items(
    client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    customer = client.v1.customers.create({})
    draft = client.v1.invoices.create({"customer": customer.id})
    invoice = open_invoice(1_000)

    with pytest.raises(stripe.InvalidRequestError):
        client.v1.credit_notes.create({"invoice": draft.id, "amount": 1})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoice_items.create({"invoice": invoice.id, "amount": 1, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoices.finalize_invoice(invoice.id)


def test_a_void_invoice_cannot_be_paid(client: stripe.StripeClient, open_invoice: InvoiceMaker) -> None:
    invoice = client.v1.invoices.void_invoice(open_invoice(1_000).id)

    assert invoice.status == "void"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoices.pay(invoice.id)


def test_an_uncollectible_invoice_can_still_be_paid(client: stripe.StripeClient, open_invoice: InvoiceMaker) -> None:
    invoice = client.v1.invoices.mark_uncollectible(open_invoice(1_000).id)

    assert invoice.status == "uncollectible"
    assert client.v1.invoices.pay(invoice.id).status == "paid"


def test_a_total_below_the_minimum_charge_is_carried_to_the_next_invoice(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    totals = []
    for amount in (49, 1_000):
        draft = client.v1.invoices.create({"customer": customer.id, "currency": "usd"})
        client.v1.invoice_items.create({"invoice": draft.id, "amount": amount, "currency": "usd"})
        invoice = client.v1.invoices.finalize_invoice(draft.id)
        totals.append((invoice.status, invoice.amount_due))

    assert totals == [("paid", 0), ("open", 1_049)]


def test_a_long_invoice_embeds_ten_lines_and_lists_them_all(open_invoice: InvoiceMaker) -> None:
    invoice = open_invoice(*range(101, 126))

    assert len(invoice.lines.data) == 10
    assert invoice.lines.has_more
    assert [line.amount for line in invoice.lines.auto_paging_iter()] == list(range(101, 126))
    assert invoice.total == sum(range(101, 126))


def test_a_draft_is_finalized_by_itself_only_if_it_auto_advances(
    sandbox: StripeSandbox, client: stripe.StripeClient
) -> None:
    customer = client.v1.customers.create({})
    drafts = [
        client.v1.invoices.create({"customer": customer.id, "auto_advance": auto_advance}).id
        for auto_advance in (True, False)
    ]
    for draft in drafts:
        client.v1.invoice_items.create({"invoice": draft, "amount": 1_000, "currency": "usd"})

    sandbox.control("clock", {"now": "2026-03-02T10:00:00Z"})

    assert [client.v1.invoices.retrieve(draft).status for draft in drafts] == ["open", "draft"]


def test_invoices_are_listed_by_customer_newest_first_and_page_by_page(client: stripe.StripeClient) -> None:
    customer, other = (client.v1.customers.create({}) for _number in range(2))
    created = [client.v1.invoices.create({"customer": customer.id}).id for _number in range(5)]
    client.v1.invoices.create({"customer": other.id})

    first = client.v1.invoices.list({"customer": customer.id, "limit": 2})
    rest = client.v1.invoices.list({"customer": customer.id, "limit": 3, "starting_after": first.data[-1].id})

    assert [invoice.id for invoice in [*first.data, *rest.data]] == created[::-1]
    assert (first.has_more, rest.has_more) == (True, False)


def test_metadata_keys_are_merged_and_unset_by_an_empty_text(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    draft = client.v1.invoices.create({"customer": customer.id, "metadata": {"period": "2026-02", "draft": "1"}})

    updated = client.v1.invoices.update(draft.id, {"metadata": {"draft": "", "approved_by": "finance"}})

    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"period": "2026-02", "approved_by": "finance"}
