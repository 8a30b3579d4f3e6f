"""Parking: what cannot be decided is kept with its reason until its cause is mended; nothing is dropped."""

import json
from datetime import datetime
from enum import StrEnum

from events.decode import Delivery, FactRefused, encode
from events.facts import CaseId
from ledger.records import dataclass
from settlement.cases import fact_key


class ParkReason(StrEnum):
    """Why something is parked. The codes are stored for ever."""

    MALFORMED = "malformed"
    UNREADABLE_ROW = "unreadable_row"
    FACT_CONFLICT = "fact_conflict"
    TOO_MANY_FACTS = "too_many_facts"
    UNKNOWN_CLIENT = "unknown_client"
    UNKNOWN_EXPERT = "unknown_expert"
    EXPERT_NOT_ASSIGNED = "expert_not_assigned"
    CONTRACT_NOT_IN_FORCE = "contract_not_in_force"
    PLAN_NOT_IN_FORCE = "plan_not_in_force"
    NO_MATCHING_RATE = "no_matching_rate"
    CURRENCY_MISMATCH = "currency_mismatch"


class CannotDecide(LookupError):
    """A case or a fact that the registry, as it is, gives no answer for; it is parked. Raised by pure code."""

    def __init__(self, reason: ParkReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Parked:
    """Something parked: `message` is what to send again, as a queued delivery (fact) or a case key (case), or None.

    The id is derived, so that parking the same thing again changes nothing.
    """

    id: str
    client: str
    reason: ParkReason
    detail: str
    parked_at: datetime
    message: str | None


def parked_fact(delivery: Delivery, reason: ParkReason, detail: str) -> Parked:
    """A fact to be sent again once its cause is mended."""
    fact_id = f"fact:{delivery.client}/{delivery.case_id}/{fact_key(delivery.fact)}"
    message = json.dumps(encode(delivery), sort_keys=True)
    return Parked(fact_id, delivery.client, reason, detail, delivery.received_at, message)


def parked_case(client: str, case_id: CaseId, reason: ParkReason, detail: str, parked_at: datetime) -> Parked:
    """A case whose cycles are to be decided anew once its cause is mended."""
    return Parked(case_parking_id(client, case_id), client, reason, detail, parked_at, case_id)


def case_parking_id(client: str, case_id: CaseId) -> str:
    """The id under which a case is parked."""
    return f"case:{client}/{case_id}"


def parked_refusal(refused: FactRefused, parked_at: datetime, client: str = "") -> Parked:
    """What could not be decoded: its hash and the failing paths, never its content. It cannot be sent again.

    `client` is whose door it came to, where that is known.
    """
    return Parked(f"refused:{refused.digest}", client, ParkReason.MALFORMED, str(refused), parked_at, None)
