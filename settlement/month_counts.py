"""The three counts of a month: what cases say, what the counters of periods say, and what the ledger says.

Each is read by itself. Cases know which price was frozen for them; counters were raised and lowered as cycles settled;
the ledger holds what was posted. They have to come to the same, client by client, before a month is closed.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

from billing.contracts import ContractHistory
from billing.periods import Period, PeriodState, period_of_date
from ledger.accounts import REVENUE_CREDITS, client_unbilled
from ledger.entries import Entry, client_book
from ledger.money import Currency, Money
from ledger.posting_rules import Reason
from ledger.records import dataclass, replace
from settlement.cases import Case
from settlement.ports import Books, PeriodKey

_MOVES_CREDITS = frozenset({Reason.CREDIT_NOTE, Reason.CREDIT_NOTE_WITHDRAWN})


class CountedCases(Books, Protocol):
    """Where the three counts are read."""

    def all_cases(self) -> Iterator[Case]:
        """Every case of every client, in no order."""

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Count:
    """Resolutions that stand charged, those of them that cost anything, and minor units; None where it cannot know."""

    resolutions: int | None = 0
    paid_for: int | None = 0
    charged: int | None = 0
    credited: int | None = 0

    def agrees(self, other: "Count") -> bool:
        """Whether both say the same of what both know."""
        mine = (self.resolutions, self.paid_for, self.charged, self.credited)
        others = (other.resolutions, other.paid_for, other.charged, other.credited)
        return all(one == two for one, two in zip(mine, others, strict=True) if one is not None and two is not None)

    def told(self, currency: Currency) -> str:
        """In words, without what is not known."""
        amounts = {"charged": self.charged, "credited": self.credited}
        parts = [f"{self.resolutions:,} resolutions"] if self.resolutions is not None else []
        parts += [f"{self.paid_for:,} with a charge"] if self.paid_for is not None else []
        parts += [f"{Money(minor, currency)} {name}" for name, minor in amounts.items() if minor is not None]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class MonthCount:
    """The three counts of one client.

    `ends` is the number in its book up to which nothing is dated behind the month: the next month is counted from it.
    """

    client: str
    currency: Currency
    cases: Count
    counters: Count
    ledger: Count
    ends: int

    @property
    def agree(self) -> bool:
        """Whether each says the same as the others."""
        pairs = ((self.cases, self.counters), (self.counters, self.ledger), (self.cases, self.ledger))
        return all(one.agrees(two) for one, two in pairs)

    @property
    def differing(self) -> str:
        """What each of them says."""
        sides = {"cases": self.cases, "counters": self.counters, "ledger": self.ledger}
        return "; ".join(f"{name} say {count.told(self.currency)}" for name, count in sides.items())


def count_month(
    store: CountedCases, contracts: Mapping[str, ContractHistory], month: Period, ends_before: Mapping[str, int]
) -> Iterator[MonthCount]:
    """The counts of each client with a contract, by name.

    Reads every case, and of each client's book what stands behind the number in `ends_before`, which is `ends` of the
    month before.
    """
    by_case = _of_cases(store, month)
    states = store.periods([(client, month) for client in contracts])
    for client, history in sorted(contracts.items()):
        state = states[client, month]
        counters = Count(sum(counter.net for _, counter in state.rates), None, state.charged, state.given_back)
        cases = by_case.get(client, Count(credited=None))
        if any(counter.credited for _, counter in state.rates):
            cases = Count(None, None, None, None)  # the period is closed, and its cases have moved on since
        ledger, ends = _of_ledger(store, client, month, ends_before.get(client, 0))
        yield MonthCount(client, history.currency, cases, counters, ledger, ends)


def _of_cases(store: CountedCases, month: Period) -> Mapping[str, Count]:
    found: dict[str, Count] = {}
    for case in store.all_cases():
        for state in case.cycles:
            if state.charge is not None and state.price is not None and state.price.period == month:
                before = found.get(case.client, Count(credited=None))
                found[case.client] = replace(
                    before,
                    resolutions=(before.resolutions or 0) + 1,
                    paid_for=(before.paid_for or 0) + (state.charge.net != 0),
                    charged=(before.charged or 0) + state.charge.net,
                )
    return found


def _of_ledger(store: CountedCases, client: str, month: Period, after: int) -> tuple[Count, int]:
    """What the entries of a month charged and credited for cycles, and the number behind which later months begin.

    A cycle that costs nothing has no entry.
    """
    by_cycle, credited, ends, is_later = dict[str, int](), 0, after, False
    for recorded in store.entries(client_book(client), after=after):
        entry = recorded.entry
        dated_in = period_of_date(entry.effective_on)
        is_later = is_later or dated_in > month
        ends = ends if is_later else recorded.seq
        if dated_in != month:
            continue
        unbilled = _unbilled(entry, client)
        if entry.reason in _MOVES_CREDITS or any(it.account == REVENUE_CREDITS for it in entry.postings):
            credited -= unbilled
        elif entry.id.startswith("charge:"):
            cycle = entry.id.rpartition(":")[0]
            by_cycle[cycle] = by_cycle.get(cycle, 0) + unbilled
    return Count(None, sum(minor != 0 for minor in by_cycle.values()), sum(by_cycle.values()), credited), ends


def _unbilled(entry: Entry, client: str) -> int:
    account = client_unbilled(client)
    return sum(posting.amount.minor_units for posting in entry.postings if posting.account == account)
