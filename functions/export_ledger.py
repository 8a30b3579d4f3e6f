"""The ledger leaves as files: the schedule plans a run, its queue hands out the slices, the last one seals it."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from functions.batches import each
from functions.environment import stack
from functions.wiring import logger, store
from infra.aws.export_bucket import LEDGER, WORK, BucketFolder, SigningKey
from infra.aws.queues import queue
from infra.exports.runs import RunNotBegun, Runs


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Write the slices that the queue hands out; for the schedule's event hand out those that are not written yet."""
    return each(event, _write, retry=(RunNotBegun,)) if "Records" in event else _begin()


def _begin() -> dict[str, object]:
    plan = runs().begin(store())
    if plan is None:
        logger.info("nothing to export")
        return {"run": None, "slices": 0}
    left = runs().missing(plan)
    queue(f"{stack()}-exports").send({"run": plan.run, "slice": number} for number in left)
    if not left:
        runs().seal(plan, signing_key().sign)
    logger.info("planned", extra={"run": plan.run, "entries": plan.entries, "slices": len(left)})
    return {"run": plan.run, "slices": len(left)}


def _write(message: Mapping[str, int]) -> str:
    run, number = message["run"], message["slice"]
    plan = runs().plan(run)
    if plan is None:
        raise RunNotBegun(run)
    if number in runs().missing(plan):
        runs().write_slice(store(), plan, number)
    left = len(runs().missing(plan))
    if not left:
        runs().seal(plan, signing_key().sign)
    return f"run {run}: slice {number} is written, {left} are not yet"


@cache
def signing_key() -> SigningKey:
    """The key of this stack's manifests."""
    return SigningKey(os.environ["SOLVENT_EXPORT_KEY"])


@cache
def runs() -> Runs:
    """The runs of this stack's export."""
    bucket = os.environ["SOLVENT_EXPORTS_BUCKET"]
    return Runs(BucketFolder(bucket, LEDGER), BucketFolder(bucket, WORK))
