"""The sweep: waiting cases whose windows ended are settled, and their buckets forgotten; see due_buckets.py."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from settlement.due_buckets import DueBucket
from settlement.ports import Registry, SettlementStore
from settlement.settle import CASES_PER_TRANSACTION, Settled, settle
from settlement.snapshot import Work


def settle_due(
    store: SettlementStore, registry: Registry, as_of: datetime, has_time: Callable[[], bool]
) -> tuple[Settled, bool]:
    """Settle every case with a window that ended at or before `as_of`; whether all were reached while `has_time`.

    A window whose bucket ends later than `as_of` is left to a later call.
    """
    result = Settled()
    for number, buckets in enumerate(_portions(store.due(as_of))):
        if number and not has_time():
            return result, False
        result.add(_settle_buckets(store, registry, buckets, as_of))
    return result, True


def _portions(buckets: Iterable[DueBucket]) -> Iterator[list[DueBucket]]:
    """A transaction's worth of cases at a time: of one client where it has so many, else of several."""
    waiting: dict[str, list[DueBucket]] = {}
    for bucket in buckets:
        portion = waiting.setdefault(bucket.client, [])
        portion.append(bucket)
        if _is_enough(portion):
            yield waiting.pop(bucket.client)
    rest: list[DueBucket] = []
    for portion in waiting.values():
        rest += portion
        if _is_enough(rest):
            yield rest
            rest = []
    if rest:
        yield rest


def _is_enough(buckets: Iterable[DueBucket]) -> bool:
    return sum(len(bucket.cases) for bucket in buckets) >= CASES_PER_TRANSACTION


def _settle_buckets(
    store: SettlementStore, registry: Registry, buckets: Sequence[DueBucket], as_of: datetime
) -> Settled:
    """Settle those of the cases that are still due, and forget each bucket in which none is left."""
    result, work = Settled(), dict[str, list[Work]]()
    keys = list(dict.fromkeys(key for bucket in buckets for key in bucket.keys))
    due = store.still_due(keys, as_of)
    for client, case_id in (key for key in keys if key in due):
        work.setdefault(client, []).append(Work(case_id, (), as_of))
    if work:
        result = settle(store, registry, work)
        due = store.still_due(due, as_of)
    store.forget([bucket for bucket in buckets if due.isdisjoint(bucket.keys)])
    return result
