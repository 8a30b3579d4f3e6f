"""Never more calls a second than agreed, and hardly fewer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from infra.stripe.gateway import StripeGateway
from infra.stripe.pacing import Pacer
from tests.sandbox.conftest import a_payout

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox


@dataclass
class Clock:
    """Time that passes only in sleep, which takes `too_long` more than it should; `went_on` is when callers did."""

    now: float = 0.0
    too_long: float = 0.0
    went_on: list[float] = field(default_factory=list)

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        time.sleep(0.0001)  # other threads have their chance
        self.now += seconds + self.too_long

    def call(self, pacer: Pacer, takes: float = 0.0) -> None:
        pacer.wait()
        self.went_on.append(self.now)
        self.now += takes


def a_pacer(clock: Clock, per_second: int) -> Pacer:
    return Pacer(per_second, clock=clock.read, sleep=clock.sleep)


@pytest.mark.parametrize(("per_second", "too_long"), [(1, 0.0), (20, 0.0), (20, 0.002), (100, 0.0004)])
def test_calls_take_their_share_of_a_second_each_and_at_most_a_twentieth_more(per_second: int, too_long: float) -> None:
    clock = Clock(too_long=too_long)
    pacer = a_pacer(clock, per_second)

    for _ in range(101):
        clock.call(pacer)

    least = 100 / per_second
    assert least - 1e-9 <= clock.now <= least * 1.05
    for first, after_a_second in zip(clock.went_on, clock.went_on[per_second:], strict=False):
        assert after_a_second - first >= 1 - 1e-9


def test_whoever_was_late_catches_up_and_still_makes_no_more_calls_in_any_second() -> None:
    clock = Clock()
    pacer = a_pacer(clock, 2)
    for takes in (0.9, 0.0, 0.0, 0.0):
        clock.call(pacer, takes)

    assert clock.went_on == pytest.approx([0.0, 0.9, 1.0, 1.9])


def test_threads_share_one_pace() -> None:
    clock = Clock()
    pacer = a_pacer(clock, 50)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: pacer.wait(), range(200)))

    assert clock.now == pytest.approx(3)  # 50 at once, then 50 a second


@pytest.mark.parametrize("per_second", [0, -1])
def test_no_calls_at_all_are_refused(per_second: int) -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        Pacer(per_second)


@pytest.mark.usefixtures("funded")
def test_every_request_of_a_gateway_waits_its_turn_its_retries_too(
    sandbox: StripeSandbox, maya: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []
    monkeypatch.setattr(Pacer, "wait", lambda _self: turns.append(1))
    paced = StripeGateway(sandbox.api_key, sandbox.url, calls_per_second=20)
    sandbox.control("faults", {"match": {"path_prefix": "/v1/transfers"}, "fault": "conflict_409", "times": 2})

    paced.transfer(a_payout(maya))

    assert len(turns) == 3
