"""What goes wrong, drawn from a seed: a fault strikes before, instead of or after one call of a function."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

_T = TypeVar("_T")

# Errors that any AWS call may answer with, besides those that its service's model declares.
COMMON_ERRORS = ("ThrottlingException", "InternalServerError", "ServiceUnavailable", "RequestLimitExceeded")
# These would say something about data that is not so; DynamoDB never does, and the engine may believe it.
_TELLS_OF_DATA = {"ConditionalCheckFailedException"}
SERVER_ERRORS = {"InternalServerError", "ServiceUnavailable"}
# Beyond the SDK's own retries, so that the function itself gets to see the fault.
_LONGEST = 8
# Of so many calls that write, or reach Stripe, one is overtaken by another worker.
_RIVAL_IN = 30
_SLOW_MILLISECONDS = 290_000
LAMBDA_MILLISECONDS = 300_000
_CALL_MILLISECONDS = 20


class Crash(BaseException):
    """The function's process ends here, or its time is up: nothing of it runs any more."""


@dataclass(frozen=True, slots=True)
class AwsError:
    """An error answer to be given instead of the real one."""

    code: str

    @property
    def status(self) -> int:
        """The HTTP status."""
        return 500 if self.code in SERVER_ERRORS else 400

    def body(self, request: bytes) -> bytes:
        """The JSON of it; a cancelled transaction says of each item why."""
        answer: dict[str, object] = {"__type": f"com.amazonaws#{self.code}", "message": "ordered by the simulation"}
        if self.code == "TransactionCanceledException":
            count = len(json.loads(request).get("TransactItems", ()))
            reasons = [{"Code": "None"}] * (count - 1) + [{"Code": "TransactionConflict"}]
            answer["CancellationReasons"] = reasons
        return json.dumps(answer).encode()


@dataclass
class Context:
    """Lambda's context of one invocation, whose time passes with each call."""

    remaining: int = LAMBDA_MILLISECONDS
    struck: bool = False
    function_name: str = "simulated"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:simulated"
    aws_request_id: str = "simulated"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.remaining)


@dataclass
class Faults:
    """Draws a fault for each call while `rate` (parts in 10,000) is above 0, and counts them by kind."""

    rng: Random
    rate: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    context: Context = field(default_factory=Context)
    rival: Callable[[], None] = lambda: None
    _lasting: tuple[str, str, int] = ("", "", 0)

    def count(self, kind: str) -> None:
        """Note that a fault struck, and that it struck this invocation."""
        self.counts[kind] += 1
        self.context.struck = True

    def around(self, call: str, kinds: Sequence[str], apply: Callable[[str], _T]) -> _T:
        """The answer to a call: `apply` is told what is to go wrong, or "" for nothing; crashes happen here."""
        self.calls[call] += 1
        kind = self._draw(call, kinds)
        self._pass_time(kind)
        if kind:
            self.count(f"{call.partition('.')[0]} {kind}")
        if kind == "rival":
            self.rival()
            kind = ""
        if kind == "crash_before":
            raise Crash(call)
        answer = apply("" if kind in {"crash_after", "slow"} else kind)
        if kind == "crash_after":
            raise Crash(call)
        return answer

    def _draw(self, call: str, kinds: Sequence[str]) -> str:
        lasting, kind, times = self._lasting
        if times and lasting == call and self.rate:
            self._lasting = (lasting, kind, times - 1)
            return kind
        if self.rate and "rival" in kinds and self.rng.randrange(_RIVAL_IN) == 0:
            return "rival"
        if self.rng.randrange(10_000) >= self.rate:
            return ""
        kind = self.rng.choice(kinds)
        if self.rng.randrange(3) == 0 and not kind.startswith(("crash", "slow", "rival")):
            self._lasting = (call, kind, self.rng.randint(1, _LONGEST))
        return kind

    def _pass_time(self, kind: str) -> None:
        self.context.remaining -= _SLOW_MILLISECONDS if kind == "slow" else _CALL_MILLISECONDS
        if self.context.remaining <= 0 and self.rate:
            self.count("lambda time_out")
            raise Crash("time is up")


def aws_kinds(operation: str, declared: Sequence[str]) -> tuple[str, ...]:
    """What may go wrong with an AWS call: each declared error, the common ones, lost connections, crashes."""
    errors = sorted({*declared, *COMMON_ERRORS} - _TELLS_OF_DATA)
    kinds = [f"error {code}" for code in errors]
    kinds += ["drop_before", "lost_answer", "lost_answer", "crash_before", "crash_after", "crash_after", "slow"]
    if operation in {"TransactWriteItems", "PutItem", "UpdateItem"}:
        kinds += ["rival"]
    kinds += {
        "BatchGetItem": ["partial"] * 3,
        "BatchWriteItem": ["partial", "rival"],
        "Query": ["short_page", "stale_index"],
        "Scan": ["short_page"],
        "SendMessageBatch": ["partial"] * 3,
        "PutEvents": ["partial"] * 3,
    }.get(operation, [])
    return tuple(kinds)


def connection_error(kind: str, rng: Random) -> Exception:
    """What the SDK sees of a connection that is lost."""
    url = "http://simulated"
    if kind == "drop_before":
        return EndpointConnectionError(endpoint_url=url)
    if rng.randrange(2):
        return ReadTimeoutError(endpoint_url=url)
    return ConnectionClosedError(endpoint_url=url)


STRIPE_KINDS = (
    "drop_before",
    "drop_after_commit",
    "timeout_after_commit",
    "status_500_before",
    "status_500_after_commit",
    "rate_limit_429",
    "conflict_409",
    "crash_before",
    "crash_after",
    "crash_after",
    "slow",
    "rival",
)
# After a read nothing is different, whoever comes in between.
STRIPE_KINDS_OF_A_READ = tuple(kind for kind in STRIPE_KINDS if kind != "rival")
