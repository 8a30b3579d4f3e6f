"""What finance asks: balances, entries, runs and who approves them, what is parked or held, and reconciliation."""

from collections import Counter
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from events.facts import format_instant
from functions.api.errors import ApiError, not_found
from functions.api.pages import cursor_at, page, position_in, sliced
from functions.api.routes import Answer, Cursor, Limit, Routes
from functions.api.views import (
    AccountBalance,
    HeldPayout,
    JournalEntry,
    Parked,
    ReconciliationSeen,
    Released,
    Run,
    RunDecided,
)
from ledger.accounts import Account, kind_of
from ledger.entries import Book
from ledger.money import Currency
from settlement.approve_payouts import (
    ApprovalRefused,
    SamePerson,
    WaitingRun,
    approve_run,
    reject_run,
    rejected_in,
    waiting_runs,
)
from settlement.book_sums import read_sums
from settlement.described import (
    describe_entry,
    describe_held,
    describe_reconciliation,
    describe_run,
    is_planned_whole,
)
from settlement.grants import Role
from settlement.plan_payouts import NotPaid, preview
from settlement.release import CannotRelease, release

routes = Routes("finance")
BookName = Annotated[
    str,
    Query(
        description="client/<id>, expert/<id> or platform.", pattern=r"^(platform|(client|expert)/[a-z0-9_-]{1,64})$"
    ),
]
RunName = Annotated[str, Path(description="A run, such as 2026-W41.", pattern=r"^[A-Za-z0-9-]{1,64}$")]


# -- ledger ------------------------------------------------------------------------------------------------------------


@routes.lists("/v1/ledger/accounts", AccountBalance, Role.FINANCE)
def list_accounts(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """The trial balance as it is now, by currency and account; accounts that came back to zero are left out."""
    balances = Counter[tuple[Currency, Account]]()
    for total in read_sums(routes.call.store).totals():
        balances[total.currency, total.account] += total.minor_units
    rows = [_balance(*key, minor) for key, minor in sorted(balances.items()) if minor]
    return sliced("accounts", rows, cursor, limit)


def _balance(code: Currency, account: Account, minor_units: int) -> Answer:
    return {
        "account": account,
        "kind": kind_of(account),
        "currency": code,
        "debit_minor": max(minor_units, 0),
        "credit_minor": max(-minor_units, 0),
    }


@routes.lists("/v1/ledger/entries", JournalEntry, Role.FINANCE)
def list_entries(book: BookName, limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """The entries of a book, newest first, with evidence and hashes."""
    store, name = routes.call.store, Book(book)
    below = position_in(f"entries/{book}", cursor, int)
    last = store.head(name).seq if below is None else min(below - 1, store.head(name).seq)
    first = max(1, last - limit + 1)
    found = [describe_entry(it) for it in reversed(store.entries_at(name, range(first, last + 1)))]
    return page(found, cursor_at(f"entries/{book}", first) if first > 1 else None)


# -- runs --------------------------------------------------------------------------------------------------------------


@routes.lists("/v1/runs", Run, Role.FINANCE, Role.APPROVER)
def list_runs(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every run that waits for a second person, with the hash that an approval names."""
    runs = [_run(run) for run in waiting_runs(routes.call.store)]
    return sliced("runs", runs, cursor, limit)


@routes.shows("/v1/runs/<run>", Run, Role.FINANCE, Role.APPROVER)
def get_run(run: RunName) -> Answer:
    """One run that waits for a second person."""
    found = next((it for it in waiting_runs(routes.call.store) if it.run == run), None)
    if found is None:
        raise not_found(f"run {run} that waits")
    return _run(found)


def _run(run: WaitingRun) -> Answer:
    return describe_run(run, is_planned_whole(routes.call.store, run))


class Approval(BaseModel):
    """What is approved, by its hash."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"hash": "0123456789abcdef" * 4}]})
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Rejection(BaseModel):
    """Why a run is rejected; it is kept with its payouts. No personal data belongs here."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "the wrong week"}]})
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


@routes.takes("/v1/runs/<run>/approve", RunDecided, Role.APPROVER)
def approve(run: RunName, approval: Approval) -> Answer:
    """Approve exactly what waits in a run that somebody else planned, and have it sent."""
    call = routes.call
    try:
        ids = approve_run(call.store, run, approval.hash, call.by, call.caller.subject)
    except SamePerson as refused:
        raise ApiError("second_person", str(refused)) from None
    except ApprovalRefused as refused:
        raise ApiError("not_as_it_stands", str(refused)) from None
    call.backend.ask_to_send(sorted(ids), call.now)
    return {"run": run, "decision": "approved", "by": call.by, "payouts": sorted(ids)}


@routes.takes("/v1/runs/<run>/reject", RunDecided, Role.APPROVER)
def reject(run: RunName, rejection: Rejection) -> Answer:
    """Give what waits in a run back to the experts' balances; a later run may pay it."""
    call, why = routes.call, ""
    try:
        reject_run(call.store, run, call.by, rejection.reason, call.now)
    except ApprovalRefused as refused:  # or else this very request did it, and died before it answered
        why = str(refused)
    ids = rejected_in(call.store.payouts(), run, call.by, rejection.reason)
    if why and not ids:
        raise ApiError("not_as_it_stands", why)
    return {"run": run, "decision": "rejected", "by": call.by, "payouts": list(ids)}


# -- what hangs --------------------------------------------------------------------------------------------------------


@routes.lists("/v1/parked", Parked, Role.FINANCE)
def list_parked(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Everything that could not be decided, in no order, with its reason and whether it can be released."""
    found, last = routes.call.store.parked_after(position_in("parked", cursor, str) or "", limit)
    data = [
        {
            "id": it.id,
            "client": it.client or None,
            "reason": it.reason,
            "detail": it.detail,
            "parked_at": format_instant(it.parked_at),
            "can_release": it.message is not None,
        }
        for it in found
    ]
    return page(data, cursor_at("parked", last) if last else None)


class Release(BaseModel):
    """What shall try again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"id": "case:acme/C-1"}]})
    id: Annotated[str, Field(pattern=r"^[!-~]{1,600}$")]


@routes.takes("/v1/parked/release", Released, Role.FINANCE)
def release_parked(parked: Release) -> Answer:
    """Let something parked try again, once its cause is mended."""
    call = routes.call
    mark = f"release/{call.derived}/{parked.id}"
    if call.store.posted([mark]):
        return {"id": parked.id, "status": "released"}
    if call.store.find_parked(parked.id) is None:
        raise not_found("parked thing of that id")
    try:
        settled = release(call.store, call.registry, parked.id, call.now, mark)
    except CannotRelease as cannot:
        raise ApiError("not_as_it_stands", str(cannot)) from None
    return {"id": parked.id, "status": "parked_again" if settled.parked or settled.failed else "released"}


@routes.lists("/v1/held_payouts", HeldPayout, Role.FINANCE)
def list_held(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Who has something available and would not be paid now, with everything that is missing."""
    call = routes.call
    held = [describe_held(it) for it in preview(call.store, call.registry, call.now) if isinstance(it, NotPaid)]
    return sliced("held", held, cursor, limit)


@routes.shows("/v1/reconciliation", ReconciliationSeen, Role.FINANCE)
def get_reconciliation() -> Answer:
    """What the last daily match of ledger, states and Stripe found: what differs, and what is under way.

    `solvent reconcile` matches them as they are now.
    """
    found = routes.call.store.last_reconciliation()
    if found is None:
        raise not_found("reconciliation yet; the first one is made at night")
    return describe_reconciliation(found)
