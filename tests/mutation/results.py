"""What a mutation run came to: every mutant that lived, told as the line it changed, beside the reasons it may live."""

import ast
import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import ndiff
from pathlib import Path

ENOUGH_KILLED = 0.95
EXPLAINED = Path(__file__).with_name("explained.toml")
# How mutmut records what became of a mutant, from the exit code of its tests.
_KILLED, _REFUSED_BY_TYPES = {1, 3}, {37}
_TIMED_OUT = {24, -24, 36, 152, 255}
_SURVIVED, _UNTESTED = {0}, {5, 33}


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a mutant may live: where a line of `function` came to read `now`."""

    function: str
    now: str
    reason: str

    def covers(self, mutant: "Living") -> bool:
        """Whether this is about that mutant."""
        return (self.function, self.now) == (mutant.function, mutant.now)


@dataclass(frozen=True, slots=True)
class Living:
    """A mutant that no test killed: the lines as they were and are now, and why it may live; "" if nobody said."""

    function: str
    became: str
    was: str
    now: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """A package's mutants. Those that mypy refuses are no programs of ours, and count neither way.

    `timed_out` are dead: an endless loop. `unclear` were not tried yet, or their run broke: they count as living.
    """

    package: str
    mutants: int
    refused_by_types: int
    killed: int
    timed_out: int
    unclear: int
    living: tuple[Living, ...]
    idle: tuple[Explained, ...] = ()

    @property
    def share(self) -> float:
        """Dead among those that type-check."""
        return (self.killed + self.timed_out) / max(self.mutants - self.refused_by_types, 1)

    @property
    def unexplained(self) -> tuple[Living, ...]:
        """The living that nobody gave a reason for."""
        return tuple(it for it in self.living if not it.why)

    @property
    def is_good(self) -> bool:
        """Whether so many are dead as ought to be, and each living one is explained, and nothing else is."""
        return self.share >= ENOUGH_KILLED and not (self.unclear or self.unexplained or self.idle)

    def report(self) -> dict[str, object]:
        """The figures as JSON has them."""
        return {**asdict(self), "share": round(self.share, 4), "unexplained": len(self.unexplained)}


def explained(path: Path = EXPLAINED) -> tuple[Explained, ...]:
    """The reasons that are on file."""
    return tuple(Explained(**item) for item in tomllib.loads(path.read_text())["mutant"])


def figures_of(package: str, mutants: Path, reasons: Sequence[Explained]) -> Figures:
    """What mutmut recorded of a package below its folder `mutants`."""
    own = [it for it in reasons if it.function.partition(".")[0] == package]
    codes = {meta: _exit_codes(meta) for meta in sorted((mutants / package).rglob("*.meta"))}
    kinds = Counter(_kind_of(code) for found in codes.values() for code in found.values())
    living = tuple(_living(codes, mutants, own))
    return Figures(
        package=package,
        mutants=kinds.total(),
        refused_by_types=kinds["refused by types"],
        killed=kinds["killed"],
        timed_out=kinds["timed out"],
        unclear=kinds["unclear"],
        living=living,
        idle=tuple(it for it in own if not any(it.covers(mutant) for mutant in living)),
    )


def forget_the_living(mutants: Path) -> None:
    """Have mutmut try again every mutant that is not dead: there are other tests now."""
    for meta in mutants.rglob("*.meta"):
        content = json.loads(meta.read_text())
        codes = content["exit_code_by_key"]
        dead = {"killed", "refused by types"}
        content["exit_code_by_key"] = {key: code if _kind_of(code) in dead else None for key, code in codes.items()}
        meta.write_text(json.dumps(content, indent=4))


def _exit_codes(meta: Path) -> Mapping[str, int | None]:
    codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
    return codes


def _kind_of(code: int | None) -> str:
    kinds = {"killed": _KILLED, "refused by types": _REFUSED_BY_TYPES, "timed out": _TIMED_OUT}
    kinds |= {"survived": _SURVIVED, "untested": _UNTESTED}
    return next((kind for kind, codes in kinds.items() if code in codes), "unclear")


def _living(
    codes: Mapping[Path, Mapping[str, int | None]], mutants: Path, reasons: Sequence[Explained]
) -> Iterator[Living]:
    for meta, found in codes.items():
        names = [(key, _kind_of(code)) for key, code in found.items() if _kind_of(code) in {"survived", "untested"}]
        if not names:
            continue
        path = meta.with_suffix("")
        text = path.read_text()
        lines, functions = text.splitlines(), _functions_of(text)
        module = str(path.relative_to(mutants).with_suffix("")).replace("/", ".")
        for key, became in names:
            name = key.rpartition(".")[2]
            mangled = name.partition("__mutmut_")[0]
            was, now = _changed(*(_source(lines, functions[it], mangled) for it in (f"{mangled}__mutmut_orig", name)))
            mutant = Living(f"{module}.{_plain(mangled)}", became, was, now)
            why = next((reason.reason for reason in reasons if reason.covers(mutant)), "")
            yield Living(mutant.function, became, was, now, why)


def _functions_of(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}


def _source(lines: Sequence[str], function: ast.FunctionDef, mangled: str) -> list[str]:
    """The lines of a function, under the name that all its mutants share."""
    own = lines[function.lineno - 1 : function.end_lineno]
    return [own[0].replace(function.name, mangled), *own[1:]]


def _changed(before: Sequence[str], after: Sequence[str]) -> tuple[str, str]:
    """What was and what is now, blanks at the ends of lines left out."""
    lines = list(ndiff(before, after))
    was, now = ([line[2:].strip() for line in lines if line.startswith(sign)] for sign in ("- ", "+ "))
    return " ".join(was), " ".join(now)


def _plain(mangled: str) -> str:
    """A function as people write it: mutmut says x_settle of a function, xǁCaseǁstate_of of a method."""
    return mangled[2:].replace("ǁ", ".") if mangled.startswith("xǁ") else mangled.removeprefix("x_")
