"""Errors of the journal.

LedgerError
├── InvalidMoney          a float, a bool, an unknown currency or two currencies in one sum
├── UnbalancedEntry       debits and credits differ in a currency
├── PostingRuleBroken     balanced, but not what its reason allows
└── BookBroken            a gap, a wrong hash or a changed entry

None of them helps to retry: each means that the caller is wrong, or that somebody tampered.
"""


class LedgerError(ValueError):
    """Something that must never reach the journal; retrying does not help."""


class InvalidMoney(LedgerError):
    """An amount that is not whole minor units of one known currency."""


class UnbalancedEntry(LedgerError):
    """An entry whose debits and credits differ in at least one currency."""


class PostingRuleBroken(LedgerError):
    """A balanced entry whose accounts are not those its reason allows."""


class BookBroken(LedgerError):
    """A book that does not prove itself: a gap, a wrong hash, a changed or missing entry."""
