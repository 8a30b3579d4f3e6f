"""Facts and announcements onto the bus: each once, ten with a call, and none that the bus refused is taken for put."""

import json
from collections.abc import Iterator
from threading import Barrier, Lock

import pytest

from infra.aws import clients
from infra.aws.bus import NotPut, bus, put_events, put_facts

Entry = dict[str, str]


class Bus:
    """Keeps what was put on it; calls wait for one another where so many are expected at once."""

    def __init__(self, at_once: int = 1, refuses: str = "") -> None:
        self.calls: list[list[Entry]] = []
        self._together, self._lock, self._refuses = Barrier(at_once), Lock(), refuses

    def put_events(self, Entries: list[Entry]) -> dict[str, int]:  # noqa: N803  # as boto3 names it
        self._together.wait(timeout=10)
        with self._lock:
            self.calls.append(Entries)
        return {"FailedEntryCount": sum(self._refuses in entry["Detail"] for entry in Entries) if self._refuses else 0}

    def details(self) -> list[object]:
        return [json.loads(entry["Detail"]) for call in self.calls for entry in call]


@pytest.fixture(autouse=True)
def _no_client_is_kept() -> Iterator[None]:
    bus.cache_clear()
    yield
    bus.cache_clear()


def on(there: Bus, monkeypatch: pytest.MonkeyPatch) -> Bus:
    monkeypatch.setattr(clients, "client", lambda _: there)
    return there


@pytest.mark.parametrize(("facts", "calls"), [(0, 0), (1, 1), (10, 1), (11, 2), (35, 4)])
def test_facts_are_put_once_each_ten_with_a_call_and_all_calls_at_once(
    facts: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = on(Bus(at_once=max(1, calls)), monkeypatch)
    put_facts("s", [{"number": number} for number in range(facts)])
    assert len(there.calls) == calls
    assert sorted(there.details(), key=str) == sorted(({"number": number} for number in range(facts)), key=str)
    assert {(it["EventBusName"], it["Source"]) for call in there.calls for it in call} <= {("s", "solvent.doors")}


@pytest.mark.parametrize("facts", [3, 30])
def test_a_fact_that_the_bus_refuses_has_all_put_again(facts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    on(Bus(at_once=-(-facts // 10), refuses='"number": 2}'), monkeypatch)
    with pytest.raises(NotPut, match="the bus refused 1 events"):
        put_facts("s", [{"number": number} for number in range(facts)])


def test_announcements_are_put_in_their_order_and_none_behind_one_that_was_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = [("invoice.issued", {"number": number}) for number in range(25)]
    there = on(Bus(), monkeypatch)
    put_events("s", "solvent.engine", told)
    assert there.details() == [detail for _, detail in told]
    there = on(Bus(refuses='"number": 12}'), monkeypatch)
    bus.cache_clear()
    with pytest.raises(NotPut):
        put_events("s", "solvent.engine", told)
    assert len(there.calls) == 2
