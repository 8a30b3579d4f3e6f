"""Terms that a backtest tries in the place of a client's own, and the months that it looks at."""

from dataclasses import replace
from datetime import date

from billing.contracts import Contract, ContractHistory
from billing.periods import Period
from ledger.records import dataclass
from payouts.plans import PayPlan, PlanHistory
from settlement.decide import Terms

# Before any fact: where a contract or plan begins that is to be in force for all of them.
_BEGINNING = date(1970, 1, 1)


class BacktestRefused(ValueError):
    """Terms that cannot be compared with the client's own; the message says which field and why."""


@dataclass(frozen=True, slots=True)
class Months:
    """The periods that are asked for, both inclusive; None: from the first, or to the last, that there is."""

    first: Period | None = None
    last: Period | None = None

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise BacktestRefused(f"{self.first} is after {self.last}")

    def __contains__(self, period: Period) -> bool:
        return (self.first is None or self.first <= period) and (self.last is None or period <= self.last)


@dataclass(frozen=True, slots=True)
class _PutInPlace(ContractHistory):
    """A history in which one contract prices the months that are asked for, whenever its file says that it starts."""

    months: Months
    contract: Contract

    def in_force(self, period: Period) -> Contract:
        """The contract that is tried, or what the history has; raises ContractNotInForce."""
        return self.contract if period in self.months else ContractHistory.in_force(self, period)


def put_contract(history: ContractHistory | None, contract: Contract, months: Months) -> ContractHistory:
    """The history with `contract` in place of what prices the months; without a history it is in force always.

    Raises BacktestRefused for another client, currency or time zone.
    """
    if history is None:
        always = contract.model_copy(update={"starts_on": _BEGINNING, "ends_on": None})
        return ContractHistory(contract.client, (always,))
    for name in ("client", "currency", "time_zone"):
        kept, wanted = getattr(history.versions[0], name), getattr(contract, name)
        if kept != wanted:
            raise BacktestRefused(f"{name}: {wanted} cannot be compared with {kept}, which {history.client} has")
    return _PutInPlace(history.client, history.versions, months, contract)


def put_plan(terms: Terms, plan: PayPlan) -> Terms:
    """The terms with `plan` in place of all versions of the plan of that id, whenever its file says that it starts.

    Raises BacktestRefused if nobody works for the client by that plan.
    """
    used = sorted({it.assignments[terms.client] for it in terms.experts.values() if terms.client in it.assignments})
    if plan.id not in used:
        raise BacktestRefused(f"id: no expert works for {terms.client} by the plan {plan.id}, but by {', '.join(used)}")
    always = PlanHistory(plan.id, (plan.model_copy(update={"starts_on": _BEGINNING}),))
    return replace(terms, plans={**terms.plans, plan.id: always})


def time_alike(old: ContractHistory, new: ContractHistory) -> bool:
    """Whether all versions of both time cycles by the same windows."""
    versions = [*old.versions, *new.versions, *([new.contract] if isinstance(new, _PutInPlace) else ())]
    windows = {
        (it.reopen_window_hours, it.confirmation_hours, it.rating.window_hours if it.rating else None)
        for it in versions
    }
    return len(windows) == 1
