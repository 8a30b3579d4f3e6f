"""`python -m bench`: measure, print tables, write build/bench.json."""

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import backtests, closing, costs, doors, engine, exporting, imports, payouts
from bench.figures import Figure

RESULTS = Path("build/bench.json")
# In this order: the backtest first, so that nothing else is in its memory.
PARTS = ("backtest", "engine", "costs", "imports", "exports", "close", "payouts", "doors")


def main() -> None:
    """Measure all parts, or those that are asked for; what the others once gave stays in the file."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures, and writes build/bench.json.")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)}, with commas")
    parser.add_argument("--cases", type=int, default=100_000, help="how many cases the backtest has")
    parser.add_argument("--experts", type=int, default=1_000_000, help="for up to how many experts payouts are planned")
    options = parser.parse_args()
    results = _earlier() if options.only != PARTS else {}
    results["machine"] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
    }
    kept = [it for it in results.get("figures", []) if it["part"] not in options.only]
    console, measured = Console(), list[dict[str, Any]]()
    for place, part in enumerate(options.only, start=1):
        console.print(f"{place} of {len(options.only)}: {part}")
        found = _measure(part, options, results, console)
        measured += [{"part": part, "on": datetime.now(UTC).date().isoformat(), **it.report()} for it in found]
        results["figures"] = sorted(kept + measured, key=lambda it: PARTS.index(it["part"]))
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    console.print(_figures_table(measured))
    console.print(f"written to {RESULTS}")


def _parts(text: str) -> tuple[str, ...]:
    asked = set(text.split(","))
    if unknown := asked - set(PARTS):
        raise argparse.ArgumentTypeError(f"there is no part {min(unknown)}; name some of {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in asked)


def _earlier() -> dict[str, Any]:
    try:
        return dict(json.loads(RESULTS.read_text()))
    except FileNotFoundError:
        return {}


def _measure(part: str, options: argparse.Namespace, results: dict[str, Any], console: Console) -> Iterable[Figure]:
    """The figures of a part; one that has a table of its own prints it, and keeps it beside the figures."""
    alone: dict[str, Callable[[], list[Figure]]] = {
        "engine": engine.measure,
        "costs": costs.measure,
        "imports": imports.measure,
        "exports": exporting.measure,
        "doors": doors.measure,
    }
    if part in alone:
        return alone[part]()
    if part == "backtest":
        results[part] = backtests.measure(options.cases)
        console.print(_backtest_table(results[part]))
        whole = results[part]["backtest_alone"]["seconds_median"]
        parsed = results[part]["facts_parsed"]["seconds_median"]
        name = f"a backtest of {options.cases:,} cases / parsing their facts"
        return [Figure(name, whole, parsed, unit="CPU seconds, median")]
    if part == "close":
        results[part] = closing.measure()
        console.print(_close_table(results[part]))
        return closing.figures(results[part])
    results[part] = payouts.measure(options.experts)
    console.print(_payouts_table(results[part]))
    return payouts.figures(results[part])


def _figures_table(reports: Iterable[dict[str, Any]]) -> Table:
    table = Table("figure", "measured", "baseline", "unit", "ratio", "target", "met", title_justify="left")
    said = {True: "yes", False: "NO", None: ""}
    for it in reports:
        numbers = ("" if it[name] is None else f"{it[name]}" for name in ("measured", "baseline"))
        limits = ("" if it[name] is None else f"{it[name]:g}" for name in ("ratio", "target"))
        table.add_row(it["figure"], *numbers, it["unit"], *limits, said[it["met"]])
    return table


def _backtest_table(found: dict[str, Any]) -> Table:
    table = Table("backtest", "min", "median", title=f"{found['cases']:,} cases, CPU seconds", title_justify="left")
    for name, value in found.items():
        if isinstance(value, dict):
            table.add_row(name.replace("_", " "), f"{value['seconds_min']:.2f}", f"{value['seconds_median']:.2f}")
    table.add_row("cases per second, backtest alone", "", f"{found['backtest_alone']['cases_per_second']:,}")
    table.add_row("backtest alone / facts parsed", "", f"{found['backtest_alone_to_facts_parsed']}")
    table.add_row("growth of peak memory after 10,000, MiB", "", f"{found['peak_memory_growth_mib_after_10000']}")
    return table


def _close_table(found: list[dict[str, Any]]) -> Table:
    table = Table("resolutions", "items read", "min", "median", "to the smallest", title="a close, microseconds")
    for row in found:
        read = ", ".join(str(number) for number in row["items_read"])
        times = (f"{row['microseconds_min']:.0f}", f"{row['microseconds_median']:.0f}")
        table.add_row(f"{row['resolutions']:,}", read, *times, f"{row['median_to_smallest']:.2f}")
    return table


def _payouts_table(found: dict[str, Any]) -> Table:
    creating, sending = found["creating"], found["sending"]
    table = Table("payouts", "measured", "beside", title_justify="left", title="a payout run")
    for row in found["planning"]:
        table.add_row(
            f"{row['experts']:,} experts planned, CPU seconds, median",
            f"{row['planning_alone']['seconds_median']:.2f}",
            f"{row['payees_made']['seconds_median']:.2f} to make them",
        )
        table.add_row("growth of peak memory after 10,000, MiB", f"{row['peak_memory_growth_mib_after_10000']}", "")
    raw = f"{creating['raw_transactions_per_second']} raw transactions of the same items"
    table.add_row("created a second", f"{creating['payouts_per_second']}", raw)
    paced = f"{sending['configured_per_second']} configured: {sending['sent_to_configured']:.1%}"
    table.add_row("sent a second by 2 workers", f"{sending['sent_per_second']}", paced)
    return table


if __name__ == "__main__":
    main()
