"""Exports: entries a second of one core to CSV and Parquet, and a trial balance over a million entries."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import duckdb
from botocore.awsrequest import AWSPreparedRequest

from bench.figures import Figure
from bench.replay import answered
from bench.timing import Spread, spread
from cli.finance import trial_balance_rows
from infra.aws.store import BOOK_SHARDS, DynamoStore, _entry_item
from infra.aws.tables import bind
from infra.aws.wire import encoded
from infra.exports import export_ledger, parquet_path
from ledger.accounts import (
    COST_BASE,
    COST_BONUS,
    REVENUE_RESOLUTIONS,
    client_unbilled,
    expert_payable,
)
from ledger.books import Head, append
from ledger.entries import Book, Entry, EntryId, RecordedEntry, client_book, evidence, postings
from ledger.posting_rules import Reason

RUNS = 3
ENTRIES = 30_000
ALL_ENTRIES = 1_000_000
TARGET = 50_000
_FIRST = datetime(2026, 10, 1, 8, tzinfo=UTC)
_CLIENT, _EXPERTS = "acme", 200
_PER_PAGE = 900  # about 1 MB, where DynamoDB ends a page
# A Python that has beancount, if there is one; see README.md.
BEANCOUNT = "BENCH_BEANCOUNT_PYTHON"


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One book, in memory."""

    entries_of_book: Sequence[RecordedEntry]
    last: Head

    def head(self, book: Book) -> Head:
        del book
        return self.last

    def heads_of(self, books: Collection[Book]) -> Mapping[Book, Head]:
        return dict.fromkeys(books, self.last)

    def heads(self) -> Iterator[Head]:
        yield self.last

    def entries(self, book: Book, after: int = 0) -> Iterator[RecordedEntry]:
        del book
        yield from self.entries_of_book[after:]


def measure() -> list[Figure]:
    """The export from decoded entries and from items, then the trial balance, each beside its baselines."""
    entries, head = _book(ENTRIES)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "export"
        figures = _exports(entries, head, folder)
        return [*figures, *_trial_balances(folder, Path(scratch))]


def _book(number: int) -> tuple[tuple[RecordedEntry, ...], Head]:
    """The settled resolutions of a client, as settlement posts them, through October."""
    book = client_book(_CLIENT)
    head, recorded = Head(book), list[RecordedEntry]()
    for place in range(number):
        at = _FIRST + timedelta(seconds=place * 80)
        sealed, head = append(head, [_settled(book, place, at)], at)
        recorded += sealed
    return tuple(recorded), head


def _settled(book: Book, place: int, at: datetime) -> Entry:
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
    return Entry(
        id=EntryId(f"charge:{_CLIENT}/{case}/1:1"),
        book=book,
        reason=Reason.SETTLED,
        postings=postings(amounts, "USD"),
        effective_on=date.fromisoformat(at.date().isoformat()),
        evidence=evidence(proof),
    )


# -- exports -----------------------------------------------------------------------------------------------------------


def _exports(entries: Sequence[RecordedEntry], head: Head, folder: Path) -> list[Figure]:
    pages = _Pages.of(entries, head)
    export_ledger(_Decoded(entries, head), folder)
    [parquet] = (parquet_path(folder, month) for month in ("2026-10",))
    work: dict[str, Callable[[], object]] = {
        "decoded": lambda: export_ledger(_Decoded(entries, head), folder),
        "items": lambda: export_ledger(pages.store(), folder),
        "reading": lambda: _exhaust(pages.store().entries(head.book)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*work, "copy")}
    for _ in range(RUNS):
        for name, run in work.items():
            started = process_time()
            run()
            seconds[name].append(process_time() - started)
        seconds["copy"].append(_copy(parquet, folder.with_name("copied.parquet")))
    spreads = {name: spread(found) for name, found in seconds.items()}
    unit, copied = "entries a second of one core, to CSV and Parquet", _rate(spreads["copy"])
    detail = {"entries": len(entries), "postings": sum(len(it.entry.postings) for it in entries), "runs": RUNS}
    return [
        Figure(
            "export from decoded entries / DuckDB's own COPY of the same rows to Parquet",
            _rate(spreads["decoded"]),
            copied,
            unit=unit,
            target=TARGET,
            at_least=True,
            detail=detail,
        ),
        Figure("export with reading and decoding / the same", _rate(spreads["items"]), copied, unit=unit),
        Figure("reading and decoding alone / the same", _rate(spreads["reading"]), copied, unit="entries a second"),
    ]


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
        connection.table("rows").write_parquet(str(target), compression="zstd")
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
            item = encoded(_entry_item(recorded))
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
    """Wall seconds over an export of a million entries: those that were exported, again and again under other names."""
    source, large = parquet_path(folder, "2026-10"), scratch / "large"
    target = parquet_path(large, "2026-10")
    target.parent.mkdir(parents=True)
    times = -(-ALL_ENTRIES // ENTRIES)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT r.* REPLACE (r.entry_id || '-' || t.i AS entry_id, r.seq + t.i * {ENTRIES} AS seq)"  # noqa: S608  # numbers of our own
            f" FROM range({times}) t(i), read_parquet('{source}') r WHERE r.seq + t.i * {ENTRIES} <= {ALL_ENTRIES}"
            f" ORDER BY t.i, r.seq, r.line) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
    own = spread([_timed(lambda: trial_balance_rows(large)) for _ in range(RUNS)])
    detail = {"entries": ALL_ENTRIES, "runs": RUNS, "cores": os.cpu_count()}
    return [
        _compared("beancount", own, detail, lambda: _beancount(target, scratch)),
        _compared("hledger", own, detail, lambda: _hledger(target, scratch)),
    ]


def _timed(run: Callable[[], object]) -> float:
    started = perf_counter()
    if run() == []:
        raise AssertionError("there is nothing in the trial balance")
    return perf_counter() - started


def _compared(other: str, own: Spread, detail: Mapping[str, Any], measure_other: Callable[[], float | str]) -> Figure:
    found = measure_other()
    return Figure(
        figure=f"solvent trial-balance over {ALL_ENTRIES:,} entries / {other}",
        measured=round(own.least, 3),
        baseline=None if isinstance(found, str) else round(found, 1),
        unit="wall seconds",
        missing=found if isinstance(found, str) else "",
        detail=detail,
    )


def _beancount(parquet: Path, scratch: Path) -> float | str:
    """Seconds that beancount takes to load the same entries and to sum up its accounts; or why it was not measured."""
    python = os.environ.get(BEANCOUNT)
    if not python:
        return f"{BEANCOUNT} names no Python that has it; bench/README.md says how"
    path = _journal(parquet, scratch / "entries.beancount", is_beancount=True)
    code = (
        "import sys; from beancount import loader; from beancount.core import realization\n"
        "entries, errors, _ = loader.load_file(sys.argv[1])\n"
        "assert not errors, errors[:3]\n"
        "realization.compute_balance(realization.realize(entries))"
    )
    return _other([python, "-c", code, str(path)])


def _hledger(parquet: Path, scratch: Path) -> float | str:
    """Seconds that hledger takes for its balance report of the same entries; or why it was not measured."""
    program = shutil.which("hledger")
    if not program:
        return "hledger is not on the PATH; it is a package of the system"
    path = _journal(parquet, scratch / "entries.journal", is_beancount=False)
    return _other([program, "-f", str(path), "balance", "--flat"])


def _other(command: list[str]) -> float:
    environment = {**os.environ, "BEANCOUNT_DISABLE_LOAD_CACHE": "1"}
    started = perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)  # noqa: S603  # named by who runs this
    return perf_counter() - started


def _journal(parquet: Path, path: Path, *, is_beancount: bool) -> Path:
    """The entries as a plain text journal, which both programs read with small differences."""
    name = "'\"' || entry_id || '\"'" if is_beancount else "entry_id"
    account = "'Assets:' || regexp_replace(upper(account), '[/_]', '-', 'g')"
    columns = f"effective_on, {name}, line, {account}, amount, currency"
    with duckdb.connect() as connection, path.open("w", encoding="utf-8") as file:
        connection.execute("CREATE VIEW rows AS FROM read_parquet(" + f"'{parquet}')")
        if is_beancount:
            names = connection.execute(f"SELECT DISTINCT {account} FROM rows").fetchall()  # noqa: S608  # our own
            file.writelines(f"2026-01-01 open {name}\n" for (name,) in names)
        connection.execute(f"SELECT {columns} FROM rows ORDER BY seq, line")  # noqa: S608  # our own
        while batch := connection.fetchmany(100_000):
            for day, id_, line, owner, amount, code in batch:
                file.write(f"{day} * {id_}\n" if line == 1 else "")
                file.write(f"  {owner}  {amount:.2f} {code}\n")
    return path
