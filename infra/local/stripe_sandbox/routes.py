"""The table of what the sandbox answers: path, the SDK's parameter type, the parameters modelled, and the handler.

A parameter that Stripe knows and the sandbox doesn't model is refused as `sandbox_not_modelled`, so that no test passes
because something was quietly ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stripe import params
from stripe.params.v2 import core as v2
from typing_extensions import TypedDict
from werkzeug.routing import Map, Rule

from infra.local.stripe_sandbox import (
    accounts,
    admin,
    balances,
    bank_accounts,
    disputes,
    faults,
    invoices,
    payments,
    payouts,
    transfers,
    webhooks,
)
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.listing import CURSOR_PARAMETERS, list_of, retrieve
from infra.local.stripe_sandbox.parameters import Wire, validated

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.stripe_sandbox.parameters import JsonObject
    from infra.local.stripe_sandbox.world import Call, World


class NoParams(TypedDict):
    """No parameters at all."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path. `connected`: also serves connected accounts; `locked`: runs under the state's lock."""

    method: str
    rule: str
    params: type
    handler: Callable[[World, Call], JsonObject]
    modelled: str = ""
    connected: bool = False
    locked: bool = True

    @property
    def version(self) -> str:
        """`v1`, `v2` or `_sandbox`."""
        return self.rule.split("/")[1]

    def checked(self, given: JsonObject) -> JsonObject:
        """The parameters with their types, all of them modelled; else a refusal that names one."""
        wire = Wire.FORM if self.version == "v1" or self.method == "GET" else Wire.JSON
        checked = validated(self.params, given, wire)
        if self.version == "_sandbox":
            return checked
        for name in checked.keys() - CURSOR_PARAMETERS - set(self.modelled.split()):
            raise ApiError(
                f"The sandbox doesn't model the parameter {name} of {self.method} {self.rule}.",
                code="sandbox_not_modelled",
                param=name,
            )
        return checked


_INVOICES = (
    Route(
        "POST",
        "/v1/customers",
        params.CustomerCreateParams,
        invoices.create_customer,
        "address description email metadata name phone preferred_locales tax_exempt",
    ),
    Route("GET", "/v1/customers", params.CustomerListParams, list_of("cus"), "created email"),
    Route("GET", "/v1/customers/<id>", params.CustomerRetrieveParams, retrieve("customer")),
    Route(
        "POST",
        "/v1/invoices",
        params.InvoiceCreateParams,
        invoices.create_invoice,
        "auto_advance collection_method currency customer days_until_due description due_date footer metadata "
        "pending_invoice_items_behavior",
    ),
    Route("GET", "/v1/invoices", params.InvoiceListParams, list_of("in"), "collection_method created customer status"),
    Route("GET", "/v1/invoices/<id>", params.InvoiceRetrieveParams, retrieve("invoice")),
    Route(
        "POST",
        "/v1/invoices/<id>",
        params.InvoiceUpdateParams,
        invoices.update_invoice,
        "description footer metadata",
    ),
    Route("GET", "/v1/invoices/<id>/lines", params.InvoiceLineItemListParams, invoices.list_lines),
    Route("POST", "/v1/invoices/<id>/finalize", params.InvoiceFinalizeInvoiceParams, invoices.finalize_invoice),
    Route("POST", "/v1/invoices/<id>/pay", params.InvoicePayParams, payments.pay, "paid_out_of_band"),
    Route("POST", "/v1/invoices/<id>/void", params.InvoiceVoidInvoiceParams, invoices.void_invoice),
    Route(
        "POST",
        "/v1/invoices/<id>/mark_uncollectible",
        params.InvoiceMarkUncollectibleParams,
        invoices.mark_uncollectible,
    ),
    Route(
        "POST",
        "/v1/invoiceitems",
        params.InvoiceItemCreateParams,
        invoices.create_item,
        "amount currency customer description discountable invoice metadata period",
    ),
    Route("GET", "/v1/invoiceitems", params.InvoiceItemListParams, list_of("ii"), "customer invoice"),
    Route("GET", "/v1/invoiceitems/<id>", params.InvoiceItemRetrieveParams, retrieve("invoiceitem")),
    Route(
        "GET",
        "/v1/invoice_payments",
        params.InvoicePaymentListParams,
        list_of("inpay"),
        "created invoice payment status",
    ),
    Route("GET", "/v1/invoice_payments/<id>", params.InvoicePaymentRetrieveParams, retrieve("invoice_payment")),
    Route("GET", "/v1/payment_intents", params.PaymentIntentListParams, list_of("pi"), "created customer"),
    Route("GET", "/v1/payment_intents/<id>", params.PaymentIntentRetrieveParams, retrieve("payment_intent")),
    Route(
        "GET",
        "/v1/charges",
        params.ChargeListParams,
        list_of("ch", "py"),
        "created customer payment_intent transfer_group",
        connected=True,
    ),
    Route("GET", "/v1/charges/<id>", params.ChargeRetrieveParams, retrieve("charge"), connected=True),
    Route(
        "POST",
        "/v1/credit_notes",
        params.CreditNoteCreateParams,
        invoices.create_credit_note,
        "amount credit_amount invoice lines memo metadata out_of_band_amount reason",
    ),
    Route("GET", "/v1/credit_notes", params.CreditNoteListParams, list_of("cn"), "created customer invoice"),
    Route("GET", "/v1/credit_notes/<id>", params.CreditNoteRetrieveParams, retrieve("credit_note")),
    Route("POST", "/v1/refunds", params.RefundCreateParams, disputes.create_refund, "amount charge metadata reason"),
    Route("GET", "/v1/refunds", params.RefundListParams, list_of("re"), "charge created payment_intent"),
    Route("GET", "/v1/refunds/<id>", params.RefundRetrieveParams, retrieve("refund")),
    Route("GET", "/v1/disputes", params.DisputeListParams, list_of("dp"), "charge created payment_intent"),
    Route("GET", "/v1/disputes/<id>", params.DisputeRetrieveParams, retrieve("dispute")),
)

_MONEY = (
    Route(
        "POST",
        "/v1/transfers",
        params.TransferCreateParams,
        transfers.create_transfer,
        "amount currency description destination metadata source_type transfer_group",
    ),
    Route(
        "GET",
        "/v1/transfers",
        params.TransferListParams,
        list_of("tr"),
        "created destination transfer_group",
    ),
    Route("GET", "/v1/transfers/<id>", params.TransferRetrieveParams, retrieve("transfer")),
    Route(
        "POST",
        "/v1/transfers/<id>",
        params.TransferUpdateParams,
        transfers.update_transfer,
        "description metadata",
    ),
    Route(
        "POST",
        "/v1/transfers/<id>/reversals",
        params.TransferReversalCreateParams,
        transfers.create_reversal,
        "amount metadata",
    ),
    Route("GET", "/v1/transfers/<id>/reversals", params.TransferReversalListParams, transfers.list_reversals),
    Route(
        "GET",
        "/v1/transfers/<transfer>/reversals/<id>",
        params.TransferReversalRetrieveParams,
        retrieve("transfer_reversal"),
    ),
    Route("GET", "/v1/balance", params.BalanceRetrieveParams, balances.retrieve_balance, connected=True),
    Route(
        "GET",
        "/v1/balance_transactions",
        params.BalanceTransactionListParams,
        balances.list_transactions,
        "created currency payout source type",
        connected=True,
    ),
    Route(
        "GET",
        "/v1/balance_transactions/<id>",
        params.BalanceTransactionRetrieveParams,
        retrieve("balance_transaction"),
        connected=True,
    ),
    Route(
        "POST",
        "/v1/topups",
        params.TopupCreateParams,
        payouts.create_topup,
        "amount currency description metadata statement_descriptor transfer_group",
    ),
    Route("GET", "/v1/topups", params.TopupListParams, list_of("tu"), "amount created status"),
    Route("GET", "/v1/topups/<id>", params.TopupRetrieveParams, retrieve("topup")),
    Route(
        "POST",
        "/v1/payouts",
        params.PayoutCreateParams,
        payouts.create_payout,
        "amount currency description metadata method statement_descriptor",
        connected=True,
    ),
    Route(
        "GET",
        "/v1/payouts",
        params.PayoutListParams,
        list_of("po"),
        "arrival_date created destination status",
        connected=True,
    ),
    Route("GET", "/v1/payouts/<id>", params.PayoutRetrieveParams, retrieve("payout"), connected=True),
    Route("POST", "/v1/payouts/<id>/cancel", params.PayoutCancelParams, payouts.cancel_payout, connected=True),
)

_CONNECT = (
    Route(
        "POST",
        "/v2/core/accounts",
        v2.AccountCreateParams,
        accounts.create_account,
        "configuration contact_email contact_phone dashboard defaults display_name identity include metadata",
    ),
    Route("GET", "/v2/core/accounts/<id>", v2.AccountRetrieveParams, accounts.retrieve_account, "include"),
    Route(
        "POST",
        "/v2/core/accounts/<id>",
        v2.AccountUpdateParams,
        accounts.update_account,
        "contact_email contact_phone dashboard defaults display_name identity include metadata",
    ),
    Route(
        "POST", "/v2/core/account_links", v2.AccountLinkCreateParams, accounts.create_account_link, "account use_case"
    ),
    Route(
        "GET",
        "/v1/accounts/<account>/external_accounts",
        params.AccountExternalAccountListParams,
        bank_accounts.list_bank_accounts,
        "object",
    ),
)

_EVENTS = (
    Route(
        "POST",
        "/v1/webhook_endpoints",
        params.WebhookEndpointCreateParams,
        webhooks.create_endpoint,
        "api_version connect description enabled_events metadata url",
    ),
    Route("GET", "/v1/webhook_endpoints", params.WebhookEndpointListParams, list_of("we")),
    Route("GET", "/v1/webhook_endpoints/<id>", params.WebhookEndpointRetrieveParams, retrieve("webhook_endpoint")),
    Route("DELETE", "/v1/webhook_endpoints/<id>", NoParams, webhooks.delete_endpoint),
    Route("GET", "/v1/events", params.EventListParams, list_of("evt"), "created type types", connected=True),
    Route("GET", "/v1/events/<id>", params.EventRetrieveParams, retrieve("event"), connected=True),
    Route(
        "POST",
        "/v2/core/event_destinations",
        v2.EventDestinationCreateParams,
        webhooks.create_event_destination,
        "description enabled_events event_payload events_from include metadata name type webhook_endpoint",
    ),
    Route("GET", "/v2/core/events/<id>", NoParams, webhooks.retrieve_thin_event),
)


def _controls(controls: admin.Admin) -> tuple[Route, ...]:
    return (
        Route("GET", "/_sandbox/health", NoParams, controls.health),
        Route("GET", "/_sandbox/state", NoParams, controls.state),
        Route("POST", "/_sandbox/reset", NoParams, controls.reset),
        Route("POST", "/_sandbox/clock", admin.ClockBody, controls.set_clock),
        Route("POST", "/_sandbox/pay_invoice", admin.PayInvoiceBody, payments.pay_invoice),
        Route("POST", "/_sandbox/fail_payment", admin.FailPaymentBody, payments.fail_payment),
        Route("POST", "/_sandbox/fail_payout", admin.FailPayoutBody, payouts.fail_payout),
        Route("POST", "/_sandbox/fail_refund", admin.RefundBody, disputes.fail_refund),
        Route("POST", "/_sandbox/dispute", admin.DisputeBody, disputes.open_dispute),
        Route("POST", "/_sandbox/close_dispute", admin.DecisionBody, disputes.close_dispute),
        Route("POST", "/_sandbox/resume_payouts", admin.AccountBody, accounts.mend_banks),
        Route("POST", "/_sandbox/bank", admin.BankBody, accounts.replace_bank),
        Route("POST", "/_sandbox/capability", admin.CapabilityBody, admin.set_capability),
        Route("GET", "/_sandbox/onboarding/<id>", NoParams, admin.onboard),
        Route("GET", "/_sandbox/hosted_invoices/<id>", NoParams, retrieve("invoice")),
        Route("POST", "/_sandbox/stripe_fee", admin.FeeBody, balances.charge_platform_fee),
        Route("POST", "/_sandbox/faults", faults.FaultOrder, admin.queue_fault),
        Route("DELETE", "/_sandbox/faults", NoParams, admin.clear_faults),
        Route("POST", "/_sandbox/webhooks", admin.WebhooksBody, controls.set_webhooks),
        Route("POST", "/_sandbox/webhooks/flush", NoParams, controls.flush, locked=False),
    )


def route_map(controls: admin.Admin) -> Map:
    """All routes, each as the endpoint of its own rule."""
    routes = _INVOICES + _MONEY + _CONNECT + _EVENTS + _controls(controls)
    return Map([Rule(route.rule, methods=[route.method], endpoint=route) for route in routes])
