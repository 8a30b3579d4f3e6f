"""Rewrites the generated blocks of the documents, so that none of them can say what the code does not.

A block is what stands between `<!-- generated: NAME -->` and `<!-- end -->`. `python -m docs.generate` writes all of
them but the recorded ones: `run` comes from a report (`--run build/run/report.json`), `test` from the output of
`make test` (`--tests FILE`), `close` from `python -m docs.close_transcript`. The JSON Schemas in docs/schemas/,
docs/openapi.json and infra/athena-views.yaml are written whole. With `--check` nothing is written, and every stale
block and file is named.
"""

import argparse
import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from cli.main import app
from cli.report import Report, show
from cli.terms_files import MODELS
from docs.api_blocks import errors_rows, openapi_text, routes_rows, views_rows
from docs.athena_views import athena_views_text
from docs.example_block import example_block
from docs.markdown import BrokenDocument, code, fenced, table
from docs.template_blocks import functions_block, tables_block
from events.adapters.rules import SystemTable
from events.adapters.signatures import SCHEMES as SIGNATURES
from events.adapters.signatures import WINDOW, Signed
from events.adapters.systems import SYSTEMS, System
from events.decode import AUTHORITY, DATA_FIELDS
from events.facts import Party
from infra.local.packaging import PROJECT_ROOT
from ledger.accounts import (
    PLATFORM_KINDS,
    Kind,
    client_prepaid,
    client_receivable,
    client_unbilled,
    expert_in_transit,
    expert_payable,
    kind_of,
)
from ledger.posting_rules import POSTING_RULES, Flow
from settlement.announcements import TOLD
from settlement.apply import SET_BY_SOLVENT
from settlement.apply import Kind as TermsKind
from settlement.month_close import ACCEPTABLE, WHAT_IT_IS, Step

WIDTH = 100
DONE, STALE, WRONG = 0, 1, 2

_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_BEGINS, _ENDS = "<!-- generated:", "<!-- end -->"


# -- the blocks --------------------------------------------------------------------------------------------------------


def run_block(report: Report) -> str:
    """The block `run`: the summary that the run of `report` printed, without how long it took."""
    output = StringIO()
    show(report, Console(file=output, width=WIDTH, color_system=None, force_terminal=False))
    return fenced(output.getvalue())


def recorded_tests(output: str) -> str:
    """The block `test`: pytest's last line in the output of `make test`, without how long it took.

    Raises BrokenDocument for an output in which a test failed, or that does not say how many passed.
    """
    results = [line for line in output.splitlines() if re.search(r"\d+ passed", line)]
    if not results or re.search(r"\d+ (failed|error)", results[-1]):
        raise BrokenDocument("the output of `make test` does not end with tests that all passed")
    return fenced(re.sub(r" in [\d.]+s.*", "", results[-1]).strip("= "))


_MEANINGS = {
    "stripe/clearing": "Paid by clients, not yet in the available Stripe balance.",
    "stripe/balance": "The platform's available Stripe balance.",
    "bank/cash": "The platform's own bank.",
    "revenue/resolutions": "Charges for resolutions, net of discounts.",
    "revenue/minimum": "What the agreed minimum adds to a period.",
    "revenue/credits": "Given back for resolutions of closed periods; reduces revenue.",
    "cost/base": "Base pay of experts.",
    "cost/bonus": "Bonuses of single resolutions.",
    "cost/incentive": "Weekly incentives.",
    "cost/fees": "Fees that Stripe keeps.",
    "cost/bad_debt": "Invoices given up.",
    "rounding": "Differences of rounding.",
    "tax/payable": "Sales tax charged to clients.",
    "tax/withheld": "Tax withheld from experts.",
}


def accounts_block() -> str:
    """The chart of accounts; fails for a platform account that nobody has explained yet."""
    owned = (client_unbilled, client_receivable, client_prepaid, expert_payable, expert_in_transit)
    rows = [_account_row(account("<id>"), account("x"), inspect.getdoc(account) or "") for account in owned]
    rows += [_account_row(account, account, _MEANINGS[account]) for account in PLATFORM_KINDS]
    return table(("account", "kind", "grows by", "meaning"), rows)


def _account_row(shown: str, account: Any, meaning: str) -> tuple[str, ...]:  # noqa: ANN401  # a code of the chart
    kind: Kind = kind_of(account)
    return f"`{shown}`", kind.value, "debit" if kind.grows_by_debit else "credit", meaning


def posting_rules_block() -> str:
    """Every reason with its flows, and the modules that post it; fails for a reason that nothing posts."""
    posted = _posted_by()
    rows = [
        ("", *_sides(flow), "") if place else (f"`{reason}`", *_sides(flow), code(posted[reason.name]))
        for reason, flows in POSTING_RULES.items()
        for place, flow in enumerate(flows)
    ]
    return table(("reason", "debits", "credits", "posted by"), rows)


def _sides(flow: Flow) -> tuple[str, str]:
    if not flow.credit:
        return "any account", "any account"
    mark = " (or the other way round)" if flow.either_sign else ""
    return code(sorted(flow.debit)), code(sorted(flow.credit)) + mark


def _posted_by() -> dict[str, list[str]]:
    """The modules of settlement/ that name each reason, of those that build entries."""
    found: dict[str, list[str]] = {}
    for path in sorted((PROJECT_ROOT / "settlement").glob("*.py")):
        text = path.read_text()
        for name in sorted(set(re.findall(r"\bReason\.([A-Z_]+)", text))) if re.search(r"\bEntry\(", text) else ():
            found.setdefault(name, []).append(path.stem)
    return found


def helpdesks_block() -> str:
    """The block `helpdesks`: how each system proves itself, what solved and rated mean there, and what is polled."""
    header = ("system", "proves itself by", "solved", "rating", "times without zone", "polled")
    return table(header, (_helpdesk(system, table) for system, table in SYSTEMS.items()))


def _helpdesk(system: System, table: SystemTable) -> list[str]:
    scheme = SIGNATURES[table.scheme] if table.scheme else None
    proof = "" if scheme is None else f"the secret in `{scheme.header}`"
    if isinstance(scheme, Signed):
        window = f", within {WINDOW.seconds // 60} minutes" if scheme.time_header else ""
        proof = f"`{scheme.header}`: {scheme.algorithm.upper()} of {' + '.join(scheme.parts)}{window}"
    scale = f"{table.scale.scale_min} to {table.scale.scale_max}" if table.scale else "the door's"
    solved = code(sorted(table.solved))
    return [f"`{system}`", proof, solved, scale, "yes" if table.is_zoneless else "", code(table.listings)]


def facts_block() -> str:
    """Who may say which fact, and which fields of its `data` pass a door."""
    rows = [
        (
            f"`{kind}`",
            *("yes" if kind in AUTHORITY[party] else "" for party in Party),
            code(sorted(fields)) or "none",
        )
        for kind, fields in DATA_FIELDS.items()
    ]
    return table(("type", *(party.value for party in Party), "fields of `data` that pass"), rows)


def webhooks_block() -> str:
    """Every type that somebody may ask for, for whom it is, and the fields that they get."""
    rows = [
        (f"`{type_}`", audience.value, code(fields))
        for type_, told in TOLD.items()
        for audience, fields in told.items()
    ]
    return table(("type", "audience", "fields of `data`"), rows)


def close_steps_block() -> str:
    """Every step of the close, and whether its blockers may be left as they are."""
    rows = [
        (str(number), f"`{step}`", WHAT_IT_IS[step], "with a reason" if step in ACCEPTABLE else "")
        for number, step in enumerate(Step, 1)
    ]
    return table(("", "step", "done when", "may be left"), rows)


def help_block() -> str:
    """What `solvent --help` prints in a terminal of 100 columns."""
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": str(WIDTH)}, catch_exceptions=False)
    return fenced(Text.from_ansi(result.output).plain)


def make_help_block() -> str:
    """What `make help` prints, whatever make this one runs under."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = [shutil.which("make") or "make", "--no-print-directory", "help"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S603  # our own Makefile
    return fenced(done.stdout)


_PACKAGES = ("ledger", "events", "billing", "payouts", "settlement", "infra", "functions", "cli", "docs", "bench")


def folders_block() -> str:
    """Every package with the first sentence of its docstring, from the bottom layer up."""
    rows = []
    for package in _PACKAGES:
        for init in sorted((PROJECT_ROOT / package).rglob("__init__.py")):
            folder = init.parent.relative_to(PROJECT_ROOT).as_posix()
            has_page = (init.parent / "README.md").exists()
            named = f"[`{folder}/`]({folder}/README.md)" if has_page else f"`{folder}/`"
            rows.append((named, (ast.get_docstring(ast.parse(init.read_text())) or "").partition("\n")[0]))
    return table(("folder", "what is in it"), rows)


# -- documents ---------------------------------------------------------------------------------------------------------

BLOCKS: Mapping[str, Callable[[], str]] = {
    "accounts": accounts_block,
    "api-errors": lambda: table(("code", "status", "type", "what to do"), errors_rows()),
    "api-routes": lambda: table(("route", "for", "what it does"), routes_rows()),
    "api-views": lambda: table(("view", "shown", "kept back, and why"), views_rows()),
    "close-steps": close_steps_block,
    "example": example_block,
    "facts": facts_block,
    "folders": folders_block,
    "functions": functions_block,
    "help": help_block,
    "helpdesks": helpdesks_block,
    "make-help": make_help_block,
    "posting-rules": posting_rules_block,
    "tables": tables_block,
    "webhooks": webhooks_block,
}
RECORDED = frozenset({"close", "run", "test"})
SCHEMAS: Mapping[str, TermsKind] = {
    "contract": TermsKind.CONTRACT,
    "pay_plan": TermsKind.PAY_PLAN,
    "client": TermsKind.CLIENT,
    "expert": TermsKind.EXPERT,
    "payout_policy": TermsKind.PAYOUT_POLICY,
    "webhook": TermsKind.WEBHOOK,
    "door": TermsKind.DOOR,
}


def schema(kind: TermsKind) -> str:
    """The JSON Schema of one document of terms, as an editor needs it while somebody writes one.

    It says what a file may hold, not all that is checked: what depends on another field or file, `solvent contract
    check` and `solvent apply --check` say.
    """
    model = MODELS[kind]
    described = model.model_json_schema()
    described["properties"].pop(SET_BY_SOLVENT.get(kind, ""), None)
    header = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(header | described, indent=2) + "\n"


def documents(root: Path) -> list[Path]:
    """The pages that may hold blocks: those of the root, of each package, of events/adapters/, and all of docs/."""
    pages = {*root.glob("*.md"), *root.glob("*/README.md"), *root.glob("events/*/README.md")}
    return sorted({*pages, *(root / "docs").rglob("*.md")})


def rewritten(text: str, recorded: Mapping[str, str]) -> tuple[str, list[str]]:
    """A document with its blocks as they should be, and the names of those that were not.

    Recorded blocks that `recorded` does not hold stay as they are. Raises BrokenDocument.
    """
    stale: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        begin, name, body, end = match.groups()
        wanted = _wanted(name, body, recorded)
        stale.extend([name] if wanted != body else [])
        return f"{begin}{wanted}{end}"

    blocks = len(_BLOCK.findall(text))
    if text.count(_BEGINS) != blocks or text.count(_ENDS) != blocks:
        raise BrokenDocument(f"not every `{_BEGINS} NAME -->` has its `{_ENDS}`")
    return _BLOCK.sub(replaced, text), stale


def _wanted(name: str, body: str, recorded: Mapping[str, str]) -> str:
    if name in RECORDED:
        return recorded.get(name, body)
    if name not in BLOCKS:
        raise BrokenDocument(f"there is no block `{name}`; there are {', '.join(sorted({*BLOCKS, *RECORDED}))}")
    return _generated(name)


@cache
def _generated(name: str) -> str:
    return BLOCKS[name]()


def generate(root: Path, recorded: Mapping[str, str], *, check: bool) -> list[str]:
    """Bring the documents under `root` up to date, or only `check` them; the blocks that were stale, by file."""
    found = []
    for path in documents(root):
        try:
            text, stale = rewritten(path.read_text(), recorded)
        except BrokenDocument as broken:
            raise BrokenDocument(f"{path.relative_to(root)}: {broken}") from None
        found += [f"{path.relative_to(root)}: {name}" for name in stale]
        if stale and not check:
            path.write_text(text)
    return found + _generate_schemas(root / "docs" / "schemas", check=check) + _generate_whole(root, check=check)


_WHOLE: Mapping[str, Callable[[], str]] = {
    "docs/openapi.json": openapi_text,
    "infra/athena-views.yaml": athena_views_text,
}


def _generate_whole(root: Path, *, check: bool) -> list[str]:
    """The files that are generated whole and were stale; none is written where there is none."""
    stale = [name for name, text in _WHOLE.items() if (root / name).exists() and (root / name).read_text() != text()]
    for name in stale:
        if not check:
            (root / name).write_text(_WHOLE[name]())
    return [": ".join(name.split("/")) for name in stale]


def _generate_schemas(folder: Path, *, check: bool) -> list[str]:
    """The schemas in a folder of them that were stale; none are written where there is no such folder."""
    found = []
    for name, kind in SCHEMAS.items() if folder.is_dir() else ():
        path, wanted = folder / f"{name}.json", schema(kind)
        if not path.exists() or path.read_text() != wanted:
            found.append(f"docs/schemas: {path.name}")
            if not check:
                path.write_text(wanted)
    return found


def main(arguments: Sequence[str], root: Path = PROJECT_ROOT) -> int:
    """Do what the command line says: 0 done, 1 if `--check` finds something stale, 2 for a broken document or input."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Rewrites the generated blocks.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what is stale")
    parser.add_argument("--run", type=Path, metavar="REPORT", help="the report.json for the block `run`")
    parser.add_argument("--tests", type=Path, metavar="OUTPUT", help="the output of `make test` for the block `test`")
    options = parser.parse_args(arguments)
    recorded = {}
    try:
        if options.run:
            recorded["run"] = run_block(TypeAdapter(Report).validate_json(options.run.read_bytes()))
        if options.tests:
            recorded["test"] = recorded_tests(options.tests.read_text())
        stale = generate(root, recorded, check=options.check)
    except (BrokenDocument, OSError, ValidationError) as broken:
        sys.stderr.write(f"{broken}\n")
        return WRONG
    said = "is stale; run `python -m docs.generate`" if options.check else "was rewritten"
    sys.stdout.writelines(f"{name} {said}\n" for name in stale)
    return STALE if stale and options.check else DONE


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
