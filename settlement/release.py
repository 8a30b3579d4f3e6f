"""Let what was parked try again, once its cause is mended."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from events.adapters.doors import Door, agents_by_unknown_id
from events.decode import Delivery, decode
from events.facts import CaseId, Completed
from settlement.cases import Case
from settlement.parking import Parked
from settlement.ports import CaseKey, Changes, Registry, SettlementStore
from settlement.settle import Settled, settle, work_from
from settlement.snapshot import Work


class ReleaseStore(SettlementStore, Protocol):
    """What releasing reads and writes."""

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        """Every asked case; an empty one where nothing is known yet."""

    def find_parked(self, parked_id: str) -> Parked | None:
        """One parked thing by id."""


class ReleaseRegistry(Registry, Protocol):
    """The registry with the doors, which tell who an unknown agent was."""

    def doors(self, ids: Collection[str] | None = None) -> Mapping[str, Door]:
        """Those of the doors that exist; all of them for None."""


class CannotRelease(LookupError):
    """There is nothing parked under the id, or nothing that could be sent again."""


def release(store: ReleaseStore, registry: ReleaseRegistry, parked_id: str, as_of: datetime, mark: str = "") -> Settled:
    """Send one parked thing again; it stays parked until it is settled, so nothing is lost if its cause is not mended.

    `mark` is put once with the release, as that of an entry, for who has to know later whether it came to it. A
    solution by an agent whom no door listed is now that of the expert whom its door names. Raises CannotRelease for
    an unknown id, and for what was refused at the door, of which only the hash was kept.
    """
    parked = store.find_parked(parked_id)
    if parked is None:
        raise CannotRelease(f"nothing is parked as {parked_id}")
    if parked.message is None:
        raise CannotRelease(f"{parked_id}: {parked.detail}; its content was never stored, so its sender must repeat it")
    if parked_id.startswith("fact:"):
        delivery = _as_known_now(registry, decode(json.loads(parked.message)))
        settled = settle(store, registry, work_from([delivery]))
    else:
        key = (parked.client, CaseId(parked.message))
        case = store.cases([key])[key]
        store.commit(Changes(cases=(replace(case, due_at=as_of, revision=case.revision + 1),)))
        settled = settle(store, registry, {parked.client: [Work(case.case_id, (), as_of)]})
    if not settled.parked and not settled.failed:
        store.commit(Changes(unparked=(parked_id,), once=(mark,) if mark else ()))
    return settled


def _as_known_now(registry: ReleaseRegistry, delivery: Delivery) -> Delivery:
    fact = delivery.fact
    if not isinstance(fact, Completed) or fact.expert is None:
        return delivery
    doors = [door for door in registry.doors().values() if door.client == delivery.client]
    named = agents_by_unknown_id(doors).get((fact.source, fact.expert), fact.expert)
    return replace(delivery, fact=replace(fact, expert=named))
