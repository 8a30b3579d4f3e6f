"""Months in which facts come late, terms change and periods close in between: what is closed is given back at most."""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from billing.contracts import Contract, ContractHistory
from billing.invoices import LineKind
from billing.periods import Period
from events.decode import Delivery
from settlement.close import close_due_periods
from settlement.invoice_evidence import evidence_rows
from tests.world import PACKAGE, World, a_contract, a_plan, at, per_unit

MONTHS = [Period(f"2026-{month:02d}") for month in (3, 4, 5)]
TIERS = [{"up_to": 3, "unit": "0.99"}, {"up_to": 8, "unit": "0.65"}, {"unit": "0.305"}]
PRICES: list[Mapping[str, object]] = [
    {"model": "volume", "tiers": TIERS},
    {"model": "graduated", "tiers": TIERS},
    per_unit("0.995"),
    PACKAGE | {"size": 7, "amount": "2.50"},
]
SEEDS = range(16)


def some_terms(rng: random.Random, starts_on: str, code: str) -> Contract:
    below, unrated = (rng.choice(("charge", "discount", "waive")) for _ in range(2))
    off = "50" if "discount" in {below, unrated} else None
    rating = {"window_hours": 72, "below": below, "unrated": unrated, "discount_percent": off}
    fields: dict[str, object] = {"cap": {"amount": "3.00"}} if rng.random() < 0.3 else {}
    fields |= {"rating": rating | {"threshold_percent": rng.choice(("40", "80"))}, "included": rng.choice((0, 2))}
    return a_contract(rng.choice(PRICES), starts_on=starts_on, currency=code, acceptance_days=60, **fields)


def a_case(rng: random.Random, world: World, case: str) -> list[Delivery]:
    """A case with all that may be said of it, each fact up to three weeks late."""

    def said(after_hours: int) -> dict[str, str]:
        time = solved_at + timedelta(hours=after_hours)
        return {"time": text(time), "received": text(time + timedelta(hours=rng.choice((0, 0, 30, 500))))}

    solved_at, expert = at("2026-03-11") + timedelta(hours=rng.randint(0, 580)), rng.choice(("maya", "noah"))
    facts = [world.completed(case, expert=expert, **said(0))]
    facts += [world.rated(case, score=rng.randint(1, 5), **said(rng.randint(1, 70))) for _ in range(rng.randint(0, 2))]
    facts += [world.peer_reviewed(case, reviewer="zoe", score=4, **said(rng.randint(1, 400)))]
    if rng.random() < 0.3:
        facts.append(world.fact("resolution.qa_reviewed", case, passed=rng.random() < 0.5, **said(400)))
    if rng.random() < 0.4:
        facts.append(world.reopened(case, **said(rng.randint(71, 168))))
    return facts


def text(instant: datetime) -> str:
    return instant.isoformat()[:19]


def a_world_played(seed: int) -> World:
    """A quarter, in steps of a day: what was received, windows that ended, and closes as they are due."""
    rng = random.Random(seed)  # noqa: S311  # a history, not a secret
    code = rng.choice(("USD", "BHD"))
    march, april = (some_terms(rng, f"2026-{month:02d}-01", code) for month in (3, 4))
    bonus = {"at_least_percent": "50", "amount": "0.05"}
    plan = a_plan(currency=code, not_charged=rng.choice(("none", "base")), peer_review_bonus=bonus)
    world = World(contract=march, plan=plan)
    world.registry.contract_histories["acme"] = ContractHistory("acme", (march, april))
    facts = [fact for number in range(14) for fact in a_case(rng, world, f"C{number}")]
    day = at("2026-03-01")
    while day < at("2026-06-03"):
        day += timedelta(days=1)
        world.send(*(fact for fact in facts if day - timedelta(days=1) <= fact.received_at < day))
        world.sweep(text(day))
        close_due_periods(world.store, world.registry, day)
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_what_decides_nothing_changes_nothing_and_no_more_is_given_back_than_was_charged(seed: int) -> None:
    world = a_world_played(seed)
    world.check()
    states = {case: world.store.stored_cases["acme", case].cycles for _, case in world.store.stored_cases}
    for month in MONTHS:
        list(evidence_rows(world.store, world.registry.contract_histories["acme"], month))  # or it raises
        invoice = world.store.stored_invoices["acme", month]
        used = {LineKind.USAGE, LineKind.DISCOUNT, LineKind.CAP}
        given = sum(dict(it.credits).get(month, 0) for it in world.store.stored_periods.values())
        assert given <= sum(line.amount for line in invoice.lines if line.kind in used)

    before = world.entries()
    for case in states:
        last = max(fact.time for fact in world.store.stored_cases["acme", case].facts)
        time = text(last + timedelta(minutes=1))
        world.send(world.fact("resolution.disputed", case, time, dispute=f"D-{case}", received="2026-05-04"))
    assert world.entries() == before
    for case, cycles in states.items():
        after = world.store.stored_cases["acme", case].cycles
        assert [(it.status, it.charge) for it in after] == [(it.status, it.charge) for it in cycles]
