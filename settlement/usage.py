"""A client's period to date: what is used of what was agreed, and where that leads. Nothing is written."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from billing.contracts import ContractHistory
from billing.invoices import LineKind
from billing.periods import period_end, period_of
from ledger.money import parse_decimal, round_half_away, to_minor_units
from settlement.close import last_day
from settlement.invoice_preview import Preview, PreviewStore, preview_invoice


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a period comes to if its other days are like those that have begun: resolutions, and minor units."""

    resolutions: int
    charged: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The period of an instant. `prepaid_left` is what is bought less what stands charged, None without credits."""

    preview: Preview
    as_of: datetime
    closes_at: datetime
    forecast: Forecast
    prepaid_left: int | None

    @property
    def resolutions(self) -> int:
        """N so far: the resolutions that stand."""
        return sum(counter.net for _, counter in self.preview.state.rates)

    @property
    def charged(self) -> int:
        """What stands charged after discounts and the cap, in minor units."""
        return self.preview.state.charged

    @property
    def cap_left(self) -> int | None:
        """What may still be charged below the cap, in minor units; None without a cap."""
        cap = self.preview.contract.cap_minor
        return None if cap is None else max(0, cap - self.charged)

    @property
    def minimum(self) -> int:
        """The least that is invoiced, in minor units."""
        contract = self.preview.contract
        return round_half_away(to_minor_units(parse_decimal(contract.minimum), contract.currency))

    def of_rate(self, rate: str) -> int:
        """The line of usage of a rate if the period were closed now, in minor units."""
        lines = self.preview.closing.invoice.lines
        return sum(line.amount for line in lines if line.kind is LineKind.USAGE and line.text == rate)


def usage_now(store: PreviewStore, history: ContractHistory, as_of: datetime) -> Usage:
    """The usage of the period that an instant falls in. Raises ContractNotInForce, and PeriodClosed."""
    zone = history.time_zone
    period = period_of(as_of, zone)
    found = preview_invoice(store, history, period)
    closes_at = period_end(period, zone) + timedelta(hours=found.contract.close_delay_hours)
    prepaid = store.prepaids([history.client])[history.client]
    bought = prepaid.usable(last_day(period)) if found.contract.prepaid else None
    left = None if bought is None else max(0, bought - found.state.charged)
    resolutions = sum(counter.net for _, counter in found.state.rates)
    local = as_of.astimezone(zone)
    forecast = Forecast(*(_whole_month(so_far, local) for so_far in (resolutions, found.state.charged)))
    return Usage(found, as_of, closes_at, forecast, left)


def _whole_month(so_far: int, local: datetime) -> int:
    """What a month comes to in proportion to its days that have begun, the present one included; rounded half away."""
    days = monthrange(local.year, local.month)[1]
    return round_half_away(Fraction(so_far * days, local.day))
