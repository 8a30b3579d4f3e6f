"""`solvent contract`: check contract files, compare them with what is in force, see and approve what was proposed."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from billing.comparisons import ComparedLine, Comparison, compare
from billing.contracts import Contract, ContractHistory, ContractNotInForce
from billing.invoices import LineKind
from billing.periods import Period, PeriodState, PeriodStatus, next_period, period_of_date
from cli.apply import DONE, REFUSED, UNEXPECTED, refuse, say
from cli.terms_files import BrokenFiles, TermsFolder, read_contracts
from ledger.money import Currency, format_minor_units
from settlement.apply import Applied, TermsRefused, check_contracts, differences
from settlement.ports import Contention, PeriodKey
from settlement.price_changes import PriceChangeRefused, PriceRegistry, Proposal, approve, find_proposal


class PeriodReader(Protocol):
    """Where counters of periods are read."""

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""


# -- check -------------------------------------------------------------------------------------------------------------


def check(files: Sequence[Path], console: Console) -> int:
    """Print every problem of these contracts; 0 if there is none, else 2."""
    read = _read(files, console)
    if read is None:
        return REFUSED
    for contract in read.terms.contracts:
        say(f"{contract.client}: the version from {contract.version} is in order.", console)
    return DONE


def _read(files: Sequence[Path], console: Console) -> TermsFolder | None:
    """The contracts in the files; None once all their problems were printed."""
    try:
        read = read_contracts(files)
    except BrokenFiles as broken:
        refuse(broken.problems, console, "")
        return None
    problems = {read.problem(it.place, it.path, it.what, it.other) for it in check_contracts(read.terms.contracts)}
    if problems:
        refuse(sorted(problems), console, "")
    return None if problems else read


# -- diff --------------------------------------------------------------------------------------------------------------


def diff(
    file: Path, registry: PriceRegistry, periods: PeriodReader, as_of: date, console: Console, *, as_json: bool
) -> int:
    """Print what each contract in a file changes against the version that would else be in force from its first day.

    In words per field, and in money: the counters of the last closed period up to `as_of` under both. 2 for a broken
    file, or a client that has nothing to compare with.
    """
    read = _read([file], console)
    if read is None:
        return REFUSED
    found, known = [], registry.current_terms().contracts
    for new in read.terms.contracts:
        try:
            old = known.get(new.client, ContractHistory(new.client, ())).in_force(period_of_date(new.starts_on))
        except ContractNotInForce:
            say(f"{new.client} has no contract in force in {new.version}: there is nothing to compare with.", console)
            return REFUSED
        closed = _last_closed(known[new.client], periods, as_of)
        found.append((old, new, compare(old, new, closed) if closed else None))
    if as_json:
        say(json.dumps([_diff_document(*each) for each in found], indent=2), console)
    else:
        for each in found:
            _print_diff(*each, console)
    return DONE


def _last_closed(history: ContractHistory, periods: PeriodReader, as_of: date) -> PeriodState | None:
    months = [period_of_date(history.versions[0].starts_on)]
    while months[-1] < period_of_date(as_of):
        months.append(next_period(months[-1]))
    states = periods.periods([(history.client, month) for month in months])
    closed = [month for month in months if states[history.client, month].status is PeriodStatus.CLOSED]
    return states[history.client, closed[-1]] if closed else None


def _by_id(value: object) -> object:
    """Lists of things with ids as dictionaries by their ids, so that a rate that moved is not a changed one.

    A list of plain values is one value.
    """
    match value:
        case dict():
            return {name: _by_id(inner) for name, inner in value.items()}
        case list():
            if value and all(isinstance(item, dict) and "id" in item for item in value):
                return {item["id"]: _by_id({name: item[name] for name in item if name != "id"}) for item in value}
            is_plain = value and not any(isinstance(item, dict | list) for item in value)
            return ", ".join(map(str, value)) if is_plain else [_by_id(inner) for inner in value]
        case _:
            return value


def _fields(contract: Contract) -> object:
    """What a version says; from when, its name says."""
    return _by_id(contract.model_dump(mode="json", exclude_none=True, exclude={"starts_on"}))


def _changed_fields(old: Contract | None, new: Contract) -> list[tuple[str, str, str]]:
    """Each field that differs, such as `rates chat price unit`, with its old and new value; `none` where it has none.

    A change of order is one of the field `rates`, since the first match wins.
    """
    fields = [
        (" ".join(str(step) if isinstance(step, str) else f"{step + 1}." for step in path), was, now)
        for path, was, now in differences(_fields(old) if old else {}, _fields(new))
    ]
    order = [[rate.id for rate in contract.rates] for contract in (old, new) if contract]
    if old and order[0] != order[1] and sorted(order[0]) == sorted(order[1]):
        fields.append(("rates (order)", ", ".join(order[0]), ", ".join(order[1])))
    return fields


def _in_words(field: str, was: str, now: str) -> str:
    if was == "none":
        return f"{field} is new: {now}"
    return f"{field} is gone, was {was}" if now == "none" else f"{field} was {was}, becomes {now}"


def _notes(comparison: Comparison | None) -> list[str]:
    """What the figures do not say."""
    if comparison is None:
        return ["No period is closed yet, so there is no usage to compare on."]
    notes = [
        f"{line.text} has no price under {'the old' if line.was is None else 'the new'} terms; its {line.quantity} "
        "resolutions are left out of that total."
        for line in comparison.unpriced
    ]
    if comparison.rematched:
        notes.append("What the rates match has changed; the numbers are those that the old rates matched.")
    if comparison.discounted:
        notes.append("Discounts are those that were given; ratings are not judged anew.")
    return notes


def _print_diff(old: Contract, new: Contract, comparison: Comparison | None, console: Console) -> None:
    say(f"{new.client}: the version from {new.version} against the version from {old.version}", console)
    fields = _changed_fields(old, new)
    for field, was, now in fields:
        say(f"  {_in_words(field, was, now)}", console)
    if not fields:
        say("  says the same", console)
    if comparison is not None:
        console.print(_money_table(comparison))
    for note in _notes(comparison):
        say(note, console)


def _money_table(comparison: Comparison) -> Table:
    code = comparison.currency
    table = Table(title=f"The usage of {comparison.period} in {code}", title_justify="left")
    table.add_column("line")
    for name in ("resolutions", "old terms", "new terms", "difference"):
        table.add_column(name, justify="right")
    for line in comparison.lines:
        table.add_row(Text(_line_name(line)), *_cells(line, code))
    total = ComparedLine(LineKind.USAGE, "", 0, comparison.was, comparison.now)
    table.add_section()
    table.add_row("total", *_cells(total, code))
    return table


def _line_name(line: ComparedLine) -> str:
    return f"rate {line.text}" if line.kind is LineKind.USAGE else f"{line.kind}: {line.text}"


def _cells(line: ComparedLine, code: Currency) -> tuple[str, ...]:
    amounts = [None if amount is None else format_minor_units(amount, code) for amount in (line.was, line.now)]
    gap = None if line.was is None or line.now is None else format_minor_units(line.now - line.was, code)
    number = f"{line.quantity:,}" if line.quantity else ""
    return number, *("no price" if amount is None else amount for amount in amounts), gap or ""


def _diff_document(old: Contract, new: Contract, comparison: Comparison | None) -> dict[str, object]:
    changed = [{"field": field, "was": was, "now": now} for field, was, now in _changed_fields(old, new)]
    document: dict[str, object] = {"client": new.client, "version": new.version, "against": old.version}
    document |= {"fields": changed, "usage": None, "notes": _notes(comparison)}
    if comparison is not None:
        code = comparison.currency
        lines = [_line_document(line, code) for line in comparison.lines]
        totals = {"was": format_minor_units(comparison.was, code), "now": format_minor_units(comparison.now, code)}
        document["usage"] = {"period": comparison.period, "currency": code, "lines": lines, "total": totals}
    return document


def _line_document(line: ComparedLine, code: Currency) -> dict[str, object]:
    amounts = [None if amount is None else format_minor_units(amount, code) for amount in (line.was, line.now)]
    named: dict[str, object] = {"kind": line.kind.value, "text": line.text}
    if line.kind is LineKind.USAGE:
        named["resolutions"] = line.quantity
    return named | {"was": amounts[0], "now": amounts[1]}


# -- history -----------------------------------------------------------------------------------------------------------


def history(client: str, registry: PriceRegistry, console: Console) -> int:
    """Print all versions of a client's contract, who applied each, and what it says or changes; 2 if there is none."""
    current = registry.current_terms()
    if client not in current.contracts:
        say(f"there is no contract of {client}", console)
        return REFUSED
    versions, applied = current.contracts[client].versions, current.applied.get(client, ())
    next_starts = [*(version.starts_on for version in versions[1:]), None]
    table = Table("version", "starts", "ends before", "proposed", "approved")
    for version, next_start in zip(versions, next_starts, strict=True):
        ends_on = version.ends_on or next_start
        table.add_row(version.version, str(version.starts_on), str(ends_on or ""), *_signatures(version, applied))
    console.print(table)
    for before, version in zip([None, *versions[:-1]], versions, strict=True):
        say(f"{version.version} says" if before is None else f"{version.version} changes", console)
        for field, was, now in _changed_fields(before, version):
            say(f"  {field}: {now}" if before is None else f"  {_in_words(field, was, now)}", console)
    return DONE


def _signatures(version: Contract, applied: Sequence[Applied]) -> tuple[str, str]:
    """Who proposed and approved a version, one line for each time it was written."""
    times = [each for each in applied if version.version in each.versions]
    proposed = [f"{each.proposed_on} {each.proposed_by}" for each in times]
    approved = [
        f"{each.approved_on} {each.approved_by}" if each.approved_by else "first version, no need" for each in times
    ]
    return "\n".join(proposed) or "not recorded", "\n".join(approved)


# -- approval ----------------------------------------------------------------------------------------------------------


def waiting(registry: PriceRegistry, console: Console) -> int:
    """Print every proposal that waits, with each field that it changes."""
    proposals = sorted(registry.proposals(), key=lambda it: (it.proposed_on, it.id))
    known = registry.current_terms().contracts
    for proposal in proposals:
        say(f"{proposal.id}, proposed by {proposal.proposed_by} on {proposal.proposed_on}", console)
        _print_proposal(proposal, known, console)
    say(f"{len(proposals)} waiting", console)
    return DONE


def _print_proposal(proposal: Proposal, known: Mapping[str, ContractHistory], console: Console) -> None:
    for change in proposal.changes:
        old = known.get(change.client, ContractHistory(change.client, ()))
        for version in change.versions:
            before = _before(old, version)
            if before != version:
                mark = f" against {before.version}" if before else ""
                say(f"  {change.client}, version from {version.version}{mark}", console)
                for field, was, now in _changed_fields(before, version):
                    say(f"    {_in_words(field, was, now)}", console)


def _before(history: ContractHistory, version: Contract) -> Contract | None:
    """What holds in a version's first period without it."""
    try:
        return history.in_force(Period(version.version))
    except ContractNotInForce:
        return None


def approve_proposal(proposal_id: str, registry: PriceRegistry, by: str | None, as_of: date, console: Console) -> int:
    """Apply exactly what somebody else proposed. 2 if that may not be; 1 if somebody changed it at the same time."""
    if by is None:
        say("Say who approves this with --by NAME. Nothing was written.", console)
        return REFUSED
    try:
        written = approve(registry, proposal_id, by, as_of)
    except (PriceChangeRefused, TermsRefused) as refused:
        say(f"{refused}. Nothing was written.", console)
        return REFUSED
    except Contention as contention:
        say(f"{contention}. Approve it again.", console)
        return UNEXPECTED
    for change in written:
        signature = change.applied[-1]
        say(f"{change.id}: {change.what}, proposed by {signature.proposed_by}, approved by {by}", console)
    say(f"{len(written)} changed.", console)
    return DONE


def withdraw(proposal_id: str, registry: PriceRegistry, console: Console) -> int:
    """Forget a proposal; 2 if nothing waits under that hash."""
    if find_proposal(registry, proposal_id) is None:
        say(f"nothing waits under {proposal_id}; see `solvent contract waiting`", console)
        return REFUSED
    registry.remove_proposal(proposal_id)
    say(f"{proposal_id} is withdrawn; nothing of it was applied.", console)
    return DONE
