"""What an expert asks: earnings with their trace, balance, payouts, statements; onboarding, and to be paid at once."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from functions.api.errors import ApiError, not_found
from functions.api.pages import sliced
from functions.api.routes import MONTH, Answer, Call, Cursor, Limit, Routes
from functions.api.views import Balances, Earning, OnboardingLink, Payout, PayoutQuote, Statement
from ledger.money import Currency
from ledger.terms import CurrencyCode
from payouts.payouts import Payout as PayoutState
from payouts.payouts import PayoutStatus, payout_id
from payouts.statements import Span, span_of
from settlement.described import (
    describe_line,
    describe_owed,
    describe_payout,
    describe_statement,
)
from settlement.grants import Role
from settlement.onboard import account_of
from settlement.pay_on_demand import OnDemandRefused, on_demand_run, pay_on_demand, quote
from settlement.plan_payouts import next_run_day, payees, schedule_of
from settlement.statements import Statement as StatementMade
from settlement.statements import UnknownExpert, make_statement
from settlement.stripe_port import StripeRefused

routes = Routes("experts")
Month = Annotated[str | None, Query(description="A month, such as 2026-10; without it the present one.", pattern=MONTH)]
MonthName = Annotated[str, Path(description="A month, such as 2026-10.", pattern=MONTH)]
PayoutName = Annotated[str, Path(description="The id of a payout.", max_length=200)]
_EVER = date(2000, 1, 1)


def _statement(call: Call, span: Span) -> StatementMade:
    try:
        return make_statement(call.store, call.registry, call.tenant, span, call.now)
    except UnknownExpert:
        raise not_found(f"expert {call.tenant}") from None


def _today(now: datetime) -> date:
    return now.astimezone(UTC).date()


# -- looking -----------------------------------------------------------------------------------------------------------


@routes.lists("/v1/earnings", Earning, Role.EXPERT)
def list_earnings(month: Month = None, limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every line of what is owed in a month, oldest first, with each part that was considered and why or why not."""
    call = routes.call
    name = month or f"{_today(call.now):%Y-%m}"
    found = _statement(call, span_of(name))
    lines = [describe_line(found, line) for section in found.sections for line in section.lines]
    return sliced(f"earnings/{name}", lines, cursor, limit)


@routes.shows("/v1/balance", Balances, Role.EXPERT)
def get_balance() -> Answer:
    """What is owed now: available, held by the day it is released, in transit; and what the next payout waits for."""
    call = routes.call
    today = _today(call.now)
    found = _statement(call, Span(today, today))
    in_transit = {section.currency: section.in_transit for section in found.sections}
    owed = {it.currency: describe_owed(it) for it in found.owed_now}
    [payee] = payees(call.registry, [call.registry.experts([call.tenant])[call.tenant]])

    def next_on(code: Currency) -> str:
        return next_run_day(schedule_of(payee, code, today), today).isoformat()

    nothing = {"available_minor": 0, "held": [], "missing": []}
    balances = [
        {"currency": code, "in_transit_minor": in_transit.get(code, 0), "next_payout_on": next_on(Currency(code))}
        | (one := owed.get(code, nothing))
        | {"held_minor": sum(it["amount_minor"] for it in one["held"])}
        for code in sorted(owed.keys() | {code for code, minor in in_transit.items() if minor})
    ]
    return {"expert": found.expert, "as_of": describe_statement(found)["as_of"], "balances": balances}


@routes.lists("/v1/payouts", Payout, Role.EXPERT)
def list_payouts(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every payout, oldest first, with what became of it on its way to the bank."""
    call = routes.call
    found = _statement(call, Span(_EVER, _today(call.now) + timedelta(days=1)))
    payouts = sorted(found.payouts, key=lambda it: (it.planned_at, it.id))
    return sliced("payouts", [describe_payout(payout) for payout in payouts], cursor, limit)


@routes.shows("/v1/payouts/<payout>", Payout, Role.EXPERT)
def get_payout(payout: PayoutName) -> Answer:
    """One payout."""
    call = routes.call
    found = call.store.payout(payout) if payout.startswith(f"payout:{call.tenant}:") else None
    if found is None or found.expert != call.tenant:
        raise not_found(f"payout {payout}")
    return describe_payout(found)


@routes.shows("/v1/statements/<month>", Statement, Role.EXPERT)
def get_statement(month: MonthName) -> Answer:
    """The statement of a month: opening, lines, closing, payouts, what is owed now, and the year to date."""
    return describe_statement(_statement(routes.call, span_of(month)))


# -- acting ------------------------------------------------------------------------------------------------------------


class Onboarding(BaseModel):
    """Where Stripe sends the expert afterwards."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"return_url": "https://experts.example/done"}]}
    )
    return_url: Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[!-~]*)?$", max_length=500)]


@routes.takes("/v1/onboarding_link", OnboardingLink, Role.EXPERT)
def create_onboarding_link(onboarding: Onboarding) -> Answer:
    """A link with which the expert finishes or changes the account at Stripe, bank account included."""
    call = routes.call
    expert = call.registry.experts([call.tenant]).get(call.tenant)
    if expert is None:
        raise not_found(f"expert {call.tenant}")
    stripe = call.backend.stripe()
    try:
        account = account_of(call.registry, stripe, expert)
        return {"url": stripe.onboarding_link(account, onboarding.return_url)}
    except StripeRefused as refused:
        raise ApiError("not_as_it_stands", f"Stripe refused the link: {refused.code}") from None


class Quoting(BaseModel):
    """The currency to be paid in."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"currency": "USD"}]})
    currency: CurrencyCode


class InstantPayout(Quoting):
    """What was quoted as net_minor; refused if it would not be that any more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"currency": "USD", "net_minor": 9850}]})
    net_minor: Annotated[int, Field(gt=0, lt=2**53, strict=True)]


@routes.takes("/v1/instant_payouts/quote", PayoutQuote, Role.EXPERT)
def quote_instant_payout(quoting: Quoting) -> Answer:
    """What the expert would get if paid at once, and what that costs. Nothing is written."""
    call = routes.call
    found = _quoted(call, Currency(quoting.currency))
    return {
        "expert": found.expert,
        "currency": found.currency,
        "gross_minor": found.gross,
        "withheld_minor": found.withheld,
        "fee_minor": found.fee,
        "net_minor": found.amount,
    }


@routes.takes("/v1/instant_payouts", Payout, Role.EXPERT)
def create_instant_payout(wanted: InstantPayout) -> Answer:
    """Pay at once what was quoted, for the fee that was quoted.

    Large ones wait for a second person: their status is planned.
    """
    call = routes.call
    code, key = Currency(wanted.currency), call.derived
    known = call.store.payout(payout_id(call.tenant, code, on_demand_run(key)))
    quoted = known or _quoted(call, code)
    if quoted.amount != wanted.net_minor:
        said = f"it would be {quoted.amount} and not {wanted.net_minor}; agree to that"
        raise ApiError("not_as_it_stands", said, "net_minor")
    try:
        made = pay_on_demand(call.store, call.registry, quoted, key, call.caller.subject, call.now)
    except OnDemandRefused as refused:
        raise ApiError("not_as_it_stands", str(refused)) from None
    if made.status is not PayoutStatus.PLANNED and not made.is_finished:
        call.backend.ask_to_send([made.id], call.now)
    return describe_payout(made)


def _quoted(call: Call, code: Currency) -> PayoutState:
    try:
        return quote(call.store, call.registry, call.tenant, code, call.now)
    except OnDemandRefused as refused:
        raise ApiError("not_as_it_stands", str(refused)) from None
