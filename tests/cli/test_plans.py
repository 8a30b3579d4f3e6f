"""`solvent plan`, and `solvent apply` of changed pay: what is said, and with which exit code."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from cli import approvals, plans
from cli.apply import apply_folder
from cli.terms_files import read_plans
from cli.versions import check, history
from events.facts import CaseId
from payouts.plans import PlanHistory
from settlement.apply import CurrentTerms, Kind
from settlement.cases import fact_key
from tests.commands import said, write_yaml
from tests.terms_registry import FakeRegistry
from tests.world import RATING, World, a_contract, a_plan, an_expert, at

AS_OF = date(2026, 4, 10)
NEW_VERSION = """\
id: standard
starts_on: 2026-05-01
currency: USD
base: {kind: share, percent: "65"}
surge:
  - {calendar: evening, multiplier: "1.5"}
response_bonus:
  - {within_seconds: 60, amount: "0.05"}
bonus_cap: "0.20"
"""
# Each in a line of its own; line and field are what the test expects, and what would be right.
MISTAKES = """\
id: standard
starts_on: 2026-05-01
currency: USD
base: {kind: share, percent: "65"}
surge:
  - {calendar: night, multiplier: 1.5}
  - {calendar: evening, multiplier: "150"}
response_bonus:
  - {within_seconds: 60.5, amount: "0.05"}
  - {within_seconds: 60, amount: "-0.05"}
language_bonus:
  languages: es
  amount: "0.08"
peer_review_bonus: {at_least: "75", amount: "0.10"}
stacking: highst
bonus_cap: 0.20
"""
EXPECTED = [
    '6: surge[0].multiplier: 1.5 is read as a number; write it in quotes: "1.5"',
    "7: surge[1].multiplier: 150 is no multiplier: it is above 0 and at most 10, such as '1.5' for half as much again",
    "9: response_bonus[0].within_seconds: 60.5 is not a whole number, written without quotes",
    "10: response_bonus[1].amount: a price or an amount is not negative",
    "12: language_bonus.languages: takes a list: write [es]",
    "14: peer_review_bonus.at_least: is not a field here; did you mean at_least_percent?",
    "14: peer_review_bonus.at_least_percent: is missing",
    "15: stacking: 'highst' is not one of all, highest; did you mean highest?",
    '16: bonus_cap: 0.20 is read as a number; write it in quotes: "0.20"',
]
TWICE = """\
id: standard
starts_on: 2026-05-01
currency: USD
base: {kind: fixed, amount: "0.60"}
surge:
  - {calendar: night, multiplier: "1.5"}
  - {calendar: night, multiplier: "2"}
response_bonus:
  - {within_seconds: 60, amount: "0.05"}
  - {within_seconds: 60, amount: "0.04"}
"""
EVENING = {"id": "evening", "kind": "weekly", "windows": [{"days": ["mon"], "from": "18:00", "to": "22:00"}]}


def a_file(folder: Path, text: str = NEW_VERSION, name: str = "plan") -> Path:
    return write_yaml(folder, {name: text})


def registry_of(world: World) -> FakeRegistry:
    known = world.registry
    return FakeRegistry(
        CurrentTerms(
            known.all_clients,
            known.contract_histories,
            known.plan_histories,
            known.all_experts,
            revisions={(Kind.PAY_PLAN, plan): 1 for plan in known.plan_histories},
        )
    )


def a_closed_month() -> World:
    """Maya solved two cases in March, one on a Monday evening and answered in 30 seconds; noah one in the morning."""
    world = World(contract=a_contract(calendars=[EVENING]))
    fast = {"opened_at": "2026-03-02T18:00:00Z", "first_response_at": "2026-03-02T18:00:30Z"}
    world.send(world.completed("C1", "2026-03-02T19", **fast), world.completed("C2", "2026-03-03T09"))
    world.send(world.completed("C3", "2026-03-03T09", expert="noah"))
    world.close()
    return world


# -- check -------------------------------------------------------------------------------------------------------------


def test_every_mistake_gives_an_error_with_line_field_and_remedy_in_one_run(tmp_path: Path) -> None:
    path = a_file(tmp_path, MISTAKES)

    code, lines = said(lambda console: check(read_plans, [path], console))

    assert code == 2
    assert lines.splitlines() == [*(f"{path}:{line}" for line in EXPECTED), "9 problems."]


def test_what_is_named_twice_is_named_with_its_place(tmp_path: Path) -> None:
    path = a_file(tmp_path, TWICE)

    assert said(lambda console: check(read_plans, [path], console))[1].splitlines() == [
        f"{path}:7: surge[1].calendar: night stands in surge[0] already",
        f"{path}:10: response_bonus[1].within_seconds: 60 stands in response_bonus[0] already",
        "2 problems.",
    ]


def test_plan_in_order_is_named_and_two_of_one_day_collide(tmp_path: Path) -> None:
    one, other = a_file(tmp_path, name="a"), a_file(tmp_path, NEW_VERSION.replace("65", "66"), "b")

    assert said(lambda console: check(read_plans, [one], console)) == (
        0,
        "standard: the version from 2026-05-01 is in order.\n",
    )
    code, lines = said(lambda console: check(read_plans, [one, other], console))
    what = "starts_on: standard has two versions that start on 2026-05-01"
    assert (code, lines.splitlines()[0]) == (2, f"{other}:2: {what}; see {one}:1")


# -- diff --------------------------------------------------------------------------------------------------------------


def diffed(path: Path, world: World) -> tuple[int, str]:
    return said(lambda console: plans.diff(path, registry_of(world), world.store, AS_OF, console, as_json=False))


def diffed_json(path: Path, world: World) -> dict[str, object]:
    _, text = said(lambda console: plans.diff(path, registry_of(world), world.store, AS_OF, console, as_json=True))
    (document,) = json.loads(text)
    assert isinstance(document, dict)
    return document


def test_diff_says_in_words_and_in_money_what_changes(tmp_path: Path) -> None:
    code, text = diffed(a_file(tmp_path), a_closed_month())

    assert code == 0
    assert text.splitlines()[:7] == [
        "standard: the version from 2026-05-01 against the version from 2026-01-01",
        "  base percent was 60, becomes 65",
        "  surge 1. calendar is new: evening",
        "  surge 1. multiplier is new: 1.5",
        "  response_bonus 1. within_seconds is new: 60",
        "  response_bonus 1. amount is new: 0.05",
        "  bonus_cap is new: 0.20",
    ]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    assert cells == [
        ["acme", "2026-03", "base", "1.77", "2.25", "0.48"],  # 0.99 x 0.65 x 1.5 = 0.965; 0.64 twice
        ["acme", "2026-03", "bonus", "0.00", "0.05", "0.05"],
        ["total", "", "", "1.77", "2.30", "0.53"],
    ]


def test_diff_as_json_has_the_same_figures(tmp_path: Path) -> None:
    document = diffed_json(a_file(tmp_path), a_closed_month())

    assert {name: document[name] for name in ("plan", "version", "against", "currency", "notes")} == {
        "plan": "standard",
        "version": "2026-05-01",
        "against": "2026-01-01",
        "currency": "USD",
        "notes": [],
    }
    assert isinstance(fields := document["fields"], list)
    assert fields[0] == {"field": "base percent", "was": "60", "now": "65"}
    assert document["costs"] == [
        {
            "client": "acme",
            "period": "2026-03",
            "base": {"was": "1.77", "now": "2.25"},
            "bonus": {"was": "0.00", "now": "0.05"},
        }
    ]
    assert document["total"] == {"was": "1.77", "now": "2.30"}


def test_diff_writes_nothing(tmp_path: Path) -> None:
    world = a_closed_month()

    def refuse(_: object) -> None:
        raise AssertionError("a diff wrote")

    world.store.before_commit = refuse
    assert diffed(a_file(tmp_path), world)[0] == 0


def test_diff_counts_no_mutual_review_on_either_side(tmp_path: Path) -> None:
    world = World(contract=a_contract(rating=RATING))
    mutual, fair = (world.peer_reviewed(case, "2026-03-03", "noah", 5) for case in ("C1", "C2"))
    world.send(world.completed("C1", "2026-03-02"), mutual, world.completed("C2", "2026-03-02"), fair)
    key = ("acme", CaseId("C1"))
    answered = ((fact_key(mutual.fact), at("2026-03-01")),)
    world.store.stored_cases[key] = replace(world.store.stored_cases[key], mutual_reviews=answered)
    world.sweep("2026-03-06")
    world.close()
    text = NEW_VERSION.partition("base:")[0] + (
        'base: {kind: share, percent: "60"}\npeer_review_bonus: {at_least_percent: "75", amount: "0.10"}\n'
    )

    assert diffed_json(a_file(tmp_path, text), world)["total"] == {"was": "1.18", "now": "1.28"}


@pytest.mark.parametrize(
    ("world", "note"),
    [
        (World(), "No month of acme is closed yet, so it has no usage to compare on."),
        (World(experts=()), "Nobody works by this plan."),
    ],
)
def test_diff_without_usage_says_so(tmp_path: Path, world: World, note: str) -> None:
    document = diffed_json(a_file(tmp_path), world)

    assert (document["costs"], document["total"], document["notes"]) == ([], None, [note])


def test_diff_names_a_calendar_that_the_contract_does_not_have(tmp_path: Path) -> None:
    world = World()
    world.solve(3)
    world.close()

    notes = diffed_json(a_file(tmp_path), world)["notes"]

    assert notes == ["acme: there is no calendar evening for the surge; the contract has no calendars"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            NEW_VERSION.replace("standard", "gold"),
            "gold has no version in force on 2026-05-01: there is nothing to compare with.\n",
        ),
        (
            NEW_VERSION.replace("USD", "EUR"),
            "standard is in USD for life, not in EUR; make a new plan instead.\n",
        ),
    ],
)
def test_diff_of_a_plan_that_has_nothing_to_compare_with_is_refused(tmp_path: Path, text: str, what: str) -> None:
    assert diffed(a_file(tmp_path, text), World()) == (2, what)


# -- two people --------------------------------------------------------------------------------------------------------


def test_changed_plan_is_proposed_by_one_and_approved_by_another_and_its_history_says_so(tmp_path: Path) -> None:
    registry = registry_of(World(contract=a_contract(calendars=[EVENING])))
    a_file(tmp_path, name="pay_plans/standard")

    def applied(by: str | None) -> tuple[int, str]:
        return said(
            lambda console: apply_folder(tmp_path, registry, AS_OF, console, check_only=False, identity=lambda: by)
        )

    assert applied(None) == (
        2,
        "The terms of standard change: say who proposes that with --by NAME. Nothing was written.\n",
    )
    assert applied("alice")[0] == 0
    (proposal,) = registry.waiting
    assert said(lambda console: approvals.waiting(registry, console))[1].splitlines()[:3] == [
        f"{proposal}, proposed by alice on 2026-04-10",
        "  standard, version from 2026-05-01 against 2026-01-01",
        "    base percent was 60, becomes 65",
    ]
    assert registry.terms.plans["standard"].versions == (a_plan(),)
    code, text = said(lambda console: approvals.approve_proposal(proposal, registry, "bob", AS_OF, console))
    assert (code, text.splitlines()[0]) == (
        0,
        "standard: new version from 2026-05-01, proposed by alice, approved by bob",
    )
    code, text = said(lambda console: history(Kind.PAY_PLAN, "standard", registry, console))
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    assert (code, rows) == (
        0,
        [
            ["2026-01-01", "2026-01-01", "2026-05-01", "not recorded", ""],
            ["2026-05-01", "2026-05-01", "", "2026-04-10 alice", "2026-04-10 bob"],
        ],
    )
    assert "  bonus_cap is new: 0.20" in text.splitlines()


def test_first_version_of_a_plan_needs_nobody_else_and_says_who_applied_it(tmp_path: Path) -> None:
    registry = FakeRegistry()
    a_file(tmp_path, name="pay_plans/standard")

    code, _ = said(
        lambda console: apply_folder(tmp_path, registry, AS_OF, console, check_only=False, identity=lambda: "alice")
    )

    assert code == 0
    text = said(lambda console: history(Kind.PAY_PLAN, "standard", registry, console))[1]
    assert "2026-04-10 alice" in text
    assert "first version, no need" in text


def test_history_of_no_plan_is_refused() -> None:
    assert said(lambda console: history(Kind.PAY_PLAN, "gold", FakeRegistry(), console)) == (
        2,
        "there is no pay plan gold\n",
    )


def test_experts_by_another_plan_are_in_the_figures_and_do_not_change(tmp_path: Path) -> None:
    world = a_closed_month()
    world.registry.plan_histories["other"] = PlanHistory("other", (a_plan(id="other"),))
    world.registry.all_experts["noah"] = an_expert("noah", assignments={"acme": "other"})

    assert diffed_json(a_file(tmp_path), world)["total"] == {"was": "1.77", "now": "2.25"}
