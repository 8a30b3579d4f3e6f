"""CPU time to import each function in a fresh interpreter, beside `import boto3, pynamodb.models`; and its first batch.

Modules are compiled before, as in the archive that the build makes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import functions
from bench import first_batch
from bench.figures import Figure
from bench.timing import spread

RUNS = 9
TARGET = 1.5
BASELINE = "boto3, pynamodb.models"
# Who waits for these feels it; the others are started by a schedule.
HOT = frozenset(
    {"meter_resolutions", "sweep_due", "send_payouts", "settle_stripe_event", "receive_stripe_event", "announce"}
    | {"receive_events", "receive_ticketing", "serve_api", "deliver_webhooks"}
)
_CODE = """
import json, sys, time
started = time.process_time()
import {module}
print(json.dumps([time.process_time() - started, "stripe" in sys.modules, "functions.stripe_wiring" in sys.modules]))
"""


def handlers() -> list[str]:
    """The modules of functions that hold a handler."""
    folder = Path(str(functions.__file__)).parent
    return sorted(path.stem for path in folder.glob("*.py") if "\ndef handler(" in path.read_text())


def measure() -> list[Figure]:
    """A figure for each function, those of hot ones with a target, and one about imports of Stripe's SDK."""
    with TemporaryDirectory() as compiled:
        environment = _environment(compiled)
        return [*_imports(environment), *first_batch.measure(environment)]


def _environment(compiled: str) -> dict[str, str]:
    """Variables as the template sets them, and compiled code where it is of this run alone."""
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return mine | {
        "SOLVENT_STACK": first_batch.STACK,
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "PYTHONPYCACHEPREFIX": compiled,
    }


def _imports(environment: dict[str, str]) -> list[Figure]:
    names = {name: f"functions.{name}" for name in handlers()}
    seconds: dict[str, list[float]] = {module: [] for module in (BASELINE, *names.values())}
    needless = set[str]()
    for run in range(RUNS + 1):  # the first fills the caches of compiled code and of the disk
        for module, found in seconds.items():
            taken, has_stripe, calls_stripe = _import(module, environment)
            if run:
                found.append(taken)
            if has_stripe and not calls_stripe:
                needless.add(module)
    spreads = {module: spread(found) for module, found in seconds.items()}
    figures = [
        Figure(
            figure=f"import of {name} / import {BASELINE}",
            measured=round(spreads[module].least * 1000, 1),
            baseline=round(spreads[BASELINE].least * 1000, 1),
            unit="CPU milliseconds, least of the runs",
            target=TARGET if name in HOT else None,
            detail={
                "runs": RUNS,
                "measured_median": round(spreads[module].median * 1000, 1),
                "baseline_median": round(spreads[BASELINE].median * 1000, 1),
            },
        )
        for name, module in names.items()
    ]
    detail = {"modules": sorted(needless)}
    return [*figures, Figure("functions that import stripe and do not call it", len(needless), target=0, detail=detail)]


def _import(module: str, environment: dict[str, str]) -> tuple[float, bool, bool]:
    """CPU seconds of the import; whether Stripe's SDK came with it, and whether the function calls Stripe."""
    command = [sys.executable, "-c", _CODE.format(module=module)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603  # our own
    taken, has_stripe, calls_stripe = json.loads(done.stdout)
    return float(taken), bool(has_stripe), bool(calls_stripe)
