"""The story of a case: each fact, what was decided and posted because of it, and where that leaves client and expert.

What is said stands in settlement/sentences.py. Here it is found out: from the case, its entries in the client's book,
the invoices that hold its charges and the payouts that took its earnings along.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from billing.contracts import Contract, ContractHistory
from billing.invoices import Invoice
from billing.periods import Period, period_of, period_of_date
from events.facts import CaseId, Completed, Fact, Rated, Reopened, format_instant
from ledger.accounts import client_unbilled
from ledger.entries import Book, RecordedEntry, client_book, expert_book
from ledger.money import Currency, Money
from ledger.records import dataclass
from payouts.payouts import Payout, PayoutStatus
from payouts.statements import payout_ids
from settlement.assess import Due, Unsolved, timing
from settlement.cases import Case, Cycle, CycleState, fact_key, split_cycles
from settlement.described import describe_cycle, describe_entry, describe_fact
from settlement.parking import Parked, case_parking_id
from settlement.ports import Books, CaseKey, Registry
from settlement.sentences import (
    PARKED,
    Effect,
    at,
    billed_sentence,
    credit_notes_sentence,
    earned_sentence,
    entry_sentences,
    fact_sentences,
    owner_of,
    percent,
    state_sentence,
)

ENTRIES_PER_READ, ENTRIES_PER_TIME = 100, 300


class StoryStore(Books, Protocol):
    """What a story is made from."""

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        """Every asked case; an empty one where nothing is known yet."""

    def entries_at(self, book: Book, seqs: Sequence[int]) -> Sequence[RecordedEntry]:
        """The entries of a book with these numbers, in their order."""

    def invoice(self, client: str, period: Period) -> Invoice | None:
        """The invoice of a period, if it was closed."""

    def payout(self, payout_id: str) -> Payout | None:
        """A payout by id."""

    def parked(self) -> Iterator[Parked]:
        """Everything parked, in no order."""


class CaseUnknown(LookupError):
    """Nothing is known of the case, or it is not said whose it is."""


class EntriesMissing(RuntimeError):
    """A case counts entries that its client's book does not have. Somebody has to look."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened, the main sentence first. `fact` or `recorded` is what it is told from, if it is one."""

    at: datetime
    sentences: tuple[str, ...]
    cycle: int | None = None
    fact: Fact | None = None
    recorded: RecordedEntry | None = None


@dataclass(frozen=True, slots=True)
class Billed:
    """What the client pays for a cycle in a month, below zero if it gets that back; None: no invoice is made yet."""

    cycle: int
    period: Period
    amount: Money
    invoice: Invoice | None


@dataclass(frozen=True, slots=True)
class Earned:
    """What an expert earns, below zero for what is given back; None: no payout took it along yet."""

    expert: str
    amount: Money
    release_on: date
    payout: Payout | None


@dataclass(frozen=True, slots=True)
class Story:
    """A case with all that happened, in order of time, and where its amounts are now; those that sum to 0 left out."""

    case: Case
    currency: Currency
    told: tuple[Told, ...]
    billed: tuple[Billed, ...]
    earned: tuple[Earned, ...]
    as_of: datetime

    def outcome(self) -> Iterator[str]:
        """Where the amounts are, as sentences."""
        for it in self.billed:
            yield billed_sentence((self.case.client, it.cycle, it.period), it.amount, it.invoice, self.as_of.date())
        invoices = {it.invoice.id: it.invoice for it in self.billed if it.invoice and it.invoice.credited}
        yield from map(credit_notes_sentence, invoices.values())
        for paid in self.earned:
            yield earned_sentence(paid.expert, paid.amount, paid.release_on, paid.payout)
        yield self._in_all()

    def _in_all(self) -> str:
        pays = sum(it.amount.minor_units for it in self.billed)
        earns = Counter[tuple[str, Currency]]()
        for it in self.earned:
            earns[it.expert, it.amount.currency] += it.amount.minor_units
        words = [f"{self.case.client} pays {Money(pays, self.currency)}"]
        words += [f"{expert} earns {Money(minor, code)}" for (expert, code), minor in sorted(earns.items())]
        return f"In all, {' and '.join(words if earns else [*words, 'nobody earns'])}."


# -- which case --------------------------------------------------------------------------------------------------------


def find_case(store: StoryStore, registry: Registry, case_id: str, client: str | None) -> Case:
    """The case of that id: the client's, or that of the only client who has one. Raises CaseUnknown."""
    clients = [client] if client is not None else sorted(registry.clients())
    found = [case for case in store.cases([(it, CaseId(case_id)) for it in clients]).values() if case.revision]
    if not found:
        of = f"{client} has" if client is not None else "there is"
        parked = any(it.id.startswith(f"fact:{it.client}/{case_id}/") for it in store.parked())
        hint = "facts of it are parked: see `solvent parked list`" if parked else "look at how its id is written"
        raise CaseUnknown(f"{of} no case {case_id}; {hint}")
    if len(found) > 1:
        owners = ", ".join(sorted(case.client for case in found))
        raise CaseUnknown(f"{owners} each have a case {case_id}; say which with --client")
    return found[0]


# -- its story ---------------------------------------------------------------------------------------------------------


def explain(store: StoryStore, contracts: ContractHistory, case: Case, as_of: datetime) -> Story:
    """The story of a case as it stands at `as_of`. Raises EntriesMissing for a book that lacks one of its entries."""
    entries = entries_of(store, case)
    teller = _Teller(case, contracts)
    told = [*teller.facts(), *teller.entries(entries), *teller.states(entries, as_of), *_parked(store, case)]
    return Story(
        case=case,
        currency=contracts.currency,
        told=tuple(sorted(told, key=lambda it: it.at)),
        billed=tuple(_billed(store, case, contracts.currency, entries)),
        earned=tuple(_earned(store, entries)),
        as_of=as_of,
    )


def entries_of(store: StoryStore, case: Case) -> list[RecordedEntry]:
    """The entries of a case's cycles, in order of the book; the case says how many there are. Raises EntriesMissing."""
    ids = {
        f"charge:{case.client}/{case.case_id}/{state.number}:{n}"
        for state in case.cycles
        for n in range(1, state.entries + 1)
    }
    book, found = client_book(case.client), dict[str, RecordedEntry]()
    for numbers in _places(store, book, case):
        if len(found) == len(ids):
            break
        read = store.entries_at(book, numbers)
        found |= {recorded.entry.id: recorded for recorded in read if recorded.entry.id in ids}
    if lacking := ids - found.keys():
        raise EntriesMissing(f"the book of {case.client} has no entry {min(lacking)}, which {case.case_id} counts")
    return sorted(found.values(), key=lambda it: it.seq)


def _places(store: StoryStore, book: Book, case: Case) -> Iterator[range]:
    """Where a case's entries are: most likely behind its facts and the ends of its windows; else anywhere."""
    numbers = range(1, store.head(book).seq + 1)
    times = {fact.time for fact in case.facts} | {state.settled_at for state in case.cycles if state.settled_at}
    for time in sorted(times):
        start = bisect_left(numbers, time, key=lambda seq: store.entries_at(book, [seq])[0].recorded_at)
        yield from _parts(numbers[start : start + ENTRIES_PER_TIME])
    yield from _parts(numbers)


def _parts(numbers: range) -> Iterator[range]:
    for first in range(0, len(numbers), ENTRIES_PER_READ):
        yield numbers[first : first + ENTRIES_PER_READ]


@dataclass(slots=True)
class _Teller:
    case: Case
    contracts: ContractHistory

    def facts(self) -> Iterator[Told]:
        """Each fact with what it did, as found by splitting the facts up to it into cycles."""
        late, before = frozenset(self.case.evidence_only), tuple[Cycle, ...]()
        for place, fact in enumerate(self.case.facts, 1):
            after = self._cycles(self.case.facts[:place])
            effect = Effect.TOO_LATE if fact_key(fact) in late else self._effect(fact, before, after)
            number = after[-1].number if after and effect not in {Effect.TOO_LATE, Effect.NOT_SOLVED} else None
            resolved_at = self._resolved_at(before if isinstance(fact, Reopened) else after)
            windows = {"cycle": number} | (self._windows(resolved_at) if resolved_at else {})
            yield Told(fact.time, fact_sentences(fact, effect, windows), number, fact=fact)
            before = after

    def _cycles(self, facts: Sequence[Fact]) -> tuple[Cycle, ...]:
        return split_cycles(facts, self._reopen_window, self.case.evidence_only, self.case.mutual_reviews)

    def _effect(self, fact: Fact, before: tuple[Cycle, ...], after: tuple[Cycle, ...]) -> Effect:
        stood = bool(before and before[-1].solution)
        match fact:
            case Completed():
                again = Effect.SOLVED_ALREADY if stood else Effect.SOLVED_AGAIN
                return Effect.SOLVED if len(after) > len(before) else again
            case Reopened():
                taken_back = Effect.REOPENED_LATE if after and after[-1].solution else Effect.REOPENED
                return taken_back if stood else Effect.NOT_SOLVED
            case Rated():
                resolved_at = self._resolved_at(after)
                return self._effect_of_rating(fact, resolved_at) if resolved_at else Effect.NOT_SOLVED
            case _:
                return Effect.HEARD if stood else Effect.NOT_SOLVED

    def _effect_of_rating(self, fact: Rated, resolved_at: datetime) -> Effect:
        terms = self._contract_at(resolved_at).rating
        if terms is None:
            return Effect.HEARD
        in_time = fact.time <= resolved_at + timedelta(hours=terms.window_hours)
        return Effect.RATED_IN_TIME if in_time else Effect.RATED_LATE

    @staticmethod
    def _resolved_at(cycles: tuple[Cycle, ...]) -> datetime | None:
        solution = cycles[-1].solution if cycles else None
        return solution.completed.time if solution else None

    def _windows(self, resolved_at: datetime) -> dict[str, str]:
        contract = self._contract_at(resolved_at)
        rating_hours = contract.rating.window_hours if contract.rating else 0
        return {
            "reopen_until": at(resolved_at + timedelta(hours=contract.reopen_window_hours)),
            "rating_until": at(resolved_at + timedelta(hours=rating_hours)),
        }

    def _contract_at(self, instant: datetime) -> Contract:
        return self.contracts.in_force(period_of(instant, self.contracts.time_zone))

    def _reopen_window(self, resolved_at: datetime) -> timedelta:
        return timedelta(hours=self._contract_at(resolved_at).reopen_window_hours)

    def entries(self, entries: Iterable[RecordedEntry]) -> Iterator[Told]:
        """Each entry of a cycle."""
        settled_at = {state.number: state.settled_at for state in self.case.cycles}
        for recorded in entries:
            told = json.loads(recorded.entry.evidence)
            threshold = _threshold(self._judged_by(told.get("contract"), settled_at.get(told["cycle"])))
            sentences = tuple(entry_sentences(recorded, threshold))
            yield Told(recorded.recorded_at, sentences, told["cycle"], recorded=recorded)

    def _judged_by(self, priced_by: str | None, settled_at: datetime | None) -> Contract | None:
        """The version that asks for the rating: of the month it was settled in, or that it is priced by.

        They differ where the month was closed already, so that the next one prices it: then the earlier one judges. A
        later one is that of another solution of the cycle.
        """
        versions = [contract for contract in self.contracts.versions if contract.version == priced_by]
        if versions and settled_at:
            versions.append(self._contract_at(settled_at))
        return min(versions, key=lambda it: it.starts_on, default=None)

    def states(self, entries: Sequence[RecordedEntry], as_of: datetime) -> Iterator[Told]:
        """Where each cycle stands of which no entry says so, such as one that nobody pays or earns for."""
        evidence = [json.loads(recorded.entry.evidence) for recorded in entries]
        said = {told["cycle"]: told["why"] for told in evidence}
        cycles = {cycle.number: cycle for cycle in self._cycles(self.case.facts)}
        newest = max((*(fact.time for fact in self.case.facts), *(it.recorded_at for it in entries)), default=as_of)
        for state in self.case.cycles:
            if said.get(state.number) != state.why:
                is_posted = bool(state.earned or (state.charge and state.charge.net))
                sentence = self._state_sentence(state, cycles.get(state.number), is_posted=is_posted)
                yield Told(newest if is_posted else state.settled_at or as_of, (sentence,), state.number)

    def _state_sentence(self, state: CycleState, cycle: Cycle | None, *, is_posted: bool) -> str:
        due = timing(cycle, self._contract_at, datetime.max.replace(tzinfo=UTC)) if cycle else None
        words = {"due_at": at(self.case.due_at) if self.case.due_at else "its next window ends"}
        if isinstance(due, Due):
            words["threshold"] = _threshold(self._contract_at(due.settled_at))
            words["rating"] = percent(due.rating_basis_points or 0)
        if isinstance(due, Unsolved):
            words["reopened_at"] = at(due.reopened_at)
        return state_sentence(state, words, is_posted=is_posted)


def _threshold(contract: Contract | None) -> str:
    return percent(contract.rating.threshold_basis_points) if contract and contract.rating else "threshold"


def _parked(store: StoryStore, case: Case) -> Iterator[Told]:
    whole, of_fact = case_parking_id(case.client, case.case_id), f"fact:{case.client}/{case.case_id}/"
    for parked in store.parked():
        if parked.id == whole or parked.id.startswith(of_fact):
            yield Told(parked.parked_at, (PARKED.format(reason=parked.reason, detail=parked.detail),))


# -- as JSON -----------------------------------------------------------------------------------------------------------


def describe_story(story: Story) -> dict[str, Any]:
    """A story as JSON has it: amounts in signed minor units, as in settlement/described.py."""
    return {
        "client": story.case.client,
        "case": story.case.case_id,
        "as_of": format_instant(story.as_of),
        "cycles": [describe_cycle(state, story.currency) for state in story.case.cycles],
        "told": [_told_described(told) for told in story.told],
        "billed": [
            {
                "cycle": it.cycle,
                "period": it.period,
                "invoice": it.invoice.id if it.invoice else None,
                "currency": it.amount.currency,
                "amount_minor": it.amount.minor_units,
            }
            for it in story.billed
        ],
        "earned": [
            {
                "expert": it.expert,
                "release_on": it.release_on.isoformat(),
                "payout": it.payout.id if it.payout else None,
                "currency": it.amount.currency,
                "amount_minor": it.amount.minor_units,
            }
            for it in story.earned
        ],
        "outcome": list(story.outcome()),
    }


def _told_described(told: Told) -> dict[str, Any]:
    return {
        "at": format_instant(told.at),
        "cycle": told.cycle,
        "sentences": list(told.sentences),
        "fact": describe_fact(told.fact) if told.fact else None,
        "entry": describe_entry(told.recorded) if told.recorded else None,
    }


# -- where the amounts are ---------------------------------------------------------------------------------------------


def _billed(store: StoryStore, case: Case, code: Currency, entries: Iterable[RecordedEntry]) -> Iterator[Billed]:
    sums = Counter[tuple[int, Period]]()
    for recorded in entries:
        key = (int(json.loads(recorded.entry.evidence)["cycle"]), period_of_date(recorded.entry.effective_on))
        for posting in recorded.entry.postings:
            if posting.account == client_unbilled(case.client):
                sums[key] += posting.amount.minor_units
    for (cycle, period), minor in sorted(sums.items()):
        if minor:
            yield Billed(cycle, period, Money(minor, code), store.invoice(case.client, period))


def _earned(store: StoryStore, entries: Iterable[RecordedEntry]) -> Iterator[Earned]:
    """What each entry moved is part of the first payout that was planned behind it, once it could be paid."""
    payouts: dict[str, list[Payout]] = {}
    sums = Counter[tuple[str, Currency, date, str]]()
    by_id: dict[str, Payout | None] = {"": None}
    for recorded in entries:
        for posting in recorded.entry.postings:
            if not posting.account.startswith("expert/"):
                continue
            expert, code = owner_of(posting.account), posting.amount.currency
            release_on = date.fromisoformat(json.loads(recorded.entry.evidence)["release_on"])
            if expert not in payouts:
                payouts[expert] = _payouts(store, expert)
            payout = _taken_by(payouts[expert], code, recorded.recorded_at, release_on)
            by_id[payout.id if payout else ""] = payout
            sums[expert, code, release_on, payout.id if payout else ""] -= posting.amount.minor_units
    for (expert, code, release_on, payout_id), minor in sorted(sums.items()):
        if minor:
            yield Earned(expert, Money(minor, code), release_on, by_id[payout_id])


def _payouts(store: StoryStore, expert: str) -> list[Payout]:
    """An expert's payouts that did not fail, in the order in which they were planned."""
    ids = payout_ids(recorded.entry for recorded in store.entries(expert_book(expert)))
    found = (store.payout(id_) for id_ in sorted(ids))
    standing = [payout for payout in found if payout is not None and payout.status is not PayoutStatus.FAILED]
    return sorted(standing, key=lambda payout: payout.planned_at)


def _taken_by(payouts: Iterable[Payout], code: Currency, recorded_at: datetime, release_on: date) -> Payout | None:
    fitting = (it for it in payouts if it.currency == code and it.planned_at >= recorded_at)
    return next((it for it in fitting if it.planned_at.date() >= release_on), None)
