"""Balances: sums over entries, by account and currency."""

from collections.abc import Iterable

from ledger.accounts import Account
from ledger.entries import Entry
from ledger.money import Currency
from ledger.records import dataclass


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Signed balances per account and currency: positive is a debit balance. Debits equal credits in each currency."""

    balances: dict[tuple[Account, Currency], int]

    def totals(self) -> dict[Currency, tuple[int, int]]:
        """Per currency the sum of debit balances and the sum of credit balances, both positive."""
        sums: dict[Currency, tuple[int, int]] = {}
        for (_, code), minor in sorted(self.balances.items()):
            debit, credit = sums.get(code, (0, 0))
            sums[code] = (debit + max(minor, 0), credit + max(-minor, 0))
        return sums

    def balance(self, account: Account, code: Currency) -> int:
        """The signed balance of an account in a currency; 0 if nothing was posted."""
        return self.balances.get((account, code), 0)


def trial_balance(entries: Iterable[Entry]) -> TrialBalance:
    """The balances after all `entries`; accounts that came back to zero are left out."""
    sums: dict[tuple[Account, Currency], int] = {}
    for entry in entries:
        for posting in entry.postings:
            key = (posting.account, posting.amount.currency)
            sums[key] = sums.get(key, 0) + posting.amount.minor_units
    return TrialBalance({key: total for key, total in sums.items() if total})
