"""Backtests: unchanged terms give what the engine posted, changed ones what they should, and nothing is written."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from random import Random

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from billing.contracts import Contract, ContractHistory
from billing.invoices import Invoice, LineKind
from billing.periods import Period
from cli.backtest import Request, backtest_recorded
from cli.main import app
from infra.local.sample_month import sample_month
from ledger.accounts import COST_BASE, COST_BONUS
from ledger.entries import client_book
from ledger.terms import Terms as DocumentTerms
from payouts.plans import PayPlan, PlanHistory
from settlement.backtest import _is_plain, backtest
from settlement.backtest_figures import Comparison, PeriodFigures, RateFigures, SideFigures
from settlement.close import close_due_periods
from settlement.decide import Terms
from settlement.parking import ParkReason
from settlement.ports import Changes
from settlement.recorded_facts import recorded_facts
from settlement.tried_terms import BacktestRefused, Months, put_contract, put_plan
from tests.infra.test_sample_month import Engine, sample_registry
from tests.memory_store import MemoryRegistry, MemoryStore
from tests.world import GRADUATED, RATING, World, a_contract, a_plan, at, per_unit

CLOSED = datetime(2026, 12, 5, tzinfo=UTC)
AUTUMN = Months(Period("2026-10"), Period("2026-11"))
MARCH = Months(Period("2026-03"), Period("2026-03"))
FIXED = {"kind": "fixed", "amount": "1"}


@dataclass(frozen=True)
class Played:
    """The sample month as the engine settled it, with October and November closed."""

    store: MemoryStore
    registry: MemoryRegistry

    def terms(self, client: str) -> Terms:
        registry = self.registry
        return Terms(client, registry.contract_histories[client], registry.all_experts, registry.plan_histories)

    def backtest(self, client: str, new: Terms | None = None) -> Comparison:
        old = self.terms(client)
        return backtest(recorded_facts(self.store, client).cases, old, new or old, AUTUMN, CLOSED)

    def invoice(self, client: str, period: Period) -> Invoice:
        return self.store.stored_invoices[client, period]

    def posted(self, client: str) -> dict[str, Counter[str]]:
        """What stands on the cost accounts of a client's book, by currency."""
        sums: dict[str, Counter[str]] = {COST_BASE: Counter(), COST_BONUS: Counter()}
        for recorded in self.store.journal[client_book(client)]:
            for posting in recorded.entry.postings:
                if posting.account in sums:
                    sums[posting.account][posting.amount.currency] += posting.amount.minor_units
        return sums


def play(registry: MemoryRegistry) -> Played:
    engine = Engine(registry)
    engine.play(sample_month())
    close_due_periods(engine.store, registry, CLOSED)
    return Played(engine.store, registry)


@pytest.fixture(scope="module")
def played() -> Played:
    return play(sample_registry())


CLIENTS = ("acme", "nordwind", "sakura")


def usage(invoice: Invoice) -> dict[str, tuple[int, int]]:
    """N and f(N) of each rate."""
    return {line.text: (line.quantity, line.amount) for line in invoice.lines if line.kind is LineKind.USAGE}


def costs(side: SideFigures, kind: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for period in side.periods:
        for rate in period.rates:
            found.update(getattr(rate, kind))
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_unchanged_terms_give_each_invoice_to_the_cent(played: Played, client: str) -> None:
    compared = played.backtest(client)

    assert compared.old is not None
    assert compared.new == compared.old
    assert [it.period for it in compared.new.periods] == ["2026-10", "2026-11"]
    for figures in compared.new.periods:
        invoice = played.invoice(client, figures.period)
        lines = {kind: sum(it.amount for it in invoice.lines if it.kind is kind) for kind in LineKind}
        assert {it.rate: (it.resolutions, it.usage) for it in figures.rates if it.resolutions} == usage(invoice)
        assert sum(it.discounts for it in figures.rates) == -lines[LineKind.DISCOUNT]
        assert figures.shortfall == lines[LineKind.SHORTFALL]
        assert figures.revenue == sum(lines[it] for it in LineKind if it in {"usage", "discount", "shortfall"})


@pytest.mark.parametrize("client", CLIENTS)
def test_unchanged_terms_give_the_experts_bonuses_and_all_but_the_tiers_of_their_shares(
    played: Played, client: str
) -> None:
    new, posted = played.backtest(client).new, played.posted(client)

    assert costs(new, "bonus") == posted[COST_BONUS]
    if client == "nordwind":
        assert costs(new, "base") == posted[COST_BASE]
    for code, minor in posted[COST_BASE].items():
        assert costs(new, "base")[code] == pytest.approx(minor, rel=0.01)


def test_where_pay_does_not_depend_on_tiers_the_cost_is_the_ledgers_to_the_cent() -> None:
    registry = sample_registry()
    for name, history in registry.plan_histories.items():
        plan = PayPlan.model_validate(history.versions[0].model_dump() | {"base": FIXED})
        registry.plan_histories[name] = PlanHistory(name, (plan,))
    played = play(registry)

    for client in CLIENTS:
        new = played.backtest(client).new
        assert {COST_BASE: costs(new, "base"), COST_BONUS: costs(new, "bonus")} == played.posted(client)


def test_every_cycle_is_in_exactly_one_place(played: Played) -> None:
    for client in CLIENTS:
        new = played.backtest(client).new
        rates = [rate for period in new.periods for rate in period.rates]
        counted = sum(it.resolutions + sum(it.waived.values()) for it in rates) + new.unsolved
        states = [state for case in played.store.client_cases(client) for state in case.cycles]
        parked = [it for it in played.store.parked() if it.client == client]

        assert (counted, new.waiting, new.elsewhere) == (len(states), 0, 0)
        assert sum(it.number for it in new.undecided.values()) == len(parked)
        assert set(new.undecided) == {it.reason for it in parked}


def test_revenue_does_not_depend_on_the_order_of_the_cases(played: Played) -> None:
    terms = played.terms("acme")
    cases = list(played.store.past_cases("acme"))
    figures = []
    for seed in range(3):
        Random(seed).shuffle(cases)  # noqa: S311  # no secret
        compared = backtest(cases, None, terms, AUTUMN, CLOSED)
        figures.append(
            [(it.period, it.revenue, [(r.rate, r.usage, r.waived) for r in it.rates]) for it in periods(compared)]
        )

    assert figures[0] == figures[1] == figures[2]


def periods(compared: Comparison) -> tuple[PeriodFigures, ...]:
    return compared.new.periods


def test_another_unit_price_changes_revenue_by_the_invoices_own_counts(played: Played) -> None:
    contract = played.terms("nordwind").contracts.versions[0]
    dearer = changed(contract, rates=[{"id": "chat-and-email", "price": per_unit("1.30")}])
    terms = replace(
        played.terms("nordwind"), contracts=put_contract(played.terms("nordwind").contracts, dearer, AUTUMN)
    )

    compared = played.backtest("nordwind", terms)

    states = [state for case in played.store.client_cases("nordwind") for state in case.cycles if state.charge]
    discounted = sum(state.charge is not None and state.charge.discount > 0 for state in states)
    unsold = {ParkReason.NO_MATCHING_RATE: 0} | {reason: it.number for reason, it in compared.old.undecided.items()}  # type: ignore[union-attr]
    now_sold = unsold[ParkReason.NO_MATCHING_RATE]
    revenue = sum(it.revenue for it in compared.new.periods)
    assert now_sold > 0
    assert ParkReason.NO_MATCHING_RATE not in compared.new.undecided
    assert sum(rate.resolutions for it in compared.new.periods for rate in it.rates) == len(states) + now_sold
    newly_rated = revenue - len(states) * 130 + discounted * 65
    assert 0 < newly_rated <= now_sold * 130


STRICT = {"window_hours": 72, "threshold_percent": "80", "below": "waive", "unrated": "waive"}
KIND = {
    "window_hours": 72,
    "threshold_percent": "90",
    "below": "discount",
    "unrated": "charge",
    "discount_percent": "33",
}


QUEST = {"kind": "quest", "id": "busy", "resolutions": 5, "amount": "10"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rates": [{"id": "one", "price": per_unit("0.333"), "included": 40}], "rating": STRICT},
        {"rates": [{"id": "one", "price": {"model": "package", "size": 7, "amount": "5"}}], "rating": KIND},
        {"rates": [{"id": "one", "price": GRADUATED, "included": 3}], "minimum": "5000", "rating": KIND},
        {"rates": [{"id": "one", "price": per_unit("1.5")}], "cap": {"amount": "100.70"}, "rating": KIND},
    ],
)
def test_remembered_decisions_are_those_that_are_made_one_by_one(
    played: Played, monkeypatch: pytest.MonkeyPatch, client: str, fields: dict[str, object]
) -> None:
    old = played.terms(client)
    contract = changed(old.contracts.versions[0], **fields)
    kept = {"not_charged": "percent", "not_charged_percent": "12.5", "base": {"kind": "share", "percent": "33.3"}}
    of_charged = kept | {"base": {"kind": "share", "percent": "50", "of": "charged"}}
    capped = kept | {"stacking": "highest", "bonus_cap": "0.10", "incentives": [QUEST], "payout_schedule": "daily"}
    plans = {}
    for number, (name, history) in enumerate(sorted(old.plans.items())):
        document = history.versions[0].model_dump(mode="json") | (kept, of_charged, {}, capped)[number % 4]
        plans[name] = PlanHistory(name, (PayPlan.model_validate(document),))
    new = replace(old, contracts=put_contract(old.contracts, contract, AUTUMN), plans=plans)

    remembered = played.backtest(client, new)
    monkeypatch.setattr("settlement.backtest._is_plain", lambda _: False)

    assert played.backtest(client, new) == remembered


def test_terms_that_say_what_the_backtest_does_not_know_are_decided_one_by_one() -> None:
    class Surcharge(PayPlan):
        surcharge: str = "0"

    class Hourly(DocumentTerms):
        rate: str

    plan = a_plan().model_dump(mode="json")
    new_base = a_plan().model_copy(update={"base": Hourly(rate="30")})

    assert _is_plain(a_plan())
    assert not _is_plain(Surcharge.model_validate(plan | {"surcharge": "1"}))
    assert not _is_plain(new_base)


def changed(contract: Contract, **fields: object) -> Contract:
    return Contract.model_validate(contract.model_dump(mode="json") | fields)


# -- small worlds, computed by hand ------------------------------------------------------------------------------------


def a_world(**fields: object) -> World:
    return World(contract=a_contract(**fields))  # type: ignore[arg-type]  # a price or fields of it


def tried(world: World, contract: Contract, months: Months = MARCH, as_of: str = "2026-06-01") -> Comparison:
    registry = world.registry
    old = Terms("acme", registry.contract_histories["acme"], registry.all_experts, registry.plan_histories)
    new = replace(old, contracts=put_contract(old.contracts, contract, months))
    return backtest(recorded_facts(world.store, "acme").cases, old, new, months, at(as_of))


def only_rate(side: SideFigures | None) -> RateFigures:
    assert side is not None
    [period] = side.periods
    [rate] = period.rates
    return rate


def five_scores(world: World) -> None:
    for score in range(1, 6):
        world.send(world.completed(f"C{score}", "2026-03-02"), world.rated(f"C{score}", "2026-03-03", score))


def test_higher_threshold_and_price_waive_more_and_charge_more() -> None:
    world = a_world(rating=RATING)
    five_scores(world)

    compared = tried(world, a_contract(price=per_unit("2.00"), rating=RATING | {"threshold_percent": "80"}))

    old, new = only_rate(compared.old), only_rate(compared.new)
    assert (old.resolutions, old.revenue, old.waived) == (2, 198, {"rated_below_threshold": 3})
    assert (new.resolutions, new.revenue, new.waived) == (1, 200, {"rated_below_threshold": 4})
    assert (dict(old.base), dict(new.base)) == ({"USD": 118}, {"USD": 120})  # 60% of 0.99, twice; of 2.00, once


def test_tiers_cap_and_minimum_are_those_of_the_close() -> None:
    world = a_world()
    world.solve(30)
    tiers = {"model": "graduated", "tiers": [{"up_to": 10, "unit": "1.00"}, {"unit": "0.50"}]}

    capped = tried(world, a_contract(price=tiers, cap={"amount": "15.00"}))
    below = tried(world, a_contract(price=tiers, minimum="25.00"))

    rate = only_rate(capped.new)
    assert (rate.resolutions, rate.usage, rate.capped, rate.revenue) == (30, 2000, 500, 1500)
    [period] = below.new.periods
    assert (period.rates[0].revenue, period.shortfall, period.revenue) == (2000, 500, 2500)


def test_plan_that_is_tried_changes_the_cost_and_not_the_revenue() -> None:
    world = a_world()
    world.solve(3)
    registry = world.registry
    old = Terms("acme", registry.contract_histories["acme"], registry.all_experts, registry.plan_histories)
    new = put_plan(old, a_plan(starts_on="2027-01-01", base=FIXED))

    compared = backtest(world.store.past_cases("acme"), old, new, MARCH, at("2026-06-01"))

    assert (only_rate(compared.old).cost, only_rate(compared.new).cost) == ({"USD": 177}, {"USD": 300})
    assert only_rate(compared.old).revenue == only_rate(compared.new).revenue == 297


def test_parked_facts_count_where_the_tried_terms_have_an_answer_for_them() -> None:
    phone = {"id": "phone", "match": {"channel": ["phone"]}, "price": per_unit("3.00")}
    chat = {"id": "chat", "match": {"channel": ["chat"]}, "price": per_unit("1.00")}
    world = a_world(rates=[chat])
    world.send(world.completed("C1", "2026-03-02", channel="chat"))
    world.send(world.completed("C2", "2026-03-02", channel="phone"))
    world.send(world.completed("C3", "2026-03-02", expert="zoe", channel="chat"))

    compared = tried(world, a_contract(rates=[chat, phone]))

    assert compared.cases == 3
    assert compared.old is not None
    assert {reason: it.number for reason, it in compared.old.undecided.items()} == {
        ParkReason.NO_MATCHING_RATE: 1,
        ParkReason.UNKNOWN_EXPERT: 1,
    }
    [period] = compared.new.periods
    assert [(it.rate, it.revenue) for it in period.rates] == [("chat", 100), ("phone", 300)]
    assert {reason: it.number for reason, it in compared.new.undecided.items()} == {ParkReason.UNKNOWN_EXPERT: 1}
    assert compared.new.undecided[ParkReason.UNKNOWN_EXPERT].first == "C3: there is no expert zoe; apply one"


def test_rating_that_was_delivered_late_moves_no_charge_into_another_month() -> None:
    world = a_world(rating=RATING)
    world.send(world.completed("C1", "2026-03-30"))
    world.sweep("2026-04-02T01")
    world.send(world.rated("C1", "2026-03-31", 5, received="2026-04-03"))

    compared = tried(world, a_contract(price=per_unit("2.00"), rating=RATING), Months())

    for side, revenue in ((compared.old, 99), (compared.new, 200)):
        assert side is not None
        assert [(it.period, it.revenue) for it in side.periods] == [("2026-04", revenue)]


def test_terms_that_wait_longer_settle_in_another_month_and_say_so() -> None:
    world = a_world()
    world.send(world.completed("C1", "2026-03-30"), world.completed("C2", "2026-03-02"))

    compared = tried(world, a_contract(rating=RATING))
    still = tried(world, a_contract(confirmation_hours=48), as_of="2026-03-31T12")

    assert (only_rate(compared.old).resolutions, only_rate(compared.new).resolutions) == (2, 1)
    assert compared.new.elsewhere == 1
    assert (still.new.waiting, still.new.periods[0].is_over) == (
        0,
        False,
    )  # it settles in April, which is not asked for


def test_cases_that_were_reopened_are_one_charge_and_the_first_expert_earns_nothing() -> None:
    world = a_world()
    world.send(world.completed("C1", "2026-03-02"), world.reopened("C1", "2026-03-03"))
    world.send(world.completed("C1", "2026-03-04", expert="noah"))
    world.send(world.completed("C2", "2026-03-02"), world.reopened("C2", "2026-03-03"))

    compared = tried(world, a_contract(price=per_unit("2.00")))

    rate = only_rate(compared.new)
    assert (rate.resolutions, rate.revenue, dict(rate.cost)) == (1, 200, {"USD": 120})
    assert compared.new.unsolved == 1


def test_case_that_is_solved_again_in_the_same_month_keeps_the_price_it_was_given_first() -> None:
    machine = {"id": "machine", "match": {"resolver": ["ai"]}, "price": per_unit("0.10")}
    world = a_world(rates=[machine, {"id": "people", "price": per_unit("2.00")}])
    for delivery in (
        world.completed("C1", "2026-03-02", expert=None),
        world.reopened("C1", "2026-03-03"),
        world.completed("C1", "2026-03-04"),
        world.completed("C2", "2026-03-30", expert=None),
        world.reopened("C2", "2026-03-31"),
        world.completed("C2", "2026-04-01"),
    ):
        world.send(delivery)
    engine = {case.case_id: case.cycles[0].price for case in world.store.stored_cases.values()}

    compared = tried(world, world.contract, Months())

    found = [(it.period, rate.rate, rate.revenue) for it in compared.new.periods for rate in it.rates]
    assert found == [("2026-03", "machine", 10), ("2026-04", "people", 200)]
    assert [(price.period, price.rate) for price in engine.values() if price] == [row[:2] for row in found]
    assert compared.new == compared.old


def test_facts_that_came_too_late_have_no_effect_on_either_side() -> None:
    world = a_world(rating=RATING)
    world.send(world.completed("C1", "2026-03-02"))
    world.sweep("2026-03-06")
    world.send(world.rated("C1", "2026-03-03", 1, received="2026-05-20"))

    compared = tried(world, a_contract(rating=RATING))

    assert only_rate(compared.old).resolutions == only_rate(compared.new).resolutions == 1


def test_contract_is_tried_in_the_months_asked_for_and_nowhere_else() -> None:
    history = ContractHistory("acme", (a_contract(), a_contract(starts_on="2026-04-01", minimum="7")))
    new = a_contract(starts_on="2030-01-01", minimum="9")

    placed = put_contract(history, new, Months(Period("2026-03"), Period("2026-04")))

    minimums = [placed.in_force(Period(period)).minimum for period in ("2026-02", "2026-03", "2026-04", "2026-05")]
    assert minimums == ["0", "9", "9", "7"]


@pytest.mark.parametrize(("field", "value"), [("client", "globex"), ("currency", "EUR"), ("time_zone", "Asia/Tokyo")])
def test_contract_that_cannot_be_compared_is_refused(field: str, value: str) -> None:
    with pytest.raises(BacktestRefused, match=f"^{field}: {value} cannot be compared"):
        put_contract(ContractHistory("acme", (a_contract(),)), a_contract(**{field: value}), Months())  # type: ignore[arg-type]


def test_months_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(BacktestRefused, match="2026-04 is after 2026-03"):
        Months(Period("2026-04"), Period("2026-03"))


# -- the command -------------------------------------------------------------------------------------------------------


def a_file(folder: Path, document: Mapping[str, object]) -> Path:
    file = folder / "new.yaml"
    file.write_text(yaml.safe_dump(dict(document)))
    return file


def command(played: Played, file: Path, *, as_json: bool) -> tuple[int, str]:
    out = StringIO()
    request = Request(file=file, client="acme", months=AUTUMN, as_of=CLOSED, as_json=as_json)
    code = backtest_recorded(
        request, played.store, played.registry, Console(file=out, width=100), Console(file=StringIO())
    )
    return code, out.getvalue()


def test_command_writes_nothing_and_prints_what_the_invoice_says(played: Played, tmp_path: Path) -> None:
    def refuse(_: Changes) -> None:
        raise AssertionError("a backtest wrote")

    played.store.before_commit = refuse
    before = (dict(played.store.stored_cases), dict(played.store.stored_periods), dict(played.store.stored_heads))
    contract = played.terms("acme").contracts.versions[0]

    code, printed = command(played, a_file(tmp_path, contract.model_dump(mode="json", exclude_none=True)), as_json=True)

    assert code == 0
    document = json.loads(printed)
    [october, november] = document["periods"]
    assert october["old"] == october["new"]
    assert october["invoiced_minor"] == october["old"]["revenue_minor"]
    assert november["invoiced_minor"] == november["old"]["revenue_minor"]
    assert before == (played.store.stored_cases, played.store.stored_periods, played.store.stored_heads)


def test_command_prints_a_table_of_old_against_new(played: Played, tmp_path: Path) -> None:
    contract = played.terms("acme").contracts.versions[0]
    dearer = changed(contract, rates=[{"id": "phone", "price": per_unit("3.00"), "match": {"channel": ["phone"]}}])

    code, printed = command(played, a_file(tmp_path, dearer.model_dump(mode="json", exclude_none=True)), as_json=False)

    rows = [line.split() for line in printed.splitlines()]
    assert code == 0
    assert ["period", "rate", "terms", "charged", "waived", "revenue", "expert", "cost", "margin"] in rows
    phone = {row[2]: row for row in rows if row[:2] == ["2026-10", "phone"]}
    assert phone["old"][3] == phone["new"][3]
    assert phone["new"][5] == f"{int(phone['new'][3]) * 3}.00"
    assert any(row[0] == "no_matching_rate" for row in rows if row)
    assert "2026-10 was invoiced at" in printed


def test_command_says_what_is_wrong_with_a_file(played: Played, tmp_path: Path) -> None:
    contract = played.terms("acme").contracts.versions[0].model_dump(mode="json", exclude_none=True)

    assert command(played, a_file(tmp_path, contract | {"minimum": "-1"}), as_json=False)[0] == 2
    assert command(played, a_file(tmp_path, contract | {"currency": "EUR"}), as_json=False)[0] == 2
    code, printed = command(played, a_file(tmp_path, contract | {"client": "globex"}), as_json=False)
    assert (code, "holds 0 contracts of acme" in printed) == (2, True)


COLUMNS = "number,incident_state,sys_updated_at,reopen_count,opened_at,contact_type,category,priority,assignment_group"
LOG = f"""{COLUMNS},resolved_by,resolved_at
INC1,New,02-03-2026 08:00,0,02-03-2026 08:00,Phone,Mail,3 - Moderate,Desk,?,?
INC2,New,02-03-2026 08:05,0,02-03-2026 08:05,Email,Mail,1 - Critical,Desk,?,?
INC1,Resolved,02-03-2026 09:00,0,02-03-2026 08:00,Phone,Mail,3 - Moderate,Desk,Somebody,02-03-2026 09:00
INC2,Resolved,02-03-2026 10:00,0,02-03-2026 08:05,Email,Mail,1 - Critical,Desk,Somebody,02-03-2026 10:00
INC2,Closed,not a date,0,02-03-2026 08:05,Email,Mail,1 - Critical,Desk,Somebody,02-03-2026 10:00
"""


def test_log_of_a_client_that_has_not_signed_works_without_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOLVENT_STACK", raising=False)
    urgent = {"id": "urgent", "match": {"priority": ["1-critical"]}, "price": per_unit("9.00")}
    tiers = {"id": "other", "price": GRADUATED}
    contract = a_contract(starts_on="2027-01-01", rates=[urgent, tiers]).model_dump(mode="json", exclude_none=True)
    file, log, plan = a_file(tmp_path, contract), tmp_path / "log.csv", tmp_path / "plan.yaml"
    log.write_text(LOG)
    plan.write_text(yaml.safe_dump(a_plan(base=FIXED).model_dump(mode="json", exclude_none=True)))
    arguments = ["contract", "backtest", str(file), "--client", "acme", "--log", str(log), "--as-of", "2026-06-01"]

    plain = CliRunner().invoke(app, [*arguments, "--json"])
    paid = CliRunner().invoke(app, [*arguments, "--json", "--plan", str(plan), "--old", str(file)])

    assert (plain.exit_code, paid.exit_code) == (0, 0)
    document = json.loads(plain.stdout)
    [march] = document["periods"]
    assert [(it["rate"], it["revenue_minor"]) for it in march["new"]["rates"]] == [("urgent", 900), ("other", 99)]
    assert (march["new"]["cost_minor"], march["new"]["margin_minor"]) == ({}, 999)
    assert (document["left_out"], "old" in march) == ({"unreadable_row": 1}, False)
    [march] = json.loads(paid.stdout)["periods"]
    assert march["old"] == march["new"]
    assert (march["new"]["cost_minor"], march["new"]["margin_minor"]) == ({"USD": 200}, 799)
