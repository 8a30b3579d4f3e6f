"""The last reconciliation, kept in the registry, so that whoever asks for it does not wait for Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynamodb.exceptions import DoesNotExist

from infra.aws.documents import reconciliation_codec
from infra.aws.tables import RegistryItem

if TYPE_CHECKING:  # see infra/aws/documents.py
    from settlement.findings import Reconciliation

_KIND, _ID = "reconciliation", "last"


class KeptReconciliation:
    """All reads are consistent."""

    __slots__ = ()

    def keep_reconciliation(self, found: Reconciliation) -> None:
        """Keep this one, of which an item can hold the first findings, in the place of the one before."""
        document = reconciliation_codec().dump_json(found.shortened()).decode()
        RegistryItem(kind=_KIND, id=_ID, document=document, revision=1).save()

    def last_reconciliation(self) -> Reconciliation | None:
        """The one that was kept last; None before the first."""
        try:
            return reconciliation_codec().validate_json(RegistryItem.get(_KIND, _ID, consistent_read=True).document)
        except DoesNotExist:
            return None
