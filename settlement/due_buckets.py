"""How waiting cases are found again: each transaction lists those that it writes, by when their windows end.

A case that waits is always in a bucket, for the transaction that lets it wait writes both. A bucket never changes. It
is forgotten once none of its cases is due any more; a case that meanwhile waits for another time was then written
again, and is in another bucket too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ledger.records import dataclass

if TYPE_CHECKING:  # for their types alone
    from collections.abc import Iterable

    from events.facts import CaseId
    from settlement.cases import Case

# A bucket is looked at once its last window has ended, when its first may have ended this long before. Months begin at
# a quarter of an hour in every time zone, so what is due in one month never waits for windows of the next.
WIDTH = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DueBucket:
    """Cases of one client, written together, whose windows end in the same quarter of an hour.

    `due_at` is when the last of them ends. `id` names the bucket for good: its first case, and the revision that this
    case got, which it gets only once.
    """

    client: str
    due_at: datetime
    id: str
    cases: tuple[CaseId, ...]

    @property
    def keys(self) -> tuple[tuple[str, CaseId], ...]:
        """The client and id of each case."""
        return tuple((self.client, case_id) for case_id in self.cases)


def due_buckets(cases: Iterable[Case]) -> tuple[DueBucket, ...]:
    """The buckets of what one transaction writes; cases that wait for nothing are in none."""
    together: dict[tuple[str, int], list[tuple[datetime, Case]]] = {}
    for case in cases:
        if case.due_at is not None:
            together.setdefault((case.client, (case.due_at - _EPOCH) // WIDTH), []).append((case.due_at, case))
    return tuple(
        DueBucket(
            client=client,
            due_at=max(due_at for due_at, _ in waiting),
            id=f"{client}/{waiting[0][1].case_id}@{waiting[0][1].revision}",
            cases=tuple(case.case_id for _, case in waiting),
        )
        for (client, _), waiting in together.items()
    )
