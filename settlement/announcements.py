"""What the outside is told, and which of it each audience may see. Pure.

An announcement is written in the transaction of what it tells. The platform's own event bus gets all of it; whoever
asked for webhooks gets the fields of the table below and no others, so that a client never learns what an expert is
paid, nor an expert what a client is charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ledger.accounts import client_unbilled
from ledger.records import dataclass

if TYPE_CHECKING:  # who only passes announcements on starts sooner without what they are made from
    from datetime import datetime

    from ledger.entries import Entry
    from settlement.cases import CycleState


class Audience(StrEnum):
    """Who may ask for webhooks: a client about itself, or the platform on which the experts work about all of them."""

    CLIENT = "client"
    EXPERTS = "experts"


_Fields = tuple[str, ...]
_USAGE: _Fields = ("period", "percent", "currency", "charged_minor")
_PAYOUT: _Fields = ("payout", "expert", "currency", "amount_minor", "withheld_minor", "fee_minor")

# By type: who may be told, and which fields of it. What nobody is told of is for the event bus only.
TOLD: Mapping[str, Mapping[Audience, _Fields]] = {
    "usage.cap_alert": {Audience.CLIENT: (*_USAGE, "cap_minor")},
    "usage.prepaid_alert": {Audience.CLIENT: (*_USAGE, "prepaid_minor")},
    "charge.reversed": {
        Audience.CLIENT: ("case", "cycle", "period", "currency", "reversed_minor", "charged_minor", "why")
    },
    "invoice.issued": {Audience.CLIENT: ("invoice", "period", "currency", "total_minor", "due_on")},
    "payout.held": {Audience.EXPERTS: ("payout", "expert", "currency", "available_minor", "missing")},
    "payout.sent": {Audience.EXPERTS: _PAYOUT},
    "payout.paid": {Audience.EXPERTS: _PAYOUT},
    "payout.failed": {Audience.EXPERTS: (*_PAYOUT, "why")},
    "payout.bank_failed": {Audience.EXPERTS: (*_PAYOUT, "why")},
    "payout.reversed": {Audience.EXPERTS: (*_PAYOUT, "reversed_minor")},
    "payout_run.waiting": {},
}


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something to tell the outside, once the transaction that holds it is written.

    The id is derived; receivers may get it more than once, and know it by that. What is told about one `subject`, such
    as an invoice, is told in the order in which it happened. `client` is whom it is about, "" if that is no client.
    Amounts are in minor units. Nobody's name or address is ever in it, nor what people wrote.
    """

    id: str
    type: str
    client: str
    at: datetime
    data: Mapping[str, int | str]
    subject: str

    def __post_init__(self) -> None:
        if self.type not in TOLD:
            raise ValueError(f"{self.type} is not announced; say in TOLD who may see which fields of it")

    def seen_by(self, audience: Audience) -> Mapping[str, int | str] | None:
        """The fields that an audience may see; None if it is not told at all."""
        allowed = TOLD[self.type].get(audience)
        return None if allowed is None else {name: self.data[name] for name in allowed if name in self.data}


def told_of_reversal(client: str, case_id: str, after: CycleState, entry: Entry, at: datetime) -> Announcement | None:
    """That an entry took back from a client's charge, all or a part of it; None if it did not.

    `reversed_minor` is what it took back, `charged_minor` what the cycle still costs, `period` the one that gets it.
    """
    own = client_unbilled(client)
    taken = [posting.amount for posting in entry.postings if posting.account == own and posting.amount.minor_units < 0]
    if not taken:
        return None
    data: dict[str, int | str] = {
        "case": case_id,
        "cycle": after.number,
        "period": entry.effective_on.isoformat()[:7],
        "currency": taken[0].currency,
        "reversed_minor": -taken[0].minor_units,
        "charged_minor": after.charge.net if after.charge else 0,
        "why": after.why,
    }
    return Announcement(f"charge.reversed:{entry.id}", "charge.reversed", client, at, data, f"case:{client}/{case_id}")
