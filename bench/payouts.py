"""A payout run over many experts: planning, creating and sending, each beside what bounds it in the same run."""

import os
import pickle
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, process_time
from typing import Any

import boto3
from pydantic import TypeAdapter

from bench.timing import spread
from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from infra.aws.tables import TABLES, RegistryItem, bind
from infra.local.emulator import REGION, Emulator
from infra.local.stripe_sandbox import Settings, StripeSandbox
from infra.stripe.gateway import StripeGateway
from ledger.money import Currency
from payouts.payouts import Payout
from payouts.plans import PayPlan, PlanHistory, Schedule
from payouts.policy import PayoutPolicy
from settlement.expert_status import ExpertStatus
from settlement.plan_payouts import Payee, Request, decide_payout, plan_run
from settlement.ports import Available, Balances, Changes, HoldChange
from settlement.registry import Expert, Gate
from settlement.send_payouts import send_payout
from settlement.stripe_port import TransfersCapability

RUNS = 3
USD = Currency("USD")
MONDAY = datetime(2026, 10, 5, 6, tzinfo=UTC)
_POLICY = PayoutPolicy(id=USD, per_expert="5000.00", per_run="100000000.00", per_day="100000000.00")
_HOLDS = 5  # of each expert, one of them not yet matured


def measure(experts: int) -> dict[str, Any]:
    """Planning `experts`, then creating and sending some hundreds on the embedded stack and the sandbox."""
    return {"planning": _planning(experts), "creating": _creating(300), "sending": _sending(400, 20)}


# -- planning from loaded balances -------------------------------------------------------------------------------------


def _planning(number: int) -> dict[str, Any]:
    """CPU seconds of one core to make payees with balances, and to make and decide about them; memory in MiB."""
    work: dict[str, Callable[[], None]] = {"payees_made": lambda: _make(number), "planned": lambda: _plan(number)}
    _plan(min(10_000, number))
    before = _peak_mib()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(RUNS):
        for name, run in work.items():
            started = process_time()
            run()
            seconds[name].append(process_time() - started)
    alone = spread([full - made for full, made in zip(seconds["planned"], seconds["payees_made"], strict=True)])
    return {
        "experts": number,
        "runs": RUNS,
        **{name: spread(found).in_seconds() for name, found in seconds.items()},
        "planning_alone": alone.in_seconds(),
        "peak_memory_growth_mib_after_10000": round(_peak_mib() - before, 1),
    }


def _make(number: int) -> None:
    for _ in _payees(number):
        pass


def _plan(number: int) -> None:
    request, spent, planned = Request("2026-W41", MONDAY), dict[str, int](), 0
    for payee, owed in _payees(number):
        outcome = decide_payout(payee, owed, USD, request, _POLICY, spent)
        if isinstance(outcome, Payout):
            planned += 1
            for limit in request.limits(USD):
                spent[limit] = spent.get(limit, 0) + outcome.gross
    if planned != number - number // 10:
        raise AssertionError(f"{planned} of {number} experts were to be paid")


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


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


# -- creating, on the embedded stack -----------------------------------------------------------------------------------


def _creating(number: int) -> dict[str, Any]:
    """Seconds to plan a run of so many payouts, and to write raw transactions of the very same items."""
    with TemporaryDirectory() as folder, _stack(folder) as (emulator, store, registry):
        _populate(store, number)
        sent: list[dict[str, Any]] = []
        events = store.connection.client.meta.events
        events.register("provide-client-params.dynamodb.TransactWriteItems", lambda params, **_: sent.append(params))
        started = perf_counter()
        made = [it for it in plan_run(store, registry, Schedule.WEEKLY, MONDAY, lambda: True) if isinstance(it, Payout)]
        planned = perf_counter() - started
        if len(made) != number:
            raise AssertionError(f"{len(made)} of {number} payouts were made")
        raw = boto3.client("dynamodb", endpoint_url=emulator.endpoint_url)
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
    """The same writes under keys of their own, without conditions."""
    items = pickle.loads(pickle.dumps(params["TransactItems"]).replace(b"e0", b"r0"))  # noqa: S301  # our own
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
        TemporaryDirectory() as folder,
        _stack(folder) as (emulator, store, registry),
        StripeSandbox(now=MONDAY, settings=Settings(new_accounts="active", topup_days=0)) as sandbox,
    ):
        _populate(store, number)
        gateway = StripeGateway(sandbox.api_key, sandbox.url)
        gateway.top_up("bench", 100_000_000, USD)
        for expert in list(registry.experts_after("")):
            account = gateway.account(expert)
            document = expert.model_copy(update={"stripe_account": account}).model_dump_json(exclude_none=True)
            RegistryItem(kind="expert", id=expert.id, document=document, revision=2).save()
        made = list(plan_run(store, registry, Schedule.WEEKLY, MONDAY, lambda: True))
        ids = [it.id for it in made if isinstance(it, Payout)]
        where = (dict(emulator.environment), emulator.endpoint_url, sandbox.url, sandbox.api_key, rate // 2)
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


@contextmanager
def _stack(folder: str) -> Iterator[tuple[Emulator, DynamoStore, DynamoRegistry]]:
    """The tables, on an emulator of their own."""
    with Emulator(Path(folder)) as emulator:
        os.environ.update(emulator.environment)
        connection = bind("bench", region=REGION, host=emulator.endpoint_url)
        for table in TABLES:
            table.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        yield emulator, DynamoStore(connection), DynamoRegistry()


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
