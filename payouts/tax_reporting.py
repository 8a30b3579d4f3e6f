"""Tax reporting: what was paid to an expert in a calendar year, by day of payment, and who has to be reported. Pure.

Two regimes are known; the sources are those of the rules in `THRESHOLDS`.

US, Form 1099-NEC (26 U.S.C. 6041, 6041A; IRS, Instructions for Forms 1099-MISC and 1099-NEC): whoever was paid at least
the threshold in a calendar year is reported, gross of what was withheld (box 1); and whoever had tax withheld is,
whatever the amount (box 4). The threshold is 600 USD for payments made in 2025, and 2,000 USD for payments made in 2026
(Pub. L. 119-21, section 70433); from 2027 on it follows inflation, so each year needs its own figure from the IRS.

EU, DAC7 (Council Directive (EU) 2021/514, annex V): every seller of personal services in a member state who was paid
anything is reported. The exemption below 30 sales and 2,000 EUR is for goods only (section I, B(4)(d)). Reported for
each quarter are the consideration, which is net of fees, commissions and taxes (section I, A(10)), the number of
activities it was paid for, and those fees and taxes (section III, B(2)).

Whether a regime applies to the platform at all, and what an expert's tax residence is, are finance's to decide: here
the registry's country counts. Nothing is guessed: for a country or year without a rule the verdict is "unknown".
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from enum import StrEnum

from ledger.accounts import BANK_CASH, COST_FEES, STRIPE_BALANCE, STRIPE_CLEARING, TAX_WITHHELD, expert_payable
from ledger.entries import Entry, RecordedEntry
from ledger.money import Currency, Money
from ledger.posting_rules import Reason
from ledger.records import dataclass
from payouts.statements import payout_ids, payout_of

QUARTERS = 4


class Regime(StrEnum):
    """A law that makes a platform report what it paid."""

    FORM_1099_NEC = "1099-NEC"
    DAC7 = "DAC7"


# From how much on an expert is reported (inclusive); None: from any payment on. A year that is not here is unknown.
THRESHOLDS: Mapping[tuple[Regime, int], Money | None] = {
    (Regime.FORM_1099_NEC, 2025): Money(600_00, Currency("USD")),
    (Regime.FORM_1099_NEC, 2026): Money(2_000_00, Currency("USD")),
    (Regime.DAC7, 2025): None,
    (Regime.DAC7, 2026): None,
}
_MEMBER_STATES = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"


def regime_of(country: str) -> Regime | None:
    """The regime of an ISO 3166 country code; None where none is known, which does not mean that there is none."""
    if country == "US":
        return Regime.FORM_1099_NEC
    return Regime.DAC7 if country in _MEMBER_STATES.split() else None


# -- what was paid -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paid:
    """Sums in minor units of one currency. `net` is what was transferred, less `reversed`, which was taken back.

    `payments` counts transfers, those that were reversed later included. `activities` counts the resolutions that were
    paid with them, less those taken back since; it is right only if the entries of all the expert's clients were read.
    """

    net: int = 0
    withheld: int = 0
    fee: int = 0
    reversed: int = 0
    payments: int = 0
    activities: int = 0

    @property
    def gross(self) -> int:
        """What was paid before tax and fees were kept."""
        return self.net + self.withheld + self.fee

    def __add__(self, other: "Paid") -> "Paid":
        return Paid(*(getattr(self, it.name) + getattr(other, it.name) for it in fields(Paid)))


@dataclass(frozen=True, slots=True)
class PaidInYear:
    """What was paid in one currency in the four quarters of a calendar year (UTC)."""

    currency: Currency
    quarters: tuple[Paid, Paid, Paid, Paid]

    @property
    def year(self) -> Paid:
        """The four quarters together."""
        return sum(self.quarters, Paid())


def paid_in(expert: str, year: int, recorded: Sequence[RecordedEntry], through: date = date.max) -> list[PaidInYear]:
    """What was paid to an expert in a year up to a day (inclusive), by currency; one without payments is left out.

    `recorded` is the expert's own book from its first entry, or all entries that touch the expert. Money is paid on the
    day on which its transfer was booked, whenever it was earned or reserved; tax and fees that were kept from a payout
    are paid with it, or on their own day if that is later. A reversed transfer counts, negative, on its own day.
    """
    quarters: dict[Currency, list[Paid]] = {}
    for day, code, paid in _movements(expert, recorded):
        if day.year == year and day <= through:
            sums = quarters.setdefault(code, [Paid()] * QUARTERS)
            sums[(day.month - 1) // 3] += paid
    return [PaidInYear(code, (sums[0], sums[1], sums[2], sums[3])) for code, sums in sorted(quarters.items())]


def _movements(expert: str, recorded: Sequence[RecordedEntry]) -> Iterator[tuple[date, Currency, Paid]]:
    entries = [it.entry for it in recorded]
    known = payout_ids(entries)
    sent_on = {payout_of(it, known): it.effective_on for it in entries if it.reason is Reason.PAYOUT_SENT}
    activities = _activities(expert, recorded, sent_on)
    for entry in entries:
        payout = payout_of(entry, known)
        day = max(entry.effective_on, sent_on.get(payout, entry.effective_on))
        for code, paid in _paid_by(entry):
            count = activities[payout] if entry.reason is Reason.PAYOUT_SENT else 0
            yield day, code, paid + Paid(activities=count)


_CASH = frozenset({STRIPE_BALANCE, STRIPE_CLEARING, BANK_CASH})


def _paid_by(entry: Entry) -> Iterator[tuple[Currency, Paid]]:
    """What one entry paid to its expert, by the accounts that it credits: cash, withheld tax, fees."""
    for posting in entry.postings:
        code, minor = posting.amount.currency, -posting.amount.minor_units
        if posting.account in _CASH:
            yield code, Paid(net=minor, reversed=max(-minor, 0), payments=int(minor > 0))
        elif posting.account == TAX_WITHHELD:
            yield code, Paid(withheld=minor)
        elif posting.account == COST_FEES:
            yield code, Paid(fee=minor)


# -- for how many resolutions ------------------------------------------------------------------------------------------

_OF_CYCLES = frozenset({Reason.SETTLED, Reason.CORRECTED, Reason.REVERSED, Reason.CREDITED})


def _activities(expert: str, recorded: Sequence[RecordedEntry], sent: Collection[str | None]) -> Counter[str | None]:
    """How many resolutions each of the payouts that were sent paid for: those released by then that none paid before.

    A payout takes all that is released when it is reserved. A resolution that was paid and is taken back later counts
    -1 in the payout that nets it.
    """
    counts: Counter[str | None] = Counter()
    reserved = [it for it in recorded if it.entry.reason is Reason.PAYOUT_RESERVED]
    for code in {it.entry.postings[0].amount.currency for it in reserved}:
        own = [it for it in reserved if it.entry.postings[0].amount.currency == code]
        own = [it for it in own if it.entry.id.rpartition(":")[0] in sent]
        for place, count in _newly_paid(_earned(expert, recorded, code), own).items():
            counts[own[place].entry.id.rpartition(":")[0]] += count
    return counts


@dataclass(frozen=True, slots=True)
class _Earned:
    """What an entry changed about the earning of a cycle; it can be paid from `release_on` on."""

    cycle: tuple[str, str, int]
    minor_units: int
    release_on: date
    recorded_at: datetime


def _earned(expert: str, recorded: Iterable[RecordedEntry], code: Currency) -> Iterator[_Earned]:
    payable = expert_payable(expert)
    for it in recorded:
        entry = it.entry
        minor = -sum(
            posting.amount.minor_units
            for posting in entry.postings
            if posting.account == payable and posting.amount.currency == code
        )
        if minor and entry.reason in _OF_CYCLES:
            told = json.loads(entry.evidence)
            release_on = date.fromisoformat(told.get("release_on", entry.effective_on.isoformat()))
            yield _Earned((entry.book, told["case"], told["cycle"]), minor, release_on, it.recorded_at)


def _newly_paid(earned: Iterable[_Earned], payouts: Sequence[RecordedEntry]) -> Counter[int]:
    """By the place of each payout, in their order: how many cycles stand paid after it, less those before it."""
    days, instants = [it.entry.effective_on for it in payouts], [it.recorded_at for it in payouts]
    placed = [(max(bisect_left(days, it.release_on), bisect_left(instants, it.recorded_at)), it) for it in earned]
    counts: Counter[int] = Counter()
    standing: Counter[tuple[str, str, int]] = Counter()
    for place, it in sorted(placed, key=lambda pair: pair[0]):
        before = standing[it.cycle]
        standing[it.cycle] += it.minor_units
        if place < len(payouts):
            counts[place] += (standing[it.cycle] > 0) - (before > 0)
    return counts


# -- who is reported ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an expert has to be reported for a year, and why. None: nobody here knows, and somebody has to find out.

    `threshold` is None where any payment is reported, and where it is not known.
    """

    regime: Regime | None
    threshold: Money | None
    is_reportable: bool | None
    why: str


def verdict_on(country: str, year: int, paid: Iterable[PaidInYear]) -> Verdict:
    """Whether an expert in a country (ISO 3166 code) has to be reported for what was paid in a year."""
    regime, sums = regime_of(country), {it.currency: it.year for it in paid}
    if regime is None:
        return Verdict(None, None, None, f"no reporting rule is known for {country}: ask which one applies there")
    if (regime, year) not in THRESHOLDS:
        why = f"no threshold known for {year}: {regime} may have another each year; add it to THRESHOLDS"
        return Verdict(regime, None, None, why)
    threshold = THRESHOLDS[regime, year]
    if threshold is None:
        is_paid = any(it.payments for it in sums.values())
        return Verdict(regime, None, is_paid, "any payment is reported" if is_paid else "nothing was paid")
    return Verdict(regime, threshold, *_against(threshold, sums))


def _against(threshold: Money, sums: Mapping[Currency, Paid]) -> tuple[bool | None, str]:
    if any(it.withheld for it in sums.values()):
        return True, "tax was withheld, which is reported whatever the amount"
    gross = sums.get(threshold.currency, Paid()).gross
    if gross >= threshold.minor_units:
        return True, f"{Money(gross, threshold.currency)} were paid, at least {threshold}"
    others = sorted(code for code, it in sums.items() if code != threshold.currency and it.gross)
    if others:
        return None, f"was also paid in {', '.join(others)}: convert that by the rates of the days and compare"
    return False, f"{Money(gross, threshold.currency)} were paid, less than {threshold}"
