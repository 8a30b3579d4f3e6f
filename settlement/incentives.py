"""Awarding incentives: what each should come to by what is counted now, and the difference to what is posted."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice

from ledger.accounts import COST_INCENTIVE, expert_payable
from ledger.books import append
from ledger.entries import Entry, EntryId, evidence, expert_book, postings
from ledger.money import Currency
from ledger.posting_rules import Reason
from payouts.awards import (
    Award,
    Finding,
    Ranking,
    award_before,
    explain_referral,
    explain_training,
    explain_weeks,
    rank,
)
from payouts.incentives import Top, Training, Week, WeekCount, week_before, week_of
from payouts.plans import PayPlan, PlanHistory
from settlement.expert_status import passed_on
from settlement.ports import Changes, Contention, HoldChange, IncentiveStore, Registry
from settlement.registry import Expert, Gate
from settlement.writing import until_written

# A reversal or a late rating corrects the awards of so many weeks. Pay plans rely on it: see Referral.final_after_days.
WEEKS_BACK = 13
# What happened in a week's last hours is still on its way when the week ends: sent late, or waiting for a window's end
# to be swept. An award that has to be taken back is worse than one that comes a day later.
SETTLE_MARGIN = timedelta(days=1)
# So many experts are read together; after each such group the run remembers how far it came.
EXPERTS_PER_READ = 100
# An award takes three items of a transaction's 100, and the head of the book one.
AWARDS_PER_TRANSACTION = 30


@dataclass(slots=True)
class Awarded:
    """What a run did: experts looked at, entries posted, and why some experts' were not, who are looked at again."""

    experts: int = 0
    entries: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def weeks_over(as_of: datetime) -> tuple[Week, ...]:
    """The weeks whose incentives are awarded or corrected at `as_of`, newest first: those over for at least a day."""
    weeks = [week_before(week_of((as_of.astimezone(UTC) - SETTLE_MARGIN).date()))]
    while len(weeks) < WEEKS_BACK:
        weeks.append(week_before(weeks[-1]))
    return tuple(weeks)


def award_incentives(
    store: IncentiveStore,
    registry: Registry,
    as_of: datetime,
    has_time: Callable[[], bool],
    tell: Callable[[Awarded], None] = lambda _: None,
) -> tuple[Awarded, bool]:
    """Bring every expert's incentives to where they should be as of a day; whether all were reached while `has_time`.

    The run of a day remembers how far it came: what was interrupted goes on there, and a finished run does nothing
    more. `tell` hears the running counts after each group of experts.
    """
    awarding = _Awarding(store, registry, as_of)
    run = store.award_run(awarding.day)
    experts = registry.experts_after(run.after)
    while not run.is_finished:
        if not has_time():
            return awarding.awarded, False
        group = list(islice(experts, EXPERTS_PER_READ))
        awarding.award(group)
        tell(awarding.awarded)
        after = group[-1].id if group else run.after
        try:
            went_on = replace(run, after=after, is_finished=not group, revision=run.revision + 1)
            store.commit(Changes(award_runs=(went_on,)))
            run = went_on
        except Contention:  # another worker is at it too: go on behind it
            run = store.award_run(awarding.day)
            experts = registry.experts_after(run.after)
    return awarding.awarded, True


@dataclass(slots=True)
class _Awarding:
    """One run while it lasts. Plans and rankings are kept in memory; of experts and their weeks, nothing."""

    store: IncentiveStore
    registry: Registry
    as_of: datetime
    weeks: tuple[Week, ...] = field(init=False)
    histories: dict[str, PlanHistory] = field(default_factory=dict)
    rankings: dict[Week, Mapping[tuple[str, str], Ranking]] = field(default_factory=dict)
    awarded: Awarded = field(default_factory=Awarded)

    def __post_init__(self) -> None:
        self.weeks = weeks_over(self.as_of)

    @property
    def day(self) -> date:
        """The day of the trigger, in UTC; what is posted is dated on it."""
        return self.as_of.astimezone(UTC).date()

    def award(self, experts: Sequence[Expert]) -> None:
        """Award what each of the experts earned, and what their work earned the ones who referred them."""
        trained = self._trained(experts)
        for expert in experts:
            self.awarded.experts += 1
            try:
                self._post(expert.id, partial(self._own, expert, trained.get(expert.id, ())))
                if expert.referred_by is not None:
                    self._post(expert.referred_by, partial(self._referral, expert.id, expert.referred_by))
            except Contention as overtaken:
                self.awarded.failed[expert.id] = str(overtaken)

    # -- what should stand ---------------------------------------------------------------------------------------------

    def _trained(self, experts: Sequence[Expert]) -> Mapping[str, Collection[date]]:
        """On which days the experts passed the training; only of those with a plan that ever paid for it."""
        plans = self._plans({plan for expert in experts for plan in expert.assignments.values()})
        paying = {id_ for id_, history in plans.items() if any(map(_pays_training, history.versions))}
        asked = [expert for expert in experts if paying & set(expert.assignments.values())]
        statuses = self.registry.statuses([expert.id for expert in asked]) if asked else {}
        return {expert.id: passed_on(expert, statuses[expert.id], Gate.TRAINING) for expert in asked}

    def _own(self, expert: Expert, trained_on: Collection[date]) -> Iterator[Finding]:
        """What an expert's own weeks and training come to, by the plans that they were counted by or work by."""
        for history, counts in self._counted(expert.id):
            yield from explain_weeks(history, counts, self.weeks, partial(self._ranking, history.plan))
        for plan in sorted(set(expert.assignments.values())) if trained_on else ():
            yield from explain_training(self.histories[plan], expert.id, trained_on, self.day)

    def _referral(self, expert: str, referrer: str) -> Iterator[Finding]:
        """What the work of an expert comes to for who referred them."""
        for history, counts in self._counted(expert):
            yield from explain_referral(history, counts, referrer, self.day)

    def _counted(self, expert: str) -> Iterator[tuple[PlanHistory, Mapping[Week, WeekCount]]]:
        """All weeks of an expert, by the plan that they were counted by."""
        by_plan: dict[str, dict[Week, WeekCount]] = {}
        for count in self.store.weeks_of(expert):
            by_plan.setdefault(count.plan, {})[count.week] = count
        for plan, counts in sorted(by_plan.items()):
            yield self._plans([plan])[plan], counts

    def _ranking(self, plan: str, week: Week, top: Top) -> Ranking:
        """Who takes the places of a `Top`; the first question about a week reads all that is counted in it."""
        if week not in self.rankings:
            self.rankings[week] = rank(self.store.counts_in(week), partial(self._tops, week))
        return self.rankings[week].get((plan, top.id), ())

    def _tops(self, week: Week, plan: str) -> Iterator[Top]:
        version = self._plans([plan])[plan].for_week(week)
        yield from (it for it in (version.incentives if version else ()) if isinstance(it, Top))

    def _plans(self, ids: Collection[str]) -> Mapping[str, PlanHistory]:
        if missing := [id_ for id_ in ids if id_ not in self.histories]:
            self.histories |= self.registry.plans(missing)
        return {id_: self.histories[id_] for id_ in ids}

    # -- what is posted ------------------------------------------------------------------------------------------------

    def _post(self, expert: str, find: Callable[[], Iterator[Finding]]) -> None:
        """Post the differences of one expert, in transactions of a few awards each; raises Contention."""
        attempt = partial(self._post_some, expert, find)
        while written := until_written(self.store, f"incentives of {expert}", attempt):
            self.awarded.entries += written

    def _post_some(self, expert: str, find: Callable[[], Iterator[Finding]]) -> int:
        """Read anew, and post the first differences; how many there were."""
        findings = list(find())
        posted = self.store.awards([finding.key for finding in findings]) if findings else {}
        due = [
            (finding, award)
            for finding in findings
            for award in [posted.get(finding.key) or award_before(finding)]
            if finding.amount != award.amount and not (finding.stays and award.revision)
        ][:AWARDS_PER_TRANSACTION]
        if due:
            self.store.commit(self._changes(expert, due))
        return len(due)

    def _changes(self, expert: str, due: Sequence[tuple[Finding, Award]]) -> Changes:
        head = self.store.head(expert_book(expert))
        entries = [_entry(finding, award, self.day) for finding, award in due]
        sealed, after = append(head, entries, self.as_of)
        holds: dict[tuple[Currency, date], int] = {}
        for finding, award in due:
            key = (award.currency, award.release_on)
            holds[key] = holds.get(key, 0) + finding.amount - award.amount
        return Changes(
            entries=sealed,
            heads=((head, after),),
            holds=tuple(HoldChange(expert, *key, minor) for key, minor in holds.items() if minor),
            awards=tuple(replace(award, amount=it.amount, revision=award.revision + 1) for it, award in due),
        )


def _pays_training(plan: PayPlan) -> bool:
    return any(isinstance(incentive, Training) for incentive in plan.incentives)


def _entry(finding: Finding, award: Award, on: date) -> Entry:
    """The difference between what should stand and what does; what was posted first is negated, never changed."""
    difference, number = finding.amount - award.amount, award.revision + 1
    moves = (COST_INCENTIVE, difference), (expert_payable(finding.expert), -difference)
    return Entry(
        id=EntryId(f"incentive:{'/'.join(finding.key)}:{number}"),
        book=expert_book(finding.expert),
        reason=Reason.INCENTIVE if number == 1 else Reason.INCENTIVE_CORRECTED,
        postings=postings(moves, award.currency),
        effective_on=on,
        evidence=evidence({**finding.proof, "release_on": award.release_on.isoformat()}),
    )
