"""`solvent close` over a store in memory and real files: what is printed, remembered and written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import StringIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console
from typer.testing import CliRunner

from billing.periods import Period
from cli.close import Desk, Wanted, approve, close_month, show_close
from cli.main import app
from infra.exports import export_ledger
from infra.exports.proof import verify_export
from settlement.apply import CurrentTerms
from settlement.month_close import Step
from settlement.ports import Changes, Contention
from tests.fake_stripe import FakeStripe
from tests.memory_store import MemoryRegistry
from tests.world import World, a_contract, at, per_unit

MARCH, NOW = Period("2026-03"), at("2026-04-07T09:00:00")


@dataclass
class TermsRegistry(MemoryRegistry):
    """A registry that also says who applied what: nobody anything."""

    def current_terms(self) -> CurrentTerms:
        return CurrentTerms()


@dataclass
class Office:
    """A month of three resolutions in a folder of its own; Ann closes it, and Bob is the second person."""

    folder: Path
    world: World = field(
        default_factory=lambda: World(contract=a_contract(per_unit("10.00"), starts_on="2026-03-01"), experts=())
    )
    stripe: FakeStripe = field(default_factory=FakeStripe)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.world.send(*(self.world.completed(f"C{n}", f"2026-03-0{n}", expert=None) for n in range(1, 4)))
        self.registry = TermsRegistry(**vars(self.world.registry))

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def run(
        self,
        code: int,
        by: str | None = "ann",
        until: Step = Step.PACK,
        accepts: Mapping[Step, str] | None = None,
        as_of: datetime = NOW,
    ) -> list[str]:
        """What the command prints that ends with `code`, line by line."""
        out = StringIO()
        desk = Desk(
            self.world.store,
            self.registry,
            self.stripe,
            lambda content: self.key.sign(content, ec.ECDSA(hashes.SHA256())),
            self.public_key,
        )
        wanted = Wanted(MARCH, by, as_of, self.folder, until, accepts or {})
        assert close_month(desk, wanted, Console(file=out, width=60)) == code, out.getvalue()
        return out.getvalue().splitlines()

    def approve(self, code: int = 0, by: str | None = "bob", hash_: str | None = None) -> list[str]:
        out, drafts = StringIO(), hash_ or self.world.store.month_close(MARCH).drafts
        assert approve(self.world.store, MARCH, drafts, by, NOW, Console(file=out, width=60)) == code, out.getvalue()
        return out.getvalue().splitlines()

    def show(self, code: int, *, as_json: bool = False) -> str:
        out = StringIO()
        assert show_close(self.world.store, MARCH, Console(file=out, width=60), as_json=as_json) == code
        return out.getvalue()


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_close_stops_for_the_second_person_and_says_which_command_that_one_runs(office: Office) -> None:
    lines = office.run(1)
    drafts = office.world.store.month_close(MARCH).drafts
    assert lines[0] == "Close of 2026-03"
    assert lines[1] == " 1. parked: nothing waits to be mended. Done by ann, 2026-04-07T09:00:00Z"
    place = lines.index(" 6. approval: a second person approved the invoices. Blocked")
    assert lines[place + 1 : place + 4] == [
        "      blocked: 1 invoices wait for a second person",
        f"      to do: another person runs `solvent close 2026-03 --approve {drafts}`, then run this again",
        " 7. sending: invoices are sent. To do",
    ]
    assert lines[-1] == "14. pack: the audit pack is written. To do"


def test_a_close_ends_with_a_pack_that_holds_all_that_proves_it(office: Office) -> None:
    office.run(1)
    assert office.approve() == ["The invoices of 2026-03 are approved by bob; `solvent close 2026-03` goes on."]
    lines = office.run(0)
    assert lines[1] == " 1. parked: nothing waits to be mended. Done by ann, 2026-04-07T09:00:00Z"
    assert not lines[2].startswith("      "), "what was done before is one line"
    assert [line for line in lines if "Blocked" in line or "To do" in line] == []
    assert verify_export(office.folder / "export", office.public_key) == []
    with ZipFile(office.folder / "audit-2026-03.zip") as pack:
        names = pack.namelist()
        read = {name: json.loads(pack.read(name)) for name in names if name.endswith(".json")}
        told = pack.read("transcript.txt").decode()
        evidence = pack.read("evidence/invoice-acme-2026-03.csv").decode()
    assert [name for name in names if name.startswith("export/")] == [
        "export/entries/month=2026-03/000001-0001.parquet",
        "export/manifests/000001.json",
        "export/postings/month=2026-03/000001-0001.parquet",
    ]
    assert [invoice["total_minor"] for invoice in read["invoices.json"]] == [3000]
    assert read["approvals.json"]["invoices"]["by"] == "bob"
    assert read["reconciliation.json"]["differences"] == []
    assert read["manual_entries.json"] == []
    assert len(read["close.json"]["done"]) == 13
    assert "13. export: the ledger is exported. Done by ann" in told
    assert evidence.count("settled") >= 3
    assert set(read["manifest.json"]["files"]) == set(names) - {"manifest.json"}


def test_a_close_that_is_done_is_shown_and_writes_nothing_again(office: Office) -> None:
    office.run(1)
    office.approve()
    office.run(0)
    before = {path: path.read_bytes() for path in office.folder.rglob("*") if path.is_file()}
    lines = office.run(0, by="carl", as_of=at("2026-05-01"))
    assert lines == [line for line in office.show(0).splitlines() if not line.startswith("      ")]
    assert {path: path.read_bytes() for path in office.folder.rglob("*") if path.is_file()} == before


def test_the_status_is_shown_without_doing_anything(office: Office) -> None:
    shown = office.show(1).splitlines()
    assert [line for line in shown[1:] if not line.endswith("To do")] == []
    assert json.loads(office.show(1, as_json=True))["done"] == []
    assert office.world.store.stored_closes == {}


def test_an_export_that_does_not_prove_itself_blocks(office: Office) -> None:
    office.run(1, until=Step.APPROVAL)
    office.approve()
    office.run(0, until=Step.EXPORT)
    close = office.world.store.month_close(MARCH)
    undone = replace(close, done=close.done[:-1], revision=close.revision + 1)
    office.world.store.commit(Changes(month_closes=(undone,)))
    [table] = (office.folder / "export").glob("postings/*/*.parquet")
    table.write_bytes(table.read_bytes()[:-1])
    lines = office.run(1)
    assert "13. export: the ledger is exported. Blocked" in lines
    assert any("000001-0001.parquet" in line for line in lines if "blocked:" in line)
    assert not any("proves itself" in line for line in lines)


def test_a_folder_that_holds_something_else_blocks_the_export_and_nothing_before_it(office: Office) -> None:
    (office.folder / "export").mkdir()
    (office.folder / "export" / "notes.txt").write_text("mine")
    office.run(1)
    office.approve()
    lines = office.run(1)
    assert any("blocked: the export was not finished:" in line for line in lines)
    assert office.world.store.month_close(MARCH).next_step is Step.EXPORT


def test_what_is_accepted_is_in_the_transcript_with_its_reason(office: Office) -> None:
    office.world.send(office.world.completed("C9", "2026-03-09", expert="zoe"))
    lines = office.run(1)
    assert " 1. parked: nothing waits to be mended. Blocked" in lines
    assert sum("to do:" in line for line in lines) == 1
    lines = office.run(0, until=Step.PARKED, accepts={Step.PARKED: "zoe never worked here"})
    assert lines[1].endswith("Done by ann, 2026-04-07T09:00:00Z, 1 left as they are")
    assert any(line.startswith("      left: unknown_expert: ") for line in lines)
    assert "      because: zoe never worked here" in lines


def test_nobody_closes_or_approves_without_a_name_and_nothing_is_accepted_that_moves_money(office: Office) -> None:
    assert "Say who you are with --by NAME" in office.run(2, by=None)[0]
    assert "mend it" in office.run(2, accepts={Step.RECONCILIATION: "small"})[0]
    office.run(1)
    assert "Say who approves" in office.approve(2, by=" ")[0]
    assert "not what abc stands for" in office.approve(2, hash_="abc")[0]
    assert "somebody else approves" in office.approve(2, by="Ann")[0]


def test_a_month_that_is_not_over_is_bad_usage_and_nothing_is_done(office: Office) -> None:
    [said] = office.run(2, as_of=at("2026-03-31T12:00:00"), accepts={Step.PARKED: "in a hurry"})
    assert said.startswith("2026-03 can be closed from 2026-04-02T00:00:00Z on")
    assert office.world.store.month_close(MARCH).done == ()


def test_whoever_is_overtaken_all_the_time_exits_with_1(office: Office) -> None:
    def rival(_: Changes) -> None:
        raise Contention("overtaken")

    office.world.store.before_commit = rival
    assert "Run the close again." in office.run(1)[0]


def test_the_command_has_help_with_an_example_and_refuses_what_is_no_month() -> None:
    shown = CliRunner().invoke(app, ["close", "--help"], env={"COLUMNS": "120"})
    assert "For example: solvent close 2026-10 --by ann --until drafts" in shown.output
    assert CliRunner().invoke(app, ["close", "october"]).exit_code == 2


def test_an_edited_manifest_blocks_the_export_by_its_name(office: Office) -> None:
    office.run(1, until=Step.APPROVAL)
    office.approve()
    office.run(0, until=Step.CLEARING)
    export_ledger(office.world.store, office.folder / "export")
    manifest = office.folder / "export/manifests/000001.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    lines = office.run(1)
    assert any("manifests/000001.json cannot be read" in line for line in lines if "blocked:" in line)
