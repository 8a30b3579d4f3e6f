"""`make mutate`: does a test fail for every small change of the engine? Prints figures, writes build/mutation.json.

Each package is mutated in a copy of its own below build/mutation/, so that edits meanwhile do no harm, and a run that
was interrupted goes on where it was.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutation.results import ENOUGH_KILLED, Figures, explained, figures_of, forget_the_living

REPORT = Path("build/mutation.json")
WORK = Path("build/mutation")
# The tests that each package is to stand by: its own, and those of the use cases where those are its unit tests.
TESTS = {
    "ledger": ("tests/ledger",),
    "billing": ("tests/billing",),
    "payouts": ("tests/payouts",),
    "settlement": ("tests/settlement",),
}
_SOURCES = ("ledger", "events", "billing", "payouts", "settlement", "infra", "functions", "cli", "tests")
_FILES = ("template.yaml",)
_SECTION = "[tool.mutmut]"


def main() -> int:
    """Mutate all packages or those that are asked for; 0 if of each enough are dead and every living one explained."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("packages", nargs="*", metavar="package", help=f"some of {', '.join(TESTS)}; all if left out")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="mutants tried at once")
    parser.add_argument("--report-only", action="store_true", help="what the last run came to; try nothing")
    options = parser.parse_args()
    if unknown := set(options.packages) - set(TESTS):
        parser.error(f"there is no package {min(unknown)} to mutate; name some of {', '.join(TESTS)}")
    console, reasons, measured = Console(), explained(), list[Figures]()
    for package in options.packages or TESTS:
        work = WORK / package
        if not options.report_only:
            console.print(f"[bold]{package}[/bold]: tests of {', '.join(TESTS[package])}")
            prepare(package, work)
            if subprocess.run(_command(options.workers), cwd=work, env=_environment(), check=False).returncode:  # noqa: S603  # our own
                parser.exit(
                    2, f"mutmut stopped: tests of {package} have to pass as it is; run them, then go on with this\n"
                )
        measured.append(figures_of(package, work / "mutants", reasons))
    _write(measured)
    _show(measured, console)
    return 0 if all(it.is_good for it in measured) else 1


def prepare(package: str, work: Path) -> None:
    """Bring a package's copy up to date. Mutants that lived are tried again if anything but the package changed."""
    for name in _SOURCES:
        shutil.rmtree(work / name, ignore_errors=True)
        shutil.copytree(name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        if name != package:
            shutil.rmtree(work / "mutants" / name, ignore_errors=True)
    for name in _FILES:
        shutil.copy2(name, work / name)
    settings, configured = work / "pyproject.toml", _configured(Path("pyproject.toml").read_text(), package)
    if settings.exists() and settings.read_text() != configured:
        shutil.rmtree(work / "mutants", ignore_errors=True)  # other settings may number mutants otherwise
    settings.write_text(configured)
    seen, now = work / "tests.sha256", _digest(work, package)
    if not seen.exists() or seen.read_text() != now:
        (work / "mutants/mutmut-stats.json").unlink(missing_ok=True)
        forget_the_living(work / "mutants")
    seen.write_text(now)


def _configured(pyproject: str, package: str) -> str:
    """The project's file with mutmut's section filled in for one package."""
    before, _, section = pyproject.partition(_SECTION)
    if "\n[" in section:
        raise SystemExit(f"pyproject.toml: move {_SECTION} to the end; what stands behind it would be lost")
    settings = tomllib.loads(pyproject)["tool"]["mutmut"]
    settings["source_paths"] = [package]
    settings["also_copy"] = [name for name in (*_SOURCES, *_FILES) if name != package]
    settings["pytest_add_cli_args_test_selection"] = TESTS[package]
    settings["type_check_command"] = [*settings["type_check_command"], package]
    # A JSON string, list, number or truth value is one of TOML too.
    return before + _SECTION + "\n" + "".join(f"{key} = {json.dumps(it)}\n" for key, it in settings.items())


def _digest(work: Path, package: str) -> str:
    """Of all that decides whether a mutant of the package lives, but for the package."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        for path in sorted((work / name).rglob("*.py")) if name != package else ():
            digest.update(f"{path}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _command(workers: int) -> Sequence[str]:
    return (str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(workers))


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _write(measured: Sequence[Figures]) -> None:
    """The figures, beside those that were measured earlier of other packages."""
    earlier = json.loads(REPORT.read_text())["packages"] if REPORT.exists() else {}
    report = {"target": ENOUGH_KILLED, "packages": earlier | {it.package: it.report() for it in measured}}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _show(measured: Sequence[Figures], console: Console) -> None:
    table = Table("package", "mutants", "refused", "killed", "endless", "explained", "unexplained", "share")
    for it in measured:
        explained_ones = len(it.living) - len(it.unexplained)
        counts = (it.mutants, it.refused_by_types, it.killed, it.timed_out, explained_ones, len(it.unexplained))
        table.add_row(it.package, *(str(count) for count in counts), f"{it.share:.1%}")
    for it in measured:
        for mutant in it.unexplained:
            console.print(
                f"{mutant.became}: {mutant.function}\n  - {mutant.was}\n  + {mutant.now}", markup=False, soft_wrap=True
            )
        for reason in it.idle:
            console.print(
                f"explained.toml explains what is not living: {reason.function}: {reason.now}",
                markup=False,
                soft_wrap=True,
            )
        if it.unclear:
            console.print(f"{it.package}: {it.unclear} mutants were not tried or their run broke; run it again")
    console.print(table)
    console.print(f"written to {REPORT}; at least {ENOUGH_KILLED:.0%} of those that type-check ought to be dead")


if __name__ == "__main__":
    sys.exit(main())
