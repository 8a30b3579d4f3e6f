"""Seeds, one after the other in a few processes, until so many resolutions were simulated; and the report."""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.simulation.api_calls import try_calls
from tests.simulation.crash_points import crash_points
from tests.simulation.door_calls import try_doors
from tests.simulation.invariants import Checker
from tests.simulation.simulation import Simulation, Violation
from tests.simulation.tried import Tried, summed

PER_SEED = 5_000
REPORT = Path("build/simulation.json")
PLAYED = Path("build/simulation-played.jsonl")
_COUNTERS = ("faults", "calls", "functions")
_CODE = ("ledger", "events", "billing", "payouts", "settlement", "infra", "functions", "tests/simulation")


@dataclass
class Outcome:
    """What one seed came to; `violation` is empty if everything held."""

    seed: int
    asked: int
    fault_rate: int
    resolutions: int = 0
    steps: int = 0
    seconds: float = 0.0
    digest: str = ""
    violation: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)

    @property
    def job(self) -> tuple[int, int, int]:
        """What `play` is asked for."""
        return self.seed, self.asked, self.fault_rate


def play(job: tuple[int, int, int]) -> Outcome:
    """One seed, whole; whatever stops it is a violation. The engine may not even end in an error of ours."""
    seed, resolutions, fault_rate = job
    began, outcome, checker = time.process_time(), Outcome(*job), Checker()
    simulation = Simulation(seed, resolutions, fault_rate, check=checker, after=checker.after)
    try:
        simulation.run()
        outcome.digest = simulation.cloud.digest()
    except Violation as violation:
        outcome.violation = str(violation)
        if violation.__cause__ is not None:
            outcome.violation += "\n" + "".join(traceback.format_exception(violation.__cause__))
    except Exception:  # noqa: BLE001  # the outermost edge: one seed's error is reported, the others go on
        outcome.violation = f"seed {seed}, step {simulation.step}:\n{traceback.format_exc()}"
    outcome.resolutions, outcome.steps = simulation.told, simulation.step
    outcome.seconds = round(time.process_time() - began, 2)
    outcome.faults, outcome.calls = simulation.faults.counts, simulation.faults.calls
    outcome.functions = simulation.outcomes
    return outcome


def main() -> int:
    """Play the seeds, write the report, and say how each violation is repeated; 1 if there is one."""
    asked = _arguments()
    kept = Kept(_digest_of_code())
    jobs = _jobs(asked)
    outcomes = [kept.outcomes[job] for job in jobs if job in kept.outcomes]
    resumed = sum(it.resolutions for it in outcomes)
    began, interrupted = time.monotonic(), False
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("0 violations", total=asked.resolutions, completed=resumed)
        try:
            for outcome in _played([job for job in jobs if job not in kept.outcomes], asked.workers):
                kept.add(outcome)
                outcomes.append(outcome)
                found = sum(bool(it.violation) for it in outcomes)
                progress.update(task, advance=outcome.resolutions, description=f"{found} violations")
        except KeyboardInterrupt:
            interrupted = True
    seconds = time.monotonic() - began
    tried = {} if interrupted or not asked.crash_points else _try_crash_points(asked.workers)
    _write_report(asked, outcomes, tried, seconds, resumed, interrupted=interrupted)
    if not interrupted:
        kept.forget()
    return _tell(asked, outcomes, tried, interrupted=interrupted)


def _try_crash_points(workers: int) -> dict[str, Tried]:
    found = list[Tried]()
    for number, one in enumerate(chain(crash_points(workers), try_calls(), try_doors()), start=1):
        found.append(one)
        failed = sum(len(it.failed) for it in found)
        sys.stderr.write(f"\rcrash points of {number} scenes tried, {failed} not recovered from ")
    sys.stderr.write("\n")
    return summed(found)


class Kept:
    """The seeds that an interrupted run had played with this very code, a line each; the next one goes on behind."""

    def __init__(self, code: str) -> None:
        self._code = code
        self.outcomes: dict[tuple[int, int, int], Outcome] = {}
        *lines, _cut_off = PLAYED.read_text(encoding="utf-8").split("\n") if PLAYED.exists() else [""]
        for known in map(json.loads, lines):
            if known.pop("code") == code:
                outcome = Outcome(**known | {name: Counter(known[name]) for name in _COUNTERS})
                self.outcomes[outcome.job] = outcome

    def add(self, outcome: Outcome) -> None:
        """Write it down at once: whatever ends this run, the seed need not be played again."""
        PLAYED.parent.mkdir(exist_ok=True)
        with PLAYED.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"code": self._code, **vars(outcome)}) + "\n")

    def forget(self) -> None:
        """The run came to its end."""
        PLAYED.unlink(missing_ok=True)


def _digest_of_code() -> str:
    files = sorted(path for folder in _CODE for path in Path(folder).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=main.__doc__)
    parser.add_argument("--resolutions", type=int, default=100_000, help="how many in all (100000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed; the next ones follow (1)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (one for each core)")
    parser.add_argument("--per-seed", type=int, default=PER_SEED, help=f"resolutions of one seed ({PER_SEED})")
    parser.add_argument("--faults", type=int, default=60, help="faults in 10,000 calls (60)")
    parser.add_argument("--crash-points", action="store_true", help="then try every crash point of every workflow")
    return parser.parse_args()


def _jobs(asked: argparse.Namespace) -> list[tuple[int, int, int]]:
    whole, rest = divmod(asked.resolutions, asked.per_seed)
    sizes = [asked.per_seed] * whole + ([rest] if rest else [])
    return [(asked.seed + place, size, asked.faults) for place, size in enumerate(sizes)]


def _played(jobs: list[tuple[int, int, int]], workers: int) -> Iterator[Outcome]:
    """The outcomes as they come; in this process if one worker is asked for, where a debugger reaches it."""
    if workers <= 1 or len(jobs) == 1:
        yield from map(play, jobs)
        return
    with get_context("spawn").Pool(workers, _leave_interrupts_to_parent) as pool:
        yield from pool.imap_unordered(play, jobs)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_report(
    asked: argparse.Namespace,
    outcomes: list[Outcome],
    tried: Mapping[str, Tried],
    seconds: float,
    resumed: int,
    *,
    interrupted: bool,
) -> None:
    totals = {name: Counter[str]() for name in _COUNTERS}
    for outcome in outcomes:
        for name, counter in totals.items():
            counter.update(getattr(outcome, name))
    played = sum(it.resolutions for it in outcomes)
    report = {
        "asked": vars(asked),
        "interrupted": interrupted,
        "resolutions": played,
        "resumed_from": resumed,
        "seconds": round(seconds, 1),
        "resolutions_per_second": round((played - resumed) / seconds, 1),
        "cpu_seconds": round(sum(it.seconds for it in outcomes), 1),
        "crash_points": {name: it.described() for name, it in tried.items()},
        "violations": [vars(it) | {"repeat": _repeat(it)} for it in outcomes if it.violation],
        **{name: dict(sorted((+counter).items())) for name, counter in totals.items()},
        "seeds": [[it.seed, it.resolutions, it.steps, it.digest] for it in sorted(outcomes, key=lambda it: it.seed)],
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _tell(asked: argparse.Namespace, outcomes: list[Outcome], tried: Mapping[str, Tried], *, interrupted: bool) -> int:
    bad = [outcome for outcome in outcomes if outcome.violation]
    for outcome in bad:
        sys.stderr.write(f"\n{outcome.violation}\n  repeat it: {_repeat(outcome)}\n")
    lost = [f"{it.workflow}: {what}" for it in tried.values() for what in it.failed]
    sys.stderr.write("".join(f"{what}\n" for what in lost))
    played, struck = sum(it.resolutions for it in outcomes), sum(sum(it.faults.values()) for it in outcomes)
    end = f" (interrupted; {asked.resolutions:,} were asked for)" if interrupted else ""
    counts = f"{played:,} resolutions of {len(outcomes)} seeds, {struck:,} faults, {len(bad)} violations"
    sys.stdout.write(f"{counts}{end}: {REPORT}\n")
    if tried:
        points = sum(it.points for it in tried.values())
        sys.stdout.write(f"{points:,} crash points of {len(tried)} workflows, {len(lost)} not recovered from\n")
    return 1 if bad or lost or interrupted else 0


def _repeat(outcome: Outcome) -> str:
    size, rate = outcome.asked, outcome.fault_rate
    return (
        f"python -m tests.simulation --seed {outcome.seed} --resolutions {size} --per-seed {size} "
        f"--faults {rate} --workers 1"
    )
