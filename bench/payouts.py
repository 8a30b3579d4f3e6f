"""A payout run over many experts: planning, creating and sending, each beside what bounds it in the same run."""

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from time import monotonic, perf_counter, process_time
from typing import Any

import boto3
from pydantic import TypeAdapter

from bench.figures import Figure
from bench.replay import as_boto3_takes_them
from bench.stack import tables
from bench.timing import peak_mib, spread
from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from infra.aws.tables import RegistryItem, bind
from infra.local.emulator import REGION
from infra.local.stripe_sandbox import Settings, StripeSandbox
from infra.stripe.gateway import StripeGateway
from ledger.money import Currency
from payouts.payouts import Payout
from payouts.plans import PayPlan, PlanHistory, Schedule
from payouts.policy import PayoutPolicy
from settlement.expert_status import ExpertStatus
from settlement.plan_payouts import EXPERTS_PER_READ, Payee, Request, decide_payout, plan_run
from settlement.ports import Available, Balances, Changes, HoldChange
from settlement.registry import Expert, Gate
from settlement.send_payouts import send_payout
from settlement.stripe_port import TransfersCapability

RUNS = 3
SIZES = (1_000, 10_000, 100_000, 1_000_000)
USD = Currency("USD")
MONDAY = datetime(2026, 10, 5, 6, tzinfo=UTC)
_POLICY = PayoutPolicy(id=USD, per_expert="5000.00", per_run="10000000000.00", per_day="10000000000.00")
_HOLDS = 5  # of each expert, one of them not yet matured


def measure(most: int) -> dict[str, Any]:
    """Planning up to `most` experts, then creating and sending some hundreds on the embedded stack and the sandbox."""
    return {"planning": _planned_sizes(most), "creating": _creating(300), "sending": _sending(400, 20)}


def figures(found: dict[str, Any]) -> list[Figure]:
    """Each beside what bounds it."""
    rows, creating, sending = found["planning"], found["creating"], found["sending"]
    name, unit = "planning payouts, CPU per expert", "microseconds of one core"
    least = rows[0]["microseconds_per_expert"]
    return [
        *(
            Figure(
                f"{name} of {it['experts']:,} / of {rows[0]['experts']:,}", it["microseconds_per_expert"], least, unit
            )
            for it in rows[1:]
        ),
        Figure(
            "payouts created on the embedded emulator / raw transactions of the same items on it",
            creating["payouts_per_second"],
            creating["raw_transactions_per_second"],
            "a second",
        ),
        Figure(
            "payouts sent by 2 workers / the rate that they may send at",
            sending["sent_per_second"],
            sending["configured_per_second"],
            "a second",
        ),
    ]


# -- planning from loaded balances -------------------------------------------------------------------------------------


def _planned_sizes(most: int) -> list[dict[str, Any]]:
    """Each number of experts up to `most`, and how the time for one compares to that in the smallest number."""
    rows = [_planning(number, 1 if number > 100_000 else RUNS) for number in SIZES if number <= most]
    smallest = rows[0]["microseconds_per_expert"]
    return [{**row, "to_smallest": round(row["microseconds_per_expert"] / smallest, 2)} for row in rows]


def _planning(number: int, runs: int) -> dict[str, Any]:
    """CPU seconds of one core to make payees with balances, and to decide about them; memory in MiB."""
    _plan(min(10_000, number))
    before = peak_mib()
    made, decided = zip(*(_plan(number) for _ in range(runs)), strict=True)
    alone = spread(decided)
    return {
        "experts": number,
        "runs": runs,
        "microseconds_per_expert": round(alone.least / number * 1e6, 1),
        "payees_made": spread(made).in_seconds(),
        "planning_alone": alone.in_seconds(),
        "peak_memory_growth_mib_after_10000": round(peak_mib() - before, 1),
    }


def _plan(number: int) -> tuple[float, float]:
    """Make payees a hundred at a time, as a run reads them, and decide about them; CPU seconds for each of the two."""
    request, spent, planned, made, decided = Request("2026-W41", MONDAY), dict[str, int](), 0, 0.0, 0.0
    payees = _payees(number)
    while True:
        started = process_time()
        group = list(islice(payees, EXPERTS_PER_READ))
        read = process_time()
        for payee, owed in group:
            outcome = decide_payout(payee, owed, USD, request, _POLICY, spent)
            if isinstance(outcome, Payout):
                planned += 1
                for limit in request.limits(USD):
                    spent[limit] = spent.get(limit, 0) + outcome.gross
        made, decided = made + read - started, decided + process_time() - read
        if not group:
            break
    if planned != number - number // 10:
        raise AssertionError(f"{planned} of {number} experts were to be paid")
    return made, decided


def _payees(number: int) -> Iterator[tuple[Payee, Balances]]:
    """One expert in ten lacks the transfers capability."""
    plan = PlanHistory("standard", (_plan_version(),))
    for place in range(number):
        expert = _expert(place)
        held = tuple(_hold(expert.id, day) for day in range(_HOLDS))
        able = TransfersCapability.RESTRICTED if place % 10 == 9 else TransfersCapability.ACTIVE
        status = ExpertStatus(expert.id, transfers=able, requirements=("identity document",), bank="ba_1")
        yield Payee(expert, status, (plan,)), Balances(held, (Available(expert.id, USD, 1_000 + place, 1),))


def _plan_version() -> PayPlan:
    base = {"kind": "fixed", "amount": "0.60"}
    document = {"id": "standard", "starts_on": "2026-01-01", "currency": "USD", "base": base, "minimum_payout": "10.00"}
    return PayPlan.model_validate(document)


def _expert(place: int) -> Expert:
    name = f"e{place:06d}"
    gates = dict.fromkeys(Gate, date(2026, 1, 1))
    return Expert(
        id=name,
        country="US",
        email=f"{name}@experts.example",
        assignments={"acme": "standard"},
        gates=gates,
        stripe_account=f"acct_{name}",
    )


def _hold(expert: str, day: int) -> HoldChange:
    return HoldChange(expert, USD, MONDAY.date() - timedelta(days=_HOLDS - 2 - day), 350 + day)


# -- creating, on the embedded stack -----------------------------------------------------------------------------------


def _creating(number: int) -> dict[str, Any]:
    """Seconds to plan a run of so many payouts, and to write raw transactions of the very same items."""
    with tables() as stack:
        store, registry = stack.store, stack.registry
        _populate(store, number)
        sent: list[dict[str, Any]] = []
        events = store.connection.client.meta.events
        asked = "provide-client-params.dynamodb.TransactWriteItems"
        events.register(asked, lambda params, **_: sent.append(as_boto3_takes_them(params)))
        started = perf_counter()
        made = [it for it in plan_run(store, registry, Schedule.WEEKLY, MONDAY, lambda: True) if isinstance(it, Payout)]
        planned = perf_counter() - started
        if len(made) != number:
            raise AssertionError(f"{len(made)} of {number} payouts were made")
        raw = boto3.client("dynamodb", endpoint_url=stack.emulator.endpoint_url)
        copies = [_copy(params) for params in sent if len(params["TransactItems"]) > 1]
        started = perf_counter()
        for params in copies:
            raw.transact_write_items(**params)
        written = perf_counter() - started
    return {
        "payouts": number,
        "items_per_payout": len(copies[0]["TransactItems"]),
        "payouts_per_second": round(number / planned),
        "raw_transactions_per_second": round(len(copies) / written),
        "raw_to_planned": round((len(copies) / written) / (number / planned), 2),
    }


def _copy(params: dict[str, Any]) -> dict[str, Any]:
    """The same writes under keys of their own, without conditions and what only checks."""
    written = [item for item in params["TransactItems"] if "ConditionCheck" not in item]
    items = pickle.loads(pickle.dumps(written).replace(b"e0", b"r0"))  # noqa: S301  # our own
    for write in (write for item in items for write in item.values()):
        write.pop("ConditionExpression", None)
        for names in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            used = {name: it for name, it in write.pop(names, {}).items() if name in write.get("UpdateExpression", "")}
            write.update({names: used} if used else {})
    return {"TransactItems": items}


# -- sending, against the sandbox --------------------------------------------------------------------------------------


def _sending(number: int, rate: int) -> dict[str, Any]:
    """How many transfers a second two workers make, who share `rate`; each payout is one call to Stripe."""
    with (
        tables() as stack,
        StripeSandbox(now=MONDAY, settings=Settings(new_accounts="active", topup_days=0)) as sandbox,
    ):
        store, registry = stack.store, stack.registry
        _populate(store, number)
        gateway = StripeGateway(sandbox.api_key, sandbox.url)
        gateway.top_up("bench", 100_000_000, USD)
        for expert in list(registry.experts_after("")):
            account = gateway.account(expert)
            document = expert.model_copy(update={"stripe_account": account}).model_dump_json(exclude_none=True)
            RegistryItem(kind="expert", id=expert.id, document=document, revision=2).save()
        made = list(plan_run(store, registry, Schedule.WEEKLY, MONDAY, lambda: True))
        ids = [it.id for it in made if isinstance(it, Payout)]
        where = (dict(stack.emulator.environment), stack.emulator.endpoint_url, sandbox.url, sandbox.api_key, rate // 2)
        workers = [(*where, ids[start::2]) for start in (0, 1)]
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            spans = list(pool.map(_send, workers))
    seconds = max(end for _, end in spans) - min(start for start, _ in spans)
    return {
        "payouts": len(ids),
        "workers": 2,
        "configured_per_second": rate,
        "sent_per_second": round(len(ids) / seconds, 2),
        "sent_to_configured": round(len(ids) / seconds / rate, 3),
    }


_Worker = tuple[dict[str, str], str, str, str, int, list[str]]


def _send(worker: _Worker) -> tuple[float, float]:
    """Send payouts one after the other, in a process of its own; when it began and ended, by a clock that all share."""
    environment, endpoint, stripe_url, key, rate, ids = worker
    os.environ.update(environment)
    store, registry = DynamoStore(bind("bench", region=REGION, host=endpoint)), DynamoRegistry()
    gateway = StripeGateway(key, stripe_url, calls_per_second=rate)
    began = monotonic()
    for id_ in ids:
        sent = send_payout(store, registry, gateway, id_, MONDAY)
        if not sent.has_transfer:
            raise AssertionError(f"{id_} was not sent: {sent}")
    return began, monotonic()


# -- a stack with experts ----------------------------------------------------------------------------------------------


def _populate(store: DynamoStore, number: int) -> None:
    """So many experts who can be paid, with holds that matured."""
    versions = TypeAdapter(tuple[PayPlan, ...]).dump_json((_plan_version(),), exclude_none=True).decode()
    RegistryItem(kind="pay_plan", id="standard", document=versions, revision=1).save()
    for place in range(number):
        expert = _expert(place)
        _register(expert)
        store.commit(Changes(holds=tuple(_hold(expert.id, day) for day in range(_HOLDS))))


def _register(expert: Expert) -> None:
    document = expert.model_dump_json(exclude_none=True)
    RegistryItem(kind="expert", id=expert.id, document=document, revision=1).save()
    DynamoRegistry().set_status(ExpertStatus(expert.id, transfers=TransfersCapability.ACTIVE, revision=1))
