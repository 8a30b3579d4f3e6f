"""Versions of contracts and pay plans: checking their files, and what they say and change, in words."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from billing.contracts import Contract
from cli.apply import refuse
from cli.printing import DONE, REFUSED, say
from cli.terms_files import TermsFolder
from cli.yaml_documents import BrokenFiles
from payouts.plans import PayPlan
from payouts.policy import PayoutPolicy
from settlement.apply import Applied, Kind, TermsRegistry, check_versions, differences
from settlement.price_changes import versions_of

Version = Contract | PayPlan
AnyTerms = Version | PayoutPolicy
Reader = Callable[[Sequence[Path]], TermsFolder]


# -- check -------------------------------------------------------------------------------------------------------------


def check(reader: Reader, files: Sequence[Path], console: Console) -> int:
    """Print every problem of the versions in these files; 0 if there is none, else 2."""
    read = read_versions(reader, files, console)
    if read is None:
        return REFUSED
    versions: list[Version] = [*read.terms.contracts, *read.terms.plans]
    for version in versions:
        say(f"{name_of(version)}: the version from {version.version} is in order.", console)
    return DONE


def read_versions(reader: Reader, files: Sequence[Path], console: Console) -> TermsFolder | None:
    """The versions in the files; None once all their problems were printed."""
    try:
        read = reader(files)
    except BrokenFiles as broken:
        refuse(broken.problems, console, "")
        return None
    problems = {read.problem(it.place, it.path, it.what, it.other) for it in check_versions(read.terms)}
    if problems:
        refuse(sorted(problems), console, "")
    return None if problems else read


def name_of(version: AnyTerms) -> str:
    """The client of a contract, the id of a pay plan or policy."""
    return version.client if isinstance(version, Contract) else version.id


# -- what differs ------------------------------------------------------------------------------------------------------


def changed_fields(old: AnyTerms | None, new: AnyTerms) -> list[tuple[str, str, str]]:
    """Each field that differs, such as `rates chat price unit`, with its old and new value; `none` where it has none.

    A change of order is one of the field `rates`, since the first match wins.
    """
    fields = [
        (" ".join(str(step) if isinstance(step, str) else f"{step + 1}." for step in path), was, now)
        for path, was, now in differences(_fields(old) if old else {}, _fields(new))
    ]
    if isinstance(old, Contract) and isinstance(new, Contract):
        order = [[rate.id for rate in contract.rates] for contract in (old, new)]
        if order[0] != order[1] and sorted(order[0]) == sorted(order[1]):
            fields.append(("rates (order)", ", ".join(order[0]), ", ".join(order[1])))
    return fields


def _fields(version: AnyTerms) -> object:
    """What a version says; from when, its name says."""
    return _by_id(version.model_dump(mode="json", exclude_none=True, exclude={"starts_on"}))


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


def in_words(field: str, was: str, now: str) -> str:
    """A difference as a sentence."""
    if was == "none":
        return f"{field} is new: {now}"
    return f"{field} is gone, was {was}" if now == "none" else f"{field} was {was}, becomes {now}"


def print_difference(old: Version, new: Version, console: Console) -> None:
    """Print what a version changes against another, field by field."""
    say(f"{name_of(new)}: the version from {new.version} against the version from {old.version}", console)
    fields = changed_fields(old, new)
    for field, was, now in fields:
        say(f"  {in_words(field, was, now)}", console)
    if not fields:
        say("  says the same", console)


def difference_document(old: Version, new: Version) -> list[dict[str, str]]:
    """What a version changes against another, for JSON."""
    return [{"field": field, "was": was, "now": now} for field, was, now in changed_fields(old, new)]


# -- history -----------------------------------------------------------------------------------------------------------


def history(kind: Kind, item_id: str, registry: TermsRegistry, console: Console) -> int:
    """Print all versions of a contract or plan, who applied each, and what it says or changes; 2 if there is none."""
    current = registry.current_terms()
    found = versions_of(current, kind, item_id)
    versions: Sequence[Version] = [it for it in found if not isinstance(it, PayoutPolicy)]
    applied = current.applied.get((kind, item_id), ())
    if not versions:
        said = "contract of" if kind is Kind.CONTRACT else kind.replace("_", " ")
        say(f"there is no {said} {item_id}", console)
        return REFUSED
    next_starts = [*(version.starts_on for version in versions[1:]), None]
    table = Table("version", "starts", "ends before", "proposed", "approved")
    for version, next_start in zip(versions, next_starts, strict=True):
        ends_on = (version.ends_on if isinstance(version, Contract) else None) or next_start
        table.add_row(version.version, str(version.starts_on), str(ends_on or ""), *_signatures(version, applied))
    console.print(table)
    previous: list[Version | None] = [None, *versions[:-1]]
    for before, version in zip(previous, versions, strict=True):
        say(f"{version.version} says" if before is None else f"{version.version} changes", console)
        for field, was, now in changed_fields(before, version):
            say(f"  {field}: {now}" if before is None else f"  {in_words(field, was, now)}", console)
    return DONE


def _signatures(version: Version, applied: Sequence[Applied]) -> tuple[str, str]:
    """Who proposed and approved a version, one line for each time it was written."""
    times = [each for each in applied if version.version in each.versions]
    proposed = [f"{each.proposed_on} {each.proposed_by}" for each in times]
    approved = [
        f"{each.approved_on} {each.approved_by}" if each.approved_by else "first version, no need" for each in times
    ]
    return "\n".join(proposed) or "not recorded", "\n".join(approved)
