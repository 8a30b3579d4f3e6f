"""`solvent expert`: what is known of an expert, what holds payouts back, and facts about gates from outside systems."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

from rich.console import Console

from cli.connection import Connection
from cli.options import EXPERT_ID, FORM_OF_A_NAME, NAME
from cli.printing import DONE, FAILED, REFUSED, refused, say, table
from cli.yaml_documents import FileProblem
from ledger.money import Currency, format_minor_units
from payouts.policy import PayoutPolicy
from settlement.bank_leg import follow_account
from settlement.expert_status import ExpertStatus, GatePassed, held_back
from settlement.plan_payouts import NotPaid, Payee, Request, decide_payout, payees
from settlement.ports import Balances, Contention, PayoutStore, Registry
from settlement.record_gates import record_gates
from settlement.registry import Expert, Gate
from settlement.stripe_port import StripeBusy, StripeRefused, StripeUnclear

COLUMNS = ("expert", "gate", "passed_on", "expires_on", "source")
_TERMS = "terms"


# -- what is known -----------------------------------------------------------------------------------------------------


def show(store: PayoutStore, registry: Registry, expert: str, as_of: datetime, console: Console) -> int:
    """Gates with dates and sources, Stripe, the bank, and per currency what can be paid and what holds it back."""
    found = _find(registry, expert)
    if found is None:
        return _unknown(expert, console)
    payee, day = next(payees(registry, [found])), as_of.astimezone(UTC).date()
    facts = ("gate", "passed on", "expires after", "source", "counts")
    console.print(table(f"Gates of {expert} on {day}", facts, list(_gates(payee, day)), ()))
    for line in _stripe(payee.status, found.stripe_account):
        say(line, console)
    owed = store.balances(expert)
    money = list(_money(payee, owed, registry, as_of))
    columns = ("in", "can be paid", "held until later", "held back by")
    console.print(table("Payouts", columns, money, columns[1:3]))
    return DONE


def _gates(payee: Payee, day: date) -> Iterator[tuple[str, ...]]:
    """Every fact about each gate, those that the expert's own terms state first; a gate without any is missing."""
    for gate in Gate:
        facts = [it for it in payee.status.gates if it.gate is gate]
        if gate in payee.expert.gates:
            facts.insert(0, GatePassed(gate, payee.expert.gates[gate], _TERMS))
        for fact in facts:
            last = str(fact.expires_on) if fact.expires_on else "never"
            yield gate, str(fact.passed_on), last, fact.source, "yes" if fact.holds_on(day) else "no"
        if not facts:
            yield gate, "missing", "", "", "no"


def _stripe(status: ExpertStatus, account: str | None) -> Iterator[str]:
    yield f"Stripe: {account or 'no account; `solvent onboard` makes one'}, transfers {status.transfers or 'unknown'}"
    if status.requirements:
        yield f"Stripe asks for: {', '.join(status.requirements)}"
    if status.bank_changed_on:
        yield f"Bank account changed on {status.bank_changed_on}"
    if status.failed_bank_payouts:
        yield f"Returned by this bank account: {', '.join(id_ for id_, _ in status.failed_bank_payouts)}"


def _money(payee: Payee, owed: Balances, registry: Registry, as_of: datetime) -> Iterator[tuple[str, ...]]:
    """Per currency that the expert earns in or is owed."""
    request, policies = Request("preview", as_of), registry.policies()
    codes = {hold.currency for hold in owed.held} | {it.currency for it in owed.available}
    codes |= {plan.currency for plan in payee.plans_on(request.day)}
    for code in sorted(codes):
        policy = policies.get(code) or PayoutPolicy(id=code)
        matured = sum(it.minor_units for it in owed.held if it.currency == code and it.release_on <= request.day)
        later = sum(it.minor_units for it in owed.held if it.currency == code) - matured
        available = matured + sum(it.minor_units for it in owed.available if it.currency == code)
        amounts = (format_minor_units(available, code), format_minor_units(later, code))
        yield code, *amounts, "\n".join(_missing(payee, owed, code, request, policy)) or "nothing"


def _missing(payee: Payee, owed: Balances, code: Currency, request: Request, policy: PayoutPolicy) -> tuple[str, ...]:
    outcome = decide_payout(payee, owed, code, request, policy, {})
    if isinstance(outcome, NotPaid):
        return outcome.missing
    return held_back(payee.expert, payee.status, request.day, policy.cooling_off_days)


def refresh(here: Connection, expert: str, as_of: datetime, console: Console) -> int:
    """Ask Stripe again about an expert's account, keep what it says, and show it."""
    found = _find(here.registry, expert)
    if found is None:
        return _unknown(expert, console)
    if found.stripe_account is None:
        return refused(f"{expert} has no account at Stripe; `solvent onboard` makes one", console)
    try:
        owner = follow_account(here.store, here.registry, here.stripe(), found.stripe_account, as_of)
    except (StripeBusy, StripeRefused, StripeUnclear, Contention) as error:
        return refused(error, console, FAILED)
    if owner != expert:
        what = (
            f"Stripe says that {found.stripe_account} is not {expert}'s, but {owner or 'nobody'}'s; mend its metadata"
        )
        return refused(what, console, FAILED)
    return show(here.store, here.registry, expert, as_of, console)


def _find(registry: Registry, expert: str) -> Expert | None:
    return registry.experts([expert]).get(expert) if EXPERT_ID.fullmatch(expert) else None


def _unknown(expert: str, console: Console) -> int:
    return refused(f"there is no expert {expert}; apply one", console)


# -- facts about gates -------------------------------------------------------------------------------------------------


class GateRefused(ValueError):
    """Words that do not say when a gate was passed: the field, and what would be right."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name, self.what = name, what


def read_gate(cells: Mapping[str, str]) -> GatePassed:
    """The fact that these cells say; an empty `expires_on` is never. Raises GateRefused."""
    expert, gate, source = cells["expert"], cells["gate"], cells["source"]
    if not EXPERT_ID.fullmatch(expert):
        raise GateRefused("expert", f"there is no expert {expert!r}; apply one")
    if gate not in {it.value for it in Gate}:
        raise GateRefused("gate", f"{gate!r} is not a gate; the gates are {', '.join(Gate)}")
    if not NAME.fullmatch(source):
        raise GateRefused("source", f"{source!r} is not a name of a system: {FORM_OF_A_NAME}")
    passed_on = _day(cells, "passed_on")
    expires_on = _day(cells, "expires_on") if cells["expires_on"] else None
    try:
        return GatePassed(Gate(gate), passed_on, source, expires_on)
    except ValueError as error:
        raise GateRefused("expires_on", str(error)) from None


def _day(cells: Mapping[str, str], name: str) -> date:
    text = cells[name]
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # no day of the calendar, said below
    raise GateRefused(name, f"{text!r} is not a date such as 2026-11-01")


def gate(here: Connection, cells: Mapping[str, str], console: Console) -> int:
    """Record one fact; the cells are those of a file's line."""
    expert = cells["expert"]
    try:
        fact = read_gate(cells)
        recorded = record_gates(here.store, here.registry, {expert: [fact]})
    except GateRefused as error:
        return refused(error, console)
    except Contention as error:
        return refused(error, console, FAILED)
    if expert not in recorded:
        return _unknown(expert, console)
    last = f"to {fact.expires_on}" if fact.expires_on else "for good"
    known = "recorded" if recorded[expert] else "known before"
    say(f"{expert}: {fact.gate} passed on {fact.passed_on}, {last}, says {fact.source}: {known}", console)
    return DONE


@dataclass(slots=True)
class _Read:
    """The facts of a file by expert, each under its gate and source with its line, and what is wrong."""

    file: str
    facts: dict[str, dict[tuple[str, str], tuple[GatePassed, int]]] = field(default_factory=dict)
    problems: list[FileProblem] = field(default_factory=list)

    def problem(self, line: int, name: str, what: str) -> None:
        self.problems.append(FileProblem(self.file, line, 0, name, what))

    def add(self, cells: Mapping[str, str], line: int) -> None:
        try:
            fact = read_gate(cells)
        except GateRefused as error:
            self.problem(line, error.name, error.what)
            return
        known = self.facts.setdefault(cells["expert"], {})
        first, first_line = known.setdefault((fact.gate, fact.source), (fact, line))
        if first != fact:
            self.problem(line, "gate", f"{fact.source} says something else about this one in line {first_line}")


def gates(here: Connection, file: Path, console: Console) -> int:
    """Record the facts of a CSV file; giving it again changes nothing.

    What is wrong with a line is printed, the rest goes on; 2 if anything was wrong. The header names the five columns,
    in any order; other columns are not read.
    """
    read = _read(file)
    passed = {expert: [fact for fact, _ in facts.values()] for expert, facts in read.facts.items()}
    try:
        recorded = record_gates(here.store, here.registry, passed)
    except Contention as error:
        return refused(f"{error}. Give the file again.", console, FAILED)
    for expert in passed.keys() - recorded.keys():
        for _, line in read.facts[expert].values():
            read.problem(line, "expert", f"there is no expert {expert}; apply one")
    for problem in sorted(read.problems):
        say(str(problem), console)
    new = sum(recorded.values())
    known = sum(len(passed[expert]) for expert in recorded) - new
    say(f"{new:,} recorded, {known:,} known before, {len(read.problems):,} problems", console)
    return REFUSED if read.problems else DONE


def _read(file: Path) -> _Read:
    read = _Read(str(file))
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        read.problem(0, "", "is not text in UTF-8")
        return read
    rows = csv.DictReader(StringIO(text, newline=""), restval="", strict=True)
    try:
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            read.problem(1, ", ".join(missing), f"is missing; the first line names {', '.join(COLUMNS)}")
            return read
        for row in rows:
            read.add({name: row[name].strip() for name in COLUMNS}, rows.line_num)
    except csv.Error as error:
        read.problem(rows.line_num + 1, "", f"is not CSV: {error}")
    return read
