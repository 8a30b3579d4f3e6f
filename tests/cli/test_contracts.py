"""`solvent contract`, and `solvent apply` of changed prices: what is said, and with which exit code."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from billing.contracts import Contract, ContractHistory
from billing.periods import Period, PeriodState, PeriodStatus, RateCounter
from cli import approvals
from cli import contracts as command
from cli.apply import apply_folder
from cli.connection import Connection, NameNotTaken
from cli.terms_files import read_contracts
from cli.versions import check, history
from infra.aws.registry import DynamoRegistry
from settlement.apply import CurrentTerms, Kind
from settlement.registry import Client
from tests.commands import said, write_yaml
from tests.memory_store import MemoryStore
from tests.terms_registry import FakeRegistry
from tests.world import GRADUATED, a_contract, per_unit

AS_OF = date(2026, 10, 10)
NEW_VERSION = """\
client: acme
starts_on: 2026-11-01
currency: USD
time_zone: UTC
minimum: "100.00"
rates:
  - id: all
    price: {model: per_unit, unit: "1.09"}
"""
# Ten mistakes, each in a line of its own; line and field are what the test expects, and what would be right.
TEN_MISTAKES = """\
client: acme
starts_on: 2026-11-01
currency: USD
time_zone: America/New_York
calendars:
  - id: night
    kind: weekly
    windows:
      - days: [monday]
        from: 22:00
        to: "6:00"
  - id: holidays
    kind: dates
    dates: [2026-02-30]
  - id: night
    kind: between
    from: 2026-11-27T18:00
    to: 2026-11-27T06:00
  - id: surge
    kind: betwen
rates:
  - id: night-chat
    match:
      calendar: [nights]
    price: {model: per_unit, unit: 1.49}
  - id: rest
    match: {calendar: surge}
    price: {model: per_unit, unit: "0.99"}
"""
EXPECTED = [
    "9: calendars[0].windows[0].days[0]: 'monday' is not one of mon, tue, wed, thu, fri, sat, sun; did you mean mon?",
    '10: calendars[0].windows[0].from: 22:00 is read as a number; write it in quotes: "22:00"',
    "11: calendars[0].windows[0].to: '6:00' is not a time of day in quotes, from 00:00 to 24:00, such as '08:30'",
    "14: calendars[1].dates[0]: '2026-02-30' is not a date such as 2026-11-01",
    "15: calendars[2].id: night is the id of calendars[0] already",
    "18: calendars[2].to: 2026-11-27T06:00 is not after `from`, 2026-11-27T18:00",
    "20: calendars[3].kind: 'betwen' is not one of weekly, dates, between; did you mean between?",
    "24: rates[0].match.calendar[0]: there is no calendar nights; there are night, holidays, surge",
    '25: rates[0].price.unit: 1.49 is read as a number; write it in quotes: "1.49"',
    "27: rates[1].match.calendar: takes a list: write [surge]",
]


def a_file(folder: Path, text: str = NEW_VERSION, name: str = "contract") -> Path:
    return write_yaml(folder, {name: text})


def a_registry(*versions: Contract) -> FakeRegistry:
    """The client acme; the first version of its contract is 0.99 per resolution unless others are given."""
    return FakeRegistry(
        CurrentTerms(
            clients={"acme": Client(id="acme", name="Acme", email="billing@acme.example")},
            contracts={"acme": ContractHistory("acme", versions or (a_contract(),))},
            revisions={(Kind.CONTRACT, "acme"): 1},
        )
    )


def closed(period: str, **rates: RateCounter) -> MemoryStore:
    """A store in which that period of acme's is closed."""
    state = PeriodState("acme", Period(period), PeriodStatus.CLOSED, tuple(rates.items()))
    return MemoryStore(stored_periods={("acme", Period(period)): state})


# -- check -------------------------------------------------------------------------------------------------------------


def test_ten_mistakes_give_ten_errors_with_line_field_and_remedy_in_one_run(tmp_path: Path) -> None:
    path = a_file(tmp_path, TEN_MISTAKES)

    code, lines = said(lambda console: check(read_contracts, [path], console))

    assert code == 2
    assert lines.splitlines() == [*(f"{path}:{line}" for line in EXPECTED), "10 problems."]


def test_contract_in_order_is_named(tmp_path: Path) -> None:
    path = a_file(tmp_path)

    assert said(lambda console: check(read_contracts, [path], console)) == (
        0,
        "acme: the version from 2026-11 is in order.\n",
    )


def test_two_versions_of_one_month_in_two_files_collide(tmp_path: Path) -> None:
    one, other = a_file(tmp_path, name="a"), a_file(tmp_path, NEW_VERSION.replace("1.09", "1.19"), "b")

    code, lines = said(lambda console: check(read_contracts, [one, other], console))

    assert code == 2
    assert lines.splitlines()[0] == f"{other}:2: starts_on: acme has two versions that start on 2026-11-01; see {one}:1"


# -- diff --------------------------------------------------------------------------------------------------------------


def diffed(path: Path, registry: FakeRegistry, store: MemoryStore) -> tuple[int, str]:
    return said(lambda console: command.diff(path, registry, store, AS_OF, console, as_json=False))


def diffed_json(path: Path, registry: FakeRegistry, store: MemoryStore) -> dict[str, object]:
    _, text = said(lambda console: command.diff(path, registry, store, AS_OF, console, as_json=True))
    (document,) = json.loads(text)
    assert isinstance(document, dict)
    return document


def test_diff_says_in_words_and_in_money_what_changes(tmp_path: Path) -> None:
    code, text = diffed(a_file(tmp_path), a_registry(), closed("2026-09", all=RateCounter(issued=60, net=50)))

    assert code == 0
    assert text.splitlines()[:3] == [
        "acme: the version from 2026-11 against the version from 2026-01",
        "  minimum was 0, becomes 100.00",
        "  rates all price unit was 0.99, becomes 1.09",
    ]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    assert cells == [
        ["rate all", "50", "49.50", "54.50", "5.00"],
        ["shortfall: up to the agreed minimum", "", "0.00", "45.50", "45.50"],
        ["total", "", "49.50", "100.00", "50.50"],
    ]


def test_diff_as_json_has_the_same_figures(tmp_path: Path) -> None:
    document = diffed_json(a_file(tmp_path), a_registry(), closed("2026-09", all=RateCounter(issued=60, net=50)))

    assert document == {
        "client": "acme",
        "version": "2026-11",
        "against": "2026-01",
        "fields": [
            {"field": "minimum", "was": "0", "now": "100.00"},
            {"field": "rates all price unit", "was": "0.99", "now": "1.09"},
        ],
        "usage": {
            "period": "2026-09",
            "currency": "USD",
            "lines": [
                {"kind": "usage", "text": "all", "resolutions": 50, "was": "49.50", "now": "54.50"},
                {"kind": "shortfall", "text": "up to the agreed minimum", "was": "0.00", "now": "45.50"},
            ],
            "total": {"was": "49.50", "now": "100.00"},
        },
        "notes": [],
    }


def test_last_closed_period_is_the_one_compared_on(tmp_path: Path) -> None:
    store = closed("2026-09", all=RateCounter(net=9))
    for period, status in (("2026-08", PeriodStatus.CLOSED), ("2026-10", PeriodStatus.OPEN)):
        store.stored_periods["acme", Period(period)] = PeriodState("acme", Period(period), status)

    assert isinstance(usage := diffed_json(a_file(tmp_path), a_registry(), store)["usage"], dict)
    assert usage["period"] == "2026-09"


def test_credits_and_sums_carried_are_no_terms_and_left_out(tmp_path: Path) -> None:
    store = closed("2026-09", all=RateCounter(net=50, billed=4950))
    state = store.stored_periods["acme", Period("2026-09")]
    store.stored_periods["acme", Period("2026-09")] = replace(state, credits=((Period("2026-08"), 99),), carried=-7)

    assert isinstance(usage := diffed_json(a_file(tmp_path), a_registry(), store)["usage"], dict)
    assert usage["total"] == {"was": "49.50", "now": "100.00"}


def test_diff_counts_tiers_on_the_whole_of_the_month(tmp_path: Path) -> None:
    text = NEW_VERSION.replace('{model: per_unit, unit: "1.09"}', json.dumps(GRADUATED))
    store = closed("2026-09", all=RateCounter(net=1500))

    assert isinstance(usage := diffed_json(a_file(tmp_path, text), a_registry(), store)["usage"], dict)
    assert usage["lines"][0] == {
        "kind": "usage",
        "text": "all",
        "resolutions": 1500,
        "was": "1485.00",
        "now": "1385.00",  # 1,000 at 0.99 and 500 at 0.79
    }


def test_rate_that_has_gone_is_left_out_of_the_total_and_said_to_be(tmp_path: Path) -> None:
    rates = [{"id": "phone", "match": {"channel": ["phone"]}, "price": per_unit("2.40")}]
    old = a_contract(rates=[*rates, {"id": "all", "price": per_unit("0.99")}])
    store = closed("2026-09", phone=RateCounter(net=10), all=RateCounter(net=200, discount=30))

    document = diffed_json(a_file(tmp_path), a_registry(old), store)

    assert isinstance(usage := document["usage"], dict)
    assert usage["lines"][0] == {"kind": "usage", "text": "phone", "resolutions": 10, "was": "24.00", "now": None}
    assert usage["total"] == {"was": "221.70", "now": "217.70"}
    assert document["notes"] == [
        "phone has no price under the new terms; its 10 resolutions are left out of that total.",
        "What the rates match has changed; the numbers are those that the old rates matched.",
        "Discounts are those that were given; ratings are not judged anew.",
    ]


def test_rate_that_only_moved_is_a_change_of_order(tmp_path: Path) -> None:
    chat, rest = {"id": "chat", "price": per_unit("1")}, {"id": "rest", "price": per_unit("2")}
    text = NEW_VERSION.partition("rates:")[0] + f"rates: {json.dumps([rest, chat])}\n"

    document = diffed_json(
        a_file(tmp_path, text), a_registry(a_contract(minimum="100.00", rates=[chat, rest])), MemoryStore()
    )

    assert document["fields"] == [{"field": "rates (order)", "was": "chat, rest", "now": "rest, chat"}]
    assert document["usage"] is None
    assert document["notes"] == ["No period is closed yet, so there is no usage to compare on."]


def test_diff_of_a_client_without_a_contract_has_nothing_to_compare_with(tmp_path: Path) -> None:
    code, text = diffed(a_file(tmp_path, NEW_VERSION.replace("acme", "globex")), a_registry(), MemoryStore())

    assert code == 2
    assert text == "globex has no contract in force in 2026-11: there is nothing to compare with.\n"


# -- two people --------------------------------------------------------------------------------------------------------


def applied(
    folder: Path, registry: FakeRegistry, by: str | None = None, *, check_only: bool = False
) -> tuple[int, list[str]]:
    a_file(folder, name="contracts/acme")
    code, text = said(
        lambda console: apply_folder(folder, registry, AS_OF, console, check_only=check_only, identity=lambda: by)
    )
    return code, text.splitlines()


def approved(registry: FakeRegistry, proposal: str, by: str | None) -> tuple[int, str]:
    return said(lambda console: approvals.approve_proposal(proposal, registry, by, AS_OF, console))


def test_price_change_is_proposed_by_one_and_approved_by_another(tmp_path: Path) -> None:
    registry = a_registry()

    code, lines = applied(tmp_path, registry, by="alice")
    (proposal,) = registry.waiting

    assert code == 0
    assert lines[-3:] == [
        f"0 changed, 1 waiting for approval ({proposal}), 0 unchanged.",
        "Proposed by alice on 2026-10-10; a second person approves it with",
        f"solvent contract approve {proposal} --by NAME",
    ]
    assert approved(registry, proposal, "alice") == (
        2,
        "alice proposed this; somebody else has to approve it. Nothing was written.\n",
    )
    assert approved(registry, proposal, None) == (2, "Say who approves this with --by NAME. Nothing was written.\n")
    assert approved(registry, proposal, "bob") == (
        0,
        "acme: new version from 2026-11, proposed by alice, approved by bob\n1 changed.\n",
    )
    assert applied(tmp_path, registry) == (0, ["0 changed, 1 unchanged."])


def test_check_prints_the_hash_under_which_it_would_wait(tmp_path: Path) -> None:
    registry = a_registry()

    _, lines = applied(tmp_path, registry, check_only=True)
    assert registry.waiting == {}
    applied(tmp_path, registry, by="alice")

    assert lines[-1] == f"0 would change, 1 would wait for approval ({next(iter(registry.waiting))}), 0 unchanged."


def test_price_change_by_nobody_writes_nothing_at_all(tmp_path: Path) -> None:
    registry = a_registry()
    a_file(tmp_path, "id: globex\nname: G\nemail: g@g.example\n", "clients/globex")

    code, lines = applied(tmp_path, registry)

    assert (code, lines) == (
        2,
        ["The terms of acme change: say who proposes that with --by NAME. Nothing was written."],
    )
    assert "globex" not in registry.terms.clients


def test_what_waits_is_listed_with_each_field_and_can_be_withdrawn(tmp_path: Path) -> None:
    registry = a_registry()
    applied(tmp_path, registry, by="alice")
    (proposal,) = registry.waiting

    assert said(lambda console: approvals.waiting(registry, console))[1].splitlines() == [
        f"{proposal}, proposed by alice on 2026-10-10",
        "  acme, version from 2026-11 against 2026-01",
        "    minimum was 0, becomes 100.00",
        "    rates all price unit was 0.99, becomes 1.09",
        "1 waiting",
    ]
    assert said(lambda console: approvals.withdraw(proposal, registry, console))[0] == 0
    assert said(lambda console: approvals.withdraw(proposal, registry, console))[0] == 2
    assert said(lambda console: approvals.waiting(registry, console)) == (0, "0 waiting\n")
    assert approved(registry, proposal, "bob")[0] == 2


def test_name_is_not_taken_in_aws() -> None:
    embedded = Connection("solvent", store=None, registry=DynamoRegistry(), is_embedded=True)  # type: ignore[arg-type]

    assert embedded.identity("alice") == "alice"
    assert embedded.identity(None) is None
    with pytest.raises(NameNotTaken, match="in AWS you are who your credentials say you are"):
        replace(embedded, is_embedded=False).identity("alice")


# -- history -----------------------------------------------------------------------------------------------------------


def test_history_shows_every_version_with_its_days_its_people_and_its_values(tmp_path: Path) -> None:
    registry = a_registry()
    applied(tmp_path, registry, by="alice")
    approved(registry, next(iter(registry.waiting)), "bob")

    code, text = said(lambda console: history(Kind.CONTRACT, "acme", registry, console))

    assert code == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    assert rows == [
        ["2026-01", "2026-01-01", "2026-11-01", "not recorded", ""],
        ["2026-11", "2026-11-01", "", "2026-10-10 alice", "2026-10-10 bob"],
    ]
    assert "  rates all price unit: 0.99" in text.splitlines()
    assert text.splitlines()[-3:] == [
        "2026-11 changes",
        "  minimum was 0, becomes 100.00",
        "  rates all price unit was 0.99, becomes 1.09",
    ]


def test_first_version_says_who_applied_it(tmp_path: Path) -> None:
    registry = FakeRegistry(CurrentTerms(clients=a_registry().terms.clients))
    assert applied(tmp_path, registry, by="alice")[0] == 0

    _, text = said(lambda console: history(Kind.CONTRACT, "acme", registry, console))

    assert "2026-10-10 alice" in text
    assert "first version, no need" in text


def test_history_of_nobody_is_refused() -> None:
    assert said(lambda console: history(Kind.CONTRACT, "globex", a_registry(), console)) == (
        2,
        "there is no contract of globex\n",
    )
