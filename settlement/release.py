"""Let what was parked try again, once its cause is mended."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from events.decode import decode
from events.facts import CaseId
from settlement.parking import Parked
from settlement.ports import Changes, Registry, SettlementStore
from settlement.settle import Settled, settle, work_from
from settlement.snapshot import Work


class ReleaseStore(SettlementStore, Protocol):
    """What releasing reads and writes."""

    def find_parked(self, parked_id: str) -> Parked | None:
        """One parked thing by id."""


class CannotRelease(LookupError):
    """There is nothing parked under the id, or nothing that could be sent again."""


def release(store: ReleaseStore, registry: Registry, parked_id: str, as_of: datetime) -> Settled:
    """Send one parked thing again; it stays parked until it is settled, so nothing is lost if its cause is not mended.

    Raises CannotRelease for an unknown id, and for what was refused at the door, of which only the hash was kept.
    """
    parked = store.find_parked(parked_id)
    if parked is None:
        raise CannotRelease(f"nothing is parked as {parked_id}")
    if parked.message is None:
        raise CannotRelease(f"{parked_id}: {parked.detail}; its content was never stored, so its sender must repeat it")
    if parked_id.startswith("fact:"):
        settled = settle(store, registry, work_from([decode(json.loads(parked.message))]))
    else:
        key = (parked.client, CaseId(parked.message))
        case = store.cases([key])[key]
        store.commit(Changes(cases=(replace(case, due_at=as_of, revision=case.revision + 1),)))
        settled = settle(store, registry, {parked.client: [Work(case.case_id, (), as_of)]})
    if not settled.parked and not settled.failed:
        store.commit(Changes(unparked=(parked_id,)))
    return settled
