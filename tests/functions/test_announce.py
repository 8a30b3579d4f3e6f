"""The function behind the stream of announcements: onto the bus, and into the queue of those who asked."""

import json
from collections.abc import Iterable, Iterator

import pytest

from functions import announce as function
from infra.aws import clients
from infra.aws.bus import NotPut, bus
from infra.aws.items import announcement_item
from infra.aws.wire import encoded
from settlement.announcements import Announcement
from settlement.webhooks import Endpoint, Webhook
from tests.world import at

CAP: dict[str, int | str] = {
    "period": "2026-03",
    "percent": 50,
    "currency": "USD",
    "charged_minor": 60,
    "cap_minor": 100,
}
TOLD = [
    Announcement(f"usage:acme:2026-03:cap:{percent}", "usage.cap_alert", "acme", at("2026-03-02"), CAP, "usage:acme")
    for percent in (50, 80)
]


class Bus:
    """Keeps what was put on it, or refuses it."""

    def __init__(self, refused: int = 0) -> None:
        self.entries: list[dict[str, str]] = []
        self.refused = refused

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, int]:  # noqa: N803  # as boto3 names it
        self.entries += Entries
        return {"FailedEntryCount": self.refused}


class Registry:
    def endpoints(self) -> dict[str, Endpoint]:
        document = {"audience": "client", "client": "acme", "url": "https://acme.example/"}
        return {id_: Endpoint.model_validate({"id": id_} | document) for id_ in ("one", "two")}


@pytest.fixture(autouse=True)
def _no_client_is_kept() -> Iterator[None]:
    bus.cache_clear()
    yield
    bus.cache_clear()


def run(there: Bus, monkeypatch: pytest.MonkeyPatch) -> list[Webhook]:
    """What is queued for the announcements as the stream has them."""
    queued: list[Webhook] = []

    def keep(_: str, webhooks: Iterable[Webhook]) -> None:
        queued.extend(webhooks)

    monkeypatch.setenv("SOLVENT_STACK", "s")
    monkeypatch.setattr(clients, "client", lambda _: there)
    monkeypatch.setattr(function, "registry", Registry)
    monkeypatch.setattr(function, "queue_webhooks", keep)
    records = [{"eventName": "INSERT", "dynamodb": {"NewImage": encoded(announcement_item(told))}} for told in TOLD]
    function.handler.__wrapped__({"Records": records}, None)  # type: ignore[attr-defined]
    return queued


def test_each_announcement_is_on_the_bus_and_queued_for_each_endpoint_in_the_streams_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Bus()
    queued = run(there, monkeypatch)

    assert [json.loads(it["Detail"])["id"] for it in there.entries] == [told.id for told in TOLD]
    detail = {"id": TOLD[0].id, "client": "acme", "time": "2026-03-02T00:00:00Z", "data": CAP}
    assert json.loads(there.entries[0]["Detail"]) == detail
    assert [it.endpoint for it in queued] == ["one", "two", "one", "two"]
    assert queued[0].group == queued[2].group
    assert json.loads(queued[0].body)["data"] == CAP


def test_what_the_bus_refuses_is_queued_for_nobody_and_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotPut, match="the bus refused 1 events"):
        run(Bus(refused=1), monkeypatch)
