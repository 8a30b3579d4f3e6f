"""What the steps of a month's close do: each calls the use cases that schedules call, and says what it found."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Protocol

from billing.contracts import ContractHistory, ContractNotInForce
from billing.invoices import Invoice, InvoiceStatus
from billing.periods import Period, PeriodStatus, period_end
from events.facts import format_instant
from ledger.accounts import STRIPE_CLEARING
from ledger.money import Money
from ledger.records import dataclass
from payouts.payouts import Payout, PayoutStatus
from settlement.approve_payouts import waiting_runs
from settlement.bank_leg import follow_reversals
from settlement.book_sums import keep_sums, read_sums
from settlement.close import close_due_periods, last_day
from settlement.invoice_evidence import EvidenceDiffers, EvidenceStore, evidence_rows
from settlement.invoicing import follow_unfinished, issue_or_follow
from settlement.month_close import Blocker, CloseRecords, CloseRefused, MonthClose, Outcome, Step, Steps, is_approved
from settlement.month_counts import CountedCases, MonthCount, count_month
from settlement.movements import record_movements
from settlement.parking import Parked
from settlement.ports import BillingStore, Contention, PayoutStore, SettlementStore, WritableRegistry
from settlement.prepaid import expire_credits
from settlement.reconcile import ReconcileStore, reconcile
from settlement.send_payouts import send_payout, waits_for
from settlement.stripe_port import Stripe, StripeBusy, StripeUnclear
from settlement.sweep import settle_due
from settlement.writing import until_written

_AGAIN = "run the close again; it goes on here"
_NOT_TO_BE_CLOSED = "let nobody close the month before somebody knows why: `solvent finance explain` tells a case"
_HASH_DIGITS = 16
_MOST_ENDS = 5000  # of more clients the next month's count reads whole books: a close is one item of at most 400 KB


class CloseStore(
    EvidenceStore, BillingStore, PayoutStore, SettlementStore, ReconcileStore, CountedCases, CloseRecords, Protocol
):  # every use case that a step calls
    """What closing a month reads and writes."""

    def parked(self) -> Iterator[Parked]:
        """Everything parked, in no order."""

    def locked_through(self) -> str:
        """The last month that is locked; "" if none is."""

    def lock_through(self, month: str) -> None:
        """Let no entry be dated in a month or before it, in any book, once this returns.

        Safe to repeat. Raises Contention for a book that is being written.
        """


@dataclass(frozen=True, slots=True)
class Closing:
    """The month that is closed, where and as of when. `export` and `pack` write files and say what they wrote."""

    store: CloseStore
    registry: WritableRegistry
    stripe: Stripe
    month: Period
    as_of: datetime
    export: Callable[[], Outcome]
    pack: Callable[[MonthClose], Outcome]

    def steps(self) -> Steps:
        """Each step of the checklist."""
        return {
            Step.PARKED: self._parked,
            Step.WINDOWS: self._windows,
            Step.COUNTS: self._counts,
            Step.PERIODS: self._periods,
            Step.DRAFTS: self._drafts,
            Step.APPROVAL: self._approval,
            Step.SENDING: self._sending,
            Step.PAYOUT_APPROVAL: self._payout_approval,
            Step.PAYOUTS: self._payouts,
            Step.RECONCILIATION: self._reconciliation,
            Step.CLEARING: self._clearing,
            Step.LOCK: self._lock,
            Step.EXPORT: lambda _: self.export(),
            Step.PACK: self.pack,
        }

    # -- what is counted ----------------------------------------------------------------------------------------------

    def _parked(self, _: MonthClose) -> Outcome:
        """Raises CloseRefused for a month that is not over: nobody would look at what still comes in of it."""
        if self.as_of < (begins := max([_end_of(self.month), *self._open_periods().values()])):
            when = f"{self.month} can be closed from {format_instant(begins)} on, when its last period is over"
            raise CloseRefused(f"{when}; run the close then. Nothing was done")
        parked = sorted(self.store.parked(), key=lambda it: (it.reason, it.id))
        mend = "`solvent parked list`; mend the cause, then `solvent parked release`"
        leave = f"or leave it with `--accept {Step.PARKED} --because ...`"
        blockers = [Blocker(f"{it.reason}: {it.id}", f"{mend}, {leave}") for it in parked]
        return Outcome((f"{len(parked):,} parked",), tuple(blockers))

    def _windows(self, _: MonthClose) -> Outcome:
        settled, _is_done = settle_due(self.store, self.registry, self.as_of, lambda: True)
        failed = [Blocker(f"case {'/'.join(case)} failed: {why}", _AGAIN) for case, why in settled.failed.items()]
        return Outcome((f"{settled.entries:,} entries posted",), tuple(failed))

    def _counts(self, _: MonthClose) -> Outcome:
        """The three counts. What differs is counted a second time, for facts may settle between two of them."""
        counts = self._counted()
        if not all(counted.agree for counted in counts):
            counts = self._counted()
        said, blockers, ends = [], [], []
        for counted in counts:
            ends.append((counted.client, counted.ends))
            if counted.agree:
                said.append(f"{counted.client}: {counted.counters.told(counted.currency)}")
            else:
                blockers.append(Blocker(f"{counted.client}: {counted.differing}", _NOT_TO_BE_CLOSED))
        return Outcome(tuple(said), tuple(blockers), ends=tuple(ends) if len(ends) <= _MOST_ENDS else ())

    def _counted(self) -> list[MonthCount]:
        before = self.store.month_close(Period((_first_day(self.month) - timedelta(days=1)).isoformat()[:7]))
        return list(count_month(self.store, self._contracts(), self.month, dict(before.ends)))

    def _contracts(self) -> dict[str, ContractHistory]:
        """The contracts of clients that have one in the month."""
        found = self.registry.contracts(sorted(self.registry.clients()))
        return {client: history for client, history in found.items() if _close_delay(history, self.month) is not None}

    # -- invoices -----------------------------------------------------------------------------------------------------

    def _periods(self, _: MonthClose) -> Outcome:
        closed = close_due_periods(self.store, self.registry, self.as_of)
        expired = expire_credits(self.store, self.registry, self.registry.clients(), self.as_of)
        said = f"{len(closed):,} periods closed now, credits of {len(expired):,} clients expired"
        return Outcome((said,), self._blocked_by_open_periods())

    def _blocked_by_open_periods(self) -> tuple[Blocker, ...]:
        return tuple(
            Blocker(f"{client}: {self.month} is open", f"it closes at {format_instant(at)}; run the close again then")
            for client, at in self._open_periods().items()
        )

    def _open_periods(self) -> dict[str, datetime]:
        """When the month's periods that are open close, by client."""
        contracts = self._contracts()
        states = self.store.periods([(client, self.month) for client in contracts])
        return {
            client: period_end(self.month, history.time_zone) + timedelta(hours=_close_delay(history, self.month) or 0)
            for client, history in sorted(contracts.items())
            if states[client, self.month].status is not PeriodStatus.CLOSED
        }

    def _invoices(self) -> list[Invoice]:
        found = (self.store.invoice(client, self.month) for client in sorted(self.registry.clients()))
        return [invoice for invoice in found if invoice is not None]

    def _drafts(self, _: MonthClose) -> Outcome:
        """Every invoice of the month, proven row by row against ledger and counters."""
        invoices, contracts, blockers = self._invoices(), self._contracts(), []
        for invoice in invoices:
            try:
                for _row in evidence_rows(self.store, contracts[invoice.client], self.month):
                    pass
            except EvidenceDiffers as differs:
                blockers.append(Blocker(str(differs), _NOT_TO_BE_CLOSED))
        said = [f"{it.id}: {Money(it.total, it.currency)}, {it.status}" for it in invoices]
        return Outcome((*said, f"hash {_hash(invoices)}"), tuple(blockers), hash=_hash(invoices))

    def _approval(self, close: MonthClose) -> Outcome:
        invoices = self._invoices()
        if close.drafts != _hash(invoices):
            again = "somebody has to look why; what was drafted is in the transcript"
            return Outcome(blockers=(Blocker(f"the invoices of {self.month} are not those that were drafted", again),))
        if given := close.approval:
            return Outcome((f"approved by {given.by} at {format_instant(given.at)}",))
        waiting = [it for it in invoices if it.status is InvoiceStatus.PLANNED]
        if not waiting:
            return Outcome((f"{len(invoices):,} invoices, and the schedule sent them: none waits for a second person",))
        step = f"another person runs `solvent close {self.month} --approve {close.drafts}`, then run this again"
        return Outcome(blockers=(Blocker(f"{len(waiting):,} invoices wait for a second person", step),))

    def _sending(self, _: MonthClose) -> Outcome:
        sent = []
        for invoice in self._invoices():
            now = invoice
            if invoice.status is InvoiceStatus.PLANNED:
                key = (invoice.client, invoice.period)
                now = issue_or_follow(self.store, self.registry, self.stripe, key, self.as_of) or invoice
            due = f", due on {now.due_on}" if now.due_on else ""
            sent.append(f"{now.id}: {now.status}{due}")
        return Outcome(tuple(sent))

    # -- payouts ------------------------------------------------------------------------------------------------------

    def _payout_approval(self, _: MonthClose) -> Outcome:
        blockers = []
        for run in waiting_runs(self.store):
            totals = ", ".join(str(Money(minor, code)) for code, minor in sorted(run.totals.items()))
            step = f"another person runs `solvent payouts approve {run.run} --hash {run.hash}`, or rejects it"
            blockers.append(Blocker(f"run {run.run}: {len(run.payouts):,} payouts, {totals}", step))
        return Outcome((f"{len(blockers):,} runs wait",), tuple(blockers))

    def _payouts(self, _: MonthClose) -> Outcome:
        blockers = []
        unfinished = sorted(self.store.unfinished_payouts())
        for id_ in unfinished:
            try:
                payout = send_payout(self.store, self.registry, self.stripe, id_, self.as_of)
            except (Contention, StripeBusy, StripeUnclear) as unclear:
                blockers.append(Blocker(f"{id_}: {unclear}", _AGAIN))
            else:
                blockers += [] if payout.is_finished else [self._unsent(payout)]
        return Outcome((f"{len(unfinished) - len(blockers):,} payouts brought to their end",), tuple(blockers))

    def _unsent(self, payout: Payout) -> Blocker:
        why = waits_for(self.registry, payout, self.as_of) if payout.status is PayoutStatus.APPROVED else None
        detail = f"{payout.id} is {payout.status}: {why or payout.why or 'not sent yet'}"
        return Blocker(detail, f"`solvent payouts show {payout.id}` says what it waits for")

    # -- the books ----------------------------------------------------------------------------------------------------

    def _reconciliation(self, _: MonthClose) -> Outcome:
        may_issue = partial(is_approved, self.store)  # invoices of other months may wait for their own close
        _done, failed = follow_unfinished(self.store, self.registry, self.stripe, self.as_of, may_issue)
        follow_reversals(self.store, self.registry, self.stripe, self.as_of)
        booked = record_movements(self.store, self.stripe, self.as_of)
        keep_sums(self.store)
        found = reconcile(self.store, self.stripe, self.as_of)
        blockers = [Blocker(f"{about}: {why}", _AGAIN) for about, why in failed.items()]
        blockers += [Blocker(f"{it.about}: {it.detail}", it.next_step) for it in found.differences]
        said = (
            f"{booked:,} movements booked now",
            f"{found.movements:,} balance transactions, {found.payouts:,} payouts and {found.invoices:,} invoices",
            f"{len(found.differences):,} differences, {len(found.open):,} under way",
        )
        return Outcome(said, tuple(blockers))

    def _clearing(self, _: MonthClose) -> Outcome:
        """What came into clearing or in transit by the last day of the month, and is there still."""
        end, leave = last_day(self.month), f"or leave it with `--accept {Step.CLEARING} --because ...`"
        pending = [
            Blocker(
                f"{STRIPE_CLEARING}: {it.source} of {it.since}, {Money(it.minor_units, it.currency)}",
                f"run the close again once Stripe has made it available, {leave}",
            )
            for it in read_sums(self.store).totals()
            if it.account == STRIPE_CLEARING and it.since <= end
        ]
        for id_ in sorted(self.store.unfinished_payouts()):
            payout = self.store.payout(id_)
            if payout is not None and payout.in_transit and payout.planned_at.astimezone(UTC).date() <= end:
                pending.append(self._unsent(payout))
        return Outcome((f"{len(pending):,} items of {end} and before",), tuple(pending))

    def _lock(self, _: MonthClose) -> Outcome:
        if blockers := self._blocked_by_open_periods():
            return Outcome(blockers=blockers)
        until_written(self.store, f"the lock of {self.month}", lambda: self.store.lock_through(self.month))
        return Outcome((f"nothing is dated in {self.month} or before it any more",))


def _first_day(month: Period) -> date:
    return date.fromisoformat(f"{month}-01")


def _end_of(month: Period) -> datetime:
    """The end of a month in UTC."""
    return datetime.combine(last_day(month) + timedelta(days=1), datetime.min.time(), UTC)


def _close_delay(history: ContractHistory, month: Period) -> int | None:
    """After how many hours a month is closed; None if no contract is in force in it."""
    try:
        return history.in_force(month).close_delay_hours
    except ContractNotInForce:
        return None


def _hash(invoices: list[Invoice]) -> str:
    """The hash of what invoices ask for, wherever they stand."""
    content = [
        [it.id, it.currency, it.total, it.net_days, [[ln.kind, ln.text, ln.quantity, ln.amount] for ln in it.lines]]
        for it in invoices
    ]
    return sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:_HASH_DIGITS]
