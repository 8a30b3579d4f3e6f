"""What each role is shown: the one table of views and fields.

A view names the roles that see it. A field is for all of them, unless it says `Only(...)`. `HIDDEN` names what reads
yield and nobody is shown here, with the reason. Every answer is made through this table: what is not in it is dropped.

Amounts are whole minor units of the `currency` beside them (ISO 4217), and end in `_minor`; instants are RFC 3339 in
UTC, days are ISO 8601.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

from settlement.grants import Role

When = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
Code = Annotated[str, Field(description="ISO 4217", pattern="^[A-Z]{3}$")]

_CLIENT, _EXPERT, _FINANCE = frozenset({Role.CLIENT}), frozenset({Role.EXPERT}), frozenset({Role.FINANCE})
_MONEY_DESK = frozenset({Role.FINANCE, Role.APPROVER})
_OPERATOR = frozenset({Role.OPERATOR})
_TENANTS = frozenset({Role.CLIENT, Role.EXPERT})


@dataclass(frozen=True, slots=True)
class Only:
    """A field that some of a view's roles are not shown."""

    roles: frozenset[Role]


class View(BaseModel):
    """One kind of thing that is shown."""

    model_config = ConfigDict(extra="ignore")
    SEEN_BY: ClassVar[frozenset[Role]]
    HIDDEN: ClassVar[dict[str, str]] = {}


# -- clients -----------------------------------------------------------------------------------------------------------

_PAY = "what an expert earns is not the client's to see"
_WHO = "who solved or reviewed a case is not the client's to see"


class UsageRate(View):
    """One rate of the contract in the period so far."""

    SEEN_BY = _CLIENT
    rate: str
    resolutions: int
    included: int
    accrued_minor: int
    discount_minor: int
    capped_minor: int
    usage_minor: int


class Usage(View):
    """The period to date against what the contract agrees.

    The forecast takes the days that have begun for all days of the period, exactly, and rounds once. `invoice_minor` is
    the total of the invoice if the period were closed now.
    """

    SEEN_BY = _CLIENT
    client: str
    period: str
    as_of: When
    closes_at: When
    currency: Code
    contract: str
    resolutions: int
    included_units: int
    charged_minor: int
    cap_minor: int | None
    cap_left_minor: int | None
    cap_action: str | None
    minimum_minor: int
    commitment_units: int | None
    prepaid_left_minor: int | None
    forecast_resolutions: int
    forecast_charged_minor: int
    invoice_minor: int
    rates: list[UsageRate]


class Charge(View):
    """One entry that charged a resolution, or took a charge back: then its amount is negative."""

    SEEN_BY = _CLIENT
    HIDDEN: ClassVar[dict[str, str]] = dict.fromkeys(("plan", "release_on", "share_of", "trace", "earned"), _PAY)
    id: str
    case: str
    cycle: int
    kind: str
    amount_minor: int
    currency: Code
    effective_on: Day
    recorded_at: When
    rate: str | None
    ordinal: int | None
    list_price: str | None = Field(description="In major units, exact to 12 decimals.")
    rating_basis_points: int | None
    why: str | None
    reopened_at: str | None
    contract: str | None
    facts: list[str]


class ChargedCycle(View):
    """A cycle of a case, and what stands charged for it."""

    SEEN_BY = _CLIENT
    HIDDEN: ClassVar[dict[str, str]] = dict.fromkeys(("earned", "counted"), _PAY)
    number: int
    status: str
    why: str
    settled_at: When | None
    period: str | None
    contract: str | None
    rate: str | None
    ordinal: int | None
    list_price: str | None
    currency: Code | None
    accrued_minor: int
    discount_minor: int
    capped_minor: int
    net_minor: int
    credited_minor: int


class FactSeen(View):
    """A fact that decides about a charge."""

    SEEN_BY = _CLIENT
    HIDDEN: ClassVar[dict[str, str]] = dict.fromkeys(("expert", "reviewer"), _WHO)
    id: str
    type: str
    source: str
    time: When
    resolver: str | None = None
    channel: str | None = None
    language: str | None = None
    skill: str | None = None
    priority: str | None = None
    route: str | None = None
    opened_at: When | None = None
    first_response_at: When | None = None
    score: int | None = None
    scale_min: int | None = None
    scale_max: int | None = None
    passed: bool | None = None
    dispute: str | None = None
    by: str | None = None
    upheld: bool | None = None


class ChargeEvidence(View):
    """All that decides what a case is charged."""

    SEEN_BY = _CLIENT
    case: str
    cycles: list[ChargedCycle]
    facts: list[FactSeen]


class InvoiceLine(View):
    """A line of an invoice; what is in the client's favour is negative."""

    SEEN_BY = _CLIENT
    kind: str
    text: str
    quantity: int
    amount_minor: int


class Invoice(View):
    """One period's invoice, and where it stands."""

    SEEN_BY = _CLIENT
    id: str
    client: str
    period: str
    currency: Code
    status: str
    standing: str
    is_overdue: bool
    due_on: Day | None
    stripe_invoice: str | None
    total_minor: int
    credited_minor: int
    paid_minor: int
    returned_minor: int
    owed_minor: int


class InvoiceWithLines(Invoice):
    """An invoice with its lines; `resolutions` is N, which the evidence of the invoice lists one by one."""

    lines: list[InvoiceLine]
    resolutions: int


class DisputeReceived(View):
    """A dispute that was put in. Nothing changes until the platform has decided it."""

    SEEN_BY = _TENANTS
    id: str
    client: str
    case: str
    cycle: int
    by: str
    disputed_at: When
    status: Literal["received", "known"]


class WebhookEndpoint(View):
    """An address that webhooks go to; `secrets` are two while its secret is being rotated."""

    SEEN_BY = _CLIENT
    id: str
    url: str
    events: list[str]
    enabled: bool
    secrets: int


class WebhookEndpointMade(WebhookEndpoint):
    """An endpoint with the secret that the request made: it is shown to that request and its repetitions only."""

    secret: str | None


class WebhookEndpointGone(View):
    """An endpoint that was deleted."""

    SEEN_BY = _CLIENT
    id: str
    is_deleted: bool


class WebhookUndelivered(View):
    """A webhook that was given up, or waits for its next attempt, and why it was not taken."""

    SEEN_BY = _CLIENT
    webhook: str
    type: str
    state: str
    attempts: int
    why: str
    tried_at: When


class WebhooksQueued(View):
    """How many webhooks are sent again; next_cursor goes on where there are more."""

    SEEN_BY = _CLIENT
    id: str
    queued: int
    has_more: bool
    next_cursor: str | None


# -- experts -----------------------------------------------------------------------------------------------------------


class Considered(View):
    """A part of an earning that was considered: what it came to, and why or why not."""

    SEEN_BY = _EXPERT
    component: str
    minor_units: int
    why: str


class Earning(View):
    """One line of what is owed. The client's price is there only under a plan that shares it."""

    SEEN_BY = _EXPERT
    expert: str
    day: Day
    kind: str
    client: str | None
    case: str | None
    cycle: int | None
    rule: str | None
    incentive: str | None
    rate: str | None
    list_price: str | None
    charged_minor: int | None
    rating_percent: str | None
    why: str | None
    trace: list[Considered]
    amount: str = Field(description="In major units.")
    amount_minor: int
    currency: Code
    release_on: Day | None
    payout: str | None
    entry: str


class HeldUntil(View):
    """What can be paid from a day on."""

    SEEN_BY = _EXPERT
    release_on: Day
    amount_minor: int


class Balance(View):
    """What is owed in one currency; `missing` is what the next payout waits for.

    `next_payout_on` is the day of the next run (UTC) that pays this currency.
    """

    SEEN_BY = _EXPERT
    currency: Code
    next_payout_on: Day
    available_minor: int
    held_minor: int
    in_transit_minor: int
    held: list[HeldUntil]
    missing: list[str]


class Balances(View):
    """What an expert is owed now."""

    SEEN_BY = _EXPERT
    expert: str
    as_of: When
    balances: list[Balance]


class Payout(View):
    """Money on its way to an expert: `net_minor` is what is transferred."""

    SEEN_BY = _EXPERT
    id: str
    run: str
    status: str
    currency: Code
    gross_minor: int
    withheld_minor: int
    fee_minor: int
    net_minor: int
    reversed_minor: int
    planned_at: When
    sent_on: Day | None
    transfer: str | None
    bank: str | None
    why: str | None


class Deduction(View):
    """What was kept out of a payout's transfer."""

    SEEN_BY = _EXPERT
    day: Day
    kind: str
    amount_minor: int
    payout: str | None


class StatementSection(View):
    """One currency of a statement: opening and lines come to closing."""

    SEEN_BY = _EXPERT
    currency: Code
    opening_minor: int
    closing_minor: int
    in_transit_minor: int
    totals: dict[str, int]
    lines: list[Earning]
    deductions: list[Deduction]


class OwedNow(View):
    """What is owed when the statement is made."""

    SEEN_BY = _EXPERT
    currency: Code
    available_minor: int
    held: list[HeldUntil]
    missing: list[str]


class PaidSums(View):
    """What was paid in a quarter; activities are counted where a law asks for them."""

    SEEN_BY = _EXPERT
    gross_minor: int
    withheld_minor: int
    fee_minor: int
    net_minor: int
    reversed_minor: int
    payments: int
    activities: int | None


class PaidInYear(PaidSums):
    """What was paid in a year in one currency."""

    currency: Code
    quarters: list[PaidSums]


class YearToDate(View):
    """What was paid in the year, and whether it is reported to a tax office; null where that is not known."""

    SEEN_BY = _EXPERT
    year: int
    regime: str | None
    threshold_minor: int | None
    threshold_currency: Code | None
    is_reportable: bool | None
    why: str
    paid: list[PaidInYear]


class Statement(View):
    """An expert's statement of a month."""

    SEEN_BY = _EXPERT
    expert: str
    country: str
    from_: Day = Field(alias="from")
    to: Day
    as_of: When
    currencies: list[StatementSection]
    payouts: list[Payout]
    owed_now: list[OwedNow]
    year_to_date: YearToDate


class OnboardingLink(View):
    """Where an expert finishes the account at Stripe; it can be opened once, and for some minutes."""

    SEEN_BY = _EXPERT
    url: str


class PayoutQuote(View):
    """What an expert would get at once; agree to it with its net_minor."""

    SEEN_BY = _EXPERT
    expert: str
    currency: Code
    gross_minor: int
    withheld_minor: int
    fee_minor: int
    net_minor: int


# -- finance -----------------------------------------------------------------------------------------------------------


class AccountBalance(View):
    """One account; one of debit and credit is zero."""

    SEEN_BY = _FINANCE
    account: str
    kind: str
    currency: Code
    debit_minor: int
    credit_minor: int


class Posting(View):
    """One line of an entry: a debit is positive."""

    SEEN_BY = _FINANCE
    account: str
    currency: Code
    amount_minor: int


class JournalEntry(View):
    """An entry of a book, with its evidence and its hashes."""

    SEEN_BY = _FINANCE
    id: str
    book: str
    seq: int
    reason: str
    effective_on: Day
    recorded_at: When
    postings: list[Posting]
    evidence: dict[str, Any]
    content_hash: str
    chain_hash: str


class Run(View):
    """A run that waits for a second person; an approval names its hash."""

    SEEN_BY = _MONEY_DESK
    run: str
    payouts: int
    totals_minor: dict[str, int]
    planned_by: list[str]
    is_planned: bool
    hash: str


class RunDecided(View):
    """What an approval let go, or a rejection gave back."""

    SEEN_BY = frozenset({Role.APPROVER})
    run: str
    decision: Literal["approved", "rejected"]
    by: str
    payouts: list[str]


class Parked(View):
    """Something that could not be decided, and why."""

    SEEN_BY = _FINANCE
    HIDDEN: ClassVar[dict[str, str]] = {"message": "a delivery as it is queued; what is wrong with it is in detail"}
    id: str
    client: str | None
    reason: str
    detail: str
    parked_at: When
    can_release: bool


class Released(View):
    """What became of something parked that tried again."""

    SEEN_BY = _FINANCE
    id: str
    status: Literal["released", "parked_again"]


class HeldPayout(View):
    """Who would not be paid now, and everything that is missing."""

    SEEN_BY = _FINANCE
    expert: str
    currency: Code
    available_minor: int
    missing: list[str]


class FindingSeen(View):
    """Something that does not match, or is under way."""

    SEEN_BY = _FINANCE
    about: str
    detail: str
    amount_minor: int
    currency: Code | None
    since: Day
    age_days: int
    next_step: str


class ReconciliationSeen(View):
    """Ledger, states and Stripe matched three ways, as they were then; `left_out` counts findings that are not here."""

    SEEN_BY = _FINANCE
    as_of: When
    is_clean: bool
    entries_read: int
    movements: int
    payouts: int
    invoices: int
    differences: list[FindingSeen]
    open: list[FindingSeen]
    left_out: int


# -- operators ---------------------------------------------------------------------------------------------------------

_CONTACT = "an address is for invoices and onboarding, and for no list"


class ClientSeen(View):
    """A registered client."""

    SEEN_BY = _OPERATOR
    HIDDEN: ClassVar[dict[str, str]] = {"email": _CONTACT}
    id: str
    name: str
    stripe_customer: str | None


class ExpertSeen(View):
    """A registered expert."""

    SEEN_BY = _OPERATOR
    HIDDEN: ClassVar[dict[str, str]] = {"email": _CONTACT}
    id: str
    country: str
    assignments: dict[str, str]
    gates: dict[str, str]
    withholding_percent: str
    referred_by: str | None
    stripe_account: str | None


class TermsSeen(View):
    """All versions of a contract or of a pay plan, as they were applied."""

    SEEN_BY = _OPERATOR
    id: str
    versions: list[dict[str, Any]]


class Sending(View):
    """The kill switch: whether payouts are stopped, by whom, since when and why."""

    SEEN_BY = frozenset({Role.OPERATOR, Role.FINANCE})
    is_stopped: bool
    by: str | None
    since: When | None
    reason: str | None


# -- what a role sees --------------------------------------------------------------------------------------------------


def roles_of(view: type[View], name: str) -> frozenset[Role]:
    """The roles that are shown a field."""
    limits = (it.roles for it in view.model_fields[name].metadata if isinstance(it, Only))
    return next(limits, view.SEEN_BY)


@cache
def shown(view: type[View], role: Role) -> type[BaseModel]:
    """The view as a role sees it. Raises ValueError for a role that does not see it at all."""
    if role not in view.SEEN_BY:
        raise ValueError(f"{role} is not shown {view.__name__}")
    kept = {name: field for name, field in view.model_fields.items() if role in roles_of(view, name)}
    fields: dict[str, Any] = {name: (_shown_type(field.annotation, role), field) for name, field in kept.items()}
    is_whole = kept.keys() == view.model_fields.keys() and all(
        made == field.annotation for (made, _), field in zip(fields.values(), kept.values(), strict=True)
    )
    if is_whole:
        return view
    made: type[BaseModel] = create_model(
        f"{view.__name__}For{role.title()}", __config__=view.model_config, __doc__=view.__doc__, **fields
    )
    return made


def _shown_type(annotation: Any, role: Role) -> Any:  # noqa: ANN401  # any annotation
    if isinstance(annotation, type) and issubclass(annotation, View):
        return shown(annotation, role)
    if get_origin(annotation) is list:
        return list[_shown_type(get_args(annotation)[0], role)]  # type: ignore[misc]  # made at run time
    return annotation


@cache
def listed(view: type[View], role: Role) -> type[BaseModel]:
    """A page of a view as a role sees it."""
    item = shown(view, role)
    fields: dict[str, Any] = {
        "object": (Literal["list"], ...),
        "data": (list[item], ...),  # type: ignore[valid-type]  # made at run time
        "has_more": (bool, ...),
        "next_cursor": (str | None, ...),
    }
    made: type[BaseModel] = create_model(f"{item.__name__}List", __doc__=f"A page. {view.__doc__}", **fields)
    return made
