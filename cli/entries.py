"""`solvent finance entry`: entries made by hand, proposed in a YAML file and posted once a second person approved."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

from pydantic import StrictInt
from rich.console import Console

from cli.printing import DONE, FAILED, REFUSED, Answer, Form, refused, say, show
from cli.yaml_documents import BrokenFiles, Source, read_document
from events.facts import format_instant
from ledger.accounts import Account
from ledger.errors import InvalidMoney
from ledger.money import Currency, Money, format_minor_units, parse_decimal, to_minor_units
from ledger.terms import CurrencyCode, FieldPath, Terms
from settlement.manual_entries import (
    Draft,
    ManualEntry,
    ManualEntryRefused,
    ManualLine,
    ManualStatus,
    ManualStore,
    approve,
    propose,
    propose_reversal,
    withdraw,
)
from settlement.ports import Contention

_COLUMNS = ("id", "status", "effective_on", "account", "currency", "debit", "credit", "reason", "evidence")
_PEOPLE = ("proposed_by", "proposed_at", "decided_by", "decided_at", "entry", "reverses")


class EntryLine(Terms):
    """A line: `debit` or `credit` in major units, above zero, or signed `minor_units`, a debit above zero."""

    account: str
    currency: CurrencyCode | None = None
    debit: str | None = None
    credit: str | None = None
    minor_units: StrictInt | None = None


class EntryFile(Terms):
    """An entry as it is proposed. `currency` is that of lines that name none; `movement` a balance transaction."""

    reason: str
    evidence: str
    effective_on: date
    currency: CurrencyCode | None = None
    movement: str | None = None
    postings: tuple[EntryLine, ...]


def read_entry(path: Path) -> tuple[Source, Draft]:
    """What a file proposes, and where its fields were read; raises BrokenFiles with every problem that it has."""
    source, file = read_document(path, EntryFile)
    problems, lines = [], []
    for place, line in enumerate(file.postings):
        try:
            lines.append(_line(line, file.currency))
        except ManualEntryRefused as wrong:
            problems.append(source.problem(("postings", place, *wrong.field), str(wrong)))
    if problems:
        raise BrokenFiles(problems)
    return source, Draft(file.reason, file.evidence, file.effective_on, tuple(lines), file.movement)


def _line(line: EntryLine, usual: Currency | None) -> ManualLine:
    code = line.currency or usual
    if code is None:
        raise ManualEntryRefused("name the currency, here or for the whole file", ("currency",))
    given = {"debit": line.debit, "credit": line.credit, "minor_units": line.minor_units}
    named = [name for name, amount in given.items() if amount is not None]
    if len(named) != 1:
        raise ManualEntryRefused(f"give one of debit, credit and minor_units, not {' and '.join(named) or 'none'}")
    if line.minor_units is not None:
        return ManualLine(Account(line.account), code, line.minor_units)
    sign, amount = (1, line.debit) if line.debit is not None else (-1, line.credit)
    return ManualLine(Account(line.account), code, sign * _whole(str(amount), code, (named[0],)))


def _whole(amount: str, code: Currency, field: FieldPath) -> int:
    try:
        minor_units = to_minor_units(parse_decimal(amount), code)
    except InvalidMoney as wrong:
        raise ManualEntryRefused(str(wrong), field) from None
    if minor_units.denominator != 1 or minor_units <= 0:
        raise ManualEntryRefused(f"{amount} is not an amount of {code} above zero", field)
    return int(minor_units)


# -- the commands: they print, and return the exit code ----------------------------------------------------------------


def propose_entry(store: ManualStore, path: Path, by: str | None, as_of: datetime, console: Console) -> int:
    """Propose what a file says. 2 for a file that is wrong, with each problem on a line of its own."""
    try:
        source, draft = read_entry(path)
    except BrokenFiles as broken:
        return refused(broken, console)
    try:
        proposed = propose(store, draft, _person(by), as_of)
    except ManualEntryRefused as wrong:
        return refused(source.problem(wrong.field, str(wrong)) if wrong.field else wrong, console)
    except Contention as contention:
        return refused(contention, console, FAILED)
    return _say_waiting(proposed, console)


def reverse_entry(  # one parameter for each word of the call
    store: ManualStore, entry_id: str, reason: str, by: str | None, as_of: datetime, console: Console
) -> int:
    """Propose the reversal of an entry that was made by hand."""
    try:
        proposed = propose_reversal(store, entry_id, reason, _person(by), as_of)
    except ManualEntryRefused as wrong:
        return refused(wrong, console)
    except Contention as contention:
        return refused(contention, console, FAILED)
    return _say_waiting(proposed, console)


def _say_waiting(proposed: ManualEntry, console: Console) -> int:
    say(f"{proposed.id} waits for a second person; proposed by {proposed.proposed_by}:", console)
    for line in _told(proposed):
        say(f"    {line}", console)
    say(f"Another person runs: solvent finance entry approve {proposed.id}", console)
    return DONE


def approve_entry(store: ManualStore, id_: str, by: str | None, as_of: datetime, console: Console) -> int:
    """Post exactly what somebody else proposed."""
    return _decide(lambda: approve(store, id_, _person(by), as_of), console)


def withdraw_entry(store: ManualStore, id_: str, by: str | None, as_of: datetime, console: Console) -> int:
    """Let what was proposed be posted no more."""
    return _decide(lambda: withdraw(store, id_, _person(by), as_of), console)


def _decide(act: Callable[[], ManualEntry], console: Console) -> int:
    try:
        found = act()
    except ManualEntryRefused as wrong:
        return refused(wrong, console, REFUSED)
    except Contention as contention:
        return refused(contention, console, FAILED)
    where = f" as {found.entry_id}, number {found.seq:,} of the platform's book" if found.seq else ""
    say(f"{found.id} is {found.status}{where}, by {found.decided_by}", console)
    for line in _told(found):
        say(f"    {line}", console)
    return DONE


def list_entries(store: ManualStore, form: Form, console: Console, *, everything: bool = False) -> int:
    """What waits for a second person, one row for each line of an entry; or everything that was ever proposed."""
    found = [it for it in store.manual_entries() if everything or it.status is ManualStatus.WAITING]
    ordered = sorted(found, key=lambda it: (it.proposed_at, it.id))
    whole = form.as_json or form.as_csv
    columns = (*_COLUMNS, *(_PEOPLE if whole else ("proposed_by",)))
    rows = (row if whole else row[: len(columns)] for entry in ordered for row in _rows(entry))
    title = "Entries made by hand" if everything else "Entries that wait for a second person"
    show(Answer(title, columns, rows, frozenset({"debit", "credit"})), form, console)
    return DONE


def _rows(entry: ManualEntry) -> Iterator[tuple[str | None, ...]]:
    for line in entry.draft.lines:
        amount = format_minor_units(abs(line.minor_units), line.currency)
        yield (
            entry.id,
            entry.status.value,
            entry.draft.effective_on.isoformat(),
            line.account,
            line.currency,
            amount if line.minor_units > 0 else None,
            amount if line.minor_units < 0 else None,
            entry.draft.reason,
            entry.draft.reference,
            entry.proposed_by,
            format_instant(entry.proposed_at),
            entry.decided_by or None,
            format_instant(entry.decided_at) if entry.decided_at else None,
            entry.entry_id if entry.seq else None,
            entry.draft.reverses,
        )


def _told(entry: ManualEntry) -> Iterator[str]:
    draft = entry.draft
    yield f"{draft.effective_on}, because: {draft.reason} ({draft.reference})"
    for line in draft.lines:
        side = "debit" if line.minor_units > 0 else "credit"
        yield f"{side} {line.account} {Money(abs(line.minor_units), line.currency)}"


def _person(by: str | None) -> str:
    if by is None or not by.strip():
        raise ManualEntryRefused("say who you are with --by NAME; two people are needed. Nothing was written")
    return by
