"""`python -m bench`: measure, print a table, write build/bench.json."""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import backtests, closing

RESULTS = Path("build/bench.json")


def main() -> None:
    """Measure everything; the backtest first, so that nothing else is in its memory."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures, and writes build/bench.json.")
    parser.add_argument("--cases", type=int, default=100_000, help="how many cases the backtest has")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cpus": os.cpu_count()},
        "backtest": backtests.measure(options.cases),
        "close": closing.measure(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    console = Console()
    console.print(_backtest_table(results["backtest"]))
    console.print(_close_table(results["close"]))
    console.print(f"written to {RESULTS}")


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


if __name__ == "__main__":
    main()
