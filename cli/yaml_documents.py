"""Documents of YAML files as our models: every mistake with its line and field, and what would be right."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, TypeVar, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from billing.contracts import Contract, reference_problems
from events.facts import OwnerId, Slug
from ledger.terms import FieldPath, format_path
from settlement.apply import SET_BY_SOLVENT

_MOST_FIELDS = 100_000


@dataclass(frozen=True, slots=True, order=True)
class FileProblem:
    """What is wrong, and where: lines and columns count from 1, and are 0 where there is none to name."""

    file: str
    line: int
    column: int
    field: str
    what: str

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])
        return f"{place}: {self.field}: {self.what}" if self.field else f"{place}: {self.what}"


class BrokenFiles(ValueError):
    """Files that cannot be read as terms, with all their problems by file and line; mended by editing them."""

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document and each of its fields was read: lines count from 1."""

    file: str
    line: int
    lines: Mapping[FieldPath, int]

    def line_of(self, path: FieldPath) -> int:
        """The line of a field; of the innermost one around it that is there, if it is not."""
        known = (path[:length] for length in range(len(path), 0, -1))
        return next((self.lines[part] for part in known if part in self.lines), self.line)

    def problem(self, path: FieldPath, what: str) -> FileProblem:
        """A problem with a field."""
        return FileProblem(self.file, self.line_of(path), 0, format_path(path), what)


_ModelT = TypeVar("_ModelT", bound=BaseModel)


def read_document(path: Path, model: type[_ModelT]) -> tuple[Source, _ModelT]:
    """The one document of a file, and where its fields were read; raises BrokenFiles with every problem of the file."""
    nodes, problems = _compose(str(path), path.read_bytes())
    if not problems and len(nodes) != 1:
        problems.append(FileProblem(str(path), 1, 0, "", f"holds {len(nodes)} documents; one is read from a file"))
    if not problems:
        source, document, problems = _read_node(str(path), model, nodes[0], "")
        if document is not None:
            return source, document
    raise BrokenFiles(sorted(set(problems)))


def read_documents(
    path: Path, file: str, model: type[_ModelT], set_by_solvent: str
) -> tuple[list[tuple[Source, _ModelT]], list[FileProblem]]:
    """The documents of a file that are right, lists of them taken apart, and every problem of the others.

    `file` is what problems call it. The field `set_by_solvent`, if it is named, may not be given.
    """
    nodes, problems = _compose(file, path.read_bytes())
    found = []
    for node in _flat(nodes):
        source, document, faults = _read_node(file, model, node, set_by_solvent)
        problems += faults
        found += [(source, document)] if document is not None else []
    return found, problems


def _read_node(
    file: str, model: type[_ModelT], node: yaml.Node, set_by_solvent: str
) -> tuple[Source, _ModelT | None, list[FileProblem]]:
    """One document and where it was read, or None and what is wrong with it."""
    tree = _Tree()
    try:
        value = tree.build(node, ())
    except _TooManyFields:
        what = f"has more than {_MOST_FIELDS} fields, repetitions by * counted"
        return Source(file, _line(node), {}), None, [FileProblem(file, _line(node), 0, "", what)]
    source = Source(file, _line(node), tree.lines)
    problems = [FileProblem(file, line, 0, format_path(path), what) for line, path, what in tree.problems]
    document, faults = _validate(model, value, tree)
    problems += [source.problem(path, what) for path, what in faults]
    if (set_by_solvent,) in tree.lines:
        problems.append(source.problem((set_by_solvent,), "is set by Solvent alone; take it out"))
    return source, None if problems else document, problems


# -- YAML: nodes with their places -------------------------------------------------------------------------------------


def _compose(file: str, content: bytes) -> tuple[list[yaml.Node], list[FileProblem]]:
    """The documents of a file up to the first syntax error, and that error."""
    nodes: list[yaml.Node] = []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(errors="replace")
        return nodes, [_text_problem(file, before, "is not text in UTF-8")]
    try:
        nodes += (node for node in _composed(text) if node.tag != "tag:yaml.org,2002:null")
    except yaml.reader.ReaderError as error:
        what = f"the character {text[error.position]!r} is not allowed in YAML"
        return nodes, [_text_problem(file, text[: error.position], what)]
    except yaml.MarkedYAMLError as error:
        return nodes, [_syntax_problem(file, text, error)]
    except RecursionError:
        return nodes, [FileProblem(file, 1, 0, "", "is nested too deeply")]
    if all(isinstance(node, yaml.SequenceNode) and not node.value for node in nodes):
        return nodes, [FileProblem(file, 1, 0, "", "holds no document")]
    return nodes, []


def _flat(nodes: Iterable[yaml.Node]) -> Iterator[yaml.Node]:
    for node in nodes:
        if isinstance(node, yaml.SequenceNode):
            yield from _flat(node.value)
        else:
            yield node


def _text_problem(file: str, before: str, what: str) -> FileProblem:
    return FileProblem(file, before.count("\n") + 1, len(before) - before.rfind("\n"), "", what)


def _composed(text: str) -> Iterator[yaml.Node]:
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    finally:
        loader.dispose()


def _syntax_problem(file: str, text: str, error: yaml.MarkedYAMLError) -> FileProblem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if "\t" in text[: mark.index].rpartition("\n")[2] + text[mark.index : mark.index + 1] if mark else False:
        return FileProblem(file, line + 1, column + 1, "", "a tab does not indent in YAML; use blanks")
    what = " ".join(filter(None, ("is not YAML:", error.context, error.problem)))
    return FileProblem(file, line + 1, column + 1, "", what)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _TooManyFields(Exception):
    """A few lines of aliases of aliases can stand for more fields than fit into memory."""


@dataclass(slots=True)
class _Tree:
    """One YAML document as plain data, with the line of each field and the scalar that was written there."""

    lines: dict[FieldPath, int] = field(default_factory=dict)
    scalars: dict[FieldPath, yaml.ScalarNode] = field(default_factory=dict)
    problems: list[tuple[int, FieldPath, str]] = field(default_factory=list)
    _open: list[yaml.Node] = field(default_factory=list)

    def build(self, node: yaml.Node, path: FieldPath) -> object:
        """The data below a node: texts, integers, booleans, None, lists and dictionaries."""
        if len(self.lines) > _MOST_FIELDS:
            raise _TooManyFields
        if isinstance(node, yaml.ScalarNode):
            self.scalars[path] = node
            return self._scalar(node, path)
        if any(node is outer for outer in self._open):
            self.problems.append((_line(node), path, "refers to itself"))
            return None
        self._open.append(node)
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._open.pop()
        return value

    def _sequence(self, node: yaml.Node, path: FieldPath) -> list[object]:
        self._check_tag(node, path, "seq")
        for position, inner in enumerate(node.value):
            self.lines[*path, position] = _line(inner)
        return [self.build(inner, (*path, position)) for position, inner in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, object]:
        self._check_tag(node, path, "map")
        values: dict[str, object] = {}
        for key, inner in node.value:
            name = key.value  # as it was written: a client may be called `no`
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append((_line(key), path, "the name of a field is a text"))
            elif key.tag == "tag:yaml.org,2002:merge":
                self.problems.append((_line(key), path, "`<<` is not read; write the fields out"))
            elif name in values:
                what = f"is given twice, first in line {self.lines[*path, name]}"
                self.problems.append((_line(key), (*path, name), what))
            else:
                self.lines[*path, name] = _line(key)
                values[name] = self.build(inner, (*path, name))
        return values

    def _scalar(self, node: yaml.ScalarNode, path: FieldPath) -> object:
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str" | "timestamp":
                return node.value
            case "null":
                return None
            case "bool":
                return node.value.lower() in {"yes", "true", "on"}
            case "int" if re.fullmatch(r"[+-]?(0|[1-9]\d{0,17})", node.value):
                return int(node.value)
            case "int" | "float":
                # YAML reads 010 as 8 and 1:30 as 90. No field takes a fraction, so that each of these is refused.
                return 0.5
            case tag:
                self.problems.append((_line(node), path, f"the tag {tag} is not known here; leave it out"))
                return node.value

    def _check_tag(self, node: yaml.Node, path: FieldPath, expected: str) -> None:
        if node.tag != f"tag:yaml.org,2002:{expected}":
            self.problems.append((_line(node), path, f"the tag {node.tag} is not known here; leave it out"))


# -- pydantic: errors with their fields --------------------------------------------------------------------------------


def _validate(model: type[_ModelT], value: object, tree: _Tree) -> tuple[_ModelT | None, list[tuple[FieldPath, str]]]:
    """The document, or what is wrong with which field of it.

    Strict as JSON is: a number is no text, a text no number and neither a date.
    """
    try:
        document = model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        errors = [one for one in error.errors(include_url=False) if not _is_consequence(one)]
        references = reference_problems(value) if model is Contract and isinstance(value, dict) else ()
        return None, [*(_explain(model, one, tree) for one in errors), *references]
    inexact = [
        (path, _not_a_date(tree.scalars[path].value))
        for path, day in _dates(document.model_dump(), ())
        if path in tree.scalars and tree.scalars[path].value != day.isoformat()
    ]
    return document, inexact


def _is_consequence(error: ErrorDetails) -> bool:
    """Whether a list is called too short only because some of its items are wrong, which is said on its own."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _dates(value: object, path: FieldPath) -> Iterator[tuple[FieldPath, date]]:
    match value:
        case dict():
            for name, inner in value.items():
                yield from _dates(inner, (*path, str(name)))
        case tuple():
            for position, inner in enumerate(value):
                yield from _dates(inner, (*path, position))
        case date():
            yield path, value
        case _:
            pass


def _explain(model: type[BaseModel], error: ErrorDetails, tree: _Tree) -> tuple[FieldPath, str]:
    """The field and the words for one of pydantic's errors."""
    path, kind = _resolve(model, error["loc"])
    match error["type"]:
        case "missing":
            what = "is missing"
        case "extra_forbidden":
            known = _fields(_resolve(model, error["loc"][:-1])[1])
            near = get_close_matches(str(path[-1]), known, 1)
            what = "is not a field here" + (did_you_mean(near) or f"; there are {', '.join(known)}")
        case "union_tag_invalid" | "union_tag_not_found":
            path = (*path, error["ctx"]["discriminator"].strip("'"))
            what = _not_one_of(tree.scalars.get(path), [str(tag) for tag in _arms(kind)])
        case "enum" if isinstance(kind, type) and issubclass(kind, Enum):
            is_name = error["loc"][-1] == "[key]"
            written = error["input"] if is_name else tree.scalars.get(path, error["input"])
            what = _not_one_of(written, [str(member.value) for member in kind])
        case "value_error":
            path, what = _explain_own(path, kind, str(error["ctx"]["error"]))
        case "string_pattern_mismatch":
            what = f"{error['input']!r} is not {_describe_form(path, error['ctx']['pattern'])}"
        case _:
            what = _explain_type(error, tree.scalars.get(path))
    return path, what


def _explain_own(path: FieldPath, kind: object, what: str) -> tuple[FieldPath, str]:
    """A sentence of our own models; where it begins with one of their fields, that is the field."""
    named = re.match(r"([a-z_]+)((?:\[\d+\]|\.[a-z_]+)*)(: | )", what)
    if named is None:
        return path, what
    first, rest, mark = named.groups()
    around = path[:-1] if path and path[-1] == first else path if first in _fields(kind) else None
    if around is None:
        return path, what
    steps = [int(step) if step.isdigit() else step for step in re.findall(r"\w+", rest)]
    return (*around, first, *steps), what[named.end() :] if mark == ": " else what


def _explain_type(error: ErrorDetails, scalar: yaml.ScalarNode | None) -> str:
    """A value of the wrong type, or out of its bounds."""
    if error["input"] is None:
        return "has no value"
    written = "" if scalar is None else scalar.value if scalar.style is None else f'"{scalar.value}"'
    match error["type"]:
        case "string_type" if scalar is not None:
            read_as = "true or false" if isinstance(error["input"], bool) else "a number"
            what = f'{written} is read as {read_as}; write it in quotes: "{written}"'
        case "int_type" if scalar is not None:
            what = f"{written} is not a whole number, written without quotes"
        case "date_type" | "date_parsing" if scalar is not None:
            what = _not_a_date(scalar.value)
        case "tuple_type" if scalar is not None:
            what = f"takes a list: write [{written}]"
        case "tuple_type":
            what = "takes a list, each item on a line of its own that begins with -"
        case "model_type" | "model_attributes_type" | "dict_type":
            what = "takes fields of its own, one `name: value` a line"
        case "string_type" | "int_type" | "date_type":
            what = "takes a single value, not a list or fields of its own"
        case "too_short":
            what = f"needs at least {error['ctx']['min_length']}"
        case _:
            what = f"{written} {error['msg'].removeprefix('Input ').removeprefix('String ')}".strip()
    return what


def _not_one_of(written: object, choices: Sequence[str]) -> str:
    listed = ", ".join(choices)
    if written is None:
        return f"is missing; it is one of {listed}"
    text = written.value if isinstance(written, yaml.ScalarNode) else str(written)
    return f"{text!r} is not one of {listed}" + did_you_mean(get_close_matches(text, choices, 1))


def _not_a_date(text: str) -> str:
    return f"{text!r} is not a date such as 2026-11-01"


def did_you_mean(near: Sequence[str]) -> str:
    """The end of a sentence that offers the first of what comes near; empty if nothing does."""
    return f"; did you mean {near[0]}?" if near else ""


_FORMS = {
    get_args(OwnerId)[1].pattern: "an id: small letters, digits, - and _ between them, at most 64",
    get_args(Slug)[1].pattern: "a name: small letters and digits, then also . - and _, at most 64",
}
_FORMS_OF_FIELDS = {"email": "an e-mail address", "country": "an ISO 3166 country code in capitals, such as US"}


def _describe_form(path: FieldPath, pattern: str) -> str:
    name = str(path[-1]) if path else ""
    return _FORMS.get(pattern) or _FORMS_OF_FIELDS.get(name) or f"of the form {pattern}"


# -- the models' types, followed along an error's place ----------------------------------------------------------------


def _resolve(model: type[BaseModel], loc: Sequence[str | int]) -> tuple[FieldPath, object]:
    """The field that pydantic's `loc` stands for, without the tags of unions, and its type."""
    if loc and loc[-1] == "[key]":
        around, mapping = _resolve(model, loc[:-2])
        return (*around, loc[-2]), _bare(get_args(mapping)[0])
    path, kind = list[str | int](), cast("object", model)
    for step in loc:
        if arms := _arms(kind):
            kind = arms[step]
        else:
            path.append(step)
            kind = _inside(kind, step)
    return tuple(path), kind


def _inside(kind: object, step: str | int) -> object:
    """The type of a field or an item; `object` where there is none."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field for name, field in kind.model_fields.items()}
        return _bare(fields[str(step)].annotation) if step in fields else object
    arguments = {tuple: 0, dict: 1}
    origin = get_origin(kind)
    return _bare(get_args(kind)[arguments[origin]]) if origin in arguments else object


def _bare(kind: object) -> object:
    """A type without its annotations and without None."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        rest = [arm for arm in get_args(kind) if arm is not NoneType]
        return _bare(rest[0]) if len(rest) == 1 else kind
    return kind


def _arms(kind: object) -> dict[str | int, type[BaseModel]]:
    """The models of a tagged union by their tags; empty for any other type."""
    if get_origin(kind) not in {Union, UnionType}:
        return {}
    tags = ((arm, get_args(field.annotation)) for arm in get_args(kind) for field in arm.model_fields.values())
    return {values[0]: arm for arm, values in tags if values and isinstance(values[0], str)}


def _fields(kind: object) -> list[str]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return []
    names = [field.alias or name for name, field in kind.model_fields.items()]
    return [name for name in names if name not in SET_BY_SOLVENT.values()]
