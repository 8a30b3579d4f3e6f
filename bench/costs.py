"""What a resolution uses over its whole life - completed, rated, settled, invoiced, paid out - and what that costs.

The engine's own code runs on the embedded emulator; units follow from its items by AWS's rules. What is done once for
many resolutions (a payout, an invoice, a day's round) is divided by how many it is done for, as `Life` says.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import mean
from time import process_time

import boto3

from bench.aws_rules import PRICES_AS_OF, USD_PER_MILLION, Units, lambda_usd_per_million, requests
from bench.figures import Figure
from bench.metering import Meter, metered
from bench.stack import Stack, metering, tables
from bench.traffic import BATCH, apart, batches, register
from infra.local.emulator import REGION
from payouts.payouts import Payout
from payouts.plans import Schedule
from settlement.approve_payouts import approve_small_runs
from settlement.book_sums import keep_sums
from settlement.close import close_due_periods
from settlement.follow_stripe import StripeEvent, follow_stripe
from settlement.incentives import award_incentives
from settlement.invoicing import follow_unfinished
from settlement.plan_payouts import plan_run, run_of
from settlement.reconcile import reconcile
from settlement.send_payouts import send_payout
from settlement.sweep import settle_due
from tests.fake_stripe import FakeStripe

BATCHES = 20
SETTLING = ("completed", "rated and settled")
SWEPT = "swept once its window ended"
MOST_USD, MOST_WRITES = 8.0, 10.0
_PAYDAY = datetime(2026, 10, 19, 6, tzinfo=UTC)  # a Monday, when what was earned from the 5th to the 9th is released
_CLOSING = datetime(2026, 11, 3, tzinfo=UTC)
_ROUNDS_PER_WEEK = 7


@dataclass(frozen=True, slots=True)
class Life:
    """What is assumed, besides what the items hold."""

    batch: int = BATCH  # resolutions of one client in a transaction, and as many ratings in another
    experts_of_client: int = 25  # who solve them, at random
    resolutions_per_expert_and_week: int = 100  # on five days; paid out once a week
    resolutions_per_client_and_month: int = 10_000  # one invoice
    webhooks_per_payout: int = 2
    webhooks_per_invoice: int = 3
    seconds_per_call: float = 0.005  # waiting for DynamoDB
    seconds_per_stripe_call: float = 0.5
    function_megabytes: int = 512
    messages_per_poll: int = 10  # that a request to SQS gets or deletes


@dataclass(slots=True)
class _Used:
    """Per resolution."""

    units: dict[str, Units] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)
    bytes_by_table: dict[str, int] = field(default_factory=dict)
    writes_by_table: dict[str, float] = field(default_factory=dict)
    cpu_seconds_per_call: float = 0
    message_bytes: int = 0

    @property
    def total(self) -> Units:
        return sum(self.units.values(), Units())


OTHER_LIVES: Mapping[str, Life] = {
    "7 experts solve a client's cases": Life(experts_of_client=7),
    "1,000 experts do: hardly two in a batch": Life(experts_of_client=1_000),
    "batches of 10": Life(batch=10),
    "every fact alone": Life(batch=1),
}


def measure() -> list[Figure]:
    """Write units and USD against their targets, what they consist of, and how they change with what is assumed."""
    life = Life()
    with tables() as stack:
        register(life.experts_of_client)
        used = _settle(stack, life)
        _pay_and_bill(stack, life, used)
    afterwards = {stage: units for stage, units in used.units.items() if stage not in {*SETTLING, SWEPT}}
    figures = _figures(life, used)
    for name, other in OTHER_LIVES.items():
        with tables() as stack:
            register(other.experts_of_client)
            found = _settle(stack, other)
        found.units |= afterwards
        found.calls |= {stage: used.calls[stage] for stage in afterwards}
        detail = {"engine_usd_per_million": round(_engine_usd(other, found)["total"], 2), "stages": _stages(found)}
        writes = round(found.total.writes, 2)
        figures.append(Figure(f"write units per resolution if {name}", writes, unit="write units", detail=detail))
    return figures


# -- what is used ------------------------------------------------------------------------------------------------------


def _settle(stack: Stack, life: Life) -> _Used:
    """Batches of completions, each followed by the batch of their ratings; the first half warms up, and is timed.

    Then a sweep finds that every window has ended and that nothing is due any more.
    """
    used, every = _Used(), [apart(batch) for batch in batches(2 * BATCHES, life.experts_of_client, life.batch)]
    with metering(stack) as meter:
        started = process_time()
        for event in (event for events in every[:BATCHES] for event in events):
            meter(event)
        cpu_seconds = process_time() - started
        with metered(stack.client, boto3.client("dynamodb", region_name=REGION)) as counted:
            for place, stage in enumerate(SETTLING):
                counted.start()
                for events in every[BATCHES:]:
                    meter(events[place])
                _note(used, stage, counted, BATCHES * life.batch)
    settling_calls = sum(used.calls.values())
    with metered(stack.client, boto3.client("dynamodb", region_name=REGION)) as counted:
        counted.start()
        settled, is_done = settle_due(stack.store, stack.registry, _PAYDAY, lambda: True)
        if settled.entries or not is_done or list(stack.store.due(_CLOSING)):
            raise AssertionError(f"the sweep should have found windows and nothing due: {settled}")
        _note(used, SWEPT, counted, 2 * BATCHES * life.batch)
    used.cpu_seconds_per_call = cpu_seconds / (settling_calls * BATCHES * life.batch)
    used.message_bytes = max(len(it["body"]) for events in every for event in events for it in event["Records"])
    return used


def _note(used: _Used, stage: str, counted: Meter, resolutions: float) -> None:
    """What was counted, divided by the resolutions that it was for."""
    used.units[stage] = counted.total / resolutions
    used.calls[stage] = counted.calls.total() / resolutions
    used.writes_by_table |= {
        f"{stage}: {table}": round(units.writes / resolutions, 3)
        for table, units in counted.units.items()
        if units.writes
    }
    used.bytes_by_table |= {f"{stage}: {table}": round(mean(sizes)) for table, sizes in counted.sizes.items()}


def _pay_and_bill(stack: Stack, life: Life, used: _Used) -> None:
    """A payout run, the month's invoice, and the rounds of a day, each with its webhooks."""
    stripe, per_week = FakeStripe(), life.resolutions_per_expert_and_week
    per_month = life.resolutions_per_client_and_month
    with metered(stack.client, boto3.client("dynamodb", region_name=REGION)) as counted:
        entries = sum(head.seq for head in stack.store.heads())
        stages: list[tuple[str, Callable[[], float]]] = [
            ("rounds of each day: entries summed up", lambda: _sum_up(stack, entries)),
            ("paid out", lambda: _pay(stack, stripe, life) * per_week),
            ("rounds of each day: incentives", lambda: _award(stack, life) * per_week / _ROUNDS_PER_WEEK),
            ("rounds of each day: reconciled", lambda: _reconcile(stack, stripe, life) * per_week / _ROUNDS_PER_WEEK),
            ("invoiced", lambda: _bill(stack, stripe, life) * per_month),
        ]
        for stage, run in stages:
            counted.start()
            _note(used, stage, counted, run())


def _sum_up(stack: Stack, entries: int) -> float:
    """Each entry is read once, by the round of its day; how many that were."""
    keep_sums(stack.store)
    return entries


def _pay(stack: Stack, stripe: FakeStripe, life: Life) -> int:
    """Plan a run, send every payout, and follow its webhooks; how many there were."""
    run = plan_run(stack.store, stack.registry, Schedule.WEEKLY, _PAYDAY, lambda: True)
    payouts = [it for it in run if isinstance(it, Payout)]
    approve_small_runs(stack.store, stack.registry, run_of(Schedule.WEEKLY, _PAYDAY), _PAYDAY)
    if len(payouts) != life.experts_of_client:
        raise AssertionError(f"{len(payouts)} of {life.experts_of_client} experts were paid")
    for payout in payouts:
        sent = send_payout(stack.store, stack.registry, stripe, payout.id, _PAYDAY)
        bank = stripe.pay_out(f"po_{payout.expert}", str(sent.stripe_transfer))
        for place in range(life.webhooks_per_payout):
            about = {"object": bank.id, "account": bank.account}
            _follow(stack, stripe, f"{bank.id}:{place}", "payout.paid", about)
    return len(payouts)


def _follow(stack: Stack, stripe: FakeStripe, id_: str, kind: str, about: Mapping[str, str]) -> None:
    event = StripeEvent(**({"id": id_, "type": kind, "created": _PAYDAY, "subject": ""} | dict(about)))  # type: ignore[arg-type]  # texts and a time
    done = follow_stripe(stack.store, stack.registry, stripe, event)
    if not done.endswith("followed"):
        raise AssertionError(f"{kind} was {done}")


def _award(stack: Stack, life: Life) -> int:
    """A day's look at everyone's weeks; how many experts there were."""
    awarded, is_done = award_incentives(stack.store, stack.registry, _PAYDAY, lambda: True)
    if awarded.failed or not is_done:
        raise AssertionError(f"incentives were not awarded: {awarded}")
    return life.experts_of_client


def _reconcile(stack: Stack, stripe: FakeStripe, life: Life) -> int:
    """A day's match of ledger, payouts and Stripe after a week; how many experts there were."""
    found = reconcile(stack.store, stripe, _PAYDAY)
    if found.payouts != life.experts_of_client:
        raise AssertionError(f"{found.payouts} payouts were matched")
    return life.experts_of_client


def _bill(stack: Stack, stripe: FakeStripe, life: Life) -> int:
    """Close the month, issue its invoice, and follow the webhooks of its payment; how many there were."""
    invoices = close_due_periods(stack.store, stack.registry, _CLOSING)
    follow_unfinished(stack.store, stack.registry, stripe, _CLOSING)
    for invoice in invoices:
        stripe.pay(f"in_{invoice.client}_{invoice.period}", invoice.total)
        for place in range(life.webhooks_per_invoice):
            _follow(stack, stripe, f"evt_{invoice.id}_{place}", "invoice.paid", {"subject": invoice.id})
    if len(invoices) != 1:
        raise AssertionError(f"{len(invoices)} invoices for one month")
    return len(invoices)


# -- what it costs -----------------------------------------------------------------------------------------------------


def _engine_usd(life: Life, used: _Used) -> dict[str, float]:
    """USD per million resolutions: DynamoDB, queue and functions."""
    parts = {
        "DynamoDB writes": used.total.writes * USD_PER_MILLION["write units"],
        "DynamoDB reads": used.total.reads * USD_PER_MILLION["read units"],
        "SQS": _queue_requests(life, used) * USD_PER_MILLION["SQS requests"],
        "Lambda": _lambda_usd(life, used),
    }
    return parts | {"total": sum(parts.values())}


def _queue_requests(life: Life, used: _Used) -> float:
    """Requests per resolution: each message is sent alone, then got and deleted together with others."""
    each = requests(used.message_bytes)
    facts = 2 * (each + 2 / min(life.messages_per_poll, 2 * life.batch))
    payouts = (1 + life.webhooks_per_payout) / life.resolutions_per_expert_and_week
    invoices = life.webhooks_per_invoice / life.resolutions_per_client_and_month
    return facts + 3 * (payouts + invoices)


def _lambda_usd(life: Life, used: _Used) -> float:
    """Per million resolutions: three invocations a batch, the sweep's too; for a payout one, two for each webhook."""
    settling = sum(used.calls[stage] for stage in SETTLING)
    usd = _invocation_usd(life, used, settling * life.batch / 2) * 2 / life.batch
    usd += _invocation_usd(life, used, used.calls[SWEPT] * life.batch) / life.batch
    payout = _invocation_usd(life, used, used.calls["paid out"] * life.resolutions_per_expert_and_week, stripe_calls=1)
    webhook = _invocation_usd(life, used, 5, stripe_calls=1)
    webhooks = life.webhooks_per_payout / life.resolutions_per_expert_and_week
    webhooks += life.webhooks_per_invoice / life.resolutions_per_client_and_month
    return usd + payout / life.resolutions_per_expert_and_week + 2 * webhook * webhooks


def _invocation_usd(life: Life, used: _Used, calls: float, stripe_calls: int = 0) -> float:
    waited = calls * life.seconds_per_call + stripe_calls * life.seconds_per_stripe_call
    return lambda_usd_per_million(calls * used.cpu_seconds_per_call, waited, life.function_megabytes)


def _front_door_usd(life: Life, used: _Used) -> dict[str, float]:
    """USD per million resolutions in front of the engine: two facts through the bus, and Stripe's webhooks."""
    webhooks = life.webhooks_per_payout / life.resolutions_per_expert_and_week
    webhooks += life.webhooks_per_invoice / life.resolutions_per_client_and_month
    return {
        "event bus": 2 * requests(used.message_bytes) * USD_PER_MILLION["bus events"],
        "HTTP API for webhooks": webhooks * USD_PER_MILLION["HTTP API requests"],
    }


def _stages(used: _Used) -> dict[str, dict[str, float]]:
    """Units per resolution, by stage."""
    return {stage: {name: round(value, 3) for name, value in asdict(it).items()} for stage, it in used.units.items()}


def _figures(life: Life, used: _Used) -> list[Figure]:
    engine, door = _engine_usd(life, used), _front_door_usd(life, used)
    doubled = used.total.writes + used.total.index_writes
    assumed = asdict(life) | {"message_bytes": used.message_bytes, "prices_as_of": PRICES_AS_OF}
    assumed |= {"cpu_milliseconds_per_call": round(used.cpu_seconds_per_call * 1e3, 2)}
    writes = {
        "stages": _stages(used),
        "by_table": used.writes_by_table,
        "mean_item_bytes": used.bytes_by_table,
        "assumed": assumed,
    }
    writes |= {"if_index_writes_counted_double_too": round(doubled, 2)}
    return [
        Figure(
            "write units per resolution over its life",
            round(used.total.writes, 2),
            unit="write units",
            target=MOST_WRITES,
            detail=writes,
        ),
        Figure("read units per resolution over its life", round(used.total.reads, 2), unit="read units"),
        Figure(
            "engine, list price per million resolutions",
            round(engine["total"], 2),
            unit="USD",
            target=MOST_USD,
            detail={name: round(usd, 2) for name, usd in engine.items()},
        ),
        Figure(
            "front door, list price per million resolutions",
            round(sum(door.values()), 2),
            unit="USD",
            detail={name: round(usd, 2) for name, usd in door.items()},
        ),
    ]
