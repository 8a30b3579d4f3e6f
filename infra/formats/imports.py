"""CSV that accounting systems import as journal entries: QuickBooks Online and NetSuite.

Both take entries of one currency that balance, so an entry in two currencies becomes two. Accounts are those of the
chart without their owners, who stand in the column for names: a company has them anyway, and no account per expert.

QuickBooks Online (https://quickbooks.intuit.com/learn-support/en-us/help-article/import-export-data-files/,
"Import journal entries"): columns Journal No., Journal Date, Account Name, Description, Debits and Credits; a
sub-account behind its parent and a colon; account numbers switched off. A number has at most 21 characters, hence a
hash of the entry's id. Its files are cut at 1,000 lines, which is how much it takes at once.

NetSuite (https://docs.oracle.com/en/cloud/saas/netsuite/ns-online-help/section_1534492479.html and
section_1534492737.html): lines of an entry have its External ID in common, which it takes only once; amounts have at
most two decimals. Its files are cut at 25,000 lines. Dates are as in the United States, which is what both take unless
told otherwise.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby

from infra.formats.journal import JournalEntry, Line, plain
from ledger.accounts import role_of
from ledger.money import Currency, minor_unit_exponent

QUICKBOOKS_COLUMNS = (
    "Journal No.",
    "Journal Date",
    "Currency",
    "Account Name",
    "Description",
    "Debits",
    "Credits",
    "Name",
)
NETSUITE_COLUMNS = ("External ID", "Date", "Currency", "Memo", "Account", "Debit", "Credit", "Line Memo", "Name")
QUICKBOOKS_LINES = 1_000
NETSUITE_LINES = 25_000
_MOST_DECIMALS = 2
_DIGITS_OF_HASH = 14  # with a currency behind it a number stays below 21 characters


class FormatRefused(ValueError):
    """The format cannot hold the ledger; the message says what of it, and what to do."""


def refuse_small_units(codes: Iterable[Currency]) -> None:
    """Raises FormatRefused for a currency whose amounts the imports would cut."""
    for code in codes:
        if minor_unit_exponent(code) > _MOST_DECIMALS:
            raise FormatRefused(
                f"{code} has {minor_unit_exponent(code)} decimals and this format two; "
                "take csv, beancount or hledger for it. Nothing was written"
            )


def quickbooks_rows(entry: JournalEntry) -> Iterator[list[tuple[str, ...]]]:
    """For each currency of an entry the rows of a journal entry."""
    for code, lines, suffix in _by_currency(entry):
        number = hashlib.sha256(entry.id.encode()).hexdigest()[:_DIGITS_OF_HASH] + suffix
        before = (number, f"{entry.effective_on:%m/%d/%Y}", code)
        yield [(*before, _account(it, ":"), f"{entry.reason} {entry.id}", *_sides(it), _name(it)) for it in lines]


def netsuite_rows(entry: JournalEntry) -> Iterator[list[tuple[str, ...]]]:
    """For each currency of an entry the rows of a journal entry."""
    for code, lines, suffix in _by_currency(entry):
        before = (f"{entry.id}{suffix}", f"{entry.effective_on:%m/%d/%Y}", code, entry.reason)
        about = f"{entry.book} {entry.seq}"
        yield [(*before, _account(it, " : "), *_sides(it), about, _name(it)) for it in lines]


def _by_currency(entry: JournalEntry) -> Iterator[tuple[Currency, list[Line], str]]:
    """The lines of each currency, and what marks it in an id if there are several."""
    groups = [
        (code, list(lines))
        for code, lines in groupby(sorted(entry.lines, key=lambda it: it.currency), key=lambda it: it.currency)
    ]
    for code, lines in groups:
        yield code, lines, f"-{code}" if len(groups) > 1 else ""


def _account(line: Line, between: str) -> str:
    """client/acme/receivable as Client:Receivable."""
    return between.join(name.replace("_", " ").capitalize() for name in role_of(line.account).split("/"))


def _name(line: Line) -> str:
    """The owner of the line's account; where it has none, the client or else the expert that the entry names."""
    side, _, rest = line.account.partition("/")
    return rest.partition("/")[0] if side in {"client", "expert"} else line.client or line.expert or ""


def _sides(line: Line) -> tuple[str, str]:
    """Debit and credit, one of them empty."""
    amount = plain(abs(line.amount), line.currency)
    return (amount, "") if line.amount > 0 else ("", amount)
