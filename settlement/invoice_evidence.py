"""The evidence of an invoice: one row for each thing that it charges or credits, which sum to it to the cent.

Rows come from the entries of the client's book that are dated in the period, from the counters that the close fixed,
and from the lines of the invoice. A row holds what the client may see: never who solved a case, nor what that earned.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field, replace
from datetime import UTC, date, datetime
from fractions import Fraction
from itertools import chain, islice
from typing import Any, Protocol

from billing.charges import Charge
from billing.contracts import BelowThreshold, Contract, ContractHistory
from billing.invoices import Invoice, LineKind
from billing.periods import Period, PeriodState, PeriodStatus, period_of, period_of_date
from events.facts import CaseId, Completed, Rated, Resolver
from ledger.accounts import REVENUE_CREDITS, client_unbilled
from ledger.entries import Entry, client_book
from ledger.posting_rules import Reason
from ledger.records import dataclass
from settlement.assess import Due, timing
from settlement.cases import Case, Cycle, Solution, fact_key
from settlement.ports import Books, CaseKey, PeriodKey

CASES_PER_READ = 100
# Kind of the row that stands for resolutions of a rate whose charge came to nothing, and which no entry holds.
UNPOSTED = "unposted"

# Their rows are made from entries and counters; every other line of an invoice is a row as it is.
_ITEMISED = frozenset({LineKind.USAGE, LineKind.DISCOUNT, LineKind.CAP, LineKind.CREDITS})

# A credit note takes a credit out of the open period and gives it on an invoice that was issued already.
_MOVES_CREDITS = frozenset({Reason.CREDIT_NOTE, Reason.CREDIT_NOTE_WITHDRAWN})


def _is_of_cycle(entry: Entry) -> bool:
    return entry.id.startswith("charge:")


class EvidenceStore(Books, Protocol):
    """What evidence is made from."""

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        """Every asked case; an empty one where nothing is known yet."""

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""

    def invoice(self, client: str, period: Period) -> Invoice | None:
        """The invoice of a period, if it was closed."""


class PeriodNotClosed(LookupError):
    """The period has no invoice yet; there is evidence once it is closed."""

    def __init__(self, client: str, period: Period) -> None:
        super().__init__(f"{client} has no invoice of {period}: it is not closed; `solvent invoice preview` shows it")


class EvidenceDiffers(RuntimeError):
    """The entries of a period do not sum to its counters or its invoice. Somebody has to look; retrying is no help."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a row adds to the counters of its rate: `quantity` to N, the others in minor units."""

    quantity: int = 0
    accrued: int = 0
    discount: int = 0
    capped: int = 0

    @property
    def net(self) -> int:
        """What that comes to after discounts and the cap."""
        return self.accrued - self.discount - self.capped

    def plus(self, other: "Counted", sign: int = 1) -> "Counted":
        """The sum; with sign -1 the difference."""
        return Counted(
            self.quantity + sign * other.quantity,
            self.accrued + sign * other.accrued,
            self.discount + sign * other.discount,
            self.capped + sign * other.capped,
        )


@dataclass(frozen=True, slots=True)
class Solved:
    """What the client may know of the resolution that a row is about."""

    resolved_at: datetime | None = None
    settled_at: datetime | None = None
    resolver: Resolver | None = None
    channel: str | None = None
    language: str | None = None
    skill: str | None = None
    priority: str | None = None
    route: str | None = None
    score: int | None = None
    scale_min: int | None = None
    scale_max: int | None = None


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One row. `net` is signed minor units, negative in the client's favour; that of all rows sums to the invoice.

    `kind` is an entry's reason, a line's kind, or "unposted". `list_price` is exact, in minor units. `about` is the id
    of the entry; of the invoice for a row without one.
    """

    kind: str
    net: int
    about: str
    effective_on: date | None = None
    case: str | None = None
    cycle: int | None = None
    solved: Solved = Solved()
    rate: str | None = None
    ordinal: int | None = None
    list_price: Fraction | None = None
    counted: Counted = Counted()
    rating: int | None = None
    why: str | None = None
    reopened_at: str | None = None
    contract: str | None = None
    facts: tuple[str, ...] = ()


def evidence_rows(store: EvidenceStore, contracts: ContractHistory, period: Period) -> Iterator[EvidenceRow]:
    """The rows of a closed period's invoice: resolutions in the order of the ledger, then what the close added.

    The sum of `quantity` is N, and those of `accrued`, `discount`, `capped` and `net` are the lines of the invoice.
    Memory grows with the number of cycles that were corrected, not with that of entries. Raises PeriodNotClosed, and
    behind the last row of a book that does not sum to the invoice EvidenceDiffers.
    """
    key = (contracts.client, period)
    invoice, state = store.invoice(*key), store.periods([key])[key]
    if invoice is None or state.status is not PeriodStatus.CLOSED:
        raise PeriodNotClosed(*key)
    return _all_rows(_Walk(store, contracts, invoice), state)


def _all_rows(walk: "_Walk", state: PeriodState) -> Iterator[EvidenceRow]:
    total = 0
    for row in chain(walk.rows(), _closing_rows(walk, state)):
        total += row.net
        yield row
    if total != walk.invoice.total:
        raise EvidenceDiffers(f"{walk.invoice.id} is {walk.invoice.total}, and its rows sum to {total}")


@dataclass(frozen=True, slots=True)
class _Standing:
    """What stands charged for a cycle in the period (None: nothing), and the evidence of what it was charged for."""

    charge: Charge | None
    evidence: Mapping[str, Any]

    @property
    def counted(self) -> Counted:
        charge = self.charge
        return Counted() if charge is None else Counted(1, charge.accrued, charge.discount, charge.capped)


_NOTHING = _Standing(None, {})


@dataclass(slots=True)
class _Walk:
    """The walk through the book. `listed` and `credits` are what the rows so far sum to."""

    store: EvidenceStore
    contracts: ContractHistory
    invoice: Invoice
    listed: dict[str, Counted] = field(default_factory=dict)
    credits: int = 0
    _standing: dict[tuple[str, int], _Standing] = field(default_factory=dict)

    def rows(self) -> Iterator[EvidenceRow]:
        """The rows of the period's entries, of those that charge or credit anything."""
        client = self.invoice.client
        told = ((entry, json.loads(entry.evidence)) for entry in self._entries())
        while batch := list(islice(told, CASES_PER_READ)):
            named = [(client, CaseId(evidence["case"])) for entry, evidence in batch if _is_of_cycle(entry)]
            cases = self.store.cases(frozenset(named))
            for entry, evidence in batch:
                is_of_cycle = _is_of_cycle(entry)
                case = cases[client, CaseId(evidence["case"])] if is_of_cycle else None
                row = self._row(entry, evidence, case) if case else self._moved(entry)
                if row is not None:
                    yield row

    def _entries(self) -> Iterator[Entry]:
        """The entries that charge or credit in the period. Behind the first one of its close there are no more."""
        for recorded in self.store.entries(client_book(self.invoice.client)):
            entry = recorded.entry
            if entry.id.startswith(f"{self.invoice.id}:"):
                return
            is_ours = _is_of_cycle(entry) or entry.reason in _MOVES_CREDITS
            if is_ours and period_of_date(entry.effective_on) == self.invoice.period:
                yield entry

    def _moved(self, entry: Entry) -> EvidenceRow | None:
        """The row of a credit note: what it gave on an earlier invoice is not given on this one too."""
        net = self._unbilled(entry)
        self.credits -= net
        return EvidenceRow(entry.reason, net, entry.id, entry.effective_on) if net else None

    def _unbilled(self, entry: Entry) -> int:
        account = client_unbilled(self.invoice.client)
        return sum(posting.amount.minor_units for posting in entry.postings if posting.account == account)

    def _row(self, entry: Entry, evidence: Mapping[str, Any], case: Case) -> EvidenceRow | None:
        net = self._unbilled(entry)
        if any(posting.account == REVENUE_CREDITS for posting in entry.postings):
            self.credits -= net
            return self._described(entry, Reason.CREDITED, net, evidence, case)
        before, after = self._turn(entry, evidence, net, case)
        change = after.counted.plus(before.counted, -1)
        if change.net != net:
            raise EvidenceDiffers(f"{entry.id} posts {net}, and what it says comes to {change.net}")
        if change == Counted():
            return None
        of = after.evidence or before.evidence
        self.listed[of["rate"]] = self.listed.get(of["rate"], Counted()).plus(change)
        told = dict(of) | {name: evidence.get(name) for name in ("why", "reopened_at")}
        return replace(self._described(entry, entry.reason, net, told, case), counted=change)

    def _turn(self, entry: Entry, evidence: Mapping[str, Any], net: int, case: Case) -> tuple[_Standing, _Standing]:
        """What stood charged for the entry's cycle before it, and after. It is kept if more entries are to come."""
        key = (case.case_id, int(evidence["cycle"]))
        known = self._standing.pop(key, None)
        before = _NOTHING if known is None or entry.reason is Reason.SETTLED else known
        after = _after(before.charge or Charge(), net, evidence, self.contracts)
        is_of_pay = before.charge is None and entry.reason is not Reason.SETTLED and not net
        if is_of_pay or entry.reason is Reason.REVERSED:
            after = _NOTHING  # a correction of pay is of what was charged in an earlier period
        if case.state_of(key[1]).entries > int(entry.id.rpartition(":")[2]):
            self._standing[key] = after
        return before, after

    def _described(self, entry: Entry, kind: Reason, net: int, evidence: Mapping[str, Any], case: Case) -> EvidenceRow:
        price = evidence.get("list_price")
        return EvidenceRow(
            kind=kind,
            net=net,
            about=entry.id,
            effective_on=entry.effective_on,
            case=case.case_id,
            cycle=evidence["cycle"],
            solved=_solved(evidence, case, self.contracts),
            rate=evidence.get("rate"),
            ordinal=evidence.get("ordinal"),
            list_price=Fraction(price) if price is not None else None,
            rating=evidence.get("rating"),
            why=evidence.get("why"),
            reopened_at=evidence.get("reopened_at"),
            contract=evidence.get("contract"),
            facts=tuple(evidence.get("facts", ())),
        )


def _after(before: Charge, net: int, evidence: Mapping[str, Any], contracts: ContractHistory) -> _Standing:
    """What stands charged after an entry that changed it by `net`, by what the entry says of discount and cap."""
    if "rate" not in evidence:
        return _NOTHING
    charge = Charge(0, evidence.get("discount", 0), evidence.get("capped", 0))
    charge = replace(charge, accrued=before.net + net - charge.net)
    is_charged = charge != Charge() or _charges_for(evidence["why"], contracts.in_force(Period(evidence["contract"])))
    return _Standing(charge, evidence) if is_charged else _NOTHING


def _charges_for(why: str, contract: Contract) -> bool:
    """Whether a verdict counts the resolution into N, though it comes to nothing: an included unit, for one."""
    terms = contract.rating
    policies = {"charged": BelowThreshold.CHARGE} | (
        {"rated_below_threshold": terms.below, "unrated": terms.unrated} if terms is not None else {}
    )
    return policies.get(why, BelowThreshold.WAIVE) is not BelowThreshold.WAIVE


def _solved(evidence: Mapping[str, Any], case: Case, contracts: ContractHistory) -> Solved:
    """The solution that evidence names, with the rating that counted; nothing if it names none."""
    named = frozenset(evidence.get("facts", ()))
    facts = [fact for fact in case.facts if fact_key(fact) in named]
    completed = next((fact for fact in facts if isinstance(fact, Completed)), None)
    if completed is None:
        return Solved()
    rated = tuple(fact for fact in facts if isinstance(fact, Rated))
    counted = next((fact for fact in reversed(rated) if fact.basis_points == evidence.get("rating")), None)
    return Solved(
        resolved_at=completed.time,
        settled_at=_settled_at(int(evidence["cycle"]), Solution(completed, rated), case, contracts),
        resolver=completed.resolver,
        channel=completed.channel,
        language=completed.language,
        skill=completed.skill,
        priority=completed.priority,
        route=completed.route,
        score=counted.score if counted else None,
        scale_min=counted.scale_min if counted else None,
        scale_max=counted.scale_max if counted else None,
    )


def _settled_at(number: int, solution: Solution, case: Case, contracts: ContractHistory) -> datetime | None:
    """When a solution settled: as the case keeps it, or for one that does not stand any more as its facts say."""
    state = case.state_of(number)
    if state.solution == solution.key:
        return state.settled_at
    zone, cycle = contracts.time_zone, Cycle(number, solution, None)
    due = timing(cycle, lambda at: contracts.in_force(period_of(at, zone)), datetime.max.replace(tzinfo=UTC))
    return due.settled_at if isinstance(due, Due) else None


# -- what the close added ----------------------------------------------------------------------------------------------


def _closing_rows(walk: _Walk, state: PeriodState) -> Iterator[EvidenceRow]:
    """The rows that no cycle posted: from the counters to the lines of usage, discounts, cap and credits, and the rest.

    Raises EvidenceDiffers where what was listed is not what was counted.
    """
    invoice = walk.invoice
    if walk.credits != state.given_back:
        raise EvidenceDiffers(f"{invoice.id} credits {state.given_back}, and its entries {walk.credits}")
    yield from _usage_rows(walk, state)
    given = [line for line in invoice.lines if line.kind is LineKind.CREDITS]
    if since := sum(line.amount for line in given) + state.given_back:
        yield EvidenceRow(LineKind.CREDITS, since, invoice.id, why=given[-1].text)
    for line in invoice.lines:
        if line.kind not in _ITEMISED:
            yield EvidenceRow(line.kind, line.amount, invoice.id, why=line.text)


def _usage_rows(walk: _Walk, state: PeriodState) -> Iterator[EvidenceRow]:
    """What lies between the counters and the lines of usage, discounts and cap, and what no entry holds."""
    invoice = walk.invoice
    for rate, counter in state.rates:
        counted = Counted(counter.net, counter.accrued, counter.discount, counter.capped)
        unposted = counted.plus(walk.listed.get(rate, Counted()), -1)
        if unposted.net:
            raise EvidenceDiffers(f"{invoice.id}: {rate} counts {counted}, and its entries {walk.listed.get(rate)}")
        if unposted != Counted():
            yield EvidenceRow(UNPOSTED, 0, invoice.id, rate=rate, counted=unposted)
        used = sum(line.amount for line in invoice.lines if line.kind is LineKind.USAGE and line.text == rate)
        if up := used - counter.accrued:
            yield EvidenceRow(Reason.TRUE_UP, up, invoice.id, rate=rate, counted=Counted(accrued=up))
    given = -sum(line.amount for line in invoice.lines if line.kind is LineKind.DISCOUNT)
    if less := given - sum(counter.discount for _, counter in state.rates):
        yield EvidenceRow(LineKind.DISCOUNT, -less, invoice.id, counted=Counted(discount=less))
    taken = -sum(line.amount for line in invoice.lines if line.kind is LineKind.CAP)
    if beyond := taken - sum(counter.capped for _, counter in state.rates):
        yield EvidenceRow(LineKind.CAP, -beyond, invoice.id, counted=Counted(capped=beyond))
