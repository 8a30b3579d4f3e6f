"""The daily function, over a store, a Stripe and a queue in memory: what it does in which order, and what it logs."""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace

import pytest

from functions import reconcile as function
from settlement.stripe_port import MovementKind
from tests.fake_stripe import FakeStripe, a_movement
from tests.world import World, a_plan, an_expert

CONTEXT = SimpleNamespace(function_name="reconcile", memory_limit_in_mb=1, invoked_function_arn="", aws_request_id="1")
LINE = tuple[str, str, Mapping[str, object]]


class Log:
    """Keeps what was logged; each line needs a message that its level has."""

    def __init__(self) -> None:
        self.lines: list[LINE] = []

    def info(self, message: str, extra: Mapping[str, object]) -> None:
        self.lines.append(("info", message, extra))

    def error(self, message: str, extra: Mapping[str, object]) -> None:
        self.lines.append(("error", message, extra))

    def named(self, message: str) -> list[Mapping[str, object]]:
        return [extra for _, name, extra in self.lines if name == message]


class Queue:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[Mapping[str, object]] = []

    def send(self, messages: Iterable[Mapping[str, object]]) -> None:
        self.sent += messages


@pytest.fixture
def world() -> World:
    """Maya's payout of 5.90 waits to be sent."""
    world = World(plan=a_plan(minimum_payout="1.00"))
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(10)))
    world.plan_payouts("2026-03-16")
    return world


@pytest.fixture
def stripe() -> FakeStripe:
    """A top-up and a movement that nobody books."""
    top_up = a_movement(MovementKind.TOP_UP, "tu_1", 100_00)
    return FakeStripe(moved=[top_up, a_movement(MovementKind.OTHER, "x_1", 5_00)])


def test_it_books_then_compares_and_logs_each_difference_as_an_error_with_its_age_and_next_step(
    world: World, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, queue = Log(), Queue()
    for name, thing in (("store", world.store), ("registry", world.registry), ("stripe", stripe), ("stack", "s")):
        monkeypatch.setattr(function, name, lambda thing=thing: thing)
    monkeypatch.setattr(function, "queue", lambda name: {"s-payouts": queue}[name])
    monkeypatch.setattr(function, "logger", log)

    answers = [function.handler.__wrapped__({"time": f"2026-03-{day}T03:30:00Z"}, CONTEXT) for day in (18, 19)]  # type: ignore[attr-defined]

    named = [
        "txn_x_1",
        "txn_x_1: a kind of movement that is not booked by itself; the ledger moved 0.00 USD, Stripe 5.00 USD",
    ]
    assert answers == [{"reconciled": False, "movements": 2, "differences": [named], "open": 1}] * 2
    assert world.balance("bank/cash") == "-100.00"
    assert [it["booked"] for it in log.named("reconciled")] == [1, 0]
    assert [it["entries"] for it in log.named("reconciled")] == [0, 0], "the sums were kept just before"
    assert [(it["age_days"], it["amount_minor"]) for it in log.named("difference")] == [(9, 500), (10, 500)]
    assert (
        log.named("difference")[0]["next_step"]
        == "finance books it by a manual entry with `movement`: txn_x_1 in its evidence"
    )
    assert {level for level, name, _ in log.lines if name == "difference"} == {"error"}
    assert [it["about"] for it in log.named("open")] == ["payout:maya:USD:2026-W12"] * 2
    assert [it["payout"] for it in queue.sent] == ["payout:maya:USD:2026-W12"] * 2
