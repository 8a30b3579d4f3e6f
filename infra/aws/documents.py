"""The documents that items hold as JSON. Each codec is built when a document of its type is first read or written.

Building them all takes longer than importing boto3, and no function uses all. The same is true of the modules of their
types, which are therefore imported here; a function that handles a type has imported its module long before.
Defaults are written out, so that a later default does not change what was agreed.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, assert_never

from pydantic import TypeAdapter

from ledger.terms import Terms

if TYPE_CHECKING:
    from billing.contracts import Contract, ContractHistory
    from billing.invoices import Invoice
    from billing.periods import PeriodState
    from billing.prepaid import Prepaid
    from events.adapters.doors import Door
    from payouts.awards import Award
    from payouts.payouts import Payout
    from payouts.plans import PayPlan, PlanHistory
    from payouts.policy import PayoutPolicy, PayoutsStopped
    from settlement.apply import Applied, Stored
    from settlement.expert_status import ExpertStatus
    from settlement.findings import Reconciliation
    from settlement.manual_entries import ManualEntry
    from settlement.month_close import MonthClose
    from settlement.ports import AwardRun, PayoutRun, Spent
    from settlement.price_changes import Proposal
    from settlement.registry import Client, Expert
    from settlement.webhooks import Endpoint

# Parsing is what a read costs most. Keyed by the exact text, so that what is cached can never be out of date.
_PARSED = 4096


# -- billing -----------------------------------------------------------------------------------------------------------


@cache
def period_codec() -> TypeAdapter[PeriodState]:
    """A client's period."""
    from billing.periods import PeriodState

    return TypeAdapter(PeriodState)


@cache
def prepaid_codec() -> TypeAdapter[Prepaid]:
    """A client's prepaid credits."""
    from billing.prepaid import Prepaid

    return TypeAdapter(Prepaid)


@cache
def invoice_codec() -> TypeAdapter[Invoice]:
    """The invoice of a period."""
    from billing.invoices import Invoice

    return TypeAdapter(Invoice)


# -- payouts -----------------------------------------------------------------------------------------------------------


@cache
def payout_codec() -> TypeAdapter[Payout]:
    """An expert's payout."""
    from payouts.payouts import Payout

    return TypeAdapter(Payout)


@cache
def payout_run_codec() -> TypeAdapter[PayoutRun]:
    """How far the planning of a run came."""
    from settlement.ports import PayoutRun

    return TypeAdapter(PayoutRun)


@cache
def spent_codec() -> TypeAdapter[Spent]:
    """What was reserved under a limit."""
    from settlement.ports import Spent

    return TypeAdapter(Spent)


@cache
def award_codec() -> TypeAdapter[Award]:
    """What an incentive awarded."""
    from payouts.awards import Award

    return TypeAdapter(Award)


@cache
def award_run_codec() -> TypeAdapter[AwardRun]:
    """How far the awarding of a day came."""
    from settlement.ports import AwardRun

    return TypeAdapter(AwardRun)


# -- the registry ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=_PARSED)
def client_of(document: str) -> Client:
    """A client."""
    from settlement.registry import Client

    return Client.model_validate_json(document)


@lru_cache(maxsize=_PARSED)
def expert_of(document: str) -> Expert:
    """An expert."""
    from settlement.registry import Expert

    return Expert.model_validate_json(document)


@lru_cache(maxsize=_PARSED)
def policy_of(document: str) -> PayoutPolicy:
    """The payout policy of a currency."""
    from payouts.policy import PayoutPolicy

    return PayoutPolicy.model_validate_json(document)


@lru_cache(maxsize=_PARSED)
def endpoint_of(document: str) -> Endpoint:
    """An endpoint of webhooks."""
    from settlement.webhooks import Endpoint

    return Endpoint.model_validate_json(document)


@lru_cache(maxsize=_PARSED)
def door_of(document: str) -> Door:
    """A door for a helpdesk."""
    from events.adapters.doors import Door

    return Door.model_validate_json(document)


@lru_cache(maxsize=_PARSED)
def contracts_of(document: str) -> ContractHistory:
    """All versions of a client's contract."""
    from billing.contracts import ContractHistory

    versions = _contracts_codec().validate_json(document)
    return ContractHistory(versions[0].client, versions)


@lru_cache(maxsize=_PARSED)
def plans_of(document: str) -> PlanHistory:
    """All versions of a pay plan."""
    from payouts.plans import PlanHistory

    versions = _plans_codec().validate_json(document)
    return PlanHistory(versions[0].id, versions)


def dumped(document: Stored) -> str:
    """The JSON of what `solvent apply` writes."""
    from billing.contracts import ContractHistory
    from payouts.plans import PlanHistory

    match document:
        case Terms():
            return document.model_dump_json(exclude_none=True)
        case ContractHistory():
            return _contracts_codec().dump_json(document.versions, exclude_none=True).decode()
        case PlanHistory():
            return _plans_codec().dump_json(document.versions, exclude_none=True).decode()
        case _:
            assert_never(document)


@cache
def _contracts_codec() -> TypeAdapter[tuple[Contract, ...]]:
    from billing.contracts import Contract

    return TypeAdapter(tuple[Contract, ...])


@cache
def _plans_codec() -> TypeAdapter[tuple[PayPlan, ...]]:
    from payouts.plans import PayPlan

    return TypeAdapter(tuple[PayPlan, ...])


@cache
def applied_codec() -> TypeAdapter[tuple[Applied, ...]]:
    """Who applied the versions of a contract or a pay plan, and when."""
    from settlement.apply import Applied

    return TypeAdapter(tuple[Applied, ...])


@cache
def proposal_codec() -> TypeAdapter[Proposal]:
    """A price change that waits for a second person."""
    from settlement.price_changes import Proposal

    return TypeAdapter(Proposal)


@cache
def status_codec() -> TypeAdapter[ExpertStatus]:
    """What outside systems say about an expert."""
    from settlement.expert_status import ExpertStatus

    return TypeAdapter(ExpertStatus)


@cache
def stop_codec() -> TypeAdapter[PayoutsStopped | None]:
    """The kill switch; None while it is off."""
    from payouts.policy import PayoutsStopped

    return TypeAdapter(PayoutsStopped | None)


@cache
def reconciliation_codec() -> TypeAdapter[Reconciliation]:
    """What was compared, and what was found."""
    from settlement.findings import Reconciliation

    return TypeAdapter(Reconciliation)


# -- the close ---------------------------------------------------------------------------------------------------------


@cache
def manual_entry_codec() -> TypeAdapter[ManualEntry]:
    """An entry made by hand, from its proposal on."""
    from settlement.manual_entries import ManualEntry

    return TypeAdapter(ManualEntry)


@cache
def month_close_codec() -> TypeAdapter[MonthClose]:
    """What was done of the close of a month."""
    from settlement.month_close import MonthClose

    return TypeAdapter(MonthClose)
