"""The ledger as files that prove themselves: Parquet by month, one signed manifest for each run.

    manifests/000001.json                        what run 1 wrote, signed, chained by hash to the manifest before
    postings/month=2026-10/000001-0001.parquet   run 1, slice 1: one row per posting
    entries/month=2026-10/000001-0001.parquet    one row per entry
    work/000002/...                              a run that is under way, or was interrupted

A run takes each book from where the last manifest ends to the head that it has now: nothing is left out, nothing comes
twice, and what was written once is never written again. The same ledger gives the same bytes, with the same releases of
Solvent and DuckDB; only signatures differ. Every other format, table, report and check is made from these files.
"""

from infra.exports.manifests import read_manifests
from infra.exports.reading import open_export
from infra.exports.runs import export_ledger, mirror

__all__ = ["export_ledger", "mirror", "open_export", "read_manifests"]
