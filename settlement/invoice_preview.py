"""The invoice of an open period as it would be if the period were closed now. Nothing is written."""

from collections.abc import Collection, Mapping
from typing import Protocol

from billing.contracts import Contract, ContractHistory, ContractNotInForce
from billing.invoices import Close, close_period
from billing.periods import Period, PeriodState, PeriodStatus, next_period, period_of_date
from billing.prepaid import Prepaid, use
from ledger.records import dataclass
from settlement.close import last_day
from settlement.ports import PeriodKey


class PreviewStore(Protocol):
    """What a preview reads."""

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""

    def prepaids(self, clients: Collection[str]) -> Mapping[str, Prepaid]:
        """The prepaid credits of these clients, in one read; none where nothing was bought."""


class PeriodClosed(LookupError):
    """The period is closed, so its invoice is there and no preview."""

    def __init__(self, client: str, period: Period) -> None:
        super().__init__(f"{client} {period} is closed; its invoice is in `solvent invoice list --client {client}`")


@dataclass(frozen=True, slots=True)
class Preview:
    """What closing now comes to: `state` has the counters as they stand, `open_before` what was closed before it."""

    contract: Contract
    state: PeriodState
    closing: Close
    open_before: tuple[Period, ...]


def preview_invoice(store: PreviewStore, history: ContractHistory, period: Period) -> Preview:
    """The close of a period with its counters as they are, and of every earlier one that is still open before it.

    Raises PeriodClosed for a closed period, and ContractNotInForce.
    """
    contract = history.in_force(period)
    states = _states(store, history, period)
    if states[period].status is PeriodStatus.CLOSED:
        raise PeriodClosed(history.client, period)
    prepaid, carried, open_before = store.prepaids([history.client])[history.client], 0, list[Period]()
    for earlier, before in states.items():
        terms = _contract(history, earlier)
        if before.status is PeriodStatus.CLOSED or terms is None:
            carried = before.carried
        elif earlier != period:
            closing = _close(terms, before, carried, prepaid)
            carried, prepaid = closing.period.carried, use(prepaid, closing.prepaid, last_day(earlier))
            open_before.append(earlier)
    state = states[period]
    return Preview(contract, state, _close(contract, state, carried, prepaid), tuple(open_before))


def _states(store: PreviewStore, history: ContractHistory, last: Period) -> dict[Period, PeriodState]:
    """The client's periods from its first contract to `last`, in order."""
    periods = [period_of_date(history.versions[0].starts_on)]
    while periods[-1] < last:
        periods.append(next_period(periods[-1]))
    found = store.periods([(history.client, period) for period in periods])
    return {period: found[history.client, period] for period in periods}


def _contract(history: ContractHistory, period: Period) -> Contract | None:
    try:
        return history.in_force(period)
    except ContractNotInForce:
        return None


def _close(contract: Contract, state: PeriodState, carried: int, prepaid: Prepaid) -> Close:
    usable = prepaid.usable(last_day(state.period)) if contract.prepaid else 0
    return close_period(contract, state, carried, usable)
