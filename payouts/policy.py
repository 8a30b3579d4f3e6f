"""The payout policy: what finance allows to be paid in a currency without asking, as data in a file."""

from datetime import datetime
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from ledger.money import Currency, parse_decimal, round_half_away, round_up, to_minor_units
from ledger.records import dataclass
from ledger.terms import Amount, CurrencyCode, Percent, Terms, exact_percent

# A bank account that returned so many payouts is not tried again until the expert changes it.
BANK_FAILURES = 3


class PayoutPolicy(Terms):
    """The limits of one currency, whose code is the `id`; a limit that is not given does not exist.

    `per_expert` is the most that one payout takes off an expert's payable; the rest waits for the next run. `per_run`
    and `per_day` are the most that is reserved in a run, and in a day (UTC) by all runs. A run whose total is more than
    `approve_above` waits for a second person. After a change of bank account payouts wait `cooling_off_days`.
    """

    id: CurrencyCode
    per_expert: Amount | None = None
    per_run: Amount | None = None
    per_day: Amount | None = None
    approve_above: Amount | None = None
    cooling_off_days: Annotated[int, Field(ge=0, le=90, strict=True)] = 3
    instant_fee_percent: Percent | None = None
    instant_fee_minimum: Amount = "0"

    @property
    def counts_totals(self) -> bool:
        """Whether what runs and days reserve is counted, because something depends on it."""
        return any(it is not None for it in (self.per_run, self.per_day, self.approve_above))

    def minor(self, amount: str | None) -> int | None:
        """An amount of the policy in minor units, None for None."""
        return None if amount is None else round_half_away(to_minor_units(parse_decimal(amount), Currency(self.id)))

    def instant_fee(self, minor_units: int) -> int | None:
        """What an instant payout of so much costs the expert, rounded up; None where it is not offered."""
        if self.instant_fee_percent is None:
            return None
        share = round_up(Fraction(minor_units) * exact_percent(self.instant_fee_percent))
        return max(share, self.minor(self.instant_fee_minimum) or 0)


@dataclass(frozen=True, slots=True)
class PayoutsStopped:
    """The kill switch, while it is on: nothing more is sent. Who turned it on, when and why."""

    by: str
    since: datetime
    reason: str
