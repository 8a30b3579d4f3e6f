"""Sending payouts: each becomes exactly one transfer, whatever crashes, times out or comes twice."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from ledger.accounts import COST_FEES, STRIPE_BALANCE, TAX_WITHHELD, Account, expert_in_transit, expert_payable
from ledger.entries import Entry, EntryId, evidence, expert_book, postings
from ledger.posting_rules import Reason
from payouts.payouts import Instant, Payout, PayoutStatus, moved
from payouts.policy import PayoutPolicy
from settlement.announcements import Announcement
from settlement.expert_status import cooling_off
from settlement.ports import Available, Changes, PayoutStore, Registry
from settlement.stripe_port import NotEnoughFunds, Stripe, StripeRefused, StripeUnclear
from settlement.writing import sealed

_UNCLEAR = "no clear answer from Stripe"
# Stripe's codes as they are; of "rejected by somebody: because" the first word.
_CODE = re.compile(r"[a-z][a-z0-9_]*(?=$|:| by )")


def send_payout(store: PayoutStore, registry: Registry, stripe: Stripe, id_: str, as_of: datetime) -> Payout:
    """Send a payout, or find out what became of it; the payout as it then stands.

    One that waits for approval, the kill switch or a new bank account's cooling-off stays as it is. `sending` is stored
    before Stripe is called. Whoever finds a payout in `sending` or `unknown` looks for its transfer first, and repeats
    the call with the same key only if there is none. Raises StripeUnclear or StripeBusy for whoever delivers the
    request to come back later, and Contention if another worker was faster.
    """
    payout = existing(store, id_)
    if payout.is_finished or payout.status is PayoutStatus.PLANNED:
        return payout
    if payout.has_transfer:
        return _pay_out_instantly(store, stripe, payout, as_of)
    if payout.status is PayoutStatus.APPROVED:
        if why := waits_for(registry, payout, as_of):
            return _waiting(store, payout, why)
        payout = moved(payout, PayoutStatus.SENDING, attempt=payout.attempt + 1, why="")
        store.commit(Changes(payouts=(payout,)))
    else:
        found = stripe.find_transfer(payout.id)
        if found is not None:
            return _sent(store, stripe, payout, found, as_of)
        if why := _stopped(registry):
            return _waiting(store, payout, why)
    return _transfer(store, stripe, payout, as_of)


def existing(store: PayoutStore, id_: str) -> Payout:
    """The payout of that id; raises LookupError."""
    payout = store.payout(id_)
    if payout is None:
        raise LookupError(f"there is no payout {id_}")
    return payout


def waits_for(registry: Registry, payout: Payout, as_of: datetime) -> str | None:
    """What keeps an approved payout from being sent now, as a code and after a colon in words; None if nothing does."""
    if why := _stopped(registry):
        return why
    policy = registry.policies().get(payout.currency, PayoutPolicy(id=payout.currency))
    status = registry.statuses([payout.expert])[payout.expert]
    return cooling_off(status, as_of.astimezone(UTC).date(), policy.cooling_off_days)


def _stopped(registry: Registry) -> str | None:
    stopped = registry.payouts_stopped()
    return None if stopped is None else f"stopped: by {stopped.by} because {stopped.reason}"


def _waiting(store: PayoutStore, payout: Payout, why: str) -> Payout:
    if payout.why == why:
        return payout
    after = replace(payout, why=why, revision=payout.revision + 1)
    store.commit(Changes(payouts=(after,)))
    return after


def _transfer(store: PayoutStore, stripe: Stripe, payout: Payout, as_of: datetime) -> Payout:
    try:
        transfer = stripe.transfer(payout)
    except NotEnoughFunds as short:
        waiting = moved(payout, PayoutStatus.APPROVED, why=short.code)
        store.commit(Changes(payouts=(waiting,)))
        return waiting
    except StripeRefused as refused:
        return release(store, payout, refused.code, as_of)
    except StripeUnclear as unclear:
        return _unclear(store, stripe, payout, unclear, as_of)
    return _sent(store, stripe, payout, transfer, as_of)


def _unclear(store: PayoutStore, stripe: Stripe, payout: Payout, unclear: StripeUnclear, as_of: datetime) -> Payout:
    """Nobody knows: keep the reservation, unless Stripe's stored answer ended the attempt and no transfer exists."""
    if unclear.replayed:
        found = stripe.find_transfer(payout.id)
        if found is not None:
            return _sent(store, stripe, payout, found, as_of)
        store.commit(Changes(payouts=(moved(payout, PayoutStatus.APPROVED, why="the attempt ended in an error"),)))
    elif payout.status is PayoutStatus.UNKNOWN:
        _waiting(store, payout, _UNCLEAR)
    else:
        store.commit(Changes(payouts=(moved(payout, PayoutStatus.UNKNOWN, why=_UNCLEAR),)))
    raise unclear


def _sent(store: PayoutStore, stripe: Stripe, payout: Payout, transfer: str, as_of: datetime) -> Payout:
    """The transfer exists: book it and what is withheld, tell it, and go on to the bank if that was asked for."""
    day = as_of.astimezone(UTC).date()
    after = moved(payout, PayoutStatus.SENT, stripe_transfer=transfer, sent_on=day, why="")
    in_transit = expert_in_transit(after.expert)
    booked = [entry_of(after, "sent", Reason.PAYOUT_SENT, (in_transit, STRIPE_BALANCE, after.amount), day)]
    if after.withheld:
        booked.append(entry_of(after, "withheld", Reason.WITHHELD, (in_transit, TAX_WITHHELD, after.withheld), day))
    _commit(store, after, booked, as_of, announcements=(tell(after, "payout.sent", "", as_of),))
    return _pay_out_instantly(store, stripe, after, as_of) if after.instant is Instant.WANTED else after


def _pay_out_instantly(store: PayoutStore, stripe: Stripe, payout: Payout, as_of: datetime) -> Payout:
    """The bank leg at once. If Stripe refuses that, the money goes by the usual schedule and the fee is given back."""
    day = as_of.astimezone(UTC).date()
    try:
        bank_payout = _instant_payout(stripe, payout)
    except StripeRefused as refused:
        why = f"instant payout refused: {refused.code}"
        after = moved(payout, payout.status, instant=Instant.REFUSED, why=why)
        back = (expert_in_transit(after.expert), expert_payable(after.expert), after.fee)
        booked = [entry_of(after, "fee_released", Reason.PAYOUT_RELEASED, back, day)] if after.fee else []
        _commit(store, after, booked, as_of, availables=_given_back(store, after, after.fee))
        return after
    after = moved(payout, payout.status, instant=Instant.DONE, bank_payout=bank_payout)
    taken = (expert_in_transit(after.expert), COST_FEES, after.fee)
    _commit(store, after, [entry_of(after, "fee", Reason.PAYOUT_FEE, taken, day)] if after.fee else [], as_of)
    return after


def _instant_payout(stripe: Stripe, payout: Payout) -> str:
    """The instant payout. If Stripe stored an error for it and a second look finds none, there will be none."""
    try:
        return stripe.pay_out_instantly(payout)
    except StripeUnclear as unclear:
        if not unclear.replayed:
            raise
    try:
        return stripe.pay_out_instantly(payout)
    except StripeUnclear as unclear:
        if not unclear.replayed:
            raise
        raise StripeRefused("stored_error", str(unclear)) from unclear


def release(store: PayoutStore, payout: Payout, why: str, as_of: datetime) -> Payout:
    """Stripe or a person refused for good: the reservation goes back to what the expert can be paid."""
    after = moved(payout, PayoutStatus.FAILED, why=why)
    back = (expert_in_transit(after.expert), expert_payable(after.expert), after.gross)
    booked = entry_of(after, "released", Reason.PAYOUT_RELEASED, back, as_of.astimezone(UTC).date())
    told = tell(after, "payout.failed", "", as_of)
    _commit(store, after, [booked], as_of, availables=_given_back(store, after, after.gross), announcements=(told,))
    return after


def take_back(store: PayoutStore, payout: Payout, reversed_in_all: int, as_of: datetime) -> Payout:
    """Stripe confirms that so much of a transfer was reversed: what is new of it is owed to the expert again."""
    more = reversed_in_all - payout.reversed
    if more <= 0:
        return payout
    status = PayoutStatus.REVERSED if reversed_in_all >= payout.amount else payout.status
    after = moved(payout, status, reversed=reversed_in_all)
    back = (STRIPE_BALANCE, expert_payable(after.expert), more)
    day = as_of.astimezone(UTC).date()
    booked = entry_of(after, f"reversed:{reversed_in_all}", Reason.PAYOUT_REVERSED, back, day)
    told = tell(after, "payout.reversed", str(reversed_in_all), as_of)
    _commit(store, after, [booked], as_of, availables=_given_back(store, after, more), announcements=(told,))
    return after


# -- what is written ---------------------------------------------------------------------------------------------------


def entry_of(payout: Payout, name: str, reason: Reason, move: tuple[Account, Account, int], on: date) -> Entry:
    """The entry that moves minor units from the first account (debit) to the second (credit) for a payout."""
    debit, credit, minor_units = move
    facts = {"run": payout.run, "attempt": payout.attempt, "transfer": payout.stripe_transfer, "why": payout.why}
    facts["approved_by"], facts["bank_payout"] = payout.approved_by, payout.bank_payout
    return Entry(
        id=EntryId(f"{payout.id}:{name}"),
        book=expert_book(payout.expert),
        reason=reason,
        postings=postings(((debit, minor_units), (credit, -minor_units)), payout.currency),
        effective_on=on,
        evidence=evidence({name: value for name, value in facts.items() if value}),
    )


def tell(payout: Payout, what: str, mark: str, at: datetime) -> Announcement:
    """What the outside hears about a payout; `mark` tells apart what may happen to it more than once.

    `why` is a code. Who rejected a payout, and in which words, is the platform's own business.
    """
    code = _CODE.match(payout.bank_failure or payout.why)
    data: dict[str, int | str] = {
        "payout": payout.id,
        "expert": payout.expert,
        "currency": payout.currency,
        "amount_minor": payout.amount,
        "withheld_minor": payout.withheld,
        "fee_minor": payout.fee,
        "reversed_minor": payout.reversed,
        "why": code[0] if code else "",
    }
    return Announcement(f"{what}:{payout.id}:{mark}", what, "", at, data, payout.id)


def _given_back(store: PayoutStore, payout: Payout, minor_units: int) -> tuple[Available, ...]:
    """What the expert can be paid, with so much more."""
    owed = store.balances(payout.expert).available
    before = next((it for it in owed if it.currency == payout.currency), Available(payout.expert, payout.currency))
    after = replace(before, minor_units=before.minor_units + minor_units, revision=before.revision + 1)
    return (after,) if minor_units else ()


def _commit(
    store: PayoutStore,
    payout: Payout,
    booked: Sequence[Entry],
    as_of: datetime,
    availables: tuple[Available, ...] = (),
    announcements: tuple[Announcement, ...] = (),
) -> None:
    entries, heads = sealed(store, booked, as_of)
    store.commit(
        Changes(payouts=(payout,), entries=entries, heads=heads, availables=availables, announcements=announcements)
    )
