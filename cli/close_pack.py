"""What goes into the audit pack of a month: what was closed, by whom, on which evidence, and the books themselves."""

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from pydantic import TypeAdapter
from rich.console import Console

from billing.periods import Period
from cli.invoices import write_evidence
from events.facts import format_instant
from infra.audit_pack import write_pack
from infra.exports import read_manifests
from infra.exports.folders import LocalFolder
from infra.exports.manifests import manifest_names
from settlement.apply import CurrentTerms
from settlement.described import describe_invoice, describe_payout, describe_reconciliation
from settlement.manual_entries import ManualEntry, ManualStore
from settlement.month_close import MonthClose, transcript
from settlement.month_steps import CloseStore, Closing
from settlement.ports import WritableRegistry
from settlement.reconcile import reconcile

_CLOSE: TypeAdapter[MonthClose] = TypeAdapter(MonthClose)
_MANUAL_ENTRIES: TypeAdapter[list[ManualEntry]] = TypeAdapter(list[ManualEntry])


class PackedStore(CloseStore, ManualStore, Protocol):
    """What a pack is made from."""


class PackedRegistry(WritableRegistry, Protocol):
    """The registry with who applied what."""

    def current_terms(self) -> CurrentTerms:
        """Everything that is registered."""


def pack_month(
    closing: Closing, store: PackedStore, registry: PackedRegistry, close: MonthClose, place: Path, export: Path
) -> str:
    """Write the pack of a month in the place of an earlier one; the SHA-256 of the archive.

    Raises OSError if it cannot be written, or the evidence of an invoice cannot.
    """
    month = closing.month
    last = read_manifests(LocalFolder(export))[-1]
    about = {"month": month, "packed_at": format_instant(closing.as_of), "export_manifest": last.sha256()}
    with TemporaryDirectory() as scratch:
        files: dict[str, bytes | Path] = {
            "close.json": _CLOSE.dump_json(close, indent=2),
            "transcript.txt": ("\n".join(transcript(close)) + "\n").encode(),
            "invoices.json": _json(list(_invoices(closing))),
            "approvals.json": _json(_approvals(store, registry, close)),
            "manual_entries.json": _MANUAL_ENTRIES.dump_json(sorted(_of_month(store, month), key=lambda it: it.id)),
            "reconciliation.json": _json(describe_reconciliation(reconcile(store, closing.stripe, closing.as_of))),
            **_evidence(store, registry, month, Path(scratch)),
            **{f"export/{name}": export / name for name in _exported(export, month)},
        }
        return write_pack(place, about, files)


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n").encode()


def _invoices(closing: Closing) -> Iterator[dict[str, Any]]:
    for client in sorted(closing.registry.clients()):
        invoice = closing.store.invoice(client, closing.month)
        if invoice is not None:
            lines = [
                {"kind": it.kind, "text": it.text, "quantity": it.quantity, "amount_minor": it.amount}
                for it in invoice.lines
            ]
            yield describe_invoice(invoice, closing.as_of.date()) | {"lines": lines}


def _approvals(store: PackedStore, registry: PackedRegistry, close: MonthClose) -> dict[str, Any]:
    """Who approved what: invoices, the payouts planned in the month, and terms, whenever they were applied."""
    applied, given = registry.current_terms().applied, close.approval
    return {
        "invoices": {"hash": given.hash, "by": given.by, "at": format_instant(given.at)} if given else None,
        "payouts": [
            describe_payout(it)
            | {"why": it.why or None, "planned_by": it.planned_by, "approved_by": it.approved_by, "hash": it.approval}
            for it in sorted(store.payouts(), key=lambda it: it.id)
            if it.planned_at.isoformat()[:7] == close.month
        ],
        "terms": [
            {
                "kind": kind,
                "id": id_,
                "versions": list(it.versions),
                "applied_by": it.proposed_by,
                "applied_on": it.proposed_on.isoformat(),
                "approved_by": it.approved_by,
            }
            for (kind, id_), signatures in sorted(applied.items())
            for it in signatures
        ],
    }


def _of_month(store: PackedStore, month: Period) -> Iterator[ManualEntry]:
    return (it for it in store.manual_entries() if it.draft.effective_on.isoformat()[:7] == month)


def _evidence(store: PackedStore, registry: PackedRegistry, month: Period, scratch: Path) -> dict[str, Path]:
    """The rows that each invoice sums from, as its client gets them."""
    for client in sorted(registry.clients()):
        said = Console(file=StringIO())
        if store.invoice(client, month) and write_evidence(store, registry, (client, month), scratch, said):
            raise OSError(f"the evidence of {client} was not written; `solvent invoice evidence` says why")
    return {f"evidence/{path.name}": path for path in scratch.glob("*.csv")}


def _exported(export: Path, month: Period) -> Iterator[str]:
    """The month's files of the export, and every manifest: each is chained to the one before."""
    folder = LocalFolder(export)
    yield from manifest_names(folder)
    for manifest in read_manifests(folder):
        yield from (file.path for file in manifest.files if f"/month={month}/" in file.path)
