"""All that the API does with webhooks of a stack: their secrets, what became of them, and to queue them again."""

import secrets
from collections.abc import Iterable, Iterator, Sequence

from infra.aws.secrets import (
    forget_webhook_secrets,
    keep_webhook_secrets,
    webhook_secrets,
    webhook_secrets_made_by,
)
from infra.webhooks.deliveries import announcements, undelivered_after
from infra.webhooks.queueing import queue_webhooks
from ledger.records import dataclass
from settlement.announcements import Announcement
from settlement.webhooks import Delivery, Webhook, new_secret

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class WebhookDesk:
    """Of one stack."""

    stack: str

    def secrets(self, endpoint: str) -> tuple[str, ...]:
        """What webhooks to an endpoint are signed with, the newest first."""
        return webhook_secrets(self.stack, endpoint)

    def make_secret(self, endpoint: str, request: str) -> None:
        """Sign with a new secret from now on, and with the one before, too. A request makes one, however often."""
        if not webhook_secrets_made_by(self.stack, endpoint, request):
            made, known = new_secret(secrets.token_bytes(SECRET_BYTES)), self.secrets(endpoint)
            keep_webhook_secrets(self.stack, endpoint, (made, *known[:1]), request)

    def secret_made_by(self, endpoint: str, request: str) -> str | None:
        """The secret that a request made, for a day at least; None if it made none, or the endpoint is gone."""
        return next(iter(webhook_secrets_made_by(self.stack, endpoint, request)), None)

    def keep_newest_secret(self, endpoint: str) -> None:
        """Sign with the newest secret only."""
        if len(known := self.secrets(endpoint)) > 1:
            keep_webhook_secrets(self.stack, endpoint, known[:1])

    def forget_secrets(self, endpoint: str) -> None:
        """Sign nothing more for an endpoint."""
        forget_webhook_secrets(self.stack, endpoint)

    def undelivered_after(self, endpoint: str, webhook: str, most: int) -> tuple[Sequence[Delivery], str]:
        """See `infra.webhooks.deliveries`."""
        return undelivered_after(endpoint, webhook, most)

    def announcements(self, client: str) -> Iterator[Announcement]:
        """Everything that was announced about a client in the last 40 days, in no order."""
        return announcements(client)

    def queue(self, webhooks: Iterable[Webhook], mark: str) -> None:
        """Queue webhooks again; the same ones with the same mark count once for five minutes."""
        queue_webhooks(self.stack, webhooks, mark)
