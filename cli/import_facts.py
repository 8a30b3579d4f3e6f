"""Import a helpdesk's history: rows become facts, facts are settled in order, what cannot be read is parked."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.options import open_export
from cli.printing import refused
from events.adapters.rows import ColumnsMissing, UnreadableRow
from events.adapters.servicenow import read_log
from events.decode import Delivery
from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from settlement.parking import Parked, ParkReason
from settlement.ports import Changes
from settlement.settle import Settled, settle, work_from
from settlement.sweep import settle_due

BATCH = 500


def import_log(
    store: DynamoStore, registry: DynamoRegistry, file: Path, client: str, time_zone: str, console: Console
) -> int:
    """Settle every incident of a log, and every window that has ended by now; 0 if all cases settled.

    Rows that cannot be read are parked by file and line. Importing the same file again changes nothing.
    """
    totals, unreadable = Settled(), 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress, open_export(file) as lines:
        task = progress.add_task(f"Importing {file.name}")
        try:
            read = read_log(lines, client=client, time_zone=ZoneInfo(time_zone))
        except ColumnsMissing as missing:
            return refused(f"{file}: {missing}", console)
        except (ZoneInfoNotFoundError, ValueError):
            return refused(f"{time_zone!r} is not an IANA time zone, such as Europe/Berlin", console)
        for batch in _batches(read):
            rows = [item for item in batch if isinstance(item, UnreadableRow)]
            facts = [item for item in batch if isinstance(item, Delivery)]
            unreadable += len(rows)
            for row in rows:
                store.commit(Changes(parked=(_parked(row, file, client),)))
            totals.add(settle(store, registry, work_from(facts)))
            progress.update(task, description=f"Importing {file.name}: {totals.facts:,} facts")
    settled, _ = settle_due(store, registry, datetime.now(UTC), lambda: True)
    totals.add(settled)
    console.print(
        f"{totals.facts} facts, {totals.duplicates} known before, {totals.entries} entries posted, "
        f"{totals.parked} parked, {unreadable} rows not readable"
    )
    for (_, case), why in sorted(totals.failed.items()):
        refused(f"{case}: {why}", console)
    return 1 if totals.failed else 0


def _batches(items: Iterable[Delivery | UnreadableRow]) -> Iterator[list[Delivery | UnreadableRow]]:
    batch: list[Delivery | UnreadableRow] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def _parked(row: UnreadableRow, file: Path, client: str) -> Parked:
    detail = f"{file.name}:{row.line}: {row.field}: {row.problem}"
    parked_id = f"row:{client}/{file.name}:{row.line}"
    return Parked(parked_id, client, ParkReason.UNREADABLE_ROW, detail, datetime.now(UTC), None)
