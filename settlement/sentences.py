"""What is said of a case in plain sentences: a table for each kind of thing that happens to it, from code to sentence.

Tables are keyed by the codes that are stored: types of facts, verdicts, reasons of entries, roles of accounts. Amounts
are in major units with their currency; instants are in UTC.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from billing.invoices import Invoice
from events.facts import Fact, Resolver
from ledger.accounts import Account, role_of
from ledger.entries import Entry, RecordedEntry
from ledger.money import Currency, Money, format_minor_units
from ledger.posting_rules import Reason
from payouts.payouts import Payout
from settlement.cases import SUPERSEDED, CycleState, CycleStatus
from settlement.described import bank_leg, exact_price, standing


class Effect(StrEnum):
    """What a fact did to its case, as all facts together say now."""

    SOLVED = "solved"
    SOLVED_AGAIN = "solved_again"
    SOLVED_ALREADY = "solved_already"
    REOPENED = "reopened"
    REOPENED_LATE = "reopened_late"
    RATED_IN_TIME = "rated_in_time"
    RATED_LATE = "rated_late"
    HEARD = "heard"
    NOT_SOLVED = "not_solved"
    TOO_LATE = "too_late"


EFFECTS: Mapping[Effect, str] = {
    Effect.SOLVED: "That starts cycle {cycle}; a reopening until {reopen_until} belongs to it.",
    Effect.SOLVED_AGAIN: "That is another solution of cycle {cycle}; a reopening until {reopen_until} belongs to it.",
    Effect.SOLVED_ALREADY: "It was solved already and nobody had come back: the first solution stays.",
    Effect.REOPENED: "The reopen window ends at {reopen_until}: cycle {cycle} is not solved any more.",
    Effect.REOPENED_LATE: "The reopen window ended at {reopen_until}: cycle {cycle} stands.",
    Effect.RATED_IN_TIME: "The rating window of cycle {cycle} ends at {rating_until}; the last one until then counts.",
    Effect.RATED_LATE: "The rating window of cycle {cycle} ended at {rating_until}: it changes nothing.",
    Effect.HEARD: "It is about cycle {cycle}.",
    Effect.NOT_SOLVED: "Nothing stood solved then: it changes nothing.",
    Effect.TOO_LATE: "It was received when the contract accepts no more corrections: it changes nothing.",
}

# By type of fact, and by its outcome where it has one.
FACTS: Mapping[tuple[str, object], str] = {
    ("resolution.completed", Resolver.EXPERT): "Expert {expert} solved the case{labels}.",
    ("resolution.completed", Resolver.EMPLOYEE): "An employee solved the case{labels}.",
    ("resolution.completed", Resolver.AI): "An AI solved the case{labels}.",
    ("resolution.rated", None): "The customer rated it {score} on {scale_min} to {scale_max}, which is {percent}.",
    ("resolution.peer_reviewed", None): "Expert {reviewer} reviewed it with {score} on {scale_min} to {scale_max}, "
    "which is {percent}.",
    ("resolution.qa_reviewed", True): "It passed quality review.",
    ("resolution.qa_reviewed", False): "It failed quality review.",
    ("resolution.reopened", None): "The customer came back.",
    ("resolution.disputed", None): "The {by} disputed it (dispute {dispute}).",
    ("dispute.decided", True): "Dispute {dispute} was upheld.",
    ("dispute.decided", False): "Dispute {dispute} was turned down.",
}
_OUTCOMES = ("resolver", "passed", "upheld")
_LABELS = ("channel", "language", "skill", "priority", "route")

REASONS: Mapping[Reason, str] = {
    Reason.SETTLED: "Cycle {cycle} is settled",
    Reason.CORRECTED: "Cycle {cycle} is corrected",
    Reason.REVERSED: "Cycle {cycle} is taken back",
    Reason.CREDITED: "Cycle {cycle} is taken back after its month was closed",
}

WHYS: Mapping[str, str] = {
    "charged": "the resolution qualifies",
    "rated_below_threshold": "it was rated {rating}, below the {threshold} that the contract asks for",
    "unrated": "nobody rated it inside the rating window",
    "qa_failed": "it failed quality review",
    "dispute_upheld": "the client won a dispute about it",
    "reopened": "the customer came back at {reopened_at}",
    "waiting": "what decides may still come",
    SUPERSEDED: "another solution took its place",
}

# What an entry says of the price; the first whose words are all there.
PRICES: Mapping[tuple[str, ...], str] = {
    (
        "ordinal",
        "list_price",
    ): "Rate {rate} of contract {contract}: number {ordinal} of its month, list price {list_price}.",
    ("list_price",): "Rate {rate} of contract {contract}: the list price would be {list_price}, and is not charged.",
    ("ordinal",): "It had been charged by rate {rate} of contract {contract}, as number {ordinal} of its month.",
}
# What else it may say, each if its word is there.
DETAILS: Mapping[str, str] = {
    "rating": "The rating that counts is {rating}.",
    "discount": "A discount takes {discount} off.",
    "capped": "The cap takes {capped} off.",
    "plan": "Pay plan {plan} decides what the expert earns:",
}
# When what an entry moved can be paid out, by whether the expert earned it; nothing if no pay was moved.
PAYABLE: Mapping[bool, str] = {
    True: "It can be paid out from {release_on} on.",
    False: "It could have been paid out from {release_on} on.",
}
CONSIDERED = "{component} {amount}: {why}."

# What a posting means, by the role of its account and whether it is a debit.
POSTED: Mapping[tuple[str, bool], str] = {
    ("client/unbilled", True): "{owner} is charged",
    ("client/unbilled", False): "{owner} gets it back",
    ("revenue/resolutions", True): "less revenue",
    ("revenue/resolutions", False): "revenue",
    ("revenue/credits", True): "a credit, which lessens revenue",
    ("revenue/credits", False): "less credits",
    ("cost/base", True): "base pay",
    ("cost/base", False): "less base pay",
    ("cost/bonus", True): "bonuses",
    ("cost/bonus", False): "less bonuses",
    ("expert/payable", True): "taken back from {owner}",
    ("expert/payable", False): "{owner} earns it",
}
POSTING = "{side} {account} {amount}: {meaning}."

# Where a cycle stands that no entry tells about.
STATES: Mapping[CycleStatus, str] = {
    CycleStatus.PENDING: "Cycle {cycle} waits: what decides may come until {due_at}.",
    CycleStatus.CHARGED: "Cycle {cycle} is settled: {why}. The unit is included or the cap is reached: nothing to pay.",
    CycleStatus.WAIVED: "Cycle {cycle} is settled: {why}. Nobody pays and nobody earns.",
    CycleStatus.REVERSED: "Cycle {cycle} is not solved: {why}. Nothing stands posted for it.",
    CycleStatus.PARKED: "Cycle {cycle} is parked: {why}. Mend the cause, then `solvent parked release`.",
}
# Where one stands whose reason changed behind its last entry, and nothing else.
UNCHANGED = "What stands posted for cycle {cycle} stays: by now {why}."
PARKED = "Parked, {reason}: {detail}"

# Where what a client pays or gets back is found, by whether there is an invoice of its month.
BILLED: Mapping[bool, str] = {
    True: "Cycle {cycle}: {client} {pays} {amount}, on {invoice} ({standing}).",
    False: "Cycle {cycle}: {client} {pays} {amount}, on the invoice of {period}, which is not made yet.",
}
CREDIT_NOTES = "Of what was taken back from {invoice}, credit notes gave {amount} on that invoice itself."
# Where what an expert earns or gives back is found: whether it is earned, and whether a payout took it along.
EARNED: Mapping[tuple[bool, bool], str] = {
    (True, True): "{expert} earns {amount}, part of what {payout} pays ({standing}).",
    (True, False): "{expert} earns {amount}, not part of a payout yet; it can be paid out from {release_on} on.",
    (False, True): "{expert} gives back {amount}, which {payout} pays less ({standing}).",
    (False, False): "{expert} gives back {amount}, which a later payout pays less.",
}
PAYS = {True: "pays", False: "gets back"}


# -- words -------------------------------------------------------------------------------------------------------------


def at(instant: datetime) -> str:
    """An instant as a sentence has it: in UTC, without what is always the same."""
    return f"{instant:%Y-%m-%d %H:%M:%S}"


def percent(basis_points: int) -> str:
    """Basis points as per cent with two decimals."""
    return f"{basis_points // 100}.{basis_points % 100:02d}%"


def _money(minor_units: int, code: Currency) -> str:
    return f"{format_minor_units(minor_units, code)} {code}"


# -- sentences ---------------------------------------------------------------------------------------------------------


def fact_sentences(fact: Fact, effect: Effect, windows: Mapping[str, object]) -> tuple[str, str]:
    """What happened, and what it did; `windows` has the cycle and when its windows end."""
    words = {name: getattr(fact, name) for name in fact.__dataclass_fields__}
    outcome = next((words[name] for name in _OUTCOMES if name in words), None)
    labels = ", ".join(f"{name} {words[name]}" for name in _LABELS if words.get(name))
    words |= {"labels": f" ({labels})" if labels else "", "percent": percent(getattr(fact, "basis_points", 0))}
    return FACTS[fact.type, outcome].format_map(words), EFFECTS[effect].format_map(windows)


def entry_sentences(recorded: RecordedEntry, threshold: str) -> Iterator[str]:
    """What an entry of a cycle did and why: its rule, price, rating, every part of the pay, every posting."""
    entry = recorded.entry
    told: dict[str, Any] = json.loads(entry.evidence)
    words = _entry_words(told, entry.postings[0].amount.currency) | {"threshold": threshold}
    yield f"{REASONS[entry.reason].format_map(words)}: {WHYS[told['why']].format_map(words)} ({entry.id})."
    price = next((text for needed, text in PRICES.items() if told.keys() >= set(needed)), None)
    details = [price] if price else []
    details += [text for name, text in DETAILS.items() if name in told]
    yield from (text.format_map(words) for text in details)
    pay = next((it.amount.currency for it in entry.postings if it.account.startswith("expert/")), words["currency"])
    for component, minor, why in told.get("trace", ()):
        yield CONSIDERED.format(component=component, amount=_money(minor, pay), why=why)
    yield from _posting_sentences(entry)
    payable = [it.amount.minor_units for it in entry.postings if it.account.startswith("expert/")]
    if payable:
        yield PAYABLE[payable[0] < 0].format_map(words)


def _entry_words(told: Mapping[str, Any], code: Currency) -> dict[str, Any]:
    """The evidence with its amounts, ratings and instants as they are written."""
    words = dict(told) | {"currency": code}
    if "list_price" in told:
        words["list_price"] = f"{exact_price(Fraction(told['list_price']), code)} {code}"
    words |= {name: _money(told[name], code) for name in ("discount", "capped") if name in told}
    words |= {"rating": percent(told["rating"])} if "rating" in told else {}
    words |= {"reopened_at": at(datetime.fromisoformat(told["reopened_at"]))} if "reopened_at" in told else {}
    return words


def _posting_sentences(entry: Entry) -> Iterator[str]:
    for posting in entry.postings:
        is_debit = posting.amount.minor_units > 0
        meaning = POSTED[role_of(posting.account), is_debit].format(owner=owner_of(posting.account))
        amount = str(posting.amount if is_debit else -posting.amount)
        side = "Debit" if is_debit else "Credit"
        yield POSTING.format(side=side, account=posting.account, amount=amount, meaning=meaning)


def owner_of(account: Account) -> str:
    """The client or expert that an account belongs to; of a platform's, its first word."""
    return account.split("/")[1] if account.count("/") == 2 else account.partition("/")[0]


def state_sentence(state: CycleState, words: Mapping[str, str], *, is_posted: bool) -> str:
    """Where a cycle stands that no entry tells about; `words` are what its reason and status name.

    `is_posted` says that something stands posted for it, by an earlier reason.
    """
    why = WHYS.get(state.why, state.why).format_map(words)
    text = UNCHANGED if is_posted else STATES[state.status]
    return text.format_map({"cycle": state.number, "why": why, **words})


def billed_sentence(key: tuple[str, int, str], amount: Money, invoice: Invoice | None, today: date) -> str:
    """What the client pays or gets back for a cycle in a period, and on which invoice."""
    client, cycle, period = key
    where = {"invoice": invoice.id, "standing": standing(invoice, today)} if invoice else {"period": period}
    pays, shown = PAYS[amount.minor_units >= 0], _size(amount)
    return BILLED[invoice is not None].format(cycle=cycle, client=client, pays=pays, amount=shown, **where)


def credit_notes_sentence(invoice: Invoice) -> str:
    """What credit notes gave of what was taken back from an invoice."""
    return CREDIT_NOTES.format(invoice=invoice.id, amount=_money(invoice.credited, invoice.currency))


def earned_sentence(expert: str, amount: Money, release_on: date, payout: Payout | None) -> str:
    """What an expert earns or gives back, and which payout took it along."""
    words: dict[str, object] = {"expert": expert, "amount": _size(amount), "release_on": release_on}
    if payout is not None:
        bank = bank_leg(payout)
        words |= {"payout": payout.id, "standing": f"{payout.status}; bank: {bank}" if bank else payout.status.value}
    return EARNED[amount.minor_units >= 0, payout is not None].format_map(words)


def _size(amount: Money) -> str:
    return str(amount if amount.minor_units >= 0 else -amount)
