"""What beancount makes of a journal, and what it ought to: the balances of the entries it was made from."""

import json
import subprocess
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from infra.formats.plain_text import beancount_account
from ledger.accounts import kind_of
from ledger.balances import trial_balance
from ledger.entries import Entry
from ledger.money import minor_unit_exponent

# In a process of its own: it is under the GPL, and only a tool here.
_SCRIPT = """
import json, sys
from beancount import loader
from beancount.core import data, realization
entries, errors, options = loader.load_file(sys.argv[1])
sums = [
    (account.account, position.units.currency, str(position.units.number))
    for account in realization.iter_children(realization.realize(entries))
    for position in account.balance
]
checked = sum(isinstance(it, data.Balance) for it in entries)
print(json.dumps([[str(it.message) for it in errors], sums, checked]))
"""


def bean_balances(ledger: Path) -> dict[tuple[str, str], Decimal]:
    """What accounts stand at, without zeros; fails for a journal that beancount does not accept."""
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", _SCRIPT, str(ledger)], capture_output=True, text=True, check=True
    )
    errors, sums, checked = json.loads(done.stdout)
    assert errors == [], errors  # said here, since pytest explains only what stands in tests
    assert checked, "no balance is asserted"
    return {(account, code): Decimal(number) for account, code, number in sums if Decimal(number)}


def major_balances(entries: Iterable[Entry]) -> dict[tuple[str, str], Decimal]:
    """What accounts stand at in major units, without zeros."""
    return {
        (account, code): Decimal(minor).scaleb(-minor_unit_exponent(code))
        for (account, code), minor in trial_balance(entries).balances.items()
        if minor
    }


def in_beancount(entries: Iterable[Entry]) -> dict[tuple[str, str], Decimal]:
    """The same by beancount's names of the accounts."""
    found = trial_balance(entries).balances
    return {
        (beancount_account(account, kind_of(account)), code): Decimal(minor).scaleb(-minor_unit_exponent(code))
        for (account, code), minor in found.items()
        if minor
    }
