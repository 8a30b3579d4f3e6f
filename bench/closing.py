"""The close of a period with N resolutions: its time and its reads must not depend on N."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from bench.figures import Figure
from bench.timing import spread
from bench.world import CLIENT, sample_terms
from billing.periods import Period, PeriodState, RateCounter
from billing.prepaid import Prepaid
from billing.pricing import total
from ledger.books import Head
from ledger.entries import Book, RecordedEntry
from settlement.close import close_due_periods
from settlement.ports import PeriodKey
from settlement.registry import Client
from tests.memory_store import MemoryRegistry, MemoryStore

SIZES = (1_000, 10_000, 100_000, 1_000_000)
RUNS = 200
_PERIOD = Period("2026-10")
_AFTER = datetime(2026, 11, 3, tzinfo=UTC)


@dataclass
class CountingStore(MemoryStore):
    """A store in memory that counts the items it is asked for, and has no entries to give."""

    reads: int = 0

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Counts each period."""
        self.reads += len(keys)
        return super().periods(keys)

    def prepaids(self, clients: Collection[str]) -> Mapping[str, Prepaid]:
        """Counts each client."""
        self.reads += len(clients)
        return super().prepaids(clients)

    def head(self, book: Book) -> Head:
        """Counts one."""
        self.reads += 1
        return super().head(book)

    def entries(self, book: Book, after: int = 0) -> Iterator[RecordedEntry]:
        """Refused: the close works from counters."""
        raise AssertionError(f"the close read the entries of {book} after {after}")


def measure() -> list[dict[str, Any]]:
    """For each N: the items read, microseconds of a close, and its ratio to that of the smallest N."""
    terms = sample_terms()
    registry = MemoryRegistry(
        contract_histories={CLIENT: terms.contracts},
        all_clients={CLIENT: Client(id=CLIENT, name="Acme", email="billing@acme.example")},
    )
    seconds: dict[int, list[float]] = {size: [] for size in SIZES}
    reads: dict[int, set[int]] = {size: set() for size in SIZES}
    for _ in range(RUNS):
        for size in SIZES:
            store = CountingStore(stored_periods={(CLIENT, _PERIOD): _counted(size)})
            started = perf_counter()
            [invoice] = close_due_periods(store, registry, _AFTER)
            seconds[size].append(perf_counter() - started)
            reads[size].add(store.reads)
            if sum(line.quantity for line in invoice.lines if line.kind == "usage") != size:
                raise AssertionError(f"{size} resolutions were not invoiced: {invoice}")
    baseline = spread(seconds[SIZES[0]]).median
    return [
        {
            "resolutions": size,
            "items_read": sorted(reads[size]),
            **spread(seconds[size]).in_microseconds(),
            "median_to_smallest": round(spread(seconds[size]).median / baseline, 2),
        }
        for size in SIZES
    ]


def figures(rows: list[dict[str, Any]]) -> list[Figure]:
    """The largest close beside the smallest: it may not read more, and takes as long."""
    first, last = rows[0], rows[-1]
    name = f"a close of {last['resolutions']:,} resolutions / of {first['resolutions']:,}"
    reads = (max(last["items_read"]), max(first["items_read"]))
    times = (last["microseconds_median"], first["microseconds_median"])
    return [
        Figure(f"items read by {name}", *reads, unit="items", target=1.0),
        Figure(f"time of {name}", *times, unit="wall microseconds, median"),
    ]


def _counted(number: int) -> PeriodState:
    """The period of acme after that many resolutions, a tenth of them by phone."""
    contract = sample_terms().contracts.in_force(_PERIOD)
    parts = {"phone": number // 10, "chat-and-email": number - number // 10}
    counters = {
        rate: RateCounter(issued=count, net=count, accrued=total(contract.rate(rate), count, contract.currency))
        for rate, count in parts.items()
    }
    return PeriodState(CLIENT, _PERIOD, rates=tuple(sorted(counters.items())))
