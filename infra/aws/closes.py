"""Entries made by hand and closes of months, kept in the registry: only people and their commands write them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pynamodb.exceptions import DoesNotExist

from infra.aws.documents import manual_entry_codec, month_close_codec
from infra.aws.tables import RegistryItem
from infra.aws.wire import Attributes, Write, put_revision
from settlement.ports import Changes

if TYPE_CHECKING:  # see infra/aws/documents.py
    from billing.periods import Period
    from settlement.manual_entries import ManualEntry
    from settlement.month_close import MonthClose

_MANUAL_ENTRY, _MONTH_CLOSE = "manual_entry", "month_close"


class Closes:
    """All reads are consistent."""

    __slots__ = ()

    def manual_entry(self, id_: str) -> ManualEntry | None:
        """What was proposed under that hash, whatever became of it."""
        document = _document(_MANUAL_ENTRY, id_)
        return manual_entry_codec().validate_json(document) if document else None

    def manual_entries(self) -> Iterator[ManualEntry]:
        """Everything that was ever proposed, by hash."""
        for item in RegistryItem.query(_MANUAL_ENTRY, consistent_read=True):
            yield manual_entry_codec().validate_json(item.document)

    def month_close(self, month: Period) -> MonthClose:
        """The close of a month; an empty one if nothing was done of it."""
        from settlement.month_close import MonthClose  # noqa: PLC0415  # see above

        document = _document(_MONTH_CLOSE, month)
        return month_close_codec().validate_json(document) if document else MonthClose(month)


def close_puts(changes: Changes) -> Iterator[Write]:
    """The items of entries made by hand and of closes, each over the revision before."""
    for entry in changes.manual_entries:
        document = manual_entry_codec().dump_json(entry).decode()
        yield put_revision(RegistryItem, _item(_MANUAL_ENTRY, entry.id, document), entry.revision)
    for close in changes.month_closes:
        document = month_close_codec().dump_json(close).decode()
        yield put_revision(RegistryItem, _item(_MONTH_CLOSE, close.month, document), close.revision)


def _item(kind: str, id_: str, document: str) -> Attributes:
    return {"kind": kind, "id": id_, "document": document}


def _document(kind: str, id_: str) -> str | None:
    try:
        return RegistryItem.get(kind, id_, consistent_read=True).document
    except DoesNotExist:
        return None
