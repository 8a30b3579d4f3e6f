"""What settling costs beside writing the same items raw: CPU time without a network, and throughput on the emulator."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter, process_time
from typing import Any

import boto3

from bench.figures import Figure
from bench.replay import WRITE, Exchange, Replayed, recorded
from bench.stack import NAME, Stack, create_tables, metering, tables
from bench.timing import Spread, spread
from bench.traffic import BATCH, Resolution, apart, batches, register, together
from infra.aws.tables import bind
from infra.local.emulator import REGION

RUNS = 9
BATCHES = 20
WARM_UP = 4
EXPERTS = 25
TARGET = 2.0

_Events = Callable[[Sequence[Resolution]], list[dict[str, Any]]]
_WAYS: Mapping[str, _Events] = {"rated in the same batch": together, "rated in a later batch": apart}


def measure() -> list[Figure]:
    """CPU time in both ways in which ratings come, then throughput."""
    figures = []
    for name, events in _WAYS.items():
        with tables() as stack:
            figures += _cpu(stack, name, events)
    return [*figures, *_throughput()]


# -- CPU time, without a network ---------------------------------------------------------------------------------------


def _cpu(stack: Stack, name: str, events_of: _Events) -> list[Figure]:
    """The engine and raw boto3 in turn, each answered from memory with what the emulator answered once."""
    register(EXPERTS)
    events, exchanges = _record(stack, events_of)
    raw = boto3.client("dynamodb", region_name=REGION)
    writes = [it for it in exchanges if it.operation == WRITE]
    plain = [Exchange(it.operation, without_conditions(it.params), it.answer) for it in writes]
    with metering(stack) as meter:
        work: dict[str, tuple[Any, Sequence[Exchange], list[Callable[[], None]]]] = {
            "engine": (stack.client, exchanges, [partial(meter, event) for event in events]),
            "raw": (raw, writes, _raw_calls(raw, writes)),
            "plain": (raw, plain, _raw_calls(raw, plain)),
            "reads too": (raw, exchanges, _raw_calls(raw, exchanges)),
        }
        seconds: dict[str, list[list[float]]] = {kind: [] for kind in work}
        for _ in range(RUNS):
            for kind, (client, answers, steps) in work.items():
                with Replayed(client, answers):
                    seconds[kind].append([_seconds(step) for step in steps])
    spreads = {kind: _summed(runs) for kind, runs in seconds.items()}
    detail = {"transactions": len(writes) // BATCHES, "items": _items(writes), "reads": _reads(exchanges)}
    return [
        _figure(f"{title}, {name}", spreads["engine"], spreads[kind], target, detail)
        for title, kind, target in (
            ("engine CPU per settled resolution / raw boto3 with the same transactions", "raw", TARGET),
            ("the same / raw boto3 with the same items, without conditions", "plain", None),
            ("the same / raw boto3 with the same reads and transactions", "reads too", None),
        )
    ]


def _seconds(step: Callable[[], None]) -> float:
    started = process_time()
    step()
    return process_time() - started


def _summed(runs: Sequence[Sequence[float]]) -> Spread:
    """Per resolution: the sum of what each step took at least, in whichever run, and of their medians."""
    steps = [spread(step) for step in zip(*runs, strict=True)]
    least, median = sum(step.least for step in steps), sum(step.median for step in steps)
    return Spread(least / (BATCHES * BATCH), median / (BATCHES * BATCH))


def _figure(title: str, engine: Spread, raw: Spread, target: float | None, detail: Mapping[str, object]) -> Figure:
    """Least against least: what disturbs a shared machine only ever adds time."""
    return Figure(
        figure=title,
        measured=round(engine.least * 1e6),
        baseline=round(raw.least * 1e6),
        unit="CPU microseconds per resolution, each batch at its fastest of the runs",
        target=target,
        detail={
            "runs": RUNS,
            "measured_median": round(engine.median * 1e6),
            "baseline_median": round(raw.median * 1e6),
            **detail,
        },
    )


def _record(stack: Stack, events_of: _Events) -> tuple[list[dict[str, Any]], list[Exchange]]:
    """Settle batches on the emulator; the events and calls of all but the first few."""
    every = [events_of(batch) for batch in batches(WARM_UP + BATCHES, EXPERTS)]
    with metering(stack) as meter:
        for events in every[:WARM_UP]:
            _each(meter, events)
        measured = [event for events in every[WARM_UP:] for event in events]
        with recorded(stack.client) as exchanges:
            _each(meter, measured)
    return measured, exchanges


def _each(meter: Callable[[dict[str, Any]], None], events: Sequence[dict[str, Any]]) -> None:
    for event in events:
        meter(event)


def _raw_calls(client: Any, exchanges: Sequence[Exchange]) -> list[Callable[[], None]]:  # noqa: ANN401  # boto3 makes it at run time
    calls = {"BatchGetItem": client.batch_get_item, "Query": client.query, WRITE: client.transact_write_items}
    return [partial(calls[it.operation], **it.params) for it in exchanges]


def without_conditions(params: Mapping[str, Any]) -> dict[str, Any]:
    """The same writes as if nothing had to be so for them to be made."""
    items = []
    for item in params["TransactItems"]:
        [(kind, write)] = item.items()
        plain = {name: value for name, value in write.items() if name != "ConditionExpression"}
        for names in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            used = {it: value for it, value in plain.pop(names, {}).items() if it in write.get("UpdateExpression", "")}
            plain |= {names: used} if used else {}
        items.append({kind: plain})
    return {"TransactItems": items}


def _items(writes: Sequence[Exchange]) -> int:
    """Items written a batch, on average."""
    return round(sum(len(it.params["TransactItems"]) for it in writes) / BATCHES)


def _reads(exchanges: Sequence[Exchange]) -> int:
    """Calls a batch that read, on average."""
    return round(sum(it.operation != WRITE for it in exchanges) / BATCHES)


# -- throughput, on the embedded emulator ------------------------------------------------------------------------------


def _throughput() -> list[Figure]:
    """Settled a second by one worker, and raw transactions of the very same items into tables of their own."""
    every = [apart(batch) for batch in batches(BATCHES, EXPERTS)]
    events = [event for batch in every for event in batch]
    with tables() as stack, metering(stack) as meter:
        register(EXPERTS)
        with recorded(stack.client) as exchanges:
            started = perf_counter()
            _each(meter, events)
            settled = BATCHES * BATCH / (perf_counter() - started)
        writes = [_renamed(it.params) for it in exchanges if it.operation == WRITE]
        bind("raw", region=REGION, host=stack.emulator.endpoint_url)
        create_tables()
        raw = boto3.client("dynamodb", region_name=REGION, endpoint_url=stack.emulator.endpoint_url)
        started = perf_counter()
        for params in writes:
            raw.transact_write_items(**params)
        written = BATCHES * BATCH / (perf_counter() - started)
    return [
        Figure(
            figure="settled on the embedded emulator / raw transactions of the same items on it",
            measured=round(settled),
            baseline=round(written),
            unit="resolutions a second, one worker, rated in a later batch",
            target=None,
            detail={"resolutions": BATCHES * BATCH, "batch": BATCH},
        )
    ]


def _renamed(params: Mapping[str, Any]) -> dict[str, Any]:
    """The same writes, conditions included, into tables that are empty as these were."""
    items = []
    for item in params["TransactItems"]:
        [(kind, write)] = item.items()
        items.append({kind: {**write, "TableName": write["TableName"].replace(NAME, "raw", 1)}})
    return {"TransactItems": items}
