"""One simulated month: the real functions, driven from a seed by an agenda of facts, schedules, webhooks and people."""

import heapq
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

from billing.prepaid import Lot
from events.facts import format_instant
from functions import receive_stripe_event, registry_wiring, stripe_wiring, wiring
from infra.aws.bus import bus
from infra.aws.queues import queue
from infra.aws.store import DynamoStore
from infra.aws.tables import bind
from ledger.errors import LedgerError
from payouts.payouts import PayoutStuck
from payouts.policy import PayoutsStopped
from settlement.apply import NewTerms, plan_changes
from settlement.approve_payouts import ApprovalRefused, approve_run, reject_run, waiting_runs
from settlement.bank_leg import follow_account
from settlement.invoicing import InvoiceDiffers
from settlement.prepaid import buy_credits
from settlement.release import release
from tests.simulation.aws import SERVICES, Cloud, Queue, model_client
from tests.simulation.faults import Context, Crash, Faults
from tests.simulation.history import MARKER, Sent, tell_history
from tests.simulation.stripe_calls import API_KEY, BASE, SECRETS, StripeDouble, client_class, webhook_call
from tests.simulation.world import SCALES, STARTS_ON, Terms, at, make_terms

STACK = "simulated"
_PLAYS_UNTIL = at(STARTS_ON) + timedelta(days=72)
_RESTS_AT = at(STARTS_ON) + timedelta(days=112)
_REST_DAYS = 7
ENOUGH = 99_999_990  # minor units of each currency: the most that Stripe takes at once
# Whatever is struck, the engine never says these: they mean that it is wrong itself.
NEVER = (LedgerError, PayoutStuck, InvoiceDiffers)
# Which function takes a queue's messages, and how many at once at most.
CONSUMERS = {
    "facts": ("meter_resolutions", 40),
    "payouts": ("send_payouts", 10),
    "stripe-events": ("settle_stripe_event", 10),
}


class Violation(AssertionError):
    """Something that must never be so; says what, and at which step of which seed."""


@dataclass
class _Log:
    """Where the functions' logs go: nothing is kept but whether a marker of personal data was in it."""

    marked: str = ""

    def write(self, text: str) -> int:
        if MARKER in text and not self.marked:
            self.marked = text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


@dataclass
class Simulation:
    """A seed's whole history. `check` is called with this after every `check_every` steps and at the end."""

    seed: int
    resolutions: int
    fault_rate: int = 60
    check_every: int = 250
    check: Callable[["Simulation", bool], None] = lambda _simulation, _at_rest: None
    after: Callable[["Simulation", str], None] = lambda _simulation, _function: None
    on_step: Callable[[int], None] = lambda _step: None
    step: int = 0
    now: datetime = field(default_factory=lambda: at(STARTS_ON))
    told: int = 0
    struck: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    log: _Log = field(default_factory=_Log)

    def __post_init__(self) -> None:
        seed = self.seed
        self.rng, terms, history, faults = (
            Random(f"{seed} {what}")  # noqa: S311  # no secret
            for what in ("people", "terms", "history", "faults")
        )
        self.terms: Terms = make_terms(terms)
        self.sent, self.told = tell_history(history, self.terms, self.resolutions)
        self.faults = Faults(faults, rival=self._rival)
        secret = {"api_key": API_KEY} | {f"webhook_secret_{name}": value for name, value in SECRETS.items()}
        self.cloud = Cloud(STACK, self.faults, json.dumps(secret))
        self.stripe = StripeDouble(self.now, self._hear_webhook)
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._depth = 0

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Play everything, come to rest without faults, and check; raises Violation."""
        with self.installed():
            self._begin()
            self.faults.rate = self.fault_rate
            while self._agenda:
                moment, _, act = heapq.heappop(self._agenda)
                self._move_clock(moment)
                act()
                self._after_step()
            self.faults.rate = 0
            self._come_to_rest()
            self.check(self, True)

    def _after_step(self) -> None:
        self.step += 1
        self.on_step(self.step)
        if self.step % self.check_every == 0:
            self._unstruck(lambda: self.check(self, False))

    def _unstruck(self, act: Callable[[], None]) -> None:
        rate, self.faults.rate = self.faults.rate, 0
        act()
        self.faults.rate = rate

    def fail(self, what: str) -> NoReturn:
        """Say that something is not as it must be."""
        raise Violation(f"seed {self.seed}, step {self.step}, {self.now:%Y-%m-%d %H:%M}: {what}")

    def at_time(self, moment: datetime, act: Callable[[], None]) -> None:
        """Put something on the agenda; what lies behind comes next."""
        heapq.heappush(self._agenda, (max(moment, self.now), next(self._numbers), act))

    def _move_clock(self, moment: datetime) -> None:
        self.now = max(moment, self.now)
        self.cloud.now = self.now.timestamp()
        self.stripe.set_clock(self.now)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The functions' own wiring, with AWS and Stripe answered in this process and no waiting."""
        environment = {"SOLVENT_STACK": STACK, "SOLVENT_STRIPE_API_BASE": BASE, "AWS_DEFAULT_REGION": "us-east-1"}
        no_wait = SimpleNamespace(sleep=lambda _seconds: None)
        with ExitStack() as stack:
            stack.enter_context(patch.dict("os.environ", environment))
            stack.enter_context(patch("infra.aws.clients.client", model_client))
            stack.enter_context(patch("infra.aws.store.time", no_wait))
            stack.enter_context(patch("botocore.endpoint.time", no_wait))
            stack.enter_context(patch("stripe.RequestsClient", client_class(self.stripe, self.faults)))
            stack.enter_context(self._quiet_logs())
            clients = [model_client(service) for service in SERVICES]
            forget()
            connection = bind(STACK, region="us-east-1", host="http://simulated")
            connection._client = clients[0]  # noqa: SLF001  # PynamoDB would make another one for each simulation
            for client in clients:
                self.cloud.attach(client)
                stack.callback(self.cloud.detach, client)
            stack.callback(forget)
            stack.enter_context(patch.object(registry_wiring, "bind", lambda _stack: connection))
            self.cloud.create_tables()
            yield

    @contextmanager
    def _quiet_logs(self) -> Iterator[None]:
        streams = [
            (handler, handler.stream)
            for handler in wiring.logger.handlers
            if isinstance(handler, logging.StreamHandler)
        ]
        for handler, _ in streams:
            handler.stream = self.log
        try:
            yield
        finally:
            for handler, stream in streams:
                handler.stream = stream if stream is not self.log else sys.stdout

    # -- what is on the agenda -------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Register everything, fund the platform, and plan the month."""
        registry = wiring.registry()
        registry.write(plan_changes(registry.current_terms(), self.terms.new(), STARTS_ON))
        for expert in self.terms.experts:
            self._onboard(expert.id)
        for client, minor in self.terms.credits.items():
            lot = Lot("lot1", STARTS_ON, None, minor, minor)
            buy_credits(wiring.store(), registry, client, lot, self.now)
        for sent in self.sent:
            self.at_time(sent.at, partial(self._deliver, sent))
        self._plan_schedules()
        self._plan_people()

    def _onboard(self, expert: str) -> None:
        registry = wiring.registry()
        account = stripe_wiring.stripe().account(registry.experts([expert])[expert])
        registry.set_stripe_account(expert, account)
        follow_account(wiring.store(), registry, stripe_wiring.stripe(), account, self.now)

    def _plan_schedules(self) -> None:
        """The template's schedules, thinned out where nothing depends on how often they come."""
        day = at(STARTS_ON)
        while day < _PLAYS_UNTIL:
            self._schedule("sweep_due", day + timedelta(minutes=10))
            if self.rng.randrange(4) == 0:
                self._schedule("sweep_due", day + timedelta(hours=self.rng.randint(1, 20)))
            if self.rng.randrange(5) == 0:
                self._schedule("award_incentives", day + timedelta(hours=2))
            if self.rng.randrange(3) == 0 or day.weekday() == 0 or day.day == 1:
                self._schedule("run_payouts", day + timedelta(hours=6))
            if day.day in {1, 2, 3, 5} or (day.weekday() == 2 and day.day % 2):
                self._schedule("close_periods", day + timedelta(hours=6, minutes=30))
                self._schedule("issue_invoices", day + timedelta(hours=6, minutes=40))
            if day.weekday() == 3:
                self._schedule("reconcile", day + timedelta(hours=7))
            day += timedelta(days=1)

    def _schedule(self, function: str, moment: datetime, tries: int = 3) -> None:
        def fire() -> None:
            if self.invoke(function, {"time": format_instant(moment)}) is None and tries > 1:
                self.at_time(self.now + timedelta(minutes=2), lambda: self._again(function, moment, tries - 1))
            self._pump_all(few=True)

        self.at_time(moment, fire)

    def _again(self, function: str, moment: datetime, tries: int) -> None:
        if self.invoke(function, {"time": format_instant(moment)}) is None and tries > 1:
            self.at_time(self.now + timedelta(minutes=2), lambda: self._again(function, moment, tries - 1))

    def _plan_people(self) -> None:
        """What people and banks do meanwhile; each is tried as it comes, and refused where it does not fit."""
        days = [at(STARTS_ON) + timedelta(days=number, hours=13) for number in range(72)]
        for day in days:
            self.at_time(day, self._pay_some_invoice)
            self.at_time(day + timedelta(hours=1), self._move_bank)
            self.at_time(day + timedelta(hours=2), self._look_after_runs)
        self.at_time(days[2], self._top_up)
        for day in days[16::21]:
            self.at_time(day, self._top_up)
        self.at_time(days[19], self._change_contracts)
        self.at_time(days[24], self._register_missing_expert)
        for day in self.rng.sample(days[7:60], 3):
            self.at_time(day, self._stop_payouts)
            self.at_time(day + timedelta(days=self.rng.randint(1, 3)), self._resume_payouts)

    # -- what happens ----------------------------------------------------------------------------------------------

    def _deliver(self, sent: Sent) -> None:
        self.cloud.queues["facts"].send(sent.body, self.now.timestamp())
        if self.rng.randrange(200) == 0:
            self.faults.counts["queue duplicate"] += 1
            self.cloud.queues["facts"].send(sent.body, self.now.timestamp())
        if len(self.cloud.queues["facts"].messages) >= 30 and self.rng.randrange(3):
            self.pump("facts")

    def _hear_webhook(self, event: dict[str, Any]) -> None:
        """Stripe tells it late, twice, in no order."""
        if event["object"] == "v2.core.event":
            return
        for _ in range(1 + (self.rng.randrange(10) == 0)):
            hours = self.rng.choice((0, 0, 0, 0, 1, 30))
            delay = timedelta(seconds=self.rng.randint(0, 5 + hours * 3600))
            self.at_time(self.now + delay, lambda: self._bring_webhook(event, 0))

    def _bring_webhook(self, event: dict[str, Any], tries: int) -> None:
        answer = self.invoke("receive_stripe_event", webhook_call(event, self.now))
        if answer is None and tries < 20:
            self.at_time(self.now + timedelta(hours=1), lambda: self._bring_webhook(event, tries + 1))
        elif answer is not None and answer["statusCode"] != 202:
            self.fail(f"the webhook {event['id']} was answered with {answer}")
        if self.rng.randrange(2):
            self.pump("stripe-events")

    def _pay_some_invoice(self) -> None:
        for invoice in self.stripe.objects("in"):
            if invoice["status"] != "open" or self.rng.randrange(4):
                continue
            draw = self.rng.randrange(20)
            if draw == 0:
                self._try("fail_payment", invoice=invoice["id"])
            elif draw < 3:
                self._try("pay_invoice", invoice=invoice["id"], amount=max(1, invoice["amount_remaining"] // 20) * 10)
            elif draw < 14:
                self._try("pay_invoice", invoice=invoice["id"])

    def _move_bank(self) -> None:
        accounts = self.stripe.objects("acct")
        draw = self.rng.randrange(30)
        account = self.rng.choice(accounts)["id"]
        if draw == 0:
            self._try("fail_payout", account=account, after_days=self.rng.randrange(4))
        elif draw == 1:
            self._try("capability", account=account, status="restricted")
            self.at_time(
                self.now + timedelta(days=2), lambda: self._try("capability", account=account, status="active")
            )
        elif draw == 2:
            self._try("bank", account=account)
        elif draw == 3:
            self._reverse_transfer()

    def _reverse_transfer(self) -> None:
        """Finance takes a part of a transfer back in Stripe's dashboard."""
        standing = [it for it in self.stripe.objects("tr") if it["amount"] - it["amount_reversed"] >= 10]
        if standing:
            transfer = self.rng.choice(standing)
            amount = max(1, (transfer["amount"] - transfer["amount_reversed"]) // 20) * 10
            self._ask_stripe(f"/v1/transfers/{transfer['id']}/reversals", f"amount={amount}")

    def _top_up(self) -> None:
        self._top_up_by({code: self.rng.choice((50, 400, 5000)) * scale for code, scale in SCALES.items()})

    def _top_up_by(self, amounts: Mapping[str, int]) -> None:
        for code, amount in amounts.items():
            self._ask_stripe("/v1/topups", f"amount={amount}&currency={code.lower()}")

    def _ask_stripe(self, path: str, form: str) -> None:
        """A request of a person's, in which no fault strikes."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/x-www-form-urlencoded"}
        _, status, _ = self.stripe.serve("POST", f"{BASE}{path}", headers, form.encode())
        self.outcomes[f"person {path.split('/')[2]} {status}"] += 1

    def _try(self, action: str, **body: object) -> None:
        try:
            self.stripe.act(action, **body)
        except ValueError:
            self.outcomes[f"person {action} refused"] += 1
        else:
            self.outcomes[f"person {action}"] += 1

    def _change_contracts(self) -> None:
        self._apply(NewTerms(contracts=self.terms.later))

    def _register_missing_expert(self) -> None:
        self._apply(NewTerms(experts=(self.terms.missing,)))
        self._unstruck(lambda: self._onboard(self.terms.missing.id))
        self._unstruck(self._release_parked)

    def _apply(self, new: NewTerms) -> None:
        def write() -> None:
            registry = wiring.registry()
            registry.write(plan_changes(registry.current_terms(), new, self.now.date()))

        self._unstruck(write)

    def _release_parked(self) -> None:
        for item in self.cloud.items("parked"):
            if item["reason"] == "unknown_expert" and item.get("message"):
                release(wiring.store(), wiring.registry(), item["parked_id"], self.now)

    def _stop_payouts(self) -> None:
        self.faults.counts["kill switch"] += 1
        stopped = PayoutsStopped("ops", self.now, "simulated")
        self._unstruck(lambda: wiring.registry().stop_payouts(stopped))

    def _resume_payouts(self) -> None:
        self._unstruck(lambda: wiring.registry().resume_payouts())

    def _look_after_runs(self) -> None:
        """A second person approves what waits, or now and then refuses it."""

        def look() -> None:
            for run in waiting_runs(wiring.store()):
                try:
                    if self.rng.randrange(5):
                        approve_run(wiring.store(), run.run, run.hash, "arn:aws:iam::1:user/second")
                    else:
                        reject_run(wiring.store(), run.run, "arn:aws:iam::1:user/second", "simulated", self.now)
                except ApprovalRefused:
                    self.outcomes["approval refused"] += 1

        self._unstruck(look)

    # -- functions and queues --------------------------------------------------------------------------------------

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the function answers, {} for nothing; None if it crashed or raised an error because a fault struck."""
        answer = self._call(function, event)
        if self._depth == 0:
            self._unstruck(lambda: self.after(self, function))
        return answer

    def _call(self, function: str, event: Mapping[str, Any]) -> dict[str, Any] | None:
        outer, self.faults.context = self.faults.context, Context()
        handler = import_module(f"functions.{function}").handler
        try:
            answer = handler(event, self.faults.context)
        except Crash:
            self.outcomes[f"{function} crashed"] += 1
            return None
        except NEVER as never:
            self.fail(f"{function} raised {type(never).__name__}: {never}")
        except Exception as error:
            if not self.faults.context.struck:
                raise Violation(f"seed {self.seed}, step {self.step}: {function} raised {error!r}") from error
            self.outcomes[f"{function} raised {type(error).__name__}"] += 1
            return None
        finally:
            struck = self.faults.context.struck
            self.faults.context = outer
            outer.struck |= struck
            self.struck = struck
        self.outcomes[f"{function} done"] += 1
        return dict(answer or {})

    def pump(self, name: str, most: int | None = None) -> int:
        """Let a batch of a queue be dealt with; how many messages that were."""
        source = self.cloud.queues[name]
        function, largest = CONSUMERS[name]
        batch = source.receive(most or self.rng.randint(1, largest), self.now.timestamp(), self.rng)
        if not batch:
            return 0
        if self.rng.randrange(3):  # else its visibility time-out is over while it is still being dealt with
            for message in batch:
                message.visible_at = self.now.timestamp() + 1
        answer = self.invoke(function, {"Records": [message.record() for message in batch]})
        again_at = self.now.timestamp() + 60
        if answer is None:
            self.faults.counts["batch redelivered"] += 1
            source.finish(batch, {message.id for message in batch}, again_at)
        else:
            failed = {str(it["itemIdentifier"]) for it in answer["batchItemFailures"]}
            self.faults.counts["part of a batch redelivered"] += bool(failed)
            source.finish(batch, failed, again_at)
            if failed and not self.struck and name == "facts":
                self.fail(f"{function} could not deal with {len(failed)} messages, though no fault struck")
        return len(batch)

    def _pump_all(self, *, few: bool = False) -> None:
        for name in CONSUMERS:
            while self.pump(name) and not (few and self.rng.randrange(3) == 0):
                pass

    def _rival(self) -> None:
        """Another worker does something of its own between two calls of this one."""
        if self._depth:
            return
        self._depth += 1
        self.faults.counts["rival at work"] += 1
        rate, self.faults.rate = self.faults.rate, 0
        try:
            draw = self.rng.randrange(8)
            if draw < 5:
                self.pump(self.rng.choice(("facts", "facts", "payouts", "stripe-events")), 10)
            else:
                functions = ("sweep_due", "run_payouts", "award_incentives")
                self.invoke(functions[draw - 5], {"time": format_instant(self.now)})
        finally:
            self.faults.rate = rate
            self._depth -= 1

    # -- coming to rest --------------------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        """Without faults: dead letters are sent again, every window ends, every period is closed, and all is paid.

        Finance has money enough at last, so that no payout waits for it.
        """
        self._resume_payouts()
        self._top_up_by(dict.fromkeys(SCALES, ENOUGH))
        self._release_parked()
        for source in self.cloud.queues.values():
            source.redrive(self.now.timestamp())
        days = (_RESTS_AT - self.now).days
        for _ in range(0, days, _REST_DAYS):
            self._move_clock(self.now + timedelta(days=_REST_DAYS))
            self._rest_for_a_day()
        self._move_clock(self.now + timedelta(days=_REST_DAYS))  # what was paid last becomes available
        self._drain()

    def _rest_for_a_day(self) -> None:
        self._drain()
        for function in ("sweep_due", "award_incentives", "run_payouts", "close_periods", "issue_invoices"):
            answer = self.invoke(function, {"time": format_instant(self.now)}) or {}
            if answer.get("failed"):
                self.fail(f"{function} failed for {answer['failed']}, though no fault struck")
            self._drain()
        for invoice in self.stripe.objects("in"):
            if invoice["status"] == "open":
                self._try("pay_invoice", invoice=invoice["id"])
        self._look_after_runs()
        self._drain()

    def _drain(self) -> None:
        """Until no queue holds anything that may be dealt with now, and no webhook is under way."""
        for _ in range(1000):
            while self._agenda:
                moment, _, act = heapq.heappop(self._agenda)
                self._move_clock(moment)
                act()
            if not sum(self.pump(name) for name in CONSUMERS):
                return
        self.fail("the queues do not come to rest")

    @property
    def store(self) -> DynamoStore:
        """The functions' own store."""
        return wiring.store()

    def waiting(self) -> dict[str, Queue]:
        """The queues that hold anything, dead letters included."""
        return {name: it for name, it in self.cloud.queues.items() if it.messages or it.dead}


def forget() -> None:
    """What a function keeps for the life of its process is made anew."""
    caches: tuple[Any, ...] = (
        wiring.store,
        wiring.registry,
        registry_wiring.connection,
        stripe_wiring.stripe,
        queue,
        bus,
        receive_stripe_event._keys,  # noqa: SLF001  # a cold start has no cache either
    )
    for cached in caches:
        cached.cache_clear()
