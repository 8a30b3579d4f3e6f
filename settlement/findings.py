"""What reconciliation finds, in a form that says what to do about it."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Self

from ledger.money import Currency
from ledger.records import dataclass

_MOST_KEPT = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not match, or that is merely under way until `open_until` (a day, inclusive).

    `about` is the id of what it concerns: a balance transaction, transfer, charge, payout, invoice, account or book.
    `amount` is in minor units: what the other side has more than the ledger, or what is on its way; a broken book has
    none, and no currency. `since` is the day of the movement or entry that it began with.
    """

    about: str
    detail: str
    amount: int
    currency: Currency | None
    since: date
    next_step: str
    open_until: date | None = None

    def is_open(self, day: date) -> bool:
        """Whether it is still under way on a day; if not it is a difference."""
        return self.open_until is not None and day <= self.open_until

    def age_days(self, day: date) -> int:
        """How many days it is old on a day."""
        return max(0, (day - self.since).days)

    def described(self, day: date) -> dict[str, int | str | None]:
        """All that is to be said of it on a day, for logs and files; amounts are in minor units."""
        return {
            "about": self.about,
            "detail": self.detail,
            "amount_minor": self.amount,
            "currency": self.currency,
            "since": self.since.isoformat(),
            "age_days": self.age_days(day),
            "next_step": self.next_step,
        }


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared as of an instant, and what was found. `entries` is how many had to be read of the journal.

    `left_out` is how many findings there were besides.
    """

    as_of: datetime
    entries: int
    movements: int
    payouts: int
    invoices: int
    findings: tuple[Finding, ...]
    left_out: int = 0

    @property
    def day(self) -> date:
        """The day (UTC) to which ages count."""
        return self.as_of.astimezone(UTC).date()

    @property
    def differences(self) -> tuple[Finding, ...]:
        """What does not match, or takes longer than it should, oldest first."""
        return tuple(it for it in self._oldest_first() if not it.is_open(self.day))

    @property
    def open(self) -> tuple[Finding, ...]:
        """What is under way, oldest first."""
        return tuple(it for it in self._oldest_first() if it.is_open(self.day))

    @property
    def is_clean(self) -> bool:
        """Whether there is no difference; what is under way does not count."""
        return not self.differences

    def shortened(self) -> Self:
        """The same with its first 500 findings, differences before what is under way."""
        kept = (*self.differences, *self.open)[:_MOST_KEPT]
        return replace(self, findings=kept, left_out=len(self.findings) - len(kept))

    def _oldest_first(self) -> list[Finding]:
        return sorted(self.findings, key=lambda it: (it.since, it.about, it.detail))
