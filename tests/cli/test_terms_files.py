"""Folders of terms: what is read from them, and what is said about mistakes. Applying them, as the command does."""

from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cli.apply import apply_folder
from cli.terms_files import read_folder
from cli.yaml_documents import BrokenFiles
from settlement.apply import CurrentTerms, Kind
from settlement.registry import Gate
from tests.terms_registry import FakeRegistry

AS_OF = date(2026, 10, 10)

CLIENT = "id: acme\nname: Acme\nemail: billing@acme.example\n"
CONTRACT = """\
client: acme
starts_on: 2026-10-01
currency: USD
time_zone: America/New_York
rates:
  - id: all
    price: {model: per_unit, unit: "0.99"}
"""
PLAN = """\
id: standard
starts_on: 2026-10-01
currency: USD
base: {kind: share, percent: "60"}
"""
EXPERT = """\
id: maya
country: US
email: maya@experts.example
assignments:
  acme: standard
gates:
  training: 2026-10-01
"""
TERMS = {
    "clients/acme.yaml": CLIENT,
    "contracts/acme.yaml": CONTRACT,
    "pay_plans/standard.yaml": PLAN,
    "experts/maya.yaml": EXPERT,
}
TEN_MISTAKES = """\
client: Acme Inc
starts_on: 2026-11-15
currency: usd
time_zone: Europe/Berln
reopen_windows: 168
rating:
  window_hours: "72"
  threshold_percent: "60"
  below: waved
  unrated: charge
rates:
  - id: chat
    match:
      channel: chat
    price:
      model: graduated
      tiers:
        - up_to: 1000
          unit: 0.99
        - unit: "a lot"
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def problems_of(folder: Path, files: dict[str, str]) -> list[str]:
    with pytest.raises(BrokenFiles) as broken:
        read_folder(write(folder, files))
    return [str(problem) for problem in broken.value.problems]


# -- reading -----------------------------------------------------------------------------------------------------------


def test_folder_is_read_into_clients_contracts_plans_and_experts(tmp_path: Path) -> None:
    terms = read_folder(write(tmp_path, TERMS)).terms

    assert [client.id for client in terms.clients] == ["acme"]
    assert [contract.version for contract in terms.contracts] == ["2026-10"]
    assert [plan.id for plan in terms.plans] == ["standard"]
    assert terms.experts[0].assignments == {"acme": "standard"}
    assert terms.experts[0].gates == {Gate.TRAINING: date(2026, 10, 1)}


def test_file_may_hold_a_list_and_lie_in_a_folder_of_folders(tmp_path: Path) -> None:
    listed = "- {id: a, name: A, email: a@a.example}\n- {id: b, name: B, email: b@b.example}\n"
    files = {"europe/clients/big/all.yml": listed, "clients/c.yaml": CLIENT, ".hidden/clients/x.yaml": "nonsense"}

    terms = read_folder(write(tmp_path, files)).terms

    assert [client.id for client in terms.clients] == ["acme", "a", "b"]


def test_payout_policies_are_read_and_applied_by_their_currency(tmp_path: Path) -> None:
    files = TERMS | {"payout_policies/USD.yaml": 'id: USD\nper_run: "500.00"\napprove_above: "250.00"\n'}
    registry, folder = FakeRegistry(), write(tmp_path, files)

    assert apply(folder, registry)[0] == 0
    assert registry.terms.policies["USD"].minor("500.00") == 50000
    assert apply(folder, registry)[1] == "0 changed, 5 unchanged.\n"


def test_mistakes_in_a_payout_policy_are_found_by_line(tmp_path: Path) -> None:
    policy = "id: usd\nper_run: 500\ncooling_off_days: 91\nper_dya: 1"

    found = problems_of(tmp_path, {"payout_policies/USD.yaml": policy})

    assert [problem.removeprefix("payout_policies/USD.yaml:") for problem in found] == [
        "1: id: 'usd' is not an active ISO 4217 currency code; write it in capitals, such as USD",
        '2: per_run: 500 is read as a number; write it in quotes: "500"',
        "3: cooling_off_days: 91 should be less than or equal to 90",
        "4: per_dya: is not a field here; did you mean per_day?",
    ]


def test_dates_may_be_written_with_or_without_quotes(tmp_path: Path) -> None:
    quoted = CONTRACT.replace("2026-10-01", '"2026-10-01"')
    terms = read_folder(write(tmp_path, {"contracts/a.yaml": CONTRACT, "contracts/b.yaml": quoted})).terms

    assert terms.contracts[0] == terms.contracts[1]


def test_ids_of_clients_that_yaml_takes_for_other_things_stay_texts(tmp_path: Path) -> None:
    text = EXPERT.replace("  acme: standard", "  no: standard\n  2026-10-01: standard\n  42: standard")

    expert = read_folder(write(tmp_path, {"experts/maya.yaml": text})).terms.experts[0]

    assert set(expert.assignments) == {"no", "2026-10-01", "42"}


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_contract_with_ten_mistakes_gives_ten_errors_in_one_run(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, {"contracts/acme.yaml": TEN_MISTAKES})

    assert len(problems) == 10
    assert [problem.removeprefix("contracts/acme.yaml:") for problem in problems] == [
        "1: client: 'Acme Inc' is not an id: small letters, digits, - and _ between them, at most 64",
        "2: starts_on: 2026-11-15 is not the first day of a month, and one version prices a whole period",
        "3: currency: 'usd' is not an active ISO 4217 currency code; write it in capitals, such as USD",
        "4: time_zone: 'Europe/Berln' is not an IANA time zone, such as Europe/Berlin",
        "5: reopen_windows: is not a field here; did you mean reopen_window_hours?",
        '7: rating.window_hours: "72" is not a whole number, written without quotes',
        "9: rating.below: 'waved' is not one of charge, discount, waive; did you mean waive?",
        "14: rates[0].match.channel: takes a list: write [chat]",
        '19: rates[0].price.tiers[0].unit: 0.99 is read as a number; write it in quotes: "0.99"',
        (
            "20: rates[0].price.tiers[1].unit: 'a lot' is not a plain decimal in quotes with at most 12 decimals, "
            'such as "0.99"'
        ),
    ]


@pytest.mark.parametrize(
    ("was", "is_now", "expected"),
    [
        ('"0.99"', "0.99", '7: rates[0].price.unit: 0.99 is read as a number; write it in quotes: "0.99"'),
        ('"0.99"', "1", '7: rates[0].price.unit: 1 is read as a number; write it in quotes: "1"'),
        ('"0.99"', "1:30", '7: rates[0].price.unit: 1:30 is read as a number; write it in quotes: "1:30"'),
        ('"0.99"', "", "7: rates[0].price.unit: has no value"),
        ('unit: "0.99"', 'units: "0.99"', "7: rates[0].price.unit: is missing"),
        ("per_unit", "flat", "7: rates[0].price.model: 'flat' is not one of per_unit, graduated, volume, package"),
        (
            "model: per_unit, ",
            "",
            "7: rates[0].price.model: is missing; it is one of per_unit, graduated, volume, package",
        ),
        (
            '{model: per_unit, unit: "0.99"}',
            '"0.99"',
            "7: rates[0].price: takes fields of its own, one `name: value` a line",
        ),
        ("2026-10-01", "20261001", "2: starts_on: '20261001' is not a date such as 2026-11-01"),
        ("2026-10-01", '"1793491200"', "2: starts_on: '1793491200' is not a date such as 2026-11-01"),
        ("2026-10-01", "2026-13-01", "2: starts_on: '2026-13-01' is not a date such as 2026-11-01"),
        ("USD", "USD\nnet_days: 010", "4: net_days: 010 is not a whole number, written without quotes"),
        ("USD", "USD\nnet_days: 366", "4: net_days: 366 should be less than or equal to 365"),
        ("USD", "USD\nends_on: 2026-10-01", "4: ends_on: 2026-10-01 is not after starts_on, 2026-10-01"),
        ("USD", "USD\ncurrency: EUR", "4: currency: is given twice, first in line 3"),
        (
            "USD",
            "!!python/name:os.system USD",
            "3: currency: the tag python/name:os.system is not known here; leave it out",
        ),
        ("rates:", "<<: {minimum: '1'}\nrates:", "5: `<<` is not read; write the fields out"),
        (
            "rates:",
            "rates:\n  - {id: all, price: {model: per_unit, unit: '1'}}",
            "7: rates[1].id: all is the id of rates[0] already",
        ),
        (
            "rates:",
            "rating: {window_hours: 1, threshold_percent: '60', below: discount, unrated: charge}\nrates:",
            "5: rating.discount_percent: is given if, and only if, below or unrated is `discount`",
        ),
        (
            '{model: per_unit, unit: "0.99"}',
            '{model: volume, tiers: [{up_to: 9, unit: "2"}, {up_to: 9, unit: "2"}, {unit: "1"}]}',
            "7: rates[0].price.tiers: tiers rise: each up_to is above the one before",
        ),
    ],
)
def test_mistake_is_named_with_line_field_and_remedy(tmp_path: Path, was: str, is_now: str, expected: str) -> None:
    problems = problems_of(tmp_path, {"contracts/acme.yaml": CONTRACT.replace(was, is_now, 1)})

    assert f"contracts/acme.yaml:{expected}" in problems


def test_country_that_yaml_takes_for_no_is_asked_for_in_quotes(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, {"experts/o.yaml": EXPERT.replace("US", "NO")})

    assert problems == ['experts/o.yaml:2: country: NO is read as true or false; write it in quotes: "NO"']


def test_misspelt_gate_is_named_as_a_field(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, {"experts/o.yaml": EXPERT.replace("training", "trainings")})

    assert problems == [
        (
            "experts/o.yaml:7: gates.trainings: 'trainings' is not one of contract_signed, background_check, training, "
            "tax_form; did you mean training?"
        )
    ]


def test_file_never_names_an_id_of_stripe(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, {"clients/acme.yaml": CLIENT + "stripe_customer: cus_1\n"})

    assert problems == ["clients/acme.yaml:4: stripe_customer: is set by Solvent alone; take it out"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: acme\n\tname: x\n", "2:1: a tab does not indent in YAML; use blanks"),
        ("id: [acme\nname: x\n", "2:5: is not YAML: while parsing a flow sequence expected ',' or ']', but got ':'"),
        ("id: acme\nname: \x01\n", "2:7: the character '\\x01' is not allowed in YAML"),
        ("# nothing yet\n", "1: holds no document"),
        ("id: &a [*a]\nname: A\nemail: a@a.example\n", "1: id[0]: refers to itself"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"{n}: &{n} [{', '.join(['*' + chr(ord(n) - 1)] * 10)}]\n" for n in "bcdefgh"),
            "1: has more than 100000 fields, repetitions by * counted",
        ),
        ("acme\n", "1: takes fields of its own, one `name: value` a line"),
    ],
)
def test_file_that_is_no_document_says_where_reading_stopped(tmp_path: Path, text: str, expected: str) -> None:
    assert f"clients/a.yaml:{expected}" in problems_of(tmp_path, {"clients/a.yaml": text})


def test_file_that_is_not_utf_8_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, TERMS)
    (tmp_path / "clients/latin.yaml").write_bytes("id: a\nname: Zoë\n".encode("latin-1"))

    assert problems_of(tmp_path, {}) == ["clients/latin.yaml:2:9: is not text in UTF-8"]


def test_problems_of_all_files_come_in_one_run_by_file_and_line(tmp_path: Path) -> None:
    files = {
        "contracts/b.yaml": "client: [",
        "contracts/a.yaml": CONTRACT.replace("USD", "US") + "nett_days: 3\n",
        "pay_plan/x.yaml": PLAN,
        "clients/z.yaml": CLIENT.replace("name", "nam"),
    }

    assert [problem.split(": ")[0] for problem in problems_of(tmp_path, files)] == [
        "clients/z.yaml:1",
        "clients/z.yaml:2",
        "contracts/a.yaml:3",
        "contracts/a.yaml:8",
        "contracts/b.yaml:1:10",
        "pay_plan/x.yaml:1",
    ]


def test_second_document_of_a_list_is_found_by_its_line(tmp_path: Path) -> None:
    text = "- {id: a, name: A, email: a@a.example}\n- id: b\n  name: B\n  email: nowhere\n"

    assert problems_of(tmp_path, {"clients/all.yaml": text}) == [
        "clients/all.yaml:4: email: 'nowhere' is not an e-mail address"
    ]


def test_folder_that_is_missing_or_empty_is_a_problem(tmp_path: Path) -> None:
    folders = "clients, contracts, pay_plans, experts, payout_policies, webhooks, doors"
    what = f"there is no .yaml file in it; terms are in its folders {folders}"
    assert problems_of(tmp_path, {}) == [f"{tmp_path}: {what}"]
    assert problems_of(tmp_path / "nowhere", {}) == [f"{tmp_path / 'nowhere'}: there is no such folder"]


# -- applying ----------------------------------------------------------------------------------------------------------


def apply(folder: Path, registry: FakeRegistry, *, check_only: bool = False) -> tuple[int, str]:
    out = StringIO()
    code = apply_folder(folder, registry, AS_OF, Console(file=out, width=100), check_only=check_only)
    return code, out.getvalue()


def test_applying_says_what_changed_and_the_second_time_that_nothing_did(tmp_path: Path) -> None:
    registry, folder = FakeRegistry(), write(tmp_path, TERMS)

    code, said = apply(folder, registry)

    assert code == 0
    assert [line for line in said.splitlines() if "acme" in line][1].split("│")[1:-1] == [
        " contract ",
        " acme     ",
        " created (from 2026-10)    ",
    ]
    assert said.endswith("4 changed, 0 unchanged.\n")
    assert set(registry.terms.revisions) == {
        (Kind.CLIENT, "acme"),
        (Kind.CONTRACT, "acme"),
        (Kind.PAY_PLAN, "standard"),
        (Kind.EXPERT, "maya"),
    }
    assert apply(folder, registry) == (0, "0 changed, 4 unchanged.\n")


def test_checking_writes_nothing(tmp_path: Path) -> None:
    registry = FakeRegistry()

    code, said = apply(write(tmp_path, TERMS), registry, check_only=True)

    assert (code, registry.terms) == (0, CurrentTerms())
    assert said.endswith("4 would change, 0 unchanged.\n")


def test_broken_file_writes_nothing_and_exits_with_2(tmp_path: Path) -> None:
    registry = FakeRegistry()

    code, said = apply(write(tmp_path, TERMS | {"clients/b.yaml": "id: b\nname: B\nemail: nowhere\n"}), registry)

    assert (code, registry.terms) == (2, CurrentTerms())
    assert said == "clients/b.yaml:3: email: 'nowhere' is not an e-mail address\n1 problem; nothing was written.\n"


def test_documents_that_do_not_fit_each_other_are_named_by_file_and_line(tmp_path: Path) -> None:
    files = TERMS | {
        "clients/twin.yaml": CLIENT,
        "experts/noah.yaml": EXPERT.replace("maya", "noah").replace("acme: standard", "globex: gold"),
        "contracts/acme.yaml": CONTRACT.replace("0.99", "0.00125"),
    }

    code, said = apply(write(tmp_path, files), FakeRegistry())

    assert code == 2
    assert said.splitlines() == [
        "clients/twin.yaml:1: id: acme is described twice; see clients/acme.yaml:1",
        (
            "contracts/acme.yaml:7: rates[0].price: 60% of the list price 0.00125 USD is below one minor unit "
            "per resolution (pay plan standard of maya)"
        ),
        "experts/noah.yaml:5: assignments.globex: there is no client globex",
        "experts/noah.yaml:5: assignments.globex: there is no pay plan gold",
        "4 problems; nothing was written.",
    ]


def test_applying_again_completes_what_a_rival_interrupted(tmp_path: Path) -> None:
    registry, folder = FakeRegistry(fails_before=3), write(tmp_path, TERMS)

    code, said = apply(folder, registry)
    assert (code, said) == (1, "pay_plan standard was changed by somebody else. Apply the folder again.\n")

    registry.fails_before = None
    code, said = apply(folder, registry)
    assert (code, said.splitlines()[-1]) == (0, "2 changed, 2 unchanged.")
    assert apply(folder, registry) == (0, "0 changed, 4 unchanged.\n")
