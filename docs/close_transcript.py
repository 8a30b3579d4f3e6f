"""The transcript in docs/close.md: the real commands, on the embedded stack, close a small sample month.

`python -m docs.close_transcript` plays it and rewrites the block `close` of that page. What differs from run to run,
hashes and what follows from the order in which workers settle, a test leaves out when it compares (`steady`).
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from typer.testing import CliRunner

from cli.connection import RUN_FOLDER, connect
from cli.main import app
from cli.run import play_triggers, set_up
from docs.generate import rewritten
from docs.markdown import fenced
from infra.local.packaging import PROJECT_ROOT
from infra.local.player import Player
from infra.local.sample_month import TriggerKind, sample_month, trigger_times
from infra.local.stack import LocalStack, local_stack

PAGE = PROJECT_ROOT / "docs" / "close.md"
RESOLUTIONS = 300
MONTH = "2026-10"
BANK_FEE = PROJECT_ROOT / "docs" / "examples" / "entries" / "bank_fee.yaml"
# Finance closes on this day; no schedule closed or sent anything before.
CLOSED_AT = datetime(2026, 11, 9, 9, tzinfo=UTC)
_BY_HAND = {TriggerKind.CLOSE_PERIODS, TriggerKind.ISSUE_INVOICES}
_STEADY = ((r"\b[0-9a-f]{64}\b|\b[0-9a-f]{16}\b", "HASH"), (r"\breq_\w+", "REQUEST"))
# Lines whose numbers follow from the order of settlement.
_ORDERED = re.compile(r"payouts|entries|movements|differences|SHA-256")


@dataclass
class Finance:
    """People at the command line of one stack, and all that they saw."""

    stack: LocalStack
    seen: list[str]

    def call(self, line: str, code: int = 0) -> str:
        """Run a command as it is written, five minutes after the last; raises RuntimeError for another exit code."""
        words = [str(BANK_FEE) if word == BANK_FEE.name else word for word in _words(line)]
        now = CLOSED_AT + len(self.seen) * timedelta(minutes=5)
        at = ["--as-of", now.strftime("%Y-%m-%dT%H:%M:%S")]
        done = CliRunner().invoke(app, [*words, *at], env={"COLUMNS": "1000", "SOLVENT_STACK": None})
        if done.exit_code != code or (done.exception and not isinstance(done.exception, SystemExit)):
            raise RuntimeError(f"{line}: exit code {done.exit_code}, not {code}: {done.output}") from done.exception
        self.seen.append(f"$ solvent {line}\n{done.stdout.rstrip()}\n")
        return done.stdout

    def fail_at_stripe(self) -> None:
        """Let connections to Stripe break for a while, of whoever makes an invoice."""
        match = {"method": "POST", "path_prefix": "/v1/invoices"}
        self.stack.sandbox.control("faults", {"fault": "drop_before", "match": match, "times": 50})

    def mend_stripe(self) -> None:
        """Let them hold again."""
        self.stack.sandbox.control("faults", method="DELETE")


def _words(line: str) -> list[str]:
    """The words of a command; what is in quotes is one."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', line)]


@contextlib.contextmanager
def month_before_its_close(folder: Path) -> Iterator[Finance]:
    """A stack below `folder` on which October was played until November 9, with nothing closed or sent."""
    month, before = sample_month(RESOLUTIONS), dict(os.environ)
    start = datetime.combine(month.first_day, time(), UTC)
    try:
        with contextlib.chdir(folder), local_stack(RUN_FOLDER.absolute(), start) as stack:
            stack.address.enter()
            here, player, quiet = connect(stack.address.stack_name), Player(stack), Console(file=StringIO())
            set_up(stack, here, player, quiet)
            triggers = (it for it in trigger_times(month) if it.kind not in _BY_HAND and it.at < CLOSED_AT)
            play_triggers(stack, here, player, month, triggers, quiet)
            player.set_clock(CLOSED_AT)
            yield Finance(stack, [])
    finally:
        os.environ.clear()
        os.environ.update(before)


def close_the_month(finance: Finance) -> str:
    """What finance types and sees until the month is closed: Ann closes, and Bob is the second person."""
    proposed = finance.call(f"finance entry propose {BANK_FEE.name} --by ann")
    finance.call(f"finance entry approve {proposed.split()[0]} --by bob")
    finance.call(f"close {MONTH} --by ann", code=1)
    why = "broken messages and people unknown to us, told to the helpdesks"
    drafted = finance.call(f'close {MONTH} --by ann --accept parked --because "{why}"', code=1)
    [approval] = re.findall(r"--approve ([0-9a-f]+)", drafted)
    finance.call(f"close {MONTH} --approve {approval} --by bob")
    finance.fail_at_stripe()
    finance.call(f"close {MONTH} --by ann", code=1)
    finance.mend_stripe()
    finance.call(f"close {MONTH} --by ann")
    return "\n".join(finance.seen)


def steady(transcript: str) -> list[str]:
    """The lines of a transcript without what is another one in every run."""
    for pattern, name in _STEADY:
        transcript = re.sub(pattern, name, transcript)
    return [re.sub(r"[\d,.]+", "#", line) if _ORDERED.search(line) else line for line in transcript.splitlines()]


def main() -> int:
    """Play the month, close it, and rewrite the block."""
    with TemporaryDirectory() as scratch, month_before_its_close(Path(scratch)) as finance:
        transcript = close_the_month(finance)
    text, stale = rewritten(PAGE.read_text(), {"close": fenced(transcript)})
    PAGE.write_text(text)
    sys.stdout.writelines(f"{name} was rewritten\n" for name in stale)
    return 0


if __name__ == "__main__":
    sys.exit(main())
