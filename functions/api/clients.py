"""What a client asks: usage, charges with their evidence, invoices; and how it disputes one."""

import json
from datetime import UTC
from fractions import Fraction
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, ConfigDict

from billing.contracts import ContractHistory, ContractNotInForce
from billing.periods import Period
from events.decode import envelop
from events.facts import CaseId, Completed, Decided, Disputed, Fact, OwnerId, Party, Token, format_instant
from functions.api.errors import ApiError, not_found
from functions.api.pages import cursor_at, page, position_in
from functions.api.routes import MONTH, Answer, Call, Cursor, Limit, Routes
from functions.api.views import Charge, ChargeEvidence, DisputeReceived, Invoice, InvoiceWithLines, Usage
from ledger.accounts import client_unbilled
from ledger.entries import RecordedEntry, client_book
from ledger.posting_rules import Reason
from settlement.cases import Case
from settlement.described import describe_cycle, describe_fact, describe_invoice, exact_price
from settlement.grants import Role
from settlement.invoice_preview import PeriodClosed
from settlement.usage import Usage as UsageNow
from settlement.usage import usage_now

routes = Routes("clients")
PeriodName = Annotated[str, Path(description="A month, such as 2026-10.", pattern=MONTH)]
CaseName = Annotated[Token, Path(description="The id of a case, without a slash.")]
CaseAsked = Annotated[Token, Query(description="The id of a case.")]
# So many entries are looked at for one page: where few of them charge anything, a page may be short.
_LOOKED_AT = 500
_SHOWN_FACTS = {"resolution.completed", "resolution.rated", "resolution.reopened", "resolution.qa_reviewed"}


# -- usage -------------------------------------------------------------------------------------------------------------


@routes.shows("/v1/usage", Usage, Role.CLIENT)
def get_usage() -> Answer:
    """The period to date against included units, cap, minimum and prepaid credits, with a forecast."""
    call = routes.call
    try:
        return _described(usage_now(call.store, _history(call), call.now))
    except (ContractNotInForce, PeriodClosed) as error:
        raise ApiError("not_as_it_stands", str(error)) from None


def _history(call: Call) -> ContractHistory:
    history = call.registry.contracts([call.tenant]).get(call.tenant)
    if history is None:
        raise not_found("contract")
    return history


def _described(found: UsageNow) -> Answer:
    contract, state, invoice = found.preview.contract, found.preview.state, found.preview.closing.invoice
    included = {rate.id: rate.included for rate in contract.rates}
    return {
        "client": invoice.client,
        "period": invoice.period,
        "as_of": format_instant(found.as_of),
        "closes_at": format_instant(found.closes_at),
        "currency": invoice.currency,
        "contract": contract.version,
        "resolutions": found.resolutions,
        "included_units": sum(included.values()),
        "charged_minor": found.charged,
        "cap_minor": contract.cap_minor,
        "cap_left_minor": found.cap_left,
        "cap_action": contract.cap.action if contract.cap else None,
        "minimum_minor": found.minimum,
        "commitment_units": contract.commitment.units if contract.commitment else None,
        "prepaid_left_minor": found.prepaid_left,
        "forecast_resolutions": found.forecast.resolutions,
        "forecast_charged_minor": found.forecast.charged,
        "invoice_minor": invoice.total,
        "rates": [
            {
                "rate": rate,
                "resolutions": counter.net,
                "included": included.get(rate, 0),
                "accrued_minor": counter.accrued,
                "discount_minor": counter.discount,
                "capped_minor": counter.capped,
                "usage_minor": found.of_rate(rate),
            }
            for rate, counter in state.rates
        ],
    }


# -- charges -----------------------------------------------------------------------------------------------------------


@routes.lists("/v1/charges", Charge, Role.CLIENT)
def list_charges(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every charge, and every one taken back, newest first.

    A page may be shorter than the limit while has_more is true.
    """
    return _charges(routes.call, limit, position_in("charges", cursor, int))


def _charges(call: Call, limit: int, below: int | None) -> Answer:
    """The charges whose number in the client's book is lower than `below`."""
    book, found = client_book(call.tenant), list[Answer]()
    head = call.store.head(book).seq
    last = head if below is None else min(below - 1, head)
    lowest = max(0, last - _LOOKED_AT)
    while last > lowest and len(found) < limit:
        first = max(lowest, last - limit) + 1
        for recorded in reversed(call.store.entries_at(book, range(first, last + 1))):
            last = recorded.seq - 1
            if (charge := _charge(call.tenant, recorded)) is not None:
                found.append(charge)
            if len(found) == limit:
                break
    return page(found, cursor_at("charges", last + 1) if last else None)


def _charge(client: str, recorded: RecordedEntry) -> Answer | None:
    """An entry of a cycle as its client sees it; None for one that only corrects what an expert earns."""
    entry = recorded.entry
    on = [it.amount for it in entry.postings if it.account == client_unbilled(client)]
    if not entry.id.startswith("charge:") or not (on or entry.reason is Reason.SETTLED):
        return None
    code = entry.postings[0].amount.currency
    evidence: dict[str, Any] = json.loads(entry.evidence)
    price, rating = evidence.pop("list_price", None), evidence.pop("rating", None)
    told = dict.fromkeys(("rate", "ordinal", "why", "reopened_at", "contract")) | evidence
    return told | {
        "id": entry.id,
        "kind": entry.reason,
        "amount_minor": sum(amount.minor_units for amount in on),
        "currency": code,
        "effective_on": entry.effective_on.isoformat(),
        "recorded_at": format_instant(recorded.recorded_at),
        "list_price": None if price is None else exact_price(Fraction(price), code),
        "rating_basis_points": rating,
        "facts": evidence.get("facts", []),
    }


@routes.shows("/v1/charges/<case>", ChargeEvidence, Role.CLIENT)
def get_charge(case: CaseName) -> Answer:
    """All that decides what one case is charged: its cycles with their prices, and the facts.

    A case whose id has a slash is found at /v1/charge_evidence.
    """
    return _evidence(routes.call, case)


@routes.shows("/v1/charge_evidence", ChargeEvidence, Role.CLIENT)
def get_charge_evidence(case: CaseAsked) -> Answer:
    """All that decides what one case is charged, whatever characters its id has."""
    return _evidence(routes.call, case)


def _evidence(call: Call, case: str) -> Answer:
    found, code = _case(call, call.tenant, case), _history(call).currency
    return {
        "case": found.case_id,
        "cycles": [describe_cycle(state, code) for state in found.cycles],
        "facts": [describe_fact(fact) for fact in found.facts if _is_shown(fact, found)],
    }


def _case(call: Call, client: str, case: str) -> Case:
    key = (client, CaseId(case))
    found = call.store.cases([key])[key]
    if found.revision == 0:
        raise not_found(f"case {case}")
    return found


def _is_shown(fact: Fact, case: Case) -> bool:
    """Its client's own facts and the platform's about them; not what experts say of each other or of their pay."""
    own = {it.dispute for it in case.facts if isinstance(it, Disputed) and it.by is Party.CLIENT}
    return fact.type in _SHOWN_FACTS or (isinstance(fact, Disputed | Decided) and fact.dispute in own)


# -- invoices ----------------------------------------------------------------------------------------------------------


@routes.lists("/v1/invoices", Invoice, Role.CLIENT)
def list_invoices(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every invoice, newest first."""
    call = routes.call
    before = position_in("invoices", cursor, str)
    found = [it for it in call.store.invoices_of(call.tenant) if before is None or it.period < before]
    return _page_of_invoices(found, limit, call)


def _page_of_invoices(found: list[Any], limit: int, call: Call) -> Answer:
    today = call.now.astimezone(UTC).date()
    shown = found[:limit]
    data = [describe_invoice(invoice, today) | {"id": invoice.id} for invoice in shown]
    return page(data, cursor_at("invoices", shown[-1].period) if len(found) > limit else None)


@routes.shows("/v1/invoices/<period>", InvoiceWithLines, Role.CLIENT)
def get_invoice(period: PeriodName) -> Answer:
    """The invoice of a month with its lines, and how many resolutions its evidence lists."""
    call = routes.call
    key = (call.tenant, Period(period))
    invoice, state = call.store.invoice(*key), call.store.periods([key])[key]
    if invoice is None:
        raise not_found(f"invoice of {period}")
    lines = [
        {"kind": it.kind, "text": it.text, "quantity": it.quantity, "amount_minor": it.amount} for it in invoice.lines
    ]
    listed = {"id": invoice.id, "lines": lines, "resolutions": sum(counter.net for _, counter in state.rates)}
    return describe_invoice(invoice, call.now.astimezone(UTC).date()) | listed


# -- disputes ----------------------------------------------------------------------------------------------------------


class Dispute(BaseModel):
    """What is disputed: the case as it stands. An expert names the client whose case it is; a client has no need to."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"case": "C-1"}]})
    case: Token
    client: OwnerId | None = None


@routes.takes("/v1/disputes", DisputeReceived, Role.CLIENT, Role.EXPERT)
def create_dispute(dispute: Dispute) -> Answer:
    """Dispute a charge, or what was earned for a case.

    A dispute concerns the newest cycle of the case, and a party has one of each. An expert can dispute a case that they
    solved. Nothing changes until the platform has decided it.
    """
    call = routes.call
    is_client = call.role is Role.CLIENT
    if is_client and dispute.client not in {None, call.tenant}:
        raise not_found(f"case {dispute.case}")
    if not is_client and dispute.client is None:
        raise ApiError("parameter_invalid", "client: an expert names the client of the case", "client")
    client = dispute.client or call.tenant
    case = _case(call, client, dispute.case)
    if not is_client and call.tenant not in _experts(case):
        raise not_found(f"case {dispute.case}")
    return _dispute(call, client, case)


def _experts(case: Case) -> set[str | None]:
    return {fact.expert for fact in case.facts if isinstance(fact, Completed)}


def _dispute(call: Call, client: str, case: Case) -> Answer:
    party, cycle = Party(call.role.value), max(1, len(case.cycles))
    name = f"{party}/{cycle}/{call.tenant}"  # an expert's begins with expert/, and no other dispute's does
    known = next((it for it in case.facts if isinstance(it, Disputed) and it.dispute == name), None)
    told = {"id": name, "client": client, "case": case.case_id, "cycle": cycle, "by": party}
    if known is not None:
        status = "received" if known.id == call.derived else "known"  # it was this very request that told it
        return told | {"disputed_at": format_instant(known.time), "status": status}
    event = {
        "id": call.derived,
        "type": "resolution.disputed",
        "source": f"api/{party}",
        "time": format_instant(call.now),
        "subject": case.case_id,
        "data": {"dispute": name},
    }
    call.backend.put_facts([envelop(client, party, call.now, event)])
    return told | {"disputed_at": format_instant(call.now), "status": "received"}
