"""The journal under any sequence of postings, rivals, repetitions, closes and readers, beside a model of a few sums.

Everything is posted through the use cases that post in production. The model knows no entry, account or head: it counts
what stands, at 0.99 USD for the client and 59 cents for the expert each.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count, islice

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from billing.periods import PeriodStatus
from billing.prepaid import Lot
from events.decode import Delivery
from ledger.accounts import BANK_CASH, STRIPE_BALANCE
from ledger.books import Head, append, check_book
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, RecordedEntry, client_book, evidence, postings
from ledger.posting_rules import Reason
from payouts.payouts import Payout
from payouts.statements import Span
from settlement.book_sums import LedgerSums, brought_up_to_date
from settlement.close import close_due_periods
from settlement.ports import Changes, Contention
from settlement.prepaid import buy_credits
from settlement.statements import make_statement
from settlement.writing import sealed, until_written
from tests.world import World, a_contract, at

PRICE, EARNING = 99, 59
REOPEN_HOURS = 168
EXPERTS = ("maya", "noah")
EVER = Span(date(2026, 1, 1), date(2028, 12, 31))
CASES = st.sampled_from(["C1", "C2", "C3"])


@dataclass
class Solved:
    """A solution of a case: by whom and when, and whether the case was reopened after it."""

    expert: str
    at_hour: int
    stands: bool = True
    reopened: bool = False


class JournalMachine(RuleBasedStateMachine):
    deliveries: Bundle[Delivery] = Bundle("deliveries")
    lots: Bundle[Lot] = Bundle("lots")
    top_ups: Bundle[Entry] = Bundle("top_ups")

    def __init__(self) -> None:
        super().__init__()
        contract = a_contract(prepaid=True, reopen_window_hours=REOPEN_HOURS)
        self.world = World(contract=contract, experts=EXPERTS)
        self.store = self.world.store
        self.store.before_commit = self._let_the_rival_write
        self.rival: Callable[[], object] | None = None
        self.hour, self.ids = 0, count()
        # The model.
        self.solved: dict[str, list[Solved]] = {}
        self.bought = self.topped_up = 0
        self.reserved = Counter[str]()
        # What readers and locks remember.
        self.exported: dict[Book, list[RecordedEntry]] = {}
        self.cursors: dict[Book, Head] = {}
        self.sums = LedgerSums()
        self.locked: dict[str, list[RecordedEntry]] = {}

    @property
    def now(self) -> str:
        return (at("2026-03-02") + timedelta(hours=self.hour)).isoformat()[:19]

    # -- posting -------------------------------------------------------------------------------------------------------

    @rule(hours=st.integers(1, 400))
    def hours_pass(self, hours: int) -> None:
        self.hour += hours

    @rule(target=deliveries, case=CASES, expert=st.sampled_from(EXPERTS))
    def solve(self, case: str, expert: str) -> Delivery:
        self.hour += 1
        delivery = self.world.completed(case, self.now, expert)
        self.world.send(delivery)
        solutions = self.solved.setdefault(case, [])
        if not solutions or solutions[-1].reopened:
            solutions.append(Solved(expert, self.hour))
        return delivery

    @rule(target=deliveries, case=CASES)
    def reopen(self, case: str) -> Delivery:
        self.hour += 1
        delivery = self.world.reopened(case, self.now)
        self.world.send(delivery)
        for solution in self.solved.get(case, [])[-1:]:
            if not solution.reopened:
                solution.reopened = True
                solution.stands = self.hour - solution.at_hour > REOPEN_HOURS
        return delivery

    @rule(delivery=deliveries)
    def deliver_again(self, delivery: Delivery) -> None:
        before = self.world.entries()
        assert self.world.send(delivery).duplicates == 1
        assert self.world.entries() == before

    @rule(target=lots, amount=st.integers(1, 500))
    def buy(self, amount: int) -> Lot:
        return self._buy(amount)

    @rule(lot=lots)
    def buy_again(self, lot: Lot) -> None:
        before = self.world.entries()
        buy_credits(self.store, self.world.registry, "acme", lot, at(self.now))
        assert self.world.entries() == before

    @rule(target=top_ups, amount=st.integers(1, 10**6))
    def top_up(self, amount: int) -> Entry:
        return self._top_up(amount)

    @rule(entry=top_ups)
    def top_up_again(self, entry: Entry) -> None:
        with pytest.raises(Contention):
            self._record(entry)

    @rule()
    def plan_payouts(self) -> None:
        for outcome in self.world.plan_payouts(self.now):
            if isinstance(outcome, Payout):
                self.reserved[outcome.expert] += outcome.amount

    @rule()
    def close(self) -> None:
        close_due_periods(self.store, self.world.registry, at(self.now))
        for (_, period), state in self.store.stored_periods.items():
            if state.status is PeriodStatus.CLOSED and period not in self.locked:
                self.locked[period] = self._dated_in(period)

    # -- rivals --------------------------------------------------------------------------------------------------------

    @rule(amount=st.integers(1, 500))
    def a_rival_buys_just_before_the_next_write(self, amount: int) -> None:
        self.rival = lambda: self._buy(amount)

    @rule(amount=st.integers(1, 500))
    def a_rival_tops_up_just_before_the_next_write(self, amount: int) -> None:
        self.rival = lambda: self._top_up(amount)

    @rule(data=st.data())
    def write_behind_an_old_head(self, data: st.DataObject) -> None:
        heads = [head for head in self.store.heads() if head.seq]
        if not heads:
            return
        book = data.draw(st.sampled_from(heads)).book
        recorded = list(self.store.entries(book))
        seq = data.draw(st.integers(0, len(recorded) - 1))
        old = Head(book, seq, recorded[seq - 1].chain_hash) if seq else Head(book)
        again = replace(recorded[seq].entry, id=EntryId(f"late:{recorded[seq].entry.id}"))
        entries, after = append(old, [again], at(self.now))
        with pytest.raises(Contention):
            self.store.commit(Changes(entries=entries, heads=((old, after),)))
        assert again not in self.world.entries()

    # -- readers -------------------------------------------------------------------------------------------------------

    @rule(most=st.integers(1, 4))
    def an_export_reads_on(self, most: int) -> None:
        for head in self.store.heads():
            cursor = self.cursors.get(head.book, Head(head.book))
            page = list(islice(self.store.entries(head.book, after=cursor.seq), most))
            assert list(check_book(head.book, page, after=cursor)) == []
            self.exported.setdefault(head.book, []).extend(page)
            if page:
                self.cursors[head.book] = Head(head.book, page[-1].seq, page[-1].chain_hash)

    @rule()
    def sums_are_read_on(self) -> None:
        self.sums = brought_up_to_date(self.store, self.sums)
        assert self.sums.broken == ()
        totals = Counter[str]()
        for total in self.sums.totals():
            totals[total.account] += total.minor_units
        assert {account: minor for account, minor in totals.items() if minor} == self._balances()

    # -- what always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def books_are_gap_free_chained_and_balanced(self) -> None:
        for recorded in self.store.journal.values():
            assert [it.seq for it in recorded] == list(range(1, len(recorded) + 1))
        self.world.check()
        assert sum(self._balances().values()) == 0
        assert len({entry.id for entry in self.world.entries()}) == len(self.world.entries())

    @invariant()
    def balances_are_what_the_model_counts(self) -> None:
        balances, standing = Counter(self._balances()), self._standing()
        charged, earned = PRICE * standing.total(), EARNING * standing.total()
        of_acme = ("client/acme/unbilled", "client/acme/receivable", "client/acme/prepaid")
        assert sum(balances[account] for account in of_acme) == charged - self.bought
        assert balances["revenue/resolutions"] + balances["revenue/credits"] == -charged
        assert balances["cost/base"] == earned
        assert balances["bank/cash"] == self.bought - self.topped_up
        assert balances["stripe/balance"] == self.topped_up
        for expert in EXPERTS:
            assert balances[f"expert/{expert}/in_transit"] == -self.reserved[expert]

    @invariant()
    def statements_are_what_the_model_counts(self) -> None:
        standing = self._standing()
        for expert in EXPERTS:
            statement = make_statement(self.store, self.world.registry, expert, EVER, at(self.now))
            closing = sum(section.closing for section in statement.sections)
            assert closing == EARNING * standing[expert] - self.reserved[expert]

    @invariant()
    def locked_periods_do_not_change(self) -> None:
        for period, entries in self.locked.items():
            assert self._dated_in(period) == entries

    @invariant()
    def an_export_is_the_beginning_of_its_book(self) -> None:
        for book, entries in self.exported.items():
            assert entries == self.store.journal[book][: len(entries)]

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _let_the_rival_write(self, _: Changes) -> None:
        rival, self.rival = self.rival, None
        if rival is not None:
            rival()

    def _buy(self, amount: int) -> Lot:
        lot = Lot(f"L{next(self.ids)}", self._today(), None, amount, amount)
        buy_credits(self.store, self.world.registry, "acme", lot, at(self.now))
        self.bought += amount
        return lot

    def _top_up(self, amount: int) -> Entry:
        lines = postings(((STRIPE_BALANCE, amount), (BANK_CASH, -amount)), "USD")
        entry_id = EntryId(f"top_up:{next(self.ids)}")
        entry = Entry(entry_id, PLATFORM_BOOK, Reason.TOP_UP, lines, self._today(), evidence({}))
        self._record(entry)
        self.topped_up += amount
        return entry

    def _record(self, entry: Entry) -> None:
        def attempt() -> None:
            entries, heads = sealed(self.store, (entry,), at(self.now))
            self.store.commit(Changes(entries=entries, heads=heads, once=(entry.id,)))

        until_written(self.store, entry.id, attempt)

    def _today(self) -> date:
        return at(self.now).date()

    def _standing(self) -> Counter[str]:
        return Counter(it.expert for solutions in self.solved.values() for it in solutions if it.stands)

    def _balances(self) -> dict[str, int]:
        return {account: minor for (account, _), minor in self.world.trial_balance().balances.items()}

    def _dated_in(self, period: str) -> list[RecordedEntry]:
        recorded = self.store.journal.get(client_book("acme"), [])
        return [it for it in recorded if f"{it.entry.effective_on:%Y-%m}" == period]


JournalMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
test_the_journal_holds_under_any_sequence = JournalMachine.TestCase
