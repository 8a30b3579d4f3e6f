"""POSTs of the API at their crash points: what is sent again with its key is done once, and is answered the same.

Each is made in a world of a history, by the function itself with Powertools' own layer over the emulator's tables. A
caller who got no answer, or was told to wait, sends the same again: once it may be that the first worker lives no more.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from aws_lambda_powertools.utilities.idempotency import base as handling
from aws_lambda_powertools.utilities.idempotency.persistence import base, datarecord, dynamodb

from events.decode import decode
from functions import serve_api, wiring
from ledger.money import Currency
from payouts.policy import PayoutPolicy
from settlement.announcements import Announcement, Audience
from settlement.apply import NewTerms, plan_changes
from settlement.approve_payouts import waiting_runs
from settlement.pay_on_demand import OnDemandRefused, quote
from settlement.ports import Changes
from settlement.settle import settle, work_from
from settlement.webhooks import Endpoint, new_secret
from tests.simulation.crash_points import Trial, TrialStage, left_of, repeated
from tests.simulation.scenes import Scene
from tests.simulation.simulation import Simulation
from tests.simulation.stage import Event, Stage, without_chance
from tests.simulation.tried import Tried

SEED, RESOLUTIONS = 2, 40
_ENDPOINT = Endpoint(id="hooks", audience=Audience.CLIENT, client="client0", url="https://hooks.example")
_CLIENT = "client:client0"
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
_LATER = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Asked:
    """One POST: by somebody in that group."""

    group: str
    path: str
    body: Mapping[str, object] = field(default_factory=dict)

    def event(self, at: dt.datetime) -> Event:
        """As API Gateway passes it on."""
        claims = {"sub": "somebody", "token_use": "access", "cognito:groups": f"[{self.group}]"}
        return {
            "version": "2.0",
            "routeKey": "ANY /v1/{proxy+}",
            "rawPath": self.path,
            "rawQueryString": "",
            "headers": {"content-type": "application/json", "idempotency-key": "k1"},
            "requestContext": {
                "requestId": "first",
                "timeEpoch": int(at.timestamp()) * 1000,
                "stage": "$default",
                "http": {"method": "POST", "path": self.path},
                "authorizer": {"jwt": {"claims": claims, "scopes": []}},
            },
            "body": json.dumps(self.body),
            "isBase64Encoded": False,
        }


# -- what is asked -----------------------------------------------------------------------------------------------------


def _disputed(stage: Stage, of: Callable[[str, str, str], Asked]) -> Asked | None:
    """Of a case that is charged, and was solved by an expert."""
    for item in stage.cloud.items("cases"):
        client = item["client_shard"].partition("#")[0]
        for state in json.loads(item["cycles"]):
            if state.get("charge") and state.get("earned"):
                return of(client, item["case_id"], state["earned"]["expert"])
    return None


def _disputed_by_client(stage: Stage) -> Asked | None:
    return _disputed(stage, lambda client, case, _: Asked(f"client:{client}", "/v1/disputes", {"case": case}))


def _disputed_by_expert(stage: Stage) -> Asked | None:
    def of(client: str, case: str, expert: str) -> Asked:
        return Asked(f"expert:{expert}", "/v1/disputes", {"case": case, "client": client})

    return _disputed(stage, of)


def _onboarded(stage: Stage) -> Asked | None:
    _apply(stage, NewTerms(experts=(stage.terms.missing,)))
    address = {"return_url": "https://experts.example/done"}
    return Asked(f"expert:{stage.terms.missing.id}", "/v1/onboarding_link", address)


def _paid_at_once(path: str) -> Callable[[Stage], Asked | None]:
    def ask(stage: Stage) -> Asked | None:
        registry, store = wiring.registry(), wiring.store()
        fee = {"instant_fee_percent": "1.5"}
        known = registry.policies()
        policies = [PayoutPolicy.model_validate({"id": code} | fee) for code in ("USD", "EUR") if code not in known]
        policies += [policy.model_copy(update=fee) for policy in known.values()]
        _apply(stage, NewTerms(policies=tuple(policies)))
        for expert in sorted(registry.experts()):
            for code in sorted({Currency(it.id) for it in policies}):
                try:
                    found = quote(store, registry, expert, code, stage.now)
                except OnDemandRefused:
                    continue
                body: dict[str, object] = {"currency": code}
                agreed = {} if path.endswith("/quote") else {"net_minor": found.amount}
                return Asked(f"expert:{expert}", path, body | agreed)
        return None

    return ask


def _decided(what: str) -> Callable[[Stage], Asked | None]:
    def ask(_: Stage) -> Asked | None:
        for run in waiting_runs(wiring.store()):
            body = {"hash": run.hash} if what == "approve" else {"reason": "the wrong week"}
            return Asked("approver", f"/v1/runs/{run.run}/{what}", body)
        return None

    return ask


def _released(stage: Stage) -> Asked | None:
    """Of a case that somebody solved who is registered only afterwards."""
    solved = (message for sent in stage.sent if (message := _solved(sent.message, stage.terms.missing.id)))
    settle(wiring.store(), wiring.registry(), work_from([decode(next(solved))]))
    [item] = stage.cloud.items("parked")
    _apply(stage, NewTerms(experts=(stage.terms.missing,)))
    return Asked("finance", "/v1/parked/release", {"id": item["parked_id"]})


def _solved(message: Mapping[str, Any], expert: str) -> dict[str, Any] | None:
    """The solution of a case as that of another case, by another expert."""
    fact = message.get("fact") or {}
    if fact.get("type") != "resolution.completed" or not fact["data"].get("expert"):
        return None
    return {**message, "fact": {**fact, "subject": "late-1", "data": {**fact["data"], "expert": expert}}}


def _stopped(_: Stage) -> Asked:
    return Asked("operator", "/v1/sending/stop", {"reason": "a test"})


def _resumed(stage: Stage) -> Asked | None:
    if not list(wiring.store().unfinished_payouts()):
        return None
    stage._stop_payouts()  # noqa: SLF001  # as the history does it
    return Asked("operator", "/v1/sending/resume")


def _endpoint_made(_: Stage) -> Asked:
    return Asked(_CLIENT, "/v1/webhook_endpoints", {"url": "https://hooks.example/new"})


def _of_endpoint(what: str, secrets: int, **body: object) -> Callable[[Stage], Asked | None]:
    def ask(stage: Stage) -> Asked | None:
        wiring.registry().add_endpoint(_ENDPOINT)
        kept = json.dumps([new_secret(bytes([number] * 32)) for number in range(secrets)])
        stage.cloud.secrets[f"{stage.cloud.stack}/webhooks/{_ENDPOINT.id}"] = {"before": kept}
        alert: dict[str, int | str] = {
            "period": "2026-10",
            "percent": 50,
            "currency": "USD",
            "charged_minor": 60,
            "cap_minor": 100,
        }
        for number in range(2):
            told = Announcement(f"alert:{number}", "usage.cap_alert", "client0", stage.now, alert, "usage:client0")
            wiring.store().commit(Changes(announcements=(told,)))
        return Asked(_CLIENT, f"/v1/webhook_endpoints/{_ENDPOINT.id}/{what}", body)

    return ask


def _apply(stage: Stage, new: NewTerms) -> None:
    registry = wiring.registry()
    registry.write(plan_changes(registry.current_terms(), new, stage.now.date()))


# By the route of the OpenAPI document, and who asks where that makes a difference.
CALLS: Mapping[tuple[str, str], Callable[[Stage], Asked | None]] = {
    ("/v1/disputes", "client"): _disputed_by_client,
    ("/v1/disputes", "expert"): _disputed_by_expert,
    ("/v1/onboarding_link", ""): _onboarded,
    ("/v1/instant_payouts/quote", ""): _paid_at_once("/v1/instant_payouts/quote"),
    ("/v1/instant_payouts", ""): _paid_at_once("/v1/instant_payouts"),
    ("/v1/runs/{run}/approve", ""): _decided("approve"),
    ("/v1/runs/{run}/reject", ""): _decided("reject"),
    ("/v1/parked/release", ""): _released,
    ("/v1/sending/stop", ""): _stopped,
    ("/v1/sending/resume", ""): _resumed,
    ("/v1/webhook_endpoints", ""): _endpoint_made,
    ("/v1/webhook_endpoints/{endpoint}/rotate_secret", ""): _of_endpoint("rotate_secret", 1),
    ("/v1/webhook_endpoints/{endpoint}/finish_rotation", ""): _of_endpoint("finish_rotation", 2),
    ("/v1/webhook_endpoints/{endpoint}/replay", ""): _of_endpoint("replay", 1, since="2026-10-01T00:00:00Z"),
}


# -- in which world ----------------------------------------------------------------------------------------------------

World = tuple[dt.datetime, bytes]


def worlds() -> list[World]:
    """A history without faults as it was whenever payouts had been planned."""
    kept: list[World] = []

    def keep(history: Simulation, function: str) -> None:
        if function == "run_payouts" and isinstance(history, Stage):
            kept.append((history.now.replace(second=0, microsecond=0), history.saved()))

    history = Stage(SEED, RESOLUTIONS, 0, after=keep)
    waits = tuple(policy.model_copy(update={"approve_above": "0"}) for policy in history.terms.policies)
    history.terms = replace(history.terms, policies=waits)
    history.run()
    return kept


def scene_of(name: tuple[str, str], history: Sequence[World]) -> Scene:
    """The call in the first world that it makes sense in. Raises LookupError where there is none."""
    stage = ApiStage(SEED, RESOLUTIONS, 0)
    with stage.installed():
        for now, world in history:
            stage.set_up(world, now)
            if asked := CALLS[name](stage):
                scene = Scene("serve_api", asked.event(now), now, stage.saved(), 0, frozenset())
                return replace(scene, calls=len(stage.pass_through(scene).calls))
    raise LookupError(f"nothing in the history to ask {name} for; take another seed")


class ApiStage(TrialStage):
    """A stage with a clock for what is remembered: who asks again does so when no worker of before can be alive.

    How often somebody calls is not counted: that is neither remembered nor undone.
    """

    remembered_at: dt.datetime

    @contextmanager
    def installed(self) -> Iterator[None]:
        stage = self

        class Clock(dt.datetime):
            @classmethod
            def now(cls, _zone: dt.tzinfo | None = None) -> Any:  # noqa: ANN401  # a base's own type is not wanted
                return stage.remembered_at

        times = SimpleNamespace(datetime=Clock, date=dt.date, time=dt.time, timedelta=dt.timedelta)
        with ExitStack() as stack:
            stack.enter_context(patch.dict("os.environ", {"SOLVENT_API_CALLS_PER_MINUTE": "600"}))
            stack.enter_context(patch.object(serve_api, "count_call", lambda _tenant, _at: 1))
            for module in (handling, base, datarecord, dynamodb):
                stack.enter_context(patch.object(module, "dt", times))
            stack.callback(serve_api._backend.cache_clear)  # noqa: SLF001  # what a process keeps
            stack.enter_context(super().installed())
            yield

    def set_up(self, world: bytes, now: dt.datetime) -> None:
        super().set_up(world, now)
        self.remembered_at = now

    def play(self, function: str, event: Event) -> Mapping[str, Any] | None:
        serve_api._backend.cache_clear()  # noqa: SLF001  # a new process
        if event["requestContext"]["requestId"] == "again":
            self.remembered_at += _LATER
        return super().play(function, event)


# -- what must hold in the end -----------------------------------------------------------------------------------------


class ApiTrial(Trial):
    """Plays a call undisturbed, then once for each point; in the end it is repeated once more."""

    def __init__(self, stage: ApiStage, scene: Scene) -> None:
        super().__init__(stage, scene)
        self._told = self._answered = ""

    def _play(self, event: Event) -> Event | None:
        answer = self._stage.play("serve_api", event)
        if answer and answer["statusCode"] == 200:
            self._told = answer["body"]
        return left_of(event, answer)

    def _note(self, what: str, end: Callable[[], str]) -> None:
        self._told = ""
        super()._note(what, end)

    def _verdict(self, mark: str) -> str:
        if problem := super()._verdict(mark):
            return problem
        before = self._stage.mark()  # looking at all of it may have made empty things in the sandbox
        answer = self._stage.play("serve_api", repeated(self._scene.event, "again"))
        if answer is None or answer["statusCode"] != 200:
            return f"a repetition is answered with {answer}"
        if self._told not in {"", answer["body"]}:
            return f"a repetition is answered with {answer['body']}, the call before it with {self._told}"
        if self._stage.mark() != before:
            return "a repetition changed something"
        answered = without_chance(_SECRET.sub("", answer["body"]), [self._at])
        self._answered = self._answered or answered
        return "" if answered == self._answered else f"it is answered {answered}, and undisturbed {self._answered}"


def try_call(scene: Scene, *, only_deaths: bool = False) -> Tried:
    """Every point of a call."""
    stage = ApiStage(SEED, RESOLUTIONS, 0)
    with stage.installed():
        return ApiTrial(stage, scene).run(only_deaths=only_deaths)


def try_calls() -> Iterator[Tried]:
    """Every point of every call, one after the other."""
    history = worlds()
    yield from (try_call(scene_of(name, history)) for name in CALLS)
