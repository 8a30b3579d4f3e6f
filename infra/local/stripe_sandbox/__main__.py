"""Serve the sandbox as a process of its own: prints {"url": ...} in one line, ends with 0 on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from infra.local.stripe_sandbox.server import StripeSandbox
from infra.local.stripe_sandbox.timeline import epoch_seconds
from infra.local.stripe_sandbox.world import Settings


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.stripe_sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--state", type=Path, help="file that keeps the state over restarts")
    parser.add_argument("--api-key", default="sk_test_sandbox", help="the one secret key that is accepted")
    parser.add_argument("--now", help="ISO 8601 time at which the sandbox's clock begins (manual clock)")
    parser.add_argument("--clock", choices=("manual", "wall"), help="default: manual with --now, else wall")
    parser.add_argument("--new-accounts", choices=("pending", "active", "restricted"), default="pending")
    parser.add_argument("--settlement-days", type=int, default=2, help="until a charge is available")
    parser.add_argument("--topup-days", type=int, default=0, help="until a top-up is available")
    parser.add_argument("--payout-days", type=int, default=2, help="until a payout arrives")
    options = parser.parse_args(arguments)
    if options.clock == "manual" and options.now is None:
        parser.error("--clock manual needs --now")
    if options.clock == "wall" and options.now is not None:
        parser.error("--clock wall takes no --now")
    return options


def main(arguments: list[str]) -> int:
    """Serve until a signal ends it; the exit status."""
    options = parse_arguments(arguments)
    now = datetime.fromtimestamp(epoch_seconds(options.now), UTC) if options.now else None
    ended = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda _number, _frame: ended.set())
    settings = Settings(options.new_accounts, options.settlement_days, options.topup_days, options.payout_days)
    with StripeSandbox(
        now=now, api_key=options.api_key, port=options.port, state_file=options.state, settings=settings
    ) as sandbox:
        sys.stdout.write(json.dumps({"url": sandbox.url}) + "\n")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
