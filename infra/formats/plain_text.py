"""Plain-text accounting: journals for beancount and hledger, which check every balance of the ledger again.

beancount (https://beancount.github.io/docs/beancount_language_syntax.html): the components of an account begin with a
capital letter or a digit and hold letters, digits and hyphens. hledger (https://hledger.org/1.25/hledger.html).
Both accept an amount as it is here: number, blank, currency; a debit is positive.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import groupby

from infra.formats.journal import AccountInUse, JournalEntry, plain
from ledger.accounts import Account, Kind
from ledger.money import minor_unit_exponent

_ROOTS = {
    Kind.ASSET: "Assets",
    Kind.LIABILITY: "Liabilities",
    Kind.INCOME: "Income",
    Kind.EXPENSE: "Expenses",
}
_HLEDGER_TYPES = {Kind.ASSET: "A", Kind.LIABILITY: "L", Kind.INCOME: "R", Kind.EXPENSE: "X"}

# An owner's id holds small letters only, so that a capital one inside is always ours.
_UNDERSCORE_IN_AN_OWNER = "-U-"
# What ends a tag's value in hledger; a percent sign too, so that it can be undone.
_ENCODED_IN_TAGS = {ord(sign): f"%{ord(sign):02X}" for sign in "%,\r\n\t\v\f\0"}


# -- beancount ---------------------------------------------------------------------------------------------------------


def beancount_account(account: Account, kind: Kind) -> str:
    """client/acme_eu/unbilled as Assets:Client:Acme-U-eu:Unbilled: another one for each account."""
    side, *rest = account.split("/")
    if side in {"client", "expert"}:
        owner, name = rest
        rest = [owner.replace("_", _UNDERSCORE_IN_AN_OWNER), name.replace("_", "-")]
    else:
        rest = [name.replace("_", "-") for name in rest]
    return ":".join([_ROOTS[kind], *(f"{name[0].upper()}{name[1:]}" for name in (side, *rest))])


def beancount_head(accounts: Iterable[AccountInUse], months: Iterable[str], last: date | None) -> Iterator[str]:
    """Currencies, accounts with their opening days, the months to include, and the balance of each account at the end.

    A balance is asserted for the beginning of the day after `last`, to the last digit.
    """
    used = list(accounts)
    yield 'option "title" "Solvent"\n'
    for code in sorted({it.currency for it in used}):
        yield f'option "operating_currency" "{code}"\n'
    yield "\n"
    for (account, kind), group in groupby(used, key=lambda it: (it.account, it.kind)):
        lines = list(group)
        first, codes = min(it.first_day for it in lines), ",".join(it.currency for it in lines)
        yield f"{first} open {beancount_account(account, kind)} {codes}\n"
    yield "\n"
    for month in months:
        yield f'include "{month}.beancount"\n'
    yield "\n"
    for it in used:
        balance = plain(it.balance, it.currency)
        exactly = f"{0:.{minor_unit_exponent(it.currency)}f}"
        day = (last or it.first_day) + timedelta(days=1)
        yield f"{day} balance {beancount_account(it.account, it.kind)} {balance} ~ {exactly} {it.currency}\n"


def beancount_entry(entry: JournalEntry) -> str:
    """A transaction: the reason as its payee, the entry's id as its narration, book and number as metadata."""
    postings = "".join(
        f"  {beancount_account(it.account, it.kind)}  {plain(it.amount, it.currency)} {it.currency}\n"
        for it in entry.lines
    )
    head = f'{entry.effective_on} * "{entry.reason}" "{_in_quotes(entry.id)}"\n'
    return f'{head}  book: "{entry.book}"\n  seq: {entry.seq}\n{postings}\n'


def _in_quotes(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


# -- hledger -----------------------------------------------------------------------------------------------------------


def hledger_account(account: Account, kind: Kind) -> str:
    """client/acme/unbilled as assets:client:acme:unbilled."""
    return f"{_ROOTS[kind].lower()}:{account.replace('/', ':')}"


def hledger_head(accounts: Iterable[AccountInUse], months: Iterable[str], last: date | None) -> Iterator[str]:
    """Currencies with their decimals, accounts with their types, the months to include, and balances at the end.

    They are asserted in a transaction of nothing on the day `last`.
    """
    used = list(accounts)
    for code in sorted({it.currency for it in used}):
        decimals = "0" * minor_unit_exponent(code)
        yield f"commodity 1000.{decimals} {code}\n"
    yield "\n"
    for account, kind in dict.fromkeys((it.account, it.kind) for it in used):
        yield f"account {hledger_account(account, kind)}  ; type:{_HLEDGER_TYPES[kind]}\n"
    yield "\n"
    for month in months:
        yield f"include {month}.journal\n"
    if last is None:
        return
    yield f"\n{last} * balances at the end\n"
    for it in used:
        balance = plain(it.balance, it.currency)
        yield f"    {hledger_account(it.account, it.kind)}  0 {it.currency} = {balance} {it.currency}\n"


def hledger_entry(entry: JournalEntry) -> str:
    """A transaction: the reason as its description; id, book and number as tags, the id percent-encoded."""
    postings = "".join(
        f"    {hledger_account(it.account, it.kind)}  {plain(it.amount, it.currency)} {it.currency}\n"
        for it in entry.lines
    )
    tags = f"id:{entry.id.translate(_ENCODED_IN_TAGS)}, book:{entry.book}, seq:{entry.seq}"
    return f"{entry.effective_on} * {entry.reason}  ; {tags}\n{postings}\n"
