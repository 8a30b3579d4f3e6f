"""The cases that a backtest replays: those recorded for a client, or those of a log that was never recorded."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from pydantic import TypeAdapter

from events.decode import Delivery, decode
from events.facts import AT_FIRST_USE, CaseId, Fact, Instant, in_order
from ledger.records import dataclass
from settlement.cases import known
from settlement.parking import Parked, ParkReason

# What a parked fact waits for, if other terms may give it; the rest is wrong in itself.
_MENDED_BY_TERMS = frozenset(
    {
        ParkReason.UNKNOWN_CLIENT,
        ParkReason.UNKNOWN_EXPERT,
        ParkReason.EXPERT_NOT_ASSIGNED,
        ParkReason.CONTRACT_NOT_IN_FORCE,
        ParkReason.PLAN_NOT_IN_FORCE,
        ParkReason.NO_MATCHING_RATE,
        ParkReason.CURRENCY_MISMATCH,
    }
)


@dataclass(frozen=True, slots=True)
class SettledCycle:
    """Of a `CycleState` its solution and when that settled; None where none did."""

    solution: str | None = None
    settled_at: Instant | None = None


SETTLED_CYCLES: TypeAdapter[tuple[SettledCycle, ...]] = TypeAdapter(tuple[SettledCycle, ...], config=AT_FIRST_USE)


@dataclass(frozen=True, slots=True)
class PastCase:
    """Of a `Case` what a backtest looks at: its facts, in order, what is known about them, and what settled when."""

    case_id: CaseId
    facts: tuple[Fact, ...] = ()
    evidence_only: tuple[str, ...] = ()
    cycles: tuple[SettledCycle, ...] = ()
    mutual_reviews: tuple[tuple[str, Instant], ...] = ()


class RecordedFacts(Protocol):
    """What a backtest reads of a stack besides its registry."""

    def past_cases(self, client: str) -> Iterator[PastCase]:
        """Every case of a client."""

    def parked(self) -> Iterator[Parked]:
        """Everything parked."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The cases of a client with the facts that other terms may take, and what of its facts is wrong in itself."""

    cases: Iterator[PastCase]
    left_out: Mapping[ParkReason, int]


def recorded_facts(store: RecordedFacts, client: str) -> Recorded:
    """The cases of a client, and the facts that wait for terms, put into their cases. Only those are kept in memory."""
    waiting: dict[CaseId, list[Fact]] = {}
    left_out: Counter[ParkReason] = Counter()
    for parked in store.parked():
        if parked.client != client or parked.id.startswith("case:"):
            continue
        if parked.message is None or parked.reason not in _MENDED_BY_TERMS:
            left_out[parked.reason] += 1
            continue
        delivery = decode(json.loads(parked.message))
        waiting.setdefault(delivery.case_id, []).append(delivery.fact)
    return Recorded(_with_waiting(store.past_cases(client), waiting), left_out)


def _with_waiting(cases: Iterator[PastCase], waiting: dict[CaseId, list[Fact]]) -> Iterator[PastCase]:
    for case in cases:
        yield _with_facts(case, waiting.pop(case.case_id)) if case.case_id in waiting else case
    for case_id, facts in waiting.items():
        yield _with_facts(PastCase(case_id), facts)


def _with_facts(case: PastCase, waiting: Iterable[Fact]) -> PastCase:
    facts = case.facts
    for fact in waiting:
        facts = facts if known(facts, fact) else (*facts, fact)
    return replace(case, facts=tuple(sorted(facts, key=in_order)))


def cases_from(deliveries: Iterable[Delivery]) -> list[PastCase]:
    """The cases that facts which were never recorded make up, in order of their first fact; all are in memory."""
    facts: dict[tuple[str, CaseId], list[Fact]] = {}
    for delivery in deliveries:
        facts.setdefault((delivery.client, delivery.case_id), []).append(delivery.fact)
    return [PastCase(case_id, tuple(sorted(own, key=in_order))) for (_, case_id), own in facts.items()]
