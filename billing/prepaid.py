"""Prepaid credits: what a client bought and has not used, in lots that may expire. Pure.

Used at the close, the lot that expires first going first; until then "left" is what is bought less what stands charged.
"""

from dataclasses import replace
from datetime import date

from ledger.records import dataclass


@dataclass(frozen=True, slots=True)
class Lot:
    """Credits bought at once, in minor units >= 0. They can be used up to and including `expires_on`."""

    id: str
    bought_on: date
    expires_on: date | None
    amount: int
    left: int


@dataclass(frozen=True, slots=True)
class Prepaid:
    """All lots of one client."""

    client: str
    lots: tuple[Lot, ...] = ()
    revision: int = 0

    def usable(self, on: date) -> int:
        """What can be used on a day, in minor units."""
        return sum(lot.left for lot in self.lots if _is_usable(lot, on))

    def lot(self, lot_id: str) -> Lot | None:
        """A lot by id."""
        return next((lot for lot in self.lots if lot.id == lot_id), None)


class PrepaidRefused(ValueError):
    """A purchase or refund that does not fit what is there."""


def buy(prepaid: Prepaid, lot: Lot) -> Prepaid:
    """The credits with one more lot; as they are if it was bought already. Raises PrepaidRefused for another amount."""
    known = prepaid.lot(lot.id)
    if known is None:
        return replace(prepaid, lots=(*prepaid.lots, lot), revision=prepaid.revision + 1)
    if (known.amount, known.expires_on) != (lot.amount, lot.expires_on):
        raise PrepaidRefused(f"{lot.id} was bought before with other terms; use another reference")
    return prepaid


def use(prepaid: Prepaid, amount: int, on: date) -> Prepaid:
    """The credits after `amount` of them were used on a day: what expires first goes first, then what is older."""
    order = sorted(prepaid.lots, key=lambda lot: (lot.expires_on or date.max, lot.bought_on, lot.id))
    left = {}
    for lot in order:
        taken = min(amount, lot.left) if _is_usable(lot, on) else 0
        left[lot.id] = lot.left - taken
        amount -= taken
    if amount:
        raise PrepaidRefused(f"{prepaid.client} has {amount} minor units of credits too few")
    return _with_left(prepaid, left)


def take_back(prepaid: Prepaid, lot_id: str) -> tuple[int, Prepaid]:
    """What is left of a lot, to be refunded, and the credits without it. Raises PrepaidRefused for an unknown lot."""
    lot = prepaid.lot(lot_id)
    if lot is None:
        raise PrepaidRefused(f"{prepaid.client} bought nothing as {lot_id}")
    return lot.left, _with_left(prepaid, {lot_id: 0})


def expire(prepaid: Prepaid, today: date) -> tuple[int, Prepaid]:
    """What is left of lots whose last day is past, and the credits without it."""
    gone = {lot.id: lot.left for lot in prepaid.lots if lot.expires_on is not None and lot.expires_on < today}
    return sum(gone.values()), _with_left(prepaid, dict.fromkeys(gone, 0))


def _is_usable(lot: Lot, on: date) -> bool:
    return lot.expires_on is None or on <= lot.expires_on


def _with_left(prepaid: Prepaid, left: dict[str, int]) -> Prepaid:
    lots = tuple(replace(lot, left=left.get(lot.id, lot.left)) for lot in prepaid.lots)
    return prepaid if lots == prepaid.lots else replace(prepaid, lots=lots, revision=prepaid.revision + 1)
