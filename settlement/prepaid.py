"""Prepaid credits: bought and refunded through the platform's bank, and expired when their last day is past."""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from functools import partial

from billing.periods import period_of_date
from billing.prepaid import Lot, Prepaid, buy, expire, take_back
from ledger.accounts import BANK_CASH, REVENUE_RESOLUTIONS, Account, client_prepaid
from ledger.entries import Entry, EntryId, client_book, evidence, postings
from ledger.money import Currency
from ledger.posting_rules import Reason
from settlement.close import last_day, open_periods
from settlement.ports import BillingStore, Changes, Registry
from settlement.writing import sealed, until_written


def buy_credits(store: BillingStore, registry: Registry, client: str, lot: Lot, as_of: datetime) -> Prepaid:
    """Record credits that a client paid for by bank; the credits as they then are. The same lot twice is once.

    Raises PrepaidRefused for a lot that was bought with other terms, and LookupError for a client without a contract.
    """
    return _change(
        store,
        (client, _currency(registry, client)),
        lambda prepaid: (lot.amount, buy(prepaid, lot)),
        (Reason.PREPAID_BOUGHT, lot.id, lot.bought_on),
        as_of,
    )


def refund_credits(store: BillingStore, registry: Registry, client: str, lot_id: str, as_of: datetime) -> Prepaid:
    """Record that what is left of a lot was paid back by bank. Raises PrepaidRefused for an unknown lot."""
    return _change(
        store,
        (client, _currency(registry, client)),
        lambda prepaid: take_back(prepaid, lot_id),
        (Reason.PREPAID_REFUNDED, lot_id, as_of.date()),
        as_of,
    )


def expire_credits(store: BillingStore, registry: Registry, clients: Iterable[str], as_of: datetime) -> list[Prepaid]:
    """Take what is left of lots whose last day is past; it is revenue then. The credits that changed.

    What may be used on the last day of a period stays until that period is closed.
    """
    changed = []
    for client, history in registry.contracts(sorted(clients)).items():
        today = as_of.astimezone(history.time_zone).date()
        before = store.prepaids([client])[client] if history.versions[-1].prepaid else Prepaid(client)
        if expire(before, today)[1] == before:
            continue
        oldest_open = next(open_periods(store, history, period_of_date(today)), None)
        ended = min(today, last_day(oldest_open)) if oldest_open else today
        if expire(before, ended)[1] != before:
            reason = (Reason.PREPAID_EXPIRED, f"before:{today}", today)
            still = partial(expire, today=ended)
            changed.append(_change(store, (client, history.currency), still, reason, as_of))
    return changed


def _currency(registry: Registry, client: str) -> Currency:
    histories = registry.contracts([client])
    if client not in histories:
        raise LookupError(f"there is no contract for {client}; apply one")
    return histories[client].currency


_OTHER_SIDE: dict[Reason, Account] = {
    Reason.PREPAID_BOUGHT: BANK_CASH,
    Reason.PREPAID_REFUNDED: BANK_CASH,
    Reason.PREPAID_EXPIRED: REVENUE_RESOLUTIONS,
}


def _change(
    store: BillingStore,
    owner: tuple[str, Currency],
    decide: Callable[[Prepaid], tuple[int, Prepaid]],
    why: tuple[Reason, str, date],
    as_of: datetime,
) -> Prepaid:
    """Change a client's credits and post it, in one transaction; nothing if there is nothing to change."""
    client, code = owner
    reason, name, day = why

    def attempt() -> Prepaid:
        before = store.prepaids([client])[client]
        amount, after = decide(before)
        if after == before:
            return before
        sign = 1 if reason is Reason.PREPAID_BOUGHT else -1
        lines = ((_OTHER_SIDE[reason], sign * amount), (client_prepaid(client), -sign * amount))
        entry_id = EntryId(f"prepaid:{client}:{name}:{reason}")
        entry = Entry(entry_id, client_book(client), reason, postings(lines, code), day, evidence({"lot": name}))
        entries, heads = sealed(store, (entry,), as_of)
        store.commit(Changes(entries=entries, heads=heads, prepaids=(after,)))
        return after

    return until_written(store, f"the credits of {client}", attempt)
