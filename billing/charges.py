"""The charge for one resolution: price it once, freeze the price, take it back or credit it exactly."""

from fractions import Fraction
from functools import lru_cache

from billing.contracts import Contract, Rate
from billing.periods import Period, PeriodState, RateCounter
from billing.pricing import accrual, list_price_of
from ledger.money import round_up
from ledger.records import dataclass, replace


@dataclass(frozen=True, slots=True)
class FrozenPrice:
    """The price a cycle was given, kept until its period closes and it is taken back.

    `list_price` is exact, in minor units, written as a fraction ("99", "1/8"); `accrued` is what it comes to in the
    cumulative rounding of its period.
    """

    period: Period
    version: str
    rate: str
    ordinal: int
    list_price: str
    accrued: int

    @property
    def exact_list_price(self) -> Fraction:
        """The list price in exact minor units, before discount, included units and rounding."""
        return _exact(self.list_price)


@lru_cache(maxsize=1024)
def _exact(price: str) -> Fraction:
    return Fraction(price)


@dataclass(frozen=True, slots=True)
class Charge:
    """What stands charged to the client for a cycle, in minor units >= 0."""

    accrued: int = 0
    discount: int = 0
    capped: int = 0

    @property
    def net(self) -> int:
        """The charge after its discount and what the cap took."""
        return self.accrued - self.discount - self.capped


NOTHING = Charge()


def issue_price(contract: Contract, rate: Rate, state: PeriodState) -> tuple[FrozenPrice, PeriodState]:
    """The price of the next ordinal of a rate, and the period with that ordinal issued; `net` is not yet raised."""
    counter = state.counter(rate.id)
    ordinal = counter.issued + 1
    price = FrozenPrice(
        period=state.period,
        version=contract.version,
        rate=rate.id,
        ordinal=ordinal,
        list_price=str(list_price_of(rate, ordinal, contract.currency)),
        accrued=accrual(rate, ordinal, contract.currency),
    )
    return price, state.with_counter(rate.id, replace(counter, issued=ordinal))


def charge_at(price: FrozenPrice, discount_basis_points: int, room: int | None = None) -> Charge:
    """The charge at a frozen price; the discount is rounded up to a whole minor unit, in the client's favour.

    `room` is what the cap leaves, in minor units; the cap takes what goes beyond. None: no cap.
    """
    discount = round_up(Fraction(price.accrued * discount_basis_points, 10_000))
    beyond = 0 if room is None else max(0, price.accrued - discount - max(0, room))
    return Charge(price.accrued, discount, beyond)


def count_change(state: PeriodState, rate_id: str, before: Charge | None, after: Charge | None) -> PeriodState:
    """The period after a charge of one of its cycles went from `before` to `after` (None: not in N)."""
    counter = state.counter(rate_id)
    old, new = before or NOTHING, after or NOTHING
    changed = replace(
        counter,
        net=counter.net + (after is not None) - (before is not None),
        accrued=counter.accrued + new.accrued - old.accrued,
        discount=counter.discount + new.discount - old.discount,
        capped=counter.capped + new.capped - old.capped,
    )
    return state.with_counter(rate_id, changed)


def credit_after_close(
    closed: PeriodState, rate_id: str, amount: int, earlier: int | None, discount: int
) -> tuple[int, PeriodState]:
    """What a client gets back for one resolution of a closed period, and the period with that credit counted.

    At most `amount` (its frozen net charge) and at most the effective unit price that the invoice charged for the rate,
    of which `earlier` was given back already (None: nothing). That unit is billed / N in whole minor units, rounded
    down cumulatively over the resolutions credited, so that crediting all N gives back at most what was billed. Where
    the close billed the rate less than it accrued, the resolution's own `discount` is taken off the unit as well, and
    nothing is given back if all discounts of the rate came to what was billed.
    """
    counter = closed.counter(rate_id)
    if earlier is not None:
        left = counter.billed // counter.net - earlier if counter.net else 0
        return max(0, min(amount, left)), closed
    share = _credited_through(counter, counter.credited + 1) - _credited_through(counter, counter.credited)
    if counter.billed < counter.accrued - counter.capped:
        share = max(0, share - discount) if counter.discount < counter.billed else 0
    return min(amount, share), closed.with_counter(rate_id, replace(counter, credited=counter.credited + 1))


def _credited_through(counter: RateCounter, count: int) -> int:
    return counter.billed * count // counter.net if counter.net else 0
