"""Gates as outside systems tell them: kept once, counted when new, and written over whoever wrote meanwhile."""

from dataclasses import dataclass
from datetime import date

import pytest

from settlement.expert_status import ExpertStatus, GatePassed
from settlement.ports import Contention
from settlement.record_gates import record_gates
from settlement.registry import Gate
from tests.memory_store import MemoryRegistry, MemoryStore
from tests.world import World

DAY = date(2026, 3, 2)


def passed(gate: Gate = Gate.TRAINING, source: str = "academy", on: date = DAY) -> GatePassed:
    return GatePassed(gate, on, source)


def test_new_facts_are_counted_and_kept_and_repeated_ones_are_not() -> None:
    world = World()
    before = world.registry.known_statuses["maya"].revision
    facts = {"maya": [passed(), passed(Gate.TAX_FORM)], "nobody": [passed()], "noah": []}

    assert record_gates(world.store, world.registry, facts) == {"maya": 2, "noah": 0}
    assert record_gates(world.store, world.registry, facts) == {"maya": 0, "noah": 0}

    kept = world.registry.known_statuses["maya"]
    assert kept.gates == (passed(Gate.TAX_FORM), passed())
    assert kept.revision == before + 1
    later = {"maya": [passed(on=date(2026, 4, 1)), passed(Gate.TAX_FORM)]}
    assert record_gates(world.store, world.registry, later) == {"maya": 1}


@dataclass
class BusyRegistry(MemoryRegistry):
    """So many writes are overtaken."""

    overtaken: int = 0

    def set_status(self, status: ExpertStatus) -> None:
        self.overtaken -= 1
        if self.overtaken >= 0:
            raise Contention("somebody wrote first")
        super().set_status(status)


def test_a_rivals_write_is_read_and_tried_over_until_it_is_said_whose_gates_were_too_busy() -> None:
    world = World()
    busy = BusyRegistry(all_experts=world.registry.all_experts, overtaken=11)
    assert record_gates(MemoryStore(), busy, {"maya": [passed()]}) == {"maya": 1}
    busy.overtaken = 12
    with pytest.raises(Contention, match="the gates of noah: overtaken 12 times"):
        record_gates(MemoryStore(), busy, {"noah": [passed()]})


def test_a_gate_may_hold_for_a_single_day_and_not_end_before_it() -> None:
    assert GatePassed(Gate.TRAINING, DAY, "academy", DAY).holds_on(DAY)
    with pytest.raises(ValueError, match="2026-03-01 is before 2026-03-02, when the gate was passed"):
        GatePassed(Gate.TRAINING, DAY, "academy", date(2026, 3, 1))
