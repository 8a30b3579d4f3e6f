"""Exports: entries a second of one core to Parquet, memory for a million entries, and a trial balance over them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import duckdb
from botocore.awsrequest import AWSPreparedRequest
from pydantic_core import to_json

from bench.figures import Figure
from bench.replay import answered
from bench.timing import Spread, peak_mib, spread
from infra.aws.items import BOOK_SHARDS, entry_item
from infra.aws.sealed_entries import from_decoded
from infra.aws.store import DynamoStore
from infra.aws.tables import bind
from infra.aws.wire import Attributes, encoded
from infra.exports import export_ledger, open_export
from infra.exports.slices import PARQUET, Journal
from infra.ledger_views import open_views
from ledger.accounts import (
    COST_BASE,
    COST_BONUS,
    REVENUE_RESOLUTIONS,
    Account,
    client_unbilled,
    expert_payable,
)
from ledger.books import GENESIS, Head, append, chained_hash
from ledger.entries import (
    Book,
    Entry,
    EntryId,
    RecordedEntry,
    canonical_heading,
    client_book,
    evidence,
    hash_of_content,
    postings,
)
from ledger.posting_rules import Reason
from ledger.sealed import SealedEntry

RUNS = 7
ENTRIES = 50_000  # one slice
ALL_ENTRIES = 1_000_000
TARGET = 50_000
MOST_MEGABYTES = 500
_FIRST, _SECOND_MONTH = datetime(2026, 10, 1, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
_CLIENT, _EXPERTS = "acme", 200
_PER_PAGE = 900  # about 1 MB, where DynamoDB ends a page
_BALANCE_WITHIN = 1.0


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One book, as decoded items in memory."""

    items: Sequence[Attributes]
    last: Head

    def heads(self) -> Iterator[Head]:
        yield self.last

    def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]:
        del book
        return map(from_decoded, self.items[after:last])


@dataclass(slots=True)
class _Made:
    """One book of any length, whose entries are made while they are read, in order and never kept."""

    last: Head
    made: SealedEntry | None = None

    def heads(self) -> Iterator[Head]:
        yield self.last

    def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]:
        if after and self.made:
            yield self.made  # the last one of the slice before
        first = self.made.seq if self.made else 0
        for place in range(first, last):
            self.made = _sealed(book, place, self.made.chain_hash if self.made else GENESIS)
            yield self.made


def measure() -> list[Figure]:
    """The export from decoded items and with reads, its memory, then the trial balance, each beside its baselines."""
    entries, head = _book(ENTRIES)
    with TemporaryDirectory() as scratch:
        figures = _exports(entries, head, Path(scratch) / "export")
        large = Path(scratch) / "large"
        return [*figures, _memory(large), *_trial_balances(large, Path(scratch))]


def _book(number: int) -> tuple[tuple[RecordedEntry, ...], Head]:
    """The settled resolutions of a client, as settlement posts them, in October and November."""
    book = client_book(_CLIENT)
    head, recorded = Head(book), list[RecordedEntry]()
    for place in range(number):
        at = _FIRST + timedelta(seconds=place * 80)
        sealed, head = append(head, [_settled(book, place, at)], at)
        recorded += sealed
    return tuple(recorded), head


def _settled(book: Book, place: int, at: datetime) -> Entry:
    amounts, proof = _content(place)
    return Entry(
        id=EntryId(f"charge:{_CLIENT}/{proof['case']}/1:1"),
        book=book,
        reason=Reason.SETTLED,
        postings=postings(amounts, "USD"),
        effective_on=date.fromisoformat(at.date().isoformat()),
        evidence=evidence(proof),
    )


def _sealed(book: Book, place: int, chain_before: str) -> SealedEntry:
    """The same without an object for each entry, in November."""
    amounts, proof = _content(place)
    at = _SECOND_MONTH + timedelta(seconds=place * 12 // 5)
    lines = to_json([[account, "USD", minor] for account, minor in amounts if minor]).decode()
    told = evidence(proof)
    id_, reason, day = f"charge:{_CLIENT}/{proof['case']}/1:1", Reason.SETTLED.value, at.date().isoformat()
    content_hash = hash_of_content(canonical_heading(id_, book, reason, day), lines, told)
    chain_hash = chained_hash(content_hash, place + 1, at.isoformat(), chain_before)
    recorded_at = at.isoformat().replace("+00:00", "Z")
    return SealedEntry(place + 1, id_, reason, lines, day, recorded_at, told, content_hash, chain_hash)


def _content(place: int) -> tuple[Sequence[tuple[Account, int]], Mapping[str, object]]:
    case, base, bonus = f"ZD-{4_071_000_000 + place}", 55 + place % 20, 15 * (place % 3)
    amounts = (
        (client_unbilled(_CLIENT), 99),
        (COST_BASE, base),
        (COST_BONUS, bonus),
        (expert_payable(f"expert-{place % _EXPERTS:05d}"), -base - bonus),
        (REVENUE_RESOLUTIONS, -99),
    )
    trace = [["base", base, "60% of the list price"], ["csat_bonus", bonus, "rated 100.00%, at least 100%"]]
    facts = [f"zendesk/acme#{place:08x}-5717-4562-b3fc-2c963f66afa{it}" for it in "67"]
    proof = {"case": case, "contract": "2026-10", "cycle": 1, "facts": facts, "list_price": "99", "ordinal": place + 1}
    proof |= {"plan": "us-share@2026-10-01", "rate": "chat-and-email", "rating": 10_000, "trace": trace}
    proof |= {"release_on": "2026-11-09", "share_of": "list_price", "why": "charged"}
    return amounts, proof


# -- exports -----------------------------------------------------------------------------------------------------------


def _exports(entries: Sequence[RecordedEntry], head: Head, folder: Path) -> list[Figure]:
    pages, decoded = _Pages.of(entries, head), _Decoded([entry_item(it) for it in entries], head)
    _export(decoded, folder)
    files = enumerate(sorted(folder.rglob("*.parquet")))
    copied = [path.rename(folder.with_name(f"{number}.parquet")) for number, path in files]
    work: dict[str, Callable[[], object]] = {
        "decoded": lambda: _export(decoded, folder),
        "items": lambda: _export(pages.store(), folder),
        "reading": lambda: _exhaust(pages.store().sealed(head.book, 0, head.seq)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*work, "copy")}
    for _ in range(RUNS):
        for name, run in work.items():
            started = process_time()
            run()
            seconds[name].append(process_time() - started)
        seconds["copy"].append(sum(_copy(path, folder.with_name("copied.parquet")) for path in copied))
    spreads = {name: spread(found) for name, found in seconds.items()}
    unit, rate = "entries a second of one core, to Parquet", _rate(spreads["copy"])
    detail = {"entries": len(entries), "postings": sum(len(it.entry.postings) for it in entries), "runs": RUNS}
    return [
        Figure(
            "export from decoded items, hashes checked / DuckDB's own COPY of the same rows",
            _rate(spreads["decoded"]),
            rate,
            unit=unit,
            target=TARGET,
            at_least=True,
            detail=detail,
        ),
        Figure("export with reading and decoding / the same", _rate(spreads["items"]), rate, unit=unit),
        Figure("reading and decoding alone / the same", _rate(spreads["reading"]), rate, unit="entries a second"),
    ]


def _export(journal: Journal, folder: Path) -> None:
    """As a first run, which writes all."""
    shutil.rmtree(folder, ignore_errors=True)
    export_ledger(journal, folder)


def _memory(folder: Path) -> Figure:
    """The peak of a process that exports a million entries, beside that of one that exports a tenth of them."""
    found = {}
    for number in (ALL_ENTRIES // 10, ALL_ENTRIES):
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "bench.exporting", str(folder), str(number)]
        found[number] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603  # this module
    few, many = found.values()
    name = f"memory of the export of {ALL_ENTRIES:,} entries"
    detail = {"megabytes_for_a_tenth": few, "of": "the whole process, Python and DuckDB"}
    return Figure(name, many, unit="megabytes at the peak", target=MOST_MEGABYTES, detail=detail)


def export_made(folder: Path, number: int) -> int:
    """Export so many entries that are made while they are read; the process's peak in megabytes."""
    first = _Made(Head(client_book(_CLIENT), number))
    _exhaust(first.sealed(first.last.book, 0, number))
    if first.made is None:
        raise ValueError("give a number of entries above zero")
    _export(_Made(Head(first.last.book, number, first.made.chain_hash)), folder)
    return round(peak_mib())


def _rate(taken: Spread) -> int:
    return round(ENTRIES / taken.least)


def _exhaust(made: Iterator[object]) -> None:
    for _ in made:
        pass


def _copy(source: Path, target: Path) -> float:
    """CPU seconds of one thread to write the rows, which are in memory, to a Parquet file of the same compression."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("CREATE TABLE rows AS SELECT * FROM read_parquet(?)", [str(source)])
        started = process_time()
        connection.execute(f"COPY rows TO '{target}' ({PARQUET})")
        return process_time() - started


@dataclass(frozen=True, slots=True)
class _Pages:
    """What DynamoDB answers to the store's reads of one book: pages of items by shard, and its head."""

    shards: Mapping[str, Sequence[bytes]]
    head: bytes

    @classmethod
    def of(cls, entries: Sequence[RecordedEntry], head: Head) -> "_Pages":
        shards: dict[str, list[str]] = {}
        for recorded in entries:
            item = encoded(entry_item(recorded))
            shards.setdefault(item["book_shard"]["S"], []).append(json.dumps(item))
        pages = {
            shard: [_page(items, start) for start in range(0, len(items), _PER_PAGE)] for shard, items in shards.items()
        }
        own = encoded({"book": head.book, "seq": head.seq, "chain_hash": bytes.fromhex(head.chain_hash)})
        return cls(pages, json.dumps(own).encode())

    def store(self) -> DynamoStore:
        """A store that reads these."""
        connection = bind("bench", region="us-east-1", host="http://bench.invalid")
        connection.session.set_credentials("bench", "bench")
        connection.client.meta.events.register("before-send.dynamodb", self._answer)
        return DynamoStore(connection)

    def _answer(self, request: AWSPreparedRequest, event_name: str, **_: object) -> Any:  # noqa: ANN401  # botocore's hooks are typed to return nothing
        asked = json.loads(request.body)  # type: ignore[arg-type]  # bytes, for DynamoDB
        match event_name.rpartition(".")[2]:
            case "BatchGetItem":
                body = b'{"Responses": {"bench-books": [%s]}, "UnprocessedKeys": {}}' % self.head
            case "Scan":
                body = b'{"Items": [%s], "Count": 1, "ScannedCount": 1}' % self.head
            case _:
                values = asked["ExpressionAttributeValues"].values()
                shard = next(it["S"] for it in values if "S" in it)
                last = asked.get("ExclusiveStartKey")
                seen = int(last["seq"]["N"]) // BOOK_SHARDS if last else 0
                body = self.shards[shard][seen // _PER_PAGE]
        return answered(request, body)


def _page(items: Sequence[str], start: int) -> bytes:
    """A page; `LastEvaluatedKey` has a number that says how many items of the shard came before the next page."""
    page, more = items[start : start + _PER_PAGE], ""
    if start + _PER_PAGE < len(items):
        key = {"book_shard": {"S": "shard"}, "seq": {"N": str((start + _PER_PAGE) * BOOK_SHARDS)}}
        more = f', "LastEvaluatedKey": {json.dumps(key)}'
    return f'{{"Items": [{", ".join(page)}], "Count": {len(page)}, "ScannedCount": {len(page)}{more}}}'.encode()


# -- trial balance -----------------------------------------------------------------------------------------------------


def _trial_balances(folder: Path, scratch: Path) -> list[Figure]:
    """Wall seconds over the export of a million entries."""
    own = spread([_timed(lambda: _trial_balance(folder)) for _ in range(RUNS)])
    detail = {"entries": ALL_ENTRIES, "runs": RUNS, "cores": os.cpu_count()}
    name = f"solvent finance trial-balance over {ALL_ENTRIES:,} entries"
    return [
        Figure(name, round(own.least, 3), unit="wall seconds", target=_BALANCE_WITHIN, detail=detail),
        _compared(f"{name} / beancount", own, _beancount(folder, scratch)),
        _compared(f"{name} / hledger", own, _hledger(folder, scratch)),
    ]


def _trial_balance(folder: Path) -> list[tuple[object, ...]]:
    with open_views(folder) as views:
        return views.table("trial_balance").fetchall()


def _timed(run: Callable[[], object]) -> float:
    started = perf_counter()
    if run() == []:
        raise AssertionError("there is nothing in the trial balance")
    return perf_counter() - started


def _compared(name: str, own: Spread, other: float | str) -> Figure:
    return Figure(
        name,
        round(own.least, 3),
        baseline=None if isinstance(other, str) else round(other, 1),
        unit="wall seconds",
        missing=other if isinstance(other, str) else "",
    )


def _beancount(export: Path, scratch: Path) -> float:
    """Seconds that beancount takes to load the same entries and to sum up its accounts."""
    path = _journal(export, scratch / "entries.beancount", is_beancount=True)
    code = (
        "import sys; from beancount import loader; from beancount.core import realization\n"
        "entries, errors, _ = loader.load_file(sys.argv[1])\n"
        "assert not errors, errors[:3]\n"
        "realization.compute_balance(realization.realize(entries))"
    )
    return _other([sys.executable, "-c", code, str(path)])


def _hledger(export: Path, scratch: Path) -> float | str:
    """Seconds that hledger takes for its balance report of the same entries; or why it was not measured."""
    program = shutil.which("hledger")
    if not program:
        return "hledger is not on the PATH; it is a package of the system"
    path = _journal(export, scratch / "entries.journal", is_beancount=False)
    return _other([program, "-f", str(path), "balance", "--flat"])


def _other(command: list[str]) -> float:
    environment = {**os.environ, "BEANCOUNT_DISABLE_LOAD_CACHE": "1"}
    started = perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)  # noqa: S603  # named by who runs this
    return perf_counter() - started


def _journal(export: Path, path: Path, *, is_beancount: bool) -> Path:
    """The entries as a plain text journal, which both programs read with small differences."""
    name = "'\"' || entry_id || '\"'" if is_beancount else "entry_id"
    account = "'Assets:' || regexp_replace(upper(account), '[/_]', '-', 'g')"
    columns = f"effective_on, {name}, line, {account}, amount, currency"
    with open_export(export) as connection, path.open("w", encoding="utf-8") as file:
        if is_beancount:
            names = connection.execute(f"SELECT DISTINCT {account} FROM postings").fetchall()  # noqa: S608  # our own
            file.writelines(f"2026-01-01 open {name}\n" for (name,) in names)
        connection.execute(f"SELECT {columns} FROM postings ORDER BY seq, line")  # noqa: S608  # our own
        while batch := connection.fetchmany(100_000):
            for day, id_, line, owner, amount, code in batch:
                file.write(f"{day} * {id_}\n" if line == 1 else "")
                file.write(f"  {owner}  {amount:.2f} {code}\n")
    return path


if __name__ == "__main__":
    print(export_made(Path(sys.argv[1]), int(sys.argv[2])))  # noqa: T201  # for _memory
