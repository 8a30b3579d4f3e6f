"""Experts at Stripe: their connected accounts, the transfers to them, and what goes on from there to their banks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import stripe as sdk

from infra.stripe.errors import stripe_errors
from infra.stripe.fields import day, instant, tag
from ledger.money import currency
from payouts.payouts import Payout
from settlement.registry import Expert
from settlement.stripe_port import AccountStatus, BankPayout, BankPayoutStatus, Transfer, TransfersCapability

if TYPE_CHECKING:  # naming a type of the SDK imports its module
    from stripe.v2 import CoreService
    from stripe.v2.core import Account

_CAPABILITIES = {status.value: status for status in TransfersCapability}
# What puts the money of another payout back into the account, from where the next payout takes it.
_GIVEN_BACK = {"payout_failure", "payout_cancel"}


class StripeExperts:
    """The part of the gateway that concerns experts."""

    _v1: sdk.V1Services
    _core: CoreService

    @stripe_errors()
    def account(self, expert: Expert) -> str:
        """The id of the expert's connected account (Accounts v2, recipient), made if there is none.

        Stripe keeps the key of a v2 request for 30 days; the registry keeps the id for good.
        """
        made = self._core.accounts.create(
            {
                "contact_email": expert.email,
                "display_name": expert.id,
                "dashboard": "express",
                "identity": {"country": expert.country.lower()},
                "configuration": {
                    "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}
                },
                "defaults": {"responsibilities": {"fees_collector": "application", "losses_collector": "application"}},
                "metadata": {"solvent_expert": expert.id},
            },
            {"idempotency_key": f"account:{expert.id}"},
        )
        return made.id

    @stripe_errors()
    def onboarding_link(self, account: str, return_url: str) -> str:
        """Where the expert gives Stripe what it asks for; the link works once and for a few minutes."""
        link = self._core.account_links.create(
            {
                "account": account,
                "use_case": {
                    "type": "account_onboarding",
                    "account_onboarding": {
                        "refresh_url": return_url,
                        "return_url": return_url,
                    },
                },
            }
        )
        return link.url

    @stripe_errors()
    def account_status(self, account: str) -> AccountStatus:
        """A connected account as it is now. A capability status that Stripe adds one day counts as restricted.

        Accounts v2 doesn't show bank accounts; /v1/accounts/{id}/external_accounts lists those of a v2 account too.
        """
        found = self._core.accounts.retrieve(account, {"include": ["configuration.recipient", "requirements"]})
        listed = self._v1.accounts.external_accounts.list(account, {"limit": 100}).auto_paging_iter()
        banks = sorted(_fingerprint(bank) for bank in listed if bank.default_for_currency)
        entries = (found.requirements.entries or []) if found.requirements else []
        asked = {
            entry.description
            for entry in entries
            if entry.awaiting_action_from == "user" and entry.minimum_deadline.status != "eventually_due"
        }
        return AccountStatus(
            id=found.id,
            expert=tag(found.metadata, "solvent_expert"),
            transfers=_transfers_capability(found),
            requirements=tuple(sorted(asked)),
            bank="+".join(banks) or None,
        )

    @stripe_errors()
    def transfer(self, payout: Payout) -> str:
        """The id of the one transfer of the payout's current attempt."""
        made = self._v1.transfers.create(
            {
                "amount": payout.amount,
                "currency": payout.currency.lower(),
                "destination": payout.stripe_account,
                "transfer_group": payout.id,
                "metadata": {"solvent_payout": payout.id},
            },
            {"idempotency_key": payout.idempotency_key},
        )
        return made.id

    @stripe_errors()
    def find_transfer(self, payout_id: str) -> str | None:
        """The transfer of any attempt of a payout, if there is one."""
        return self._find_transfer(payout_id)

    def _find_transfer(self, payout_id: str) -> str | None:
        found = self._v1.transfers.list({"transfer_group": payout_id, "limit": 1})
        return found.data[0].id if found.data else None

    @stripe_errors()
    def transfer_now(self, transfer: str) -> Transfer:
        """A transfer as it is now."""
        found = self._v1.transfers.retrieve(transfer)
        return Transfer(
            id=found.id,
            payout=tag(found.metadata, "solvent_payout"),
            currency=currency(found.currency.upper()),
            amount=found.amount,
            reversed=found.amount_reversed,
        )

    @stripe_errors()
    def bank_payout(self, account: str, bank_payout: str) -> BankPayout:
        """A payout of a connected account as it is now.

        `bank` is the bank account's id once the expert has removed it: Stripe no longer tells the fingerprint then.
        """
        found = self._v1.payouts.retrieve(bank_payout, {"expand": ["destination"]}, {"stripe_account": account})
        bank = found.destination
        return BankPayout(
            id=found.id,
            account=account,
            status=BankPayoutStatus(found.status),
            currency=currency(found.currency.upper()),
            amount=found.amount,
            created_at=instant(found.created),
            arrives_on=day(found.arrival_date),
            bank=bank if bank is None or isinstance(bank, str) else _fingerprint(bank),
            transfers=tuple(self._carried(account, found)),
            payout=tag(found.metadata, "solvent_payout"),
            failure_code=found.failure_code,
        )

    def _carried(self, account: str, bank_payout: sdk.Payout) -> Iterator[str]:
        """The transfers whose money a payout carries, those of earlier payouts that came back included.

        Of a manual payout Stripe doesn't know, but ours say by a tag what they are for. Of an automatic one it knows
        within a day and then tells `payout.reconciliation_completed` (https://docs.stripe.com/payouts/reconciliation).
        """
        if not bank_payout.automatic:
            ours = tag(bank_payout.metadata, "solvent_payout")
            found = self._find_transfer(ours) if ours else None
            yield from (found,) if found else ()
        elif bank_payout.reconciliation_status == "completed":
            yield from self._reconciled(account, bank_payout.id)

    def _reconciled(self, account: str, bank_payout: str) -> Iterator[str]:
        """What came in, less what other payouts took out before, and what they gave back."""
        counts: Counter[str] = Counter()
        listed = self._v1.balance_transactions.list(
            {"payout": bank_payout, "limit": 100, "expand": ["data.source"]}, {"stripe_account": account}
        )
        for entry in listed.auto_paging_iter():
            source = entry.source
            if isinstance(source, sdk.Charge) and source.source_transfer:
                counts[str(source.source_transfer)] += 1
            elif isinstance(source, sdk.Payout) and source.id != bank_payout:
                for transfer in self._carried(account, source):
                    counts[transfer] += 1 if entry.type in _GIVEN_BACK else -1
        return (transfer for transfer, count in counts.items() if count > 0)

    @stripe_errors()
    def pay_out_instantly(self, payout: Payout) -> str:
        """The id of the one instant payout from the expert's account to its bank that carries on a sent payout.

        An earlier try's is found by its metadata, since its key may be forgotten after a day. Stripe bills its fee to
        the platform, which collects the fees of these accounts; so the expert's whole amount goes out
        (https://docs.stripe.com/connect/direct-charges-fee-payer-behavior). It wants an account under the full service
        agreement and a bank account that takes instant payouts, and refuses others for good.
        """
        options: sdk.RequestOptions = {"stripe_account": payout.stripe_account}
        for found in self._v1.payouts.list({"limit": 100}, options).auto_paging_iter():
            if tag(found.metadata, "solvent_payout") == payout.id:
                return found.id
        made = self._v1.payouts.create(
            {
                "amount": payout.amount,
                "currency": payout.currency.lower(),
                "method": "instant",
                "metadata": {"solvent_payout": payout.id},
            },
            {"idempotency_key": f"{payout.id}:instant", **options},
        )
        return made.id


def _transfers_capability(account: Account) -> TransfersCapability:
    """The status of the capability; unsupported where it was never asked for or the account is closed."""
    recipient = account.configuration.recipient if account.configuration else None
    balance = recipient.capabilities.stripe_balance if recipient and recipient.capabilities else None
    if account.closed or balance is None or balance.stripe_transfers is None:
        return TransfersCapability.UNSUPPORTED
    return _CAPABILITIES.get(balance.stripe_transfers.status, TransfersCapability.RESTRICTED)


def _fingerprint(bank: sdk.BankAccount | sdk.Card) -> str:
    """What stays the same when the same bank account is given again; the id where Stripe doesn't tell it."""
    return str(getattr(bank, "fingerprint", None) or bank.id)
