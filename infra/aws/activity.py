"""The table of experts' activity: what is counted in weeks, what incentives awarded, and who reviewed whom."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from zlib import crc32

from pydantic import TypeAdapter
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model

from infra.aws.tables import ActivityItem, sortable
from payouts.awards import Award, AwardKey
from payouts.incentives import Week, WeekCount
from settlement.ports import AwardRun, Changes, ReviewGiven

WEEK_SHARDS = 8
# Stands in the place of an expert; no id of one begins so.
_RUNS = "#award-runs"

_AWARD: TypeAdapter[Award] = TypeAdapter(Award)
_RUN: TypeAdapter[AwardRun] = TypeAdapter(AwardRun)


class ActivityReads:
    """All reads are consistent but `counts_in`, which reads an index."""

    __slots__ = ()

    def weeks_of(self, expert: str) -> Sequence[WeekCount]:
        """All that is counted of an expert, in order of weeks."""
        weeks = ActivityItem.kind.startswith("week#")
        return [_count(item) for item in ActivityItem.query(expert, weeks, consistent_read=True)]

    def counts_in(self, week: Week) -> Iterator[WeekCount]:
        """All that is counted in a week, of every expert, page by page; what was written just now may be missing."""
        for shard in range(WEEK_SHARDS):
            yield from map(_count, ActivityItem.by_week.query(f"{week}#{shard}"))

    def awards(self, keys: Collection[AwardKey]) -> Mapping[AwardKey, Award]:
        """Those of the awards that something was posted of, in one read."""
        places = [(key[0], _award_kind(key)) for key in keys]
        items = ActivityItem.batch_get(places, consistent_read=True)
        return {award.key: award for award in (_AWARD.validate_json(item.document or "") for item in items)}

    def award_run(self, day: date) -> AwardRun:
        """How far the awarding of a day came."""
        items = ActivityItem.query(_RUNS, ActivityItem.kind == day.isoformat(), consistent_read=True)
        return next((_RUN.validate_json(item.document or "") for item in items), AwardRun(day))

    def last_review(self, reviewer: str, reviewed: str, span: tuple[datetime, datetime]) -> datetime | None:
        """When one expert last reviewed the other's work within a span of time (both ends inclusive), if ever."""
        first, last = (f"review#{reviewed}#{sortable(instant)}" for instant in span)
        given = ActivityItem.kind.between(first, f"{last}$")  # `$` comes behind `#`, which ends the instant
        newest = ActivityItem.query(reviewer, given, consistent_read=True, scan_index_forward=False, limit=1)
        return next((datetime.fromisoformat(item.kind.split("#")[2]) for item in newest), None)


def week_update(count: WeekCount) -> tuple[ActivityItem, list[Action]]:
    """The item of an expert's week, and what is added to it."""
    shard = f"{count.week}#{crc32(count.expert.encode()) % WEEK_SHARDS}"
    item = ActivityItem(expert=count.expert, kind=f"week#{count.week}#{count.plan}")
    return item, [
        ActivityItem.week_shard.set(shard),
        ActivityItem.resolutions.add(count.resolutions),
        ActivityItem.rated.add(count.rated),
        ActivityItem.rating_sum.add(count.rating_sum),
    ]


def activity_puts(changes: Changes) -> Iterator[tuple[Model, Condition | None]]:
    """The items of awards, runs and reviews, each with what must be so for it to be written."""
    for award in changes.awards:
        document, kind = _AWARD.dump_json(award).decode(), _award_kind(award.key)
        yield _versioned(ActivityItem(expert=award.expert, kind=kind, document=document, revision=award.revision))
    for run in changes.award_runs:
        document, kind = _RUN.dump_json(run).decode(), run.day.isoformat()
        yield _versioned(ActivityItem(expert=_RUNS, kind=kind, document=document, revision=run.revision))
    for review in changes.reviews:
        yield ActivityItem(expert=review.reviewer, kind=_review_kind(review)), None


def _versioned(item: ActivityItem) -> tuple[Model, Condition]:
    before = int(item.revision or 0) - 1
    stored = ActivityItem.revision
    return item, stored == before if before else stored.does_not_exist()


def _award_kind(key: AwardKey) -> str:
    _, plan, incentive, scope = key
    return f"award#{plan}#{incentive}#{scope}"


def _review_kind(review: ReviewGiven) -> str:
    return f"review#{review.reviewed}#{sortable(review.at)}#{review.fact}"


def _count(item: ActivityItem) -> WeekCount:
    _, week, plan = item.kind.split("#")
    counted = (int(item.resolutions or 0), int(item.rated or 0), int(item.rating_sum or 0))
    return WeekCount(item.expert, plan, Week(week), *counted)
