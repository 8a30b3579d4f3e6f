"""Other formats of the ledger, made from an export: text from rows, month by month, with memory that stays flat.

    csv          postings-2026-10.csv, entries-2026-10.csv   the tables as they are
    jsonl        entries-2026-10.jsonl                       one entry a line, its postings and evidence in it
    beancount    ledger.beancount, 2026-10.beancount         for bean-check and Fava
    hledger      ledger.journal, 2026-10.journal             for hledger
    quickbooks   quickbooks-2026-10-001.csv               for the import of journal entries of QuickBooks Online
    netsuite     netsuite-2026-10-001.csv                 for the CSV import of journal entries of NetSuite

The two plain-text journals end in assertions of every balance, so that their tools check the books once more.
"""

from infra.formats.imports import FormatRefused
from infra.formats.writing import FORMATS, write_format

__all__ = ["FORMATS", "FormatRefused", "write_format"]
