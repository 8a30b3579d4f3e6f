"""The three-way match, pure: what the ledger, the states and Stripe each say, and what follows where they differ.

    matched                                       ledger            states                      Stripe
    every source that moved the balance           stripe/balance    sent payouts, available     available balance
                                                                    payments                    transactions
    payments on their way                         stripe/clearing   payments not yet available
    payouts on their way, per expert              in_transit        payouts not yet sent
    what experts are owed, per expert             payable           holds and `available`
    what clients owe, per client                  receivable        what invoices are owed

A source is a transfer together with its reversals, a charge, or a balance transaction that is booked by itself: by
`movements`, or by hand, with the balance transaction in the manual entry's evidence as `movement`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import date, timedelta

from billing.invoices import Invoice
from ledger.accounts import (
    STRIPE_BALANCE,
    STRIPE_CLEARING,
    Account,
    client_receivable,
    expert_in_transit,
    expert_payable,
    role_of,
)
from ledger.money import Currency, Money
from ledger.records import dataclass
from payouts.payouts import Payout, PayoutStatus
from settlement.book_sums import LedgerSums
from settlement.findings import Finding
from settlement.stripe_port import Movement, MovementKind, StripeBalance

# Account, transfer, charge or balance transaction, with a currency.
Key = tuple[str, Currency]

_BY_HAND = "finance books it by a manual entry with `movement`: {id} in its evidence"
_LOOK = "find out which is right, and correct the others; send or book nothing again before"
_RUN = "the next daily run"
# A movement at Stripe that the ledger does not have: what it is, what to do, and the days that may take (None: none).
_NOT_BOOKED: dict[MovementKind, tuple[str, str, int | None]] = {
    MovementKind.PAYMENT: (
        "a payment that is not booked",
        f"{_RUN} books it if it pays an invoice of Solvent; if not, {_BY_HAND}",
        2,
    ),
    MovementKind.REFUND: (
        "a refund that is not booked",
        f"{_RUN} books it if an invoice of Solvent has its payment; if not, {_BY_HAND}",
        2,
    ),
    MovementKind.DISPUTE: (
        "a chargeback that is not booked",
        f"{_RUN} books it if an invoice of Solvent has its payment; if not, {_BY_HAND}",
        2,
    ),
    MovementKind.TRANSFER: (
        "a transfer that no payout knows",
        f"find out at Stripe who made it; reverse it there, or {_BY_HAND}",
        None,
    ),
    MovementKind.TRANSFER_REVERSAL: ("a reversal that is not booked", f"{_RUN} books it", 2),
    MovementKind.TOP_UP: ("a top-up that is not booked", f"{_RUN} books it", 2),
    MovementKind.PLATFORM_PAYOUT: ("a payout to the platform's bank that is not booked", f"{_RUN} books it", 2),
    MovementKind.FEE: ("a fee that is not booked", f"{_RUN} books it", 2),
    MovementKind.OTHER: ("a kind of movement that is not booked by itself", _BY_HAND, None),
}
_TRANSFERS = frozenset({MovementKind.TRANSFER, MovementKind.TRANSFER_REVERSAL})
_WITH_STATE = _TRANSFERS | {MovementKind.PAYMENT}
# What a payout waits for, and the days after it was planned that this may take.
_FIND_OR_REPEAT = f"{_RUN} looks for its transfer, and if there is none repeats the request with the same key"
_WAITS: dict[PayoutStatus, tuple[str, int]] = {
    PayoutStatus.PLANNED: ("a second person approves or rejects its run: `solvent payouts waiting`", 7),
    PayoutStatus.APPROVED: (f"{_RUN} sends it", 7),
    PayoutStatus.SENDING: (_FIND_OR_REPEAT, 3),
    PayoutStatus.UNKNOWN: (_FIND_OR_REPEAT, 3),
}
_WAITS_FOR_BANK = (f"{_RUN} asks again for its instant payout, with the same key", 3)
# Days after the expected one on which a movement is still merely pending.
_DAYS_LATE = 2
_NEXT_STEPS = {
    "expert/in_transit": "compare the expert's payouts with its book, and correct the ledger by a manual entry",
    "expert/payable": "compare the expert's holds with the entries that name the expert, and correct what is wrong",
    "client/receivable": "compare the client's invoices with its book, and correct the ledger by a manual entry",
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """Signed balances with the day they date from: of accounts, and by source of the two that Stripe moves."""

    accounts: Mapping[Key, tuple[int, date]]
    balance: Mapping[Key, tuple[int, date]]
    clearing: Mapping[Key, tuple[int, date]]


def ledger_of(sums: LedgerSums) -> Ledger:
    """What all books together say."""
    accounts: dict[Key, tuple[int, date]] = {}
    by_source: dict[str, dict[Key, tuple[int, date]]] = {STRIPE_BALANCE: {}, STRIPE_CLEARING: {}}
    for total in sums.totals():
        place, name = by_source.get(total.account, accounts), total.source or str(total.account)
        minor_units, since = place.get((name, total.currency), (0, total.since))
        first_or_last = min if total.source else max
        place[name, total.currency] = (minor_units + total.minor_units, first_or_last(since, total.since))
    return Ledger(accounts, by_source[STRIPE_BALANCE], by_source[STRIPE_CLEARING])


@dataclass(slots=True)
class Moved:
    """What is available of a source at Stripe, in minor units, and the newest movement of it."""

    net: int
    newest: Movement


@dataclass(slots=True)
class AtStripe:
    """Stripe's side: what moved the available balance by source, what is pending, and the balance itself."""

    count: int = 0
    moved: dict[Key, Moved] = field(default_factory=dict)
    pending: list[Movement] = field(default_factory=list)
    balances: tuple[StripeBalance, ...] = ()


def at_stripe(ledger: Ledger, movements: Iterable[Movement]) -> AtStripe:
    """Stripe's side, without its balance, from every balance transaction, newest first."""
    side = AtStripe()
    for movement in movements:
        side.count += 1
        if movement.is_available:
            by_itself = movement.kind not in _WITH_STATE or (movement.id, movement.currency) in ledger.balance
            source = movement.id if by_itself else _source_of(movement)
            known = side.moved.setdefault((source, movement.currency), Moved(0, movement))
            known.net += movement.net
            known.newest = max(known.newest, movement, key=lambda it: it.created_on)
        else:
            side.pending.append(movement)
    return side


def _source_of(movement: Movement) -> str:
    """What the entries of payouts and invoices name: see book_sums.source_of."""
    is_reversal = movement.kind is MovementKind.TRANSFER_REVERSAL
    return movement.origin or movement.source if is_reversal else movement.source


@dataclass(slots=True)
class States:
    """What payouts, invoices and holds add up to, in the ledger's signs; `owners` are the ids of whose source it is."""

    payouts: int = 0
    invoices: int = 0
    balance: dict[Key, int] = field(default_factory=dict)
    clearing: dict[Key, int] = field(default_factory=dict)
    accounts: dict[Key, int] = field(default_factory=dict)
    owners: dict[Key, str] = field(default_factory=dict)
    unfinished: dict[str, Payout] = field(default_factory=dict)
    returned: list[Invoice] = field(default_factory=list)


def states_of(
    payouts: Iterable[Payout], invoices: Iterable[Invoice], payable: Mapping[tuple[str, Currency], int]
) -> States:
    """All states together; payouts and invoices are looked at one by one."""
    states = States()
    for payout in payouts:
        states.payouts += 1
        _count_payout(states, payout)
    for invoice in invoices:
        states.invoices += 1
        _count_invoice(states, invoice)
    for (expert, code), minor_units in payable.items():
        _add(states.accounts, (expert_payable(expert), code), -minor_units)
    return states


def _count_payout(states: States, payout: Payout) -> None:
    _add(states.accounts, (expert_in_transit(payout.expert), payout.currency), -payout.in_transit)
    if payout.has_transfer:
        key = (str(payout.stripe_transfer), payout.currency)
        _add(states.balance, key, payout.reversed - payout.amount)
        states.owners[key] = f"{states.owners[key]}, {payout.id}" if key in states.owners else payout.id
    if not payout.is_finished:
        states.unfinished[payout.id] = payout


def _count_invoice(states: States, invoice: Invoice) -> None:
    _add(states.accounts, (client_receivable(invoice.client), invoice.currency), invoice.owed)
    for payment in invoice.payments:
        key = (payment.id, invoice.currency)
        states.owners[key] = invoice.id
        _add(states.balance, key, payment.amount - payment.fee if payment.is_available else 0)
        _add(states.clearing, key, 0 if payment.is_available else payment.amount)
    if invoice.returned:
        states.returned.append(invoice)


def _add(sums: dict[Key, int], key: Key, minor_units: int) -> None:
    sums[key] = sums.get(key, 0) + minor_units


# -- what follows ------------------------------------------------------------------------------------------------------


def compare(ledger: Ledger, stripe: AtStripe, states: States, day: date) -> list[Finding]:
    """Everything that does not match, or is under way, as of a day (UTC)."""
    return [
        *_compare_sources(ledger, stripe, states, day),
        *_compare_clearing(ledger, states, day),
        *(_pending(ledger, movement) for movement in stripe.pending),
        *_compare_balance(stripe, day),
        *_compare_accounts(ledger, states, day),
        *(_unfinished(payout) for payout in states.unfinished.values()),
        *(_returned(invoice, day) for invoice in states.returned),
    ]


def _compare_sources(ledger: Ledger, stripe: AtStripe, states: States, day: date) -> Iterator[Finding]:
    for key in sorted(ledger.balance.keys() | stripe.moved.keys() | states.balance.keys()):
        moved, said = stripe.moved.get(key), states.balance.get(key)
        here, since = ledger.balance.get(key, (0, moved.newest.available_on if moved else day))
        needs_state = moved is not None and moved.newest.kind in _WITH_STATE and moved.newest.id != key[0]
        if here != (moved.net if moved else 0) or (said is None and needs_state) or said not in {None, here}:
            yield _source_differs(key, (here, since), moved, states)


def _source_differs(key: Key, here: tuple[int, date], moved: Moved | None, states: States) -> Finding:
    source, code = key
    (booked, since), said = here, states.balance.get(key)
    detail, next_step, days = f"{source}: ", _LOOK, None
    is_behind = moved is not None and booked != moved.net and (said or 0) == booked
    if moved is not None and is_behind and (not booked or moved.newest.kind is MovementKind.TRANSFER_REVERSAL):
        since = moved.newest.available_on
        what, next_step, days = _not_booked(moved.newest, states)
        detail += f"{what}; "
    there = moved.net if moved else 0
    detail += f"the ledger moved {Money(booked, code)}, Stripe {Money(there, code)}"
    owner = states.owners.get(key)
    if owner is not None:
        detail += f", {owner} says {Money(said or 0, code)}"
    elif booked and moved is not None and moved.net == booked:
        detail += ", and no payout or invoice has it"
    return Finding(owner or source, detail, there - booked, code, since, next_step, _until(since, days))


def _not_booked(movement: Movement, states: States) -> tuple[str, str, int | None]:
    payout = states.unfinished.get(movement.origin or "")
    if movement.kind is MovementKind.TRANSFER and payout is not None:
        return (f"the transfer of {payout.id}, which is still {payout.status}", *_WAITS[PayoutStatus.UNKNOWN])
    what, next_step, days = _NOT_BOOKED[movement.kind]
    return (f"{what}, of {movement.origin}" if movement.origin else what), next_step.format(id=movement.id), days


def _pending(ledger: Ledger, movement: Movement) -> Finding:
    """A movement that is not yet in the available balance; a payment has to be in stripe/clearing meanwhile."""
    key, amount = (movement.source, movement.currency), movement.gross
    if movement.kind is MovementKind.PAYMENT and ledger.clearing.get(key, (0, None))[0] != amount:
        what, next_step, days = _NOT_BOOKED[MovementKind.PAYMENT]
        until, next_step = _until(movement.created_on, days), next_step.format(id=movement.id)
        return Finding(key[0], f"pending, and {what}", amount, key[1], movement.created_on, next_step, until)
    next_step = f"waits for Stripe to make it available, expected {movement.available_on}"
    until = _until(movement.available_on, _DAYS_LATE)
    detail = f"a {movement.kind.replace('_', ' ')} that is pending"
    return Finding(key[0], detail, amount, key[1], movement.created_on, next_step, until)


def _compare_clearing(ledger: Ledger, states: States, day: date) -> Iterator[Finding]:
    for key in sorted(ledger.clearing.keys() | states.clearing.keys()):
        (here, since), there = ledger.clearing.get(key, (0, day)), states.clearing.get(key, 0)
        if here != there:
            pending = Money(there, key[1])
            detail = f"{key[0]}: {STRIPE_CLEARING} has {Money(here, key[1])}, {pending} are pending on invoices"
            yield Finding(states.owners.get(key, key[0]), detail, there - here, key[1], since, _LOOK)


def _compare_balance(stripe: AtStripe, day: date) -> Iterator[Finding]:
    """Every movement is matched by itself, so the balance agrees if it is what Stripe's own movements sum to."""
    sums: dict[Currency, int] = {}
    for (_, code), moved in stripe.moved.items():
        sums[code] = sums.get(code, 0) + moved.net
    there = {balance.currency: balance.available for balance in stripe.balances}
    for code in sorted(sums.keys() | there.keys()):
        moves, has = Money(sums.get(code, 0), code), Money(there.get(code, 0), code)
        if moves != has:
            detail = f"{has} are available at Stripe, but its balance transactions sum to {moves}"
            next_step = "look again tomorrow; if it stays, ask Stripe, for it contradicts itself"
            yield Finding(STRIPE_BALANCE, detail, (has - moves).minor_units, code, day, next_step)


def _compare_accounts(ledger: Ledger, states: States, day: date) -> Iterator[Finding]:
    compared = {key for key in ledger.accounts if role_of(Account(key[0])) in _NEXT_STEPS} | states.accounts.keys()
    for key in sorted(compared):
        (here, since), there = ledger.accounts.get(key, (0, day)), states.accounts.get(key, 0)
        if here != there:
            detail = f"the ledger has {Money(here, key[1])}, the states sum to {Money(there, key[1])}"
            next_step = _NEXT_STEPS[role_of(Account(key[0]))]
            yield Finding(key[0], detail, there - here, key[1], since, next_step)


def _unfinished(payout: Payout) -> Finding:
    next_step, days = _WAITS.get(payout.status, _WAITS_FOR_BANK)
    detail = f"{payout.status}: {payout.why}" if payout.why else str(payout.status)
    planned_on = payout.planned_at.date()
    amount = payout.in_transit or payout.amount
    return Finding(payout.id, detail, amount, payout.currency, planned_on, next_step, _until(planned_on, days))


def _returned(invoice: Invoice, day: date) -> Finding:
    detail = "went back by refund or chargeback and is owed again"
    next_step = "agree with the client; then `solvent invoice settle` says whether it was paid, credited or lost"
    since = invoice.returned_on or day
    return Finding(invoice.id, detail, invoice.returned, invoice.currency, since, next_step, date.max)


def _until(since: date, days: int | None) -> date | None:
    return None if days is None else since + timedelta(days=days)
