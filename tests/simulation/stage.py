"""A simulation's world as something to save, to set up again and to compare with another."""

import hashlib
import json
import pickle
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ministack.services import dynamodb  # type: ignore[import-untyped]

from infra.aws.tables import TABLES
from tests.simulation.simulation import STACK, Simulation, forget

Event = Mapping[str, Any]
# A rival of a scheduled invocation has a trigger of its own, so much later.
RIVAL_COMES_AFTER = timedelta(seconds=1)
_ANY_TRIGGER = "(a trigger's time)"
# Stripe's ids and the numbers of its invoices follow the order in which they were asked for.
_GIVEN = re.compile(r"(_sandbox|SANDBOX-)[0-9]+(-CN-[0-9]+)?")
# What says no more than how often something was written or tried, or behind which entry.
_REVISION = re.compile(r'\\*"(revision|attempt)\\*": ?[0-9]+,? ?')
_OF_ITS_TIME = {"revision", "expires_at", "expiration", "in_progress_expiration"}
_OF_ITS_PLACE = {"seq", "book_shard", "effective_seq", "content_hash", "chain_hash"}


def items_of(table: str) -> Iterator[dict[str, Any]]:
    """The items of a table as DynamoDB has them, in no order."""
    kept = dynamodb._tables[f"{STACK}-{table}"]["items"]  # noqa: SLF001  # the emulator has no other way in
    return (item for sorts in kept.values() for item in sorts.values())


def _tables() -> list[str]:
    return [table.Meta.suffix for table in TABLES]  # type: ignore[attr-defined]  # `bind` sets it


class Stage(Simulation):
    """A simulation whose world can be saved."""

    def saved(self) -> bytes:
        """Everything outside the functions' processes: AWS and Stripe."""
        return pickle.dumps((self.cloud.saved(), self.stripe.world.store.state), pickle.HIGHEST_PROTOCOL)

    def set_up(self, world: bytes, now: datetime) -> None:
        """Make the world what it was when that was saved."""
        account, stripe = pickle.loads(world)  # noqa: S301  # our own
        self.cloud.load(account)
        self.stripe.world.store.state.clear()
        self.stripe.world.store.state.update(stripe)
        self.now, self.cloud.now = now, now.timestamp()

    def play(self, function: str, event: Event) -> Mapping[str, Any] | None:
        """What a new process answers; None if it raised an error because a fault struck. Raises Violation."""
        forget()
        return self._call(function, event)

    def mark(self) -> str:
        """The same for two worlds that go on alike: it leaves out how often anything was sent or asked for."""
        kept = [dynamodb._tables[f"{STACK}-{name}"]["items"] for name in _tables()]  # noqa: SLF001  # see items_of
        state = self.stripe.world.store.state
        counters = {name: number for name, number in state["counters"].items() if name != "req"}
        told = [sorted({*self._messages()}), self.cloud.secrets, {**state, "counters": counters}]
        text = json.dumps([kept, *told], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def seen(self, triggered: Collection[datetime]) -> dict[str, Counter[str]]:
        """All that matters of the world, by table and kind, once something was triggered by what is of these times.

        It does not matter in what order entries, and Stripe's ids, were given, how often an item was written or a
        message was sent, or which trigger's time it bears, its rival's included.
        """
        things: dict[str, Iterable[object]] = {name: self._rows(name) for name in _tables()}
        objects = self.stripe.world.store.state["objects"]
        things |= {f"Stripe's {kind}": them.values() for kind, them in objects.items() if kind != "evt"}
        things |= {"Stripe's balances": [self.stripe.available()]}
        things |= {"secrets": [[name, len(kept)] for name, kept in self.cloud.secrets.items()]}
        found = {kind: Counter(without_chance(it, triggered) for it in them) for kind, them in things.items()}
        return found | {"messages": Counter({without_chance(it, triggered) for it in self._messages()})}

    def _rows(self, table: str) -> Iterator[object]:
        of_its_place = _OF_ITS_PLACE if table == "ledger" else {"chain_hash"} if table == "books" else set[str]()
        for item in self.cloud.items(table):
            yield {name: value for name, value in item.items() if name not in {*_OF_ITS_TIME, *of_its_place}}

    def _messages(self) -> list[str]:
        return sorted([*self.cloud.bus, *(it.body for queue in self.cloud.queues.values() for it in queue.messages)])


def without_chance(thing: object, triggered: Collection[datetime]) -> str:
    text = json.dumps(thing, sort_keys=True, default=bytes.hex)
    for at in triggered:
        text = text.replace(_second(at + RIVAL_COMES_AFTER), _ANY_TRIGGER).replace(_second(at), _ANY_TRIGGER)
    return _REVISION.sub("", _GIVEN.sub("", text))


def triggers_of(event: Event, now: datetime) -> frozenset[datetime]:
    """The times that what an event leads to may bear: its own, those of the events at Stripe in it, or else now."""
    told = [json.loads(record["body"]) for record in event.get("Records", ()) if "body" in record]
    times = [event.get("time"), *(it.get("created") for it in told)]
    return frozenset(datetime.fromisoformat(it) for it in times if it) or frozenset({now})


def _second(moment: datetime) -> str:
    return moment.isoformat()[:19]
