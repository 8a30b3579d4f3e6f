"""What a function imports before its first event decides how long a cold start takes: `python -m bench --only imports`.

Times differ from machine to machine. What makes them long does not: modules that a function has no use for, and
validators that are built at import, whether they are used or not.
"""

import json
import os
import subprocess
import sys

import pytest

from bench.imports import handlers

# Built one by one, pydantic's validators of everything that is stored take longer than importing boto3.
_CODE = """
import gc, json, sys
{code}
modules = sorted(sys.modules)
from pydantic_core import SchemaValidator
print(json.dumps([modules, sum(isinstance(it, SchemaValidator) for it in gc.get_objects())]))
"""
_SETTLES = {
    "boto3",
    "stripe",
    "billing.invoices",
    "infra.aws.past_cases",
    "payouts.awards",
    "payouts.payouts",
    "payouts.policy",
    "settlement.apply",
    "settlement.book_sums",
    "settlement.expert_status",
    "settlement.recorded_facts",
    "settlement.stripe_port",
}
_TELLS = {
    "boto3",
    "stripe",
    "billing.contracts",
    "infra.aws.store",
    "payouts.plans",
    "settlement.cases",
}
_PAYS = {
    "boto3",
    "payouts.earnings",
    "payouts.plans",
    "settlement.decide",
    "settlement.settle",
    "settlement.recorded_facts",
}
NO_USE: dict[str, set[str]] = {
    "meter_resolutions": _SETTLES,
    "sweep_due": _SETTLES,
    "announce": _TELLS,
    "receive_events": _TELLS,
    "receive_ticketing": _TELLS,
    "deliver_webhooks": _TELLS,
    "send_payouts": _PAYS | {"settlement.invoicing", "settlement.reconcile"},
    "settle_stripe_event": _PAYS,
    "receive_stripe_event": {"boto3", "stripe", "pydantic", "pynamodb"},
    "watch_ledger": {"boto3", "stripe", "pydantic", "pynamodb"},
}
# The tables of ticketing systems hold scales, which are checked.
BUILT = {"receive_ticketing": 1}


def after(code: str) -> tuple[set[str], int]:
    """The modules that a fresh interpreter has after running the code, and how many validators it built."""
    environment = {**os.environ, "SOLVENT_STACK": "imports", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [sys.executable, "-c", _CODE.format(code=code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603  # our own
    modules, built = json.loads(done.stdout)
    return set(modules), built


@pytest.mark.parametrize("name", NO_USE)
def test_function_imports_nothing_and_builds_no_validator_that_it_has_no_use_for(name: str) -> None:
    assert name in handlers()
    modules, built = after(f"import functions.{name}")
    assert f"functions.{name}" in modules
    assert modules & NO_USE[name] == set()
    assert built == BUILT.get(name, 0)


def test_modules_named_here_are_there_to_be_imported() -> None:
    names = sorted(set().union(*NO_USE.values()))
    modules, _ = after("\n".join(f"import {name}" for name in names))
    assert set(names) <= modules


def test_validator_that_is_built_is_noticed() -> None:
    assert after("import pydantic; kept = pydantic.TypeAdapter(int)")[1] == 1
