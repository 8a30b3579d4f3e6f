"""What incentives come to: each one of a week, a referral or a training, granted or not, and why. Pure."""

from bisect import insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import assert_never

from ledger.money import Currency, parse_decimal
from ledger.records import dataclass
from payouts.incentives import (
    Incentive,
    Quest,
    Referral,
    Streak,
    Top,
    Training,
    Week,
    WeekCount,
    last_day,
    minor_units,
    week_before,
)
from payouts.plans import PayPlan, PlanHistory, PlanNotInForce

ONCE = "once"

# Expert, plan, incentive and scope.
AwardKey = tuple[str, str, str, str]
# The experts who take the places of a `Top` in a week, best first.
Ranking = Sequence[WeekCount]


@dataclass(frozen=True, slots=True)
class Finding:
    """What an incentive comes to for one expert: minor units >= 0 of the plan's currency, and why.

    It is awarded once for each `scope`: a week, the expert who was referred, or `once`. `proof` is what decided.
    `stays` says that what was once awarded is not corrected.
    """

    expert: str
    plan: PayPlan
    incentive: str
    scope: str
    amount: int
    earned_on: date
    proof: Mapping[str, object]
    stays: bool = False

    @property
    def key(self) -> AwardKey:
        """Names the award."""
        return self.expert, self.plan.id, self.incentive, self.scope

    @property
    def why(self) -> str:
        """Why it was granted or not, in words."""
        return str(self.proof["why"])


@dataclass(frozen=True, slots=True)
class Award:
    """What stands posted of an incentive, in minor units >= 0, and the day on which its hold ends.

    `revision` counts its entries, and is the n of the last one's id.
    """

    expert: str
    plan: str
    incentive: str
    scope: str
    currency: Currency
    amount: int
    release_on: date
    revision: int = 0

    @property
    def key(self) -> AwardKey:
        """Names the award."""
        return self.expert, self.plan, self.incentive, self.scope


def award_before(finding: Finding) -> Award:
    """The award of a finding before anything was posted; its hold ends the plan's hold days after it was earned."""
    release_on = finding.earned_on + timedelta(days=finding.plan.hold_days)
    return Award(*finding.key, finding.plan.currency, 0, release_on)


# -- a week ------------------------------------------------------------------------------------------------------------


def explain_weeks(
    history: PlanHistory,
    counts: Mapping[Week, WeekCount],
    weeks: Collection[Week],
    ranking_of: Callable[[Week, Top], Ranking],
) -> Iterator[Finding]:
    """What each weekly incentive of a plan comes to for one expert, granted or not.

    `counts` are all weeks of the expert by that plan; those of `weeks` in which nothing is counted say nothing. The
    version in force on a week's Monday decides.
    """
    rows = _rows(history, counts)
    for week in sorted(counts.keys() & set(weeks)):
        for plan, incentive in _offered(history, week):
            match incentive:
                case Quest():
                    granted, why = _fulfils(incentive, counts[week])
                    said: dict[str, object] = {"why": why}
                    amount = minor_units(incentive.amount, history.currency) if granted else 0
                case Streak():
                    row = rows.get((incentive.id, week), 0)
                    amount, said = _streak(incentive, history.currency, counts[week], row)
                case Top():
                    amount, said = _place(incentive, history.currency, counts[week], ranking_of(week, incentive))
                case Referral() | Training():
                    continue
                case _:
                    assert_never(incentive)
            yield _week_finding(plan, incentive, counts[week], amount, said)


def _offered(history: PlanHistory, week: Week) -> Iterator[tuple[PayPlan, Incentive]]:
    """The incentives that a week has, with the version that says so."""
    plan = history.for_week(week)
    if plan is not None:
        yield from ((plan, incentive) for incentive in plan.incentives)


def _week_finding(
    plan: PayPlan, incentive: Incentive, count: WeekCount, amount: int, said: dict[str, object]
) -> Finding:
    average = count.average
    counted = {
        "week": count.week,
        "resolutions": count.resolutions,
        "rated": count.rated,
        "average": None if average is None else _percent(average),
    }
    proof = _proof(plan, incentive, counted | said)
    return Finding(count.expert, plan, incentive.id, count.week, amount, last_day(count.week), proof)


def _proof(plan: PayPlan, incentive: Incentive, said: Mapping[str, object]) -> Mapping[str, object]:
    about = {"plan": f"{plan.id}@{plan.starts_on}", "incentive": incentive.id, "kind": incentive.kind}
    return about | {name: value for name, value in said.items() if value is not None}


def _fulfils(wanted: Quest | Streak, count: WeekCount) -> tuple[bool, str]:
    """Whether a week has what is needed, and why."""
    if count.resolutions < wanted.resolutions:
        return False, f"{count.resolutions} of {wanted.resolutions} resolutions"
    enough = f"{count.resolutions} resolutions, at least {wanted.resolutions}"
    if wanted.average_percent is None:
        return True, enough
    if count.average is None:
        return False, f"none was rated, and an average of {wanted.average_percent}% is asked for"
    said = f"rated {_percent(count.average)} on average"
    if count.average < parse_decimal(wanted.average_percent) * 100:
        return False, f"{said}, below {wanted.average_percent}%"
    return True, f"{enough}; {said}, at least {wanted.average_percent}%"


def _rows(history: PlanHistory, counts: Mapping[Week, WeekCount]) -> dict[tuple[str, Week], int]:
    """How many weeks in a row qualified up to a week, by streak; each week is judged by the version of its Monday."""
    rows: dict[tuple[str, Week], int] = {}
    for week in sorted(counts):
        for _, incentive in _offered(history, week):
            if isinstance(incentive, Streak) and _fulfils(incentive, counts[week])[0]:
                rows[incentive.id, week] = rows.get((incentive.id, week_before(week)), 0) + 1
    return rows


def _streak(streak: Streak, code: Currency, count: WeekCount, row: int) -> tuple[int, dict[str, object]]:
    """Every `weeks`-th week of a row pays; the row begins behind the last week that did not qualify."""
    _, why = _fulfils(streak, count)
    if row:
        why = f"week {row} in a row, and every {streak.weeks} in a row pay; {why}"
    amount = minor_units(streak.amount, code) if row and row % streak.weeks == 0 else 0
    return amount, {"row": row, "why": why}


def _place(top: Top, code: Currency, count: WeekCount, ranking: Ranking) -> tuple[int, dict[str, object]]:
    """Equal parts of the budget; the minor units that remain go to the first places, one each."""
    taken_by = [it.expert for it in ranking]
    if count.expert in taken_by:
        place = taken_by.index(count.expert) + 1
        each, remaining = divmod(minor_units(top.budget, code), top.places)
        return each + (place <= remaining), {"place": place, "why": f"place {place} of {top.places}"}
    if count.resolutions < top.least_resolutions:
        return 0, {"why": f"{count.resolutions} resolutions, and a place takes {top.least_resolutions}"}
    last = f", the last of whom has {ranking[-1].resolutions} resolutions" if ranking else ""
    return 0, {"why": f"not among the first {top.places}{last}"}


def rank(counts: Iterable[WeekCount], tops_of: Callable[[str], Iterable[Top]]) -> dict[tuple[str, str], Ranking]:
    """The ranking of every `Top` in one week, by plan and incentive; `tops_of` says which a plan has in that week.

    The order is: more resolutions, a higher average rating (unrated last), expert id. Only the places are kept in
    memory, whatever the number of experts.
    """
    rankings: dict[tuple[str, str], list[WeekCount]] = {}
    for count in counts:
        for top in tops_of(count.plan):
            places = rankings.setdefault((count.plan, top.id), [])
            least = places[-1].resolutions if len(places) == top.places else top.least_resolutions
            if count.resolutions >= least:
                insort(places, count, key=_standing)
                del places[top.places :]
    return dict(rankings)


def _standing(count: WeekCount) -> tuple[int, Fraction, str]:
    average = count.average
    return -count.resolutions, Fraction(1) if average is None else -average, count.expert


# -- what is awarded once ----------------------------------------------------------------------------------------------


def explain_referral(
    history: PlanHistory, counts: Mapping[Week, WeekCount], referrer: str, as_of: date
) -> Iterator[Finding]:
    """What each referral incentive of a plan comes to for the referrer of the one expert that `counts` are of.

    It is earned in the first week with which the resolutions reach what the version of that week asks for, once that
    week is final as of a day.
    """
    found: dict[str, Finding] = {}
    reached = set[str]()
    total = 0
    for week in sorted(counts):
        total += counts[week].resolutions
        for plan, incentive in _offered(history, week):
            if isinstance(incentive, Referral) and incentive.id not in reached:
                found[incentive.id] = _referred(plan, incentive, counts[week], referrer, (total, as_of))
                reached |= {incentive.id} if total >= incentive.resolutions else set()
    yield from found.values()


def _referred(plan: PayPlan, referral: Referral, count: WeekCount, referrer: str, reached: tuple[int, date]) -> Finding:
    total, as_of = reached
    final_on = last_day(count.week) + timedelta(days=1 + referral.final_after_days)
    why = f"{count.expert} has {total} of {referral.resolutions} resolutions with {count.week}"
    granted = total >= referral.resolutions and final_on <= as_of
    if total >= referral.resolutions:
        why += f", final on {final_on}"
    amount = minor_units(referral.amount, plan.currency) if granted else 0
    proof = _proof(plan, referral, {"referred": count.expert, "week": count.week, "resolutions": total, "why": why})
    return Finding(referrer, plan, referral.id, count.expert, amount, last_day(count.week), proof)


def explain_training(history: PlanHistory, expert: str, passed_on: Iterable[date], as_of: date) -> Iterator[Finding]:
    """What the training incentives of a plan come to for an expert who works by it and passed the training on days.

    The version in force on the first of those days that has one decides.
    """
    found: dict[str, Finding] = {}
    for day in sorted(day for day in passed_on if day <= as_of):
        try:
            plan = history.in_force(day)
        except PlanNotInForce:
            continue
        for incentive in plan.incentives:
            if isinstance(incentive, Training) and incentive.id not in found:
                said = {"passed_on": day.isoformat(), "why": f"the training was passed on {day}"}
                proof = _proof(plan, incentive, said)
                amount = minor_units(incentive.amount, plan.currency)
                found[incentive.id] = Finding(expert, plan, incentive.id, ONCE, amount, day, proof, stays=True)
    yield from found.values()


def _percent(basis_points: Fraction) -> str:
    """A percentage with two decimals, rounded down: what is below a threshold never looks as if it reached it."""
    whole = int(basis_points)
    return f"{whole // 100}.{whole % 100:02d}%"
