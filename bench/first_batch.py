"""CPU time of a cold start: a function's import and its first batch, beside boto3's import and the same calls."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure
from bench.replay import recorded
from bench.stack import NAME, metering, tables
from bench.timing import spread
from bench.traffic import BATCH, batches, register, together

RUNS = 9
EXPERTS = 25
STACK = NAME
# What is run in a fresh interpreter: the calls are answered from memory, with what the emulator answered once.
_START = """
import json, sys, time
started = time.process_time()
"""
_ENGINE = """
from functions import meter_resolutions
imported = time.process_time() - started
import pickle
from types import SimpleNamespace
from bench.replay import Replayed
event, exchanges = pickle.load(open(sys.argv[1], "rb"))
context = SimpleNamespace(function_name="f", memory_limit_in_mb=512, invoked_function_arn="", aws_request_id="1")
started = time.process_time()
with Replayed(meter_resolutions.store().connection.client, exchanges):
    answer = meter_resolutions.handler(event, context)
assert not answer["batchItemFailures"], answer
"""
_RAW = """
import boto3, pynamodb.models
imported = time.process_time() - started
import pickle
from bench.replay import Replayed
event, exchanges = pickle.load(open(sys.argv[1], "rb"))
started = time.process_time()
client = boto3.client("dynamodb")
reads = {"BatchGetItem": client.batch_get_item, "GetItem": client.get_item}
calls = {**reads, "TransactWriteItems": client.transact_write_items}
with Replayed(client, exchanges):
    for exchange in exchanges:
        calls[exchange.operation](**exchange.params)
"""
_END = """
print(json.dumps([imported, time.process_time() - started]))
"""


def measure(environment: dict[str, str]) -> list[Figure]:
    """Import and first batch together, in interpreters with this environment; each of the two stands in the detail."""
    with TemporaryDirectory() as folder:
        batch = Path(folder) / "batch"
        batch.write_bytes(_recorded_batch())
        found: dict[str, list[tuple[float, float]]] = {"engine": [], "raw": []}
        for run in range(RUNS + 1):  # the first fills the caches of compiled code and of the disk
            for kind, code in (("engine", _ENGINE), ("raw", _RAW)):
                taken = _run(_START + code + _END, batch, environment)
                if run:
                    found[kind].append(taken)
    sums = {kind: spread([sum(taken) for taken in runs]) for kind, runs in found.items()}
    parts = {
        f"{kind}_{part}": round(min(taken[place] for taken in runs) * 1000, 1)
        for kind, runs in found.items()
        for place, part in enumerate(("import", "first_batch"))
    }
    return [
        Figure(
            figure=f"import of meter_resolutions and its first batch ({BATCH} resolutions) / boto3 and the same calls",
            measured=round(sums["engine"].least * 1000, 1),
            baseline=round(sums["raw"].least * 1000, 1),
            unit="CPU milliseconds, least of the runs",
            detail={"runs": RUNS, **parts},
        )
    ]


def _recorded_batch() -> bytes:
    """The event of a first batch, and its calls."""
    with tables() as stack:
        register(EXPERTS)
        [event] = together(next(iter(batches(1, EXPERTS))))
        with metering(stack) as meter, recorded(stack.client) as exchanges:
            meter(event)
        return pickle.dumps((event, exchanges))


def _run(code: str, batch: Path, environment: dict[str, str]) -> tuple[float, float]:
    command = [sys.executable, "-c", code, str(batch)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603  # our own
    imported, handled = json.loads(done.stdout.splitlines()[-1])
    return float(imported), float(handled)
