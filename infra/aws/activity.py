"""The table of experts' activity: what is counted in weeks, what incentives awarded, and who reviewed whom."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING
from zlib import crc32

from infra.aws.documents import award_codec, award_run_codec
from infra.aws.tables import ActivityItem, sortable
from infra.aws.wire import KEYS_PER_READ, Write, put, put_revision, update
from payouts.incentives import Week, WeekCount
from settlement.ports import AwardRun, Changes, ReviewGiven

if TYPE_CHECKING:  # see infra/aws/documents.py
    from payouts.awards import Award, AwardKey

WEEK_SHARDS = 8
# Stands in the place of an expert; no id of one begins so.
_RUNS = "#award-runs"


class ActivityReads:
    """All reads are consistent but `counts_in`, which finds by an index what it reads."""

    __slots__ = ()

    def weeks_of(self, expert: str) -> Sequence[WeekCount]:
        """All that is counted of an expert, in order of weeks."""
        weeks = ActivityItem.kind.startswith("week#")
        return [_count(item) for item in ActivityItem.query(expert, weeks, consistent_read=True)]

    def counts_in(self, week: Week) -> Iterator[WeekCount]:
        """All that is counted in a week, of every expert, page by page; what was written just now may be missing."""
        for shard in range(WEEK_SHARDS):
            found = ActivityItem.by_week.query(f"{week}#{shard}")
            while places := [(item.expert, item.kind) for item in islice(found, KEYS_PER_READ)]:
                yield from map(_count, ActivityItem.batch_get(places))

    def awards(self, keys: Collection[AwardKey]) -> Mapping[AwardKey, Award]:
        """Those of the awards that something was posted of, in one read."""
        places = [(key[0], _award_kind(key)) for key in keys]
        items = ActivityItem.batch_get(places, consistent_read=True)
        return {award.key: award for award in (award_codec().validate_json(item.document or "") for item in items)}

    def award_run(self, day: date) -> AwardRun:
        """How far the awarding of a day came."""
        items = ActivityItem.query(_RUNS, ActivityItem.kind == day.isoformat(), consistent_read=True)
        return next((award_run_codec().validate_json(item.document or "") for item in items), AwardRun(day))

    def last_review(self, reviewer: str, reviewed: str, span: tuple[datetime, datetime]) -> datetime | None:
        """When one expert last reviewed the other's work within a span of time (both ends inclusive), if ever."""
        first, last = (f"review#{reviewed}#{sortable(instant)}" for instant in span)
        given = ActivityItem.kind.between(first, f"{last}$")  # `$` comes behind `#`, which ends the instant
        newest = ActivityItem.query(reviewer, given, consistent_read=True, scan_index_forward=False, limit=1)
        return next((datetime.fromisoformat(item.kind.split("#")[2]) for item in newest), None)


def week_update(count: WeekCount) -> Write:
    """What is added to the item of an expert's week."""
    return update(
        ActivityItem,
        {"expert": count.expert, "kind": f"week#{count.week}#{count.plan}"},
        "SET week_shard = :shard ADD resolutions :resolutions, rated :rated, rating_sum :rating_sum",
        shard=f"{count.week}#{crc32(count.expert.encode()) % WEEK_SHARDS}",
        resolutions=count.resolutions,
        rated=count.rated,
        rating_sum=count.rating_sum,
    )


def activity_puts(changes: Changes) -> Iterator[Write]:
    """The items of awards, runs and reviews."""
    for award in changes.awards:
        document, kind = award_codec().dump_json(award).decode(), _award_kind(award.key)
        item = {"expert": award.expert, "kind": kind, "document": document}
        yield put_revision(ActivityItem, item, award.revision)
    for run in changes.award_runs:
        document, kind = award_run_codec().dump_json(run).decode(), run.day.isoformat()
        yield put_revision(ActivityItem, {"expert": _RUNS, "kind": kind, "document": document}, run.revision)
    for review in changes.reviews:
        yield put(ActivityItem, {"expert": review.reviewer, "kind": _review_kind(review)})


def _award_kind(key: AwardKey) -> str:
    _, plan, incentive, scope = key
    return f"award#{plan}#{incentive}#{scope}"


def _review_kind(review: ReviewGiven) -> str:
    return f"review#{review.reviewed}#{sortable(review.at)}#{review.fact}"


def _count(item: ActivityItem) -> WeekCount:
    _, week, plan = item.kind.split("#")
    counted = (int(item.resolutions or 0), int(item.rated or 0), int(item.rating_sum or 0))
    return WeekCount(item.expert, plan, Week(week), *counted)
