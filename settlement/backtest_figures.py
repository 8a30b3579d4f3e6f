"""What a backtest comes to: figures of each rate and period, of each side, and both sides together."""

from collections import Counter
from collections.abc import Mapping

from billing.periods import Period
from ledger.money import Currency
from ledger.records import dataclass
from settlement.parking import ParkReason


@dataclass(frozen=True, slots=True)
class RateFigures:
    """What one rate comes to in a period. Amounts are minor units >= 0; those of experts by the currency they are in.

    `resolutions` is N, `usage` f(N). `discounts` and `capped` are taken off it; the cap is shared out by usage.
    `waived` counts resolutions that are not in N, by reason.
    """

    rate: str
    resolutions: int
    usage: int
    discounts: int
    capped: int
    waived: Mapping[str, int]
    base: Mapping[Currency, int]
    bonus: Mapping[Currency, int]

    @property
    def revenue(self) -> int:
        """What the client is charged for the rate's resolutions."""
        return self.usage - self.discounts - self.capped

    @property
    def cost(self) -> Mapping[Currency, int]:
        """Base and bonus of experts."""
        return Counter(self.base) + Counter(self.bonus)


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """What one period comes to, in minor units. `shortfall` is what commitment and minimum add.

    `is_over` is false for a period that still runs: what it lacks to its minimum may yet come.
    """

    period: Period
    rates: tuple[RateFigures, ...]
    shortfall: int
    is_over: bool

    @property
    def revenue(self) -> int:
        """What the client is charged, before tax, credits and what is carried from other periods."""
        return sum(rate.revenue for rate in self.rates) + self.shortfall

    @property
    def cost(self) -> Mapping[Currency, int]:
        """Base and bonus of experts."""
        return sum((Counter(rate.cost) for rate in self.rates), Counter[Currency]())


@dataclass(slots=True)
class Undecided:
    """How many facts or cycles the registry has no answer for, and the first of them in words."""

    number: int
    first: str


@dataclass(frozen=True, slots=True)
class SideFigures:
    """What the cases come to on one side.

    Cycles that are in no period: `waiting` will settle in one that is asked for, `unsolved` were reopened and not
    solved again, `undecided` would be parked. `elsewhere` counts cycles that settle in other periods.
    """

    currency: Currency
    periods: tuple[PeriodFigures, ...]
    waiting: int
    unsolved: int
    elsewhere: int
    undecided: Mapping[ParkReason, Undecided]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, from one reading of the cases; `old` is None where there are no terms to compare with."""

    cases: int
    old: SideFigures | None
    new: SideFigures
