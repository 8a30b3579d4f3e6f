"""What is told of invoices, statements, payouts, runs and reconciliations: by the command as JSON, and by the API.

Amounts are whole minor units, and their names end in `_minor`; days and instants are ISO 8601. The API shows of this
what a role may see.
"""

import json
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from typing import Any

from billing.invoices import Invoice, InvoiceStatus
from events.facts import Fact, format_instant
from ledger.entries import RecordedEntry
from ledger.money import Currency, format_minor_units, minor_unit_exponent, round_half_away
from payouts.payouts import Instant, Payout, PayoutStatus, why_told
from payouts.statements import Line, Section
from payouts.tax_reporting import Paid, PaidInYear, Regime, Verdict
from settlement.approve_payouts import WaitingRun
from settlement.cases import CycleState
from settlement.findings import Reconciliation
from settlement.plan_payouts import NotPaid
from settlement.ports import PayoutStore
from settlement.statements import OwedNow, Statement

_PRICE_DECIMALS = 12


def exact_price(minor_units: Fraction, code: Currency) -> str:
    """An exact price in major units; one that no decimal can say, such as a third, is rounded to 12 decimals."""
    exponent = minor_unit_exponent(code)
    scaled = round_half_away(minor_units * 10 ** (_PRICE_DECIMALS - exponent))
    whole, decimals = divmod(scaled, 10**_PRICE_DECIMALS)
    kept = f"{decimals:0{_PRICE_DECIMALS}d}".rstrip("0").ljust(exponent, "0")
    return f"{whole}.{kept}" if kept else str(whole)


# -- invoices ---------------------------------------------------------------------------------------------------------


def standing(invoice: Invoice, today: date) -> str:
    """Where an invoice stands on a day, in words: its status; if it is open also what was paid and whether it is late.

    The last failed payment is named while the invoice is open.
    """
    back = "some went back" if invoice.returned else ""
    if invoice.status is not InvoiceStatus.OPEN:
        return ", ".join(word for word in (invoice.status.value, back) if word)
    late = "overdue" if invoice.is_overdue(today) else ""
    part = "partly paid" if invoice.paid else ""
    failed = f"last payment failed: {invoice.last_failure.code}" if invoice.last_failure else ""
    return ", ".join(word for word in (late, part, back, failed) if word) or invoice.status.value


def invoice_amounts(invoice: Invoice) -> dict[str, int]:
    """What was invoiced, credited, paid, went back and is owed."""
    return {
        "total": invoice.total,
        "credited": invoice.credited,
        "paid": invoice.paid,
        "returned": invoice.returned,
        "owed": invoice.owed,
    }


def describe_invoice(invoice: Invoice, today: date) -> dict[str, Any]:
    """An invoice and where it stands on a day."""
    return {
        "client": invoice.client,
        "period": invoice.period,
        "currency": invoice.currency,
        "status": invoice.status,
        "standing": standing(invoice, today),
        "is_overdue": invoice.is_overdue(today),
        "due_on": invoice.due_on.isoformat() if invoice.due_on else None,
        "stripe_invoice": invoice.stripe_invoice,
    } | {f"{name}_minor": amount for name, amount in invoice_amounts(invoice).items()}


# -- cases and entries ------------------------------------------------------------------------------------------------


def describe_cycle(state: CycleState, code: Currency) -> dict[str, Any]:
    """What was decided for a cycle, and what stands charged for it."""
    price, charge = state.price, state.charge
    return {
        "number": state.number,
        "status": state.status,
        "why": state.why,
        "settled_at": format_instant(state.settled_at) if state.settled_at else None,
        "period": price.period if price else None,
        "contract": price.version if price else None,
        "rate": price.rate if price else None,
        "ordinal": price.ordinal if price else None,
        "list_price": exact_price(price.exact_list_price, code) if price else None,
        "currency": code if price else None,
        "accrued_minor": charge.accrued if charge else 0,
        "discount_minor": charge.discount if charge else 0,
        "capped_minor": charge.capped if charge else 0,
        "net_minor": charge.net if charge else 0,
        "credited_minor": state.credited or 0,
    }


def describe_fact(fact: Fact) -> dict[str, Any]:
    """A fact with all its fields."""
    fields: dict[str, Any] = {name: getattr(fact, name) for name in fact.__dataclass_fields__}
    instants = ("time", "opened_at", "first_response_at")
    return fields | {name: format_instant(fields[name]) for name in instants if fields.get(name) is not None}


def describe_entry(recorded: RecordedEntry) -> dict[str, Any]:
    """An entry at its place in a book, with evidence and hashes."""
    entry = recorded.entry
    return {
        "id": entry.id,
        "book": entry.book,
        "seq": recorded.seq,
        "reason": entry.reason,
        "effective_on": entry.effective_on.isoformat(),
        "recorded_at": format_instant(recorded.recorded_at),
        "postings": [
            {"account": it.account, "currency": it.amount.currency, "amount_minor": it.amount.minor_units}
            for it in entry.postings
        ],
        "evidence": json.loads(entry.evidence),
        "content_hash": entry.content_hash,
        "chain_hash": recorded.chain_hash,
    }


# -- statements -------------------------------------------------------------------------------------------------------


def describe_statement(found: Statement) -> dict[str, Any]:
    """A statement as JSON has it."""
    return {
        "expert": found.expert,
        "country": found.country,
        "from": found.span.first.isoformat(),
        "to": found.span.last.isoformat(),
        "as_of": format_instant(found.as_of),
        "currencies": [_section_described(found, section) for section in found.sections],
        "payouts": [describe_payout(payout) for payout in found.payouts],
        "owed_now": [describe_owed(owed) for owed in found.owed_now],
        "year_to_date": describe_year(found.span.last.year, found.paid, found.verdict),
    }


def _section_described(found: Statement, section: Section) -> dict[str, Any]:
    return {
        "currency": section.currency,
        "opening_minor": section.opening,
        "closing_minor": section.closing,
        "in_transit_minor": section.in_transit,
        "totals": section.totals(),
        "lines": [describe_line(found, line) for line in section.lines],
        "deductions": [
            {"day": it.day.isoformat(), "kind": it.kind, "amount_minor": it.minor_units, "payout": it.payout}
            for it in section.deductions
        ],
    }


def describe_line(found: Statement, line: Line) -> dict[str, Any]:
    """A line of a statement; its trace says of every part that was considered what it came to, and why."""
    price = line.list_price
    return {
        "expert": found.expert,
        "day": line.day.isoformat(),
        "kind": line.kind,
        "client": line.client,
        "case": line.case,
        "cycle": line.cycle,
        "rule": line.rule,
        "incentive": line.incentive,
        "rate": line.rate,
        "list_price": None if price is None else exact_price(price, line.currency),
        "charged_minor": line.charged,
        "rating_percent": None if line.rating is None else format_minor_units(line.rating, Currency("USD")),
        "why": line.why,
        "trace": [{"component": it.component, "minor_units": it.minor_units, "why": it.why} for it in line.trace],
        "amount": format_minor_units(line.minor_units, line.currency),
        "amount_minor": line.minor_units,
        "currency": line.currency,
        "release_on": line.release_on.isoformat() if line.release_on else None,
        "payout": line.payout,
        "entry": line.entry,
    }


def describe_payout(payout: Payout) -> dict[str, Any]:
    """A payout as its expert sees it; `gross_minor` is what it takes off what is owed."""
    return {
        "id": payout.id,
        "run": payout.run,
        "status": payout.status,
        "currency": payout.currency,
        "gross_minor": payout.amount + payout.withheld + fee_of(payout),
        "withheld_minor": payout.withheld,
        "fee_minor": fee_of(payout),
        "net_minor": payout.amount,
        "reversed_minor": payout.reversed,
        "planned_at": format_instant(payout.planned_at),
        "sent_on": payout.sent_on.isoformat() if payout.sent_on else None,
        "transfer": payout.stripe_transfer,
        "bank": bank_leg(payout),
        "why": why_told(payout.why) or None,
    }


def describe_owed(owed: OwedNow) -> dict[str, Any]:
    """What is owed now in a currency, by release day, and what the next payout waits for."""
    return {
        "currency": owed.currency,
        "available_minor": owed.available,
        "held": [{"release_on": it.release_on.isoformat(), "amount_minor": it.minor_units} for it in owed.held],
        "missing": list(owed.missing),
    }


def describe_year(year: int, paid: Iterable[PaidInYear], verdict: Verdict) -> dict[str, Any]:
    """What was paid in a year, by quarter, and whether that is reported."""
    return describe_verdict(year, verdict) | {
        "paid": [
            {"currency": it.currency}
            | describe_sums(it.year, verdict)
            | {"quarters": [describe_sums(quarter, verdict) for quarter in it.quarters]}
            for it in paid
        ]
    }


def describe_verdict(year: int, verdict: Verdict) -> dict[str, Any]:
    """Whether a year is reported, under which regime, and why."""
    threshold = verdict.threshold
    return {
        "year": year,
        "regime": verdict.regime,
        "threshold_minor": threshold.minor_units if threshold else None,
        "threshold_currency": threshold.currency if threshold else None,
        "is_reportable": verdict.is_reportable,
        "why": verdict.why,
    }


def describe_sums(paid: Paid, verdict: Verdict) -> dict[str, int | None]:
    """What was paid in a quarter or a year."""
    return {
        "gross_minor": paid.gross,
        "withheld_minor": paid.withheld,
        "fee_minor": paid.fee,
        "net_minor": paid.net,
        "reversed_minor": paid.reversed,
        "payments": paid.payments,
        "activities": paid.activities if verdict.regime is Regime.DAC7 else None,
    }


def fee_of(payout: Payout) -> int:
    """What the payout costs; the fee of an instant one that Stripe refused was given back."""
    return 0 if payout.instant is Instant.REFUSED else payout.fee


def bank_leg(payout: Payout) -> str | None:
    """What became of the money on its way from the expert's Stripe account to the bank, as far as it is known."""
    if payout.bank_failure is not None:
        return f"returned: {payout.bank_failure}"
    if payout.status is PayoutStatus.PAID:
        return "paid"
    return "on its way" if payout.bank_payout is not None else None


# -- runs and reconciliation -------------------------------------------------------------------------------------------


def describe_held(held: NotPaid) -> dict[str, Any]:
    """Who would not be paid now, and everything that is missing."""
    return {
        "expert": held.expert,
        "currency": held.currency,
        "available_minor": held.minor_units,
        "missing": list(held.missing),
    }


def is_planned_whole(store: PayoutStore, waiting_run: WaitingRun) -> bool:
    """Whether the planning of a run is finished: until then more may come to it."""
    state = store.payout_run(waiting_run.run)
    return state is None or state.is_finished


def describe_run(run: WaitingRun, is_planned: bool) -> dict[str, Any]:  # noqa: FBT001  # as `waiting` pairs them
    """A run that waits for a second person; `totals_minor` is by currency."""
    return {
        "run": run.run,
        "payouts": len(run.payouts),
        "totals_minor": run.totals,
        "planned_by": sorted({payout.planned_by for payout in run.payouts}),
        "is_planned": is_planned,
        "hash": run.hash,
    }


def describe_reconciliation(found: Reconciliation) -> dict[str, Any]:
    """What was compared, what does not match and what is under way, each with its age and the next step."""
    return {
        "as_of": format_instant(found.as_of),
        "is_clean": found.is_clean,
        "entries_read": found.entries,
        "movements": found.movements,
        "payouts": found.payouts,
        "invoices": found.invoices,
        "differences": [it.described(found.day) for it in found.differences],
        "open": [it.described(found.day) for it in found.open],
        "left_out": found.left_out,
    }
