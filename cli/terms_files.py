"""Reading a folder of terms, YAML files: clients, contracts, pay plans, experts, payout policies, webhooks, doors.

Every problem is found with its line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from billing.contracts import Contract
from cli.yaml_documents import BrokenFiles, FileProblem, Source, did_you_mean, read_documents
from events.adapters.doors import Door, door_problems
from ledger.terms import FieldPath
from payouts.plans import PayPlan
from payouts.policy import PayoutPolicy
from settlement.apply import SET_BY_SOLVENT, Document, Kind, NewTerms, Place
from settlement.registry import Client, Expert
from settlement.webhooks import Endpoint

_FOLDERS = {
    "clients": Kind.CLIENT,
    "contracts": Kind.CONTRACT,
    "pay_plans": Kind.PAY_PLAN,
    "experts": Kind.EXPERT,
    "payout_policies": Kind.PAYOUT_POLICY,
    "webhooks": Kind.WEBHOOK,
    "doors": Kind.DOOR,
}
MODELS: Mapping[Kind, type[Document]] = {
    Kind.CLIENT: Client,
    Kind.CONTRACT: Contract,
    Kind.PAY_PLAN: PayPlan,
    Kind.EXPERT: Expert,
    Kind.PAYOUT_POLICY: PayoutPolicy,
    Kind.WEBHOOK: Endpoint,
    Kind.DOOR: Door,
}


@dataclass(frozen=True, slots=True)
class TermsFolder:
    """The documents of a folder, and where each of them was read."""

    terms: NewTerms
    sources: Mapping[Place, Source]

    def problem(self, place: Place, path: FieldPath, what: str, other: Place | None) -> FileProblem:
        """A problem with a field of a document, and the document it collides with."""
        if other is not None:
            what = f"{what}; see {self.sources[other].file}:{self.sources[other].line}"
        return self.sources[place].problem(path, what)


def read_folder(folder: Path) -> TermsFolder:
    """The documents of all *.yaml and *.yml files below `folder`; raises BrokenFiles with every problem of every file.

    The name of a folder on the way to a file says what it holds: clients, contracts, pay_plans, experts,
    payout_policies, webhooks or doors. A file holds one document, or a list of them. What begins with a dot is left
    out.
    """
    reader = _Reader()
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml"} and path.is_file())
    for path in files:
        inside = path.relative_to(folder)
        if not any(part.startswith(".") for part in inside.parts):
            reader.read(path, inside)
    if not folder.is_dir():
        reader.problems.append(FileProblem(str(folder), 0, 0, "", "there is no such folder"))
    elif not reader.documents and not reader.problems:
        what = f"there is no .yaml file in it; terms are in its folders {', '.join(_FOLDERS)}"
        reader.problems.append(FileProblem(str(folder), 0, 0, "", what))
    return reader.checked()


def read_contracts(files: Sequence[Path]) -> TermsFolder:
    """The contracts in these files, wherever they lie; raises BrokenFiles with every problem of every file."""
    return _read(Kind.CONTRACT, files).checked()


def read_plans(files: Sequence[Path]) -> TermsFolder:
    """The pay plans in these files, wherever they lie; raises BrokenFiles with every problem of every file."""
    return _read(Kind.PAY_PLAN, files).checked()


def read_doors(files: Sequence[Path]) -> tuple[Door, ...]:
    """The doors in these files, one or a list in each; raises BrokenFiles with every problem of every file."""
    reader = _read(Kind.DOOR, files)
    found = reader.folder()
    clashes = door_problems(found.terms.doors)
    reader.problems += [found.problem(Place(Kind.DOOR, position), path, what, None) for position, path, what in clashes]
    return reader.checked().terms.doors


def _read(kind: Kind, files: Sequence[Path]) -> "_Reader":
    reader = _Reader()
    for path in files:
        reader.read_as(kind, path, str(path))
    return reader


_DocumentT = TypeVar("_DocumentT", Client, Contract, PayPlan, Expert, PayoutPolicy, Endpoint, Door)


@dataclass(slots=True)
class _Reader:
    """What was read so far."""

    documents: list[tuple[Source, Document]] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)

    def read(self, path: Path, inside: Path) -> None:
        """Take in one file; `inside` is its path within the folder."""
        file = inside.as_posix()
        kind = next((_FOLDERS[part] for part in reversed(inside.parts[:-1]) if part in _FOLDERS), None)
        if kind is None:
            near = [guess for part in inside.parts[:-1] for guess in get_close_matches(part, _FOLDERS, 1)]
            what = f"is in none of the folders {', '.join(_FOLDERS)}" + did_you_mean(near)
            self.problems.append(FileProblem(file, 1, 0, "", what))
        else:
            self.read_as(kind, path, file)

    def read_as(self, kind: Kind, path: Path, file: str) -> None:
        """Take in one file of documents of a kind; `file` is what problems call it."""
        documents, problems = read_documents(path, file, MODELS[kind], SET_BY_SOLVENT.get(kind, ""))
        self.documents += documents
        self.problems += problems

    def checked(self) -> TermsFolder:
        """What was read, if nothing is wrong with it; else raises BrokenFiles."""
        if self.problems:
            raise BrokenFiles(sorted(set(self.problems)))
        return self.folder()

    def folder(self) -> TermsFolder:
        """Everything that was read and is right by itself."""
        sources: dict[Place, Source] = {}

        def of_kind(kind: Kind, model: type[_DocumentT]) -> tuple[_DocumentT, ...]:
            found = [(source, document) for source, document in self.documents if isinstance(document, model)]
            sources.update({Place(kind, position): source for position, (source, _) in enumerate(found)})
            return tuple(document for _, document in found)

        terms = NewTerms(
            clients=of_kind(Kind.CLIENT, Client),
            contracts=of_kind(Kind.CONTRACT, Contract),
            plans=of_kind(Kind.PAY_PLAN, PayPlan),
            experts=of_kind(Kind.EXPERT, Expert),
            policies=of_kind(Kind.PAYOUT_POLICY, PayoutPolicy),
            endpoints=of_kind(Kind.WEBHOOK, Endpoint),
            doors=of_kind(Kind.DOOR, Door),
        )
        return TermsFolder(terms, sources)
