"""`solvent expert` over a store, a registry and a Stripe in memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from cli import experts
from payouts.policy import PayoutPolicy
from settlement.expert_status import ExpertStatus, GatePassed
from settlement.ports import Contention
from settlement.registry import Gate
from settlement.stripe_port import AccountStatus, StripeBusy, TransfersCapability
from tests.commands import Here, printed
from tests.fake_stripe import FakeStripe
from tests.memory_store import MemoryRegistry
from tests.world import World, a_plan, an_expert, at

MONDAY = at("2026-03-16")
HEADER = "expert,gate,passed_on,expires_on,source\n"
THREE = (
    HEADER
    + "maya,training,2026-02-01,2026-12-31,lms\n"
    + "maya,background_check,2026-02-02,,checkr\n"
    + "noah,tax_form,2026-02-03,,tax-desk\n"
)


class BusyStripe(FakeStripe):
    def account_status(self, account: str) -> AccountStatus:
        raise StripeBusy(f"not now: {account}")


class BusyRegistry(MemoryRegistry):
    def set_status(self, status: ExpertStatus) -> None:
        raise Contention(f"somebody writes about {status.expert} all the time")


@dataclass
class Place:
    """Maya has 5.90 that matured and 0.59 that has not, a Stripe account, and all gates but training."""

    here: Here

    def call(self, command: Callable[..., int], *arguments: object, code: int = 0) -> list[str]:
        """What a command prints that ends with `code`, line by line."""
        return [line.rstrip() for line in printed(command, self.here, *arguments, code=code).splitlines()]

    def show(self, expert: str = "maya", code: int = 0) -> list[str]:
        """What is shown of an expert, with single blanks."""
        shown = printed(experts.show, self.here.store, self.here.registry, expert, MONDAY, code=code)
        return [" ".join(line.split()) for line in shown.splitlines()]

    def status(self, expert: str = "maya") -> ExpertStatus:
        return self.here.registry.statuses([expert])[expert]


def a_place() -> Place:
    world = World(plan=a_plan(minimum_payout="1.00"))
    gates = dict.fromkeys(("contract_signed", "background_check", "tax_form"), "2026-01-01")
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya", gates=gates)
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(10)), world.completed("D1", "2026-03-15"))
    return Place(Here(world.store, world.registry))


def cells(**given: str) -> dict[str, str]:
    usual = {"expert": "maya", "gate": "training", "passed_on": "2026-02-01", "expires_on": "", "source": "lms"}
    return usual | given


# -- show --------------------------------------------------------------------------------------------------------------


def test_an_expert_is_shown_with_gates_stripe_balances_and_what_holds_payouts_back() -> None:
    assert a_place().show() == [
        "Gates of maya on 2026-03-16",
        "gate passed on expires after source counts",
        "contract_signed 2026-01-01 never terms yes",
        "background_check 2026-01-01 never terms yes",
        "training missing no",
        "tax_form 2026-01-01 never terms yes",
        "Stripe: acct_maya, transfers active",
        "Payouts",
        "in can be paid held until later held back by",
        "USD 5.90 0.59 training",
    ]


def test_a_fact_that_has_expired_is_shown_and_does_not_count() -> None:
    place = a_place()
    place.call(experts.gate, cells(expires_on="2026-03-15"))
    assert "training 2026-02-01 2026-03-15 lms no" in place.show()
    place.call(experts.gate, cells(expires_on="2026-03-16"))
    assert "training 2026-02-01 2026-03-16 lms yes" in place.show()
    assert "USD 5.90 0.59 nothing" in place.show()


def test_what_stripe_asks_for_a_new_bank_account_and_returned_payouts_are_shown() -> None:
    place = a_place()
    place.here.registry.known_policies = {it.id: it for it in (PayoutPolicy(id="USD", cooling_off_days=5),)}  # type: ignore[arg-type]
    place.here.registry.known_statuses["maya"] = ExpertStatus(
        "maya",
        transfers=TransfersCapability.RESTRICTED,
        requirements=("identity.document",),
        bank="bank_2",
        bank_changed_on=date(2026, 3, 12),
        failed_bank_payouts=tuple((f"po_{number}", at(f"2026-03-0{number}")) for number in (1, 2, 3)),
    )
    lines = place.show()
    assert "Stripe: acct_maya, transfers restricted" in lines
    assert "Stripe asks for: identity.document" in lines
    assert "Bank account changed on 2026-03-12" in lines
    assert "Returned by this bank account: po_1, po_2, po_3" in lines
    assert lines[-4:] == [
        "USD 5.90 0.59 training",
        "stripe_transfers_restricted: Stripe asks for identity.document",
        "bank_changed: the new bank account is paid from 2026-03-17",
        "bank_failing: it returned 3 payouts; change the bank account",
    ]


def test_an_expert_who_earned_nothing_is_shown_with_what_would_hold_payouts_back() -> None:
    lines = a_place().show("noah")
    assert "Stripe: no account; `solvent onboard` makes one, transfers active" in lines
    assert lines[-1] == "USD 0.00 0.00 no_stripe_account"


def test_too_little_is_named_beside_what_is_missing() -> None:
    place = a_place()
    place.call(experts.gate, cells(expert="noah"))
    histories = place.here.registry.plan_histories
    plan = histories["standard"].versions[0].model_copy(update={"minimum_payout": "50.00"})
    histories["standard"] = replace(histories["standard"], versions=(plan,))
    assert place.show()[-2:] == ["USD 5.90 0.59 training", "below_minimum"]


def test_an_unknown_expert_is_refused() -> None:
    place = a_place()
    assert place.show("zoe", code=2) == ["there is no expert zoe; apply one"]
    assert place.call(experts.refresh, "zoe", MONDAY, code=2) == ["there is no expert zoe; apply one"]
    assert place.call(experts.gate, cells(expert="zoe"), code=2) == ["there is no expert zoe; apply one"]
    assert "zoe" not in place.here.registry.known_statuses


# -- refresh -----------------------------------------------------------------------------------------------------------


def test_refreshing_keeps_and_shows_what_stripe_says_now() -> None:
    place = a_place()
    now = AccountStatus("acct_maya", "maya", TransfersCapability.RESTRICTED, ("identity.document",), "bank_1")
    place.here.fake.accounts["acct_maya"] = now
    lines = place.call(experts.refresh, "maya", MONDAY)
    assert "Stripe: acct_maya, transfers restricted" in lines
    assert (place.status().transfers, place.status().bank) == (TransfersCapability.RESTRICTED, "bank_1")


def test_an_expert_without_an_account_cannot_be_refreshed() -> None:
    (line,) = a_place().call(experts.refresh, "noah", MONDAY, code=2)
    assert line == "noah has no account at Stripe; `solvent onboard` makes one"


@pytest.mark.parametrize(("owner", "said"), [(None, "but nobody's"), ("noah", "but noah's")])
def test_an_account_that_is_somebody_elses_at_stripe_is_a_failure(owner: str | None, said: str) -> None:
    place = a_place()
    place.here.fake.accounts["acct_maya"] = AccountStatus("acct_maya", owner, TransfersCapability.ACTIVE)
    (line,) = place.call(experts.refresh, "maya", MONDAY, code=1)
    assert said in line


def test_a_stripe_that_asks_for_patience_is_a_failure_that_changes_nothing() -> None:
    place = a_place()
    before, place.here.fake = place.status(), BusyStripe()
    assert place.call(experts.refresh, "maya", MONDAY, code=1) == ["not now: acct_maya"]
    assert place.status() == before


# -- gates -------------------------------------------------------------------------------------------------------------


def test_a_gate_is_recorded_once_and_what_the_same_system_says_next_replaces_it() -> None:
    place = a_place()
    said = "maya: training passed on 2026-02-01, for good, says lms: "
    assert place.call(experts.gate, cells()) == [f"{said}recorded"]
    assert place.call(experts.gate, cells()) == [f"{said}known before"]
    assert place.status().gates == (GatePassed(Gate.TRAINING, date(2026, 2, 1), "lms"),)
    revision = place.status().revision
    place.call(experts.gate, cells(passed_on="2026-03-01", expires_on="2027-03-01"))
    assert place.status().gates == (GatePassed(Gate.TRAINING, date(2026, 3, 1), "lms", date(2027, 3, 1)),)
    assert place.status().revision == revision + 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"gate": "drug_test"},
            "gate: 'drug_test' is not a gate; the gates are contract_signed, background_check, training, tax_form",
        ),
        ({"passed_on": "2026-02-30"}, "passed_on: '2026-02-30' is not a date such as 2026-11-01"),
        ({"passed_on": "20260201"}, "passed_on: '20260201' is not a date such as 2026-11-01"),
        ({"passed_on": ""}, "passed_on: '' is not a date such as 2026-11-01"),
        ({"expires_on": "soon"}, "expires_on: 'soon' is not a date such as 2026-11-01"),
        ({"expires_on": "2026-01-31"}, "expires_on: 2026-01-31 is before 2026-02-01, when the gate was passed"),
        ({"source": "Our LMS"}, "source: 'Our LMS' is not a name of a system: small letters and digits, then also"),
    ],
)
def test_a_fact_that_says_nothing_is_refused_with_its_field(given: dict[str, str], said: str) -> None:
    place = a_place()
    (line,) = place.call(experts.gate, cells(**given), code=2)
    assert line.startswith(said)
    assert place.status().gates == ()


def test_a_status_that_others_keep_writing_is_a_failure() -> None:
    place = a_place()
    place.here.registry = BusyRegistry(all_experts=place.here.registry.all_experts)
    (line,) = place.call(experts.gate, cells(), code=1)
    assert line == "the gates of maya: overtaken 12 times; it is tried again later"


# -- files of gates ----------------------------------------------------------------------------------------------------


def a_file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "gates.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_of_gates_is_recorded_and_giving_it_again_changes_nothing(tmp_path: Path) -> None:
    place, file = a_place(), a_file(tmp_path, THREE)
    assert place.call(experts.gates, file) == ["3 recorded, 0 known before, 0 problems"]
    revisions = [place.status(name).revision for name in ("maya", "noah")]
    assert place.call(experts.gates, file) == ["0 recorded, 3 known before, 0 problems"]
    assert [place.status(name).revision for name in ("maya", "noah")] == revisions
    assert [it.source for it in place.status().gates] == ["checkr", "lms"]


def test_what_is_wrong_is_named_by_file_line_and_field_and_the_rest_is_recorded(tmp_path: Path) -> None:
    file = a_file(
        tmp_path,
        HEADER
        + "maya,training,2026-02-01,,lms\n"
        + "zoe,training,2026-02-01,,lms\n"
        + "noah,jogging,2026-02-01,,lms\n"
        + "noah,training,yesterday,,lms\n"
        + "noah,training,2026-02-01,2026-01-01,lms\n"
        + "noah,training,2026-02-01\n"
        + "maya,training,2026-03-01,,lms\n"
        + "maya,training,2026-02-01,,lms\n"
        + ",training,2026-02-01,,lms\n",
    )
    place = a_place()

    lines = place.call(experts.gates, file, code=2)

    assert [line.removeprefix(f"{file}:") for line in lines] == [
        "3: expert: there is no expert zoe; apply one",
        "4: gate: 'jogging' is not a gate; the gates are contract_signed, background_check, training, tax_form",
        "5: passed_on: 'yesterday' is not a date such as 2026-11-01",
        "6: expires_on: 2026-01-01 is before 2026-02-01, when the gate was passed",
        "7: source: '' is not a name of a system: small letters and digits, then also . - and _, at most 64",
        "8: gate: lms says something else about this one in line 2",
        "10: expert: there is no expert ''; apply one",
        "1 recorded, 0 known before, 7 problems",
    ]
    assert place.status().gates == (GatePassed(Gate.TRAINING, date(2026, 2, 1), "lms"),)


def test_columns_may_stand_in_any_order_beside_others_and_cells_in_quotes(tmp_path: Path) -> None:
    text = 'name,source,gate,expires_on,passed_on,expert\r\n"Maya, M.",lms,training,, 2026-02-01 ,maya\r\n'
    place = a_place()
    place.call(experts.gates, a_file(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert place.status().gates == (GatePassed(Gate.TRAINING, date(2026, 2, 1), "lms"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "1: expert, gate, passed_on, expires_on, source: is missing; the first line names expert, gate,"),
        (b"expert,gate,passed_on,source\n", "1: expires_on: is missing; the first line names"),
        (b"expert,gate\xff", " is not text in UTF-8"),
        (HEADER.encode() + b'maya,"training\n', "2: is not CSV: unexpected end of data"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    place, file = a_place(), a_file(tmp_path, text)
    lines = place.call(experts.gates, file, code=2)
    assert lines[0].removeprefix(f"{file}:").startswith(said)
    assert lines[1] == "0 recorded, 0 known before, 1 problems"


def test_a_file_whose_writing_is_overtaken_says_that_it_may_be_given_again(tmp_path: Path) -> None:
    place = a_place()
    place.here.registry = BusyRegistry(all_experts=place.here.registry.all_experts)
    (line,) = place.call(experts.gates, a_file(tmp_path, THREE), code=1)
    assert line.endswith("Give the file again.")
