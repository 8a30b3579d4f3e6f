"""The documents say what the code says: stale blocks are found, and the committed pages have none."""

import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # comes with aws-sam-translator

from cli.report import Report
from docs.generate import (
    BLOCKS,
    DONE,
    RECORDED,
    SCHEMAS,
    STALE,
    WRONG,
    documents,
    main,
    recorded_tests,
    run_block,
    schema,
)
from functions.api.openapi import document
from infra.local.deployment import packaged_template
from infra.local.packaging import PROJECT_ROOT
from infra.local.sample_month import SAMPLE_WORLD

README = PROJECT_ROOT / "README.md"


def a_page(root: Path, name: str, body: str = "old\n") -> Path:
    page = root / "README.md"
    page.write_text(f"before\n<!-- generated: {name} -->\n{body}<!-- end -->\nafter\n")
    return page


def a_report(**fields: object) -> Report:
    numbers = dict.fromkeys(("facts_in", "resolutions", "charged", "reversed", "pending", "parked_cycles"), 0)
    lists: dict[str, object] = {"invoices": [], "payouts": [], "differences": []}
    tables: dict[str, object] = {"waived": {}, "not_paid": {}, "trial_balance": {}, "parked": {}}
    rest = {"entries": 0, "books_verified": 0, "reconciled": True, "seconds": 1.0}
    return Report(**(numbers | lists | tables | rest | fields))  # type: ignore[arg-type]  # a factory


def test_the_committed_documents_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = main(["--check"])
    assert (outcome, capsys.readouterr().out) == (DONE, "")


def test_a_stale_block_is_named_and_left_alone_by_a_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = a_page(tmp_path, "facts")
    before = page.read_text()
    assert main(["--check"], tmp_path) == STALE
    assert "README.md: facts is stale" in capsys.readouterr().out
    assert page.read_text() == before


def test_writing_mends_a_stale_block_and_nothing_else(tmp_path: Path) -> None:
    page = a_page(tmp_path, "facts")
    assert main([], tmp_path) == DONE
    assert page.read_text() == f"before\n<!-- generated: facts -->\n{BLOCKS['facts']()}<!-- end -->\nafter\n"
    assert main(["--check"], tmp_path) == DONE


def test_every_stale_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger").mkdir()
    a_page(tmp_path, "facts")
    a_page(tmp_path / "ledger", "accounts")
    assert main(["--check"], tmp_path) == STALE
    assert capsys.readouterr().out.count("is stale") == 2


def test_a_block_of_an_unknown_name_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_page(tmp_path, "nonsense")
    assert main([], tmp_path) == WRONG
    assert "README.md: there is no block `nonsense`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["<!-- generated: facts -->\n", "<!-- end -->\n", "<!-- generated: Facts -->\nx<!-- end -->"]
)
def test_a_marker_without_its_other_half_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text)
    assert main(["--check"], tmp_path) == WRONG


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_recorded_block_stays_as_it_is_unless_it_is_given(name: str, tmp_path: Path) -> None:
    page = a_page(tmp_path, name, "recorded\n")
    assert main(["--check"], tmp_path) == DONE
    assert main([], tmp_path) == DONE
    assert "recorded\n" in page.read_text()


def test_a_report_renews_the_block_of_the_run(tmp_path: Path) -> None:
    page = a_page(tmp_path, "run")
    a_report(charged=2785).write(tmp_path / "report.json")
    assert main(["--run", str(tmp_path / "report.json")], tmp_path) == DONE
    assert run_block(a_report(charged=2785, seconds=2.0)) in page.read_text()
    assert "2,785" in page.read_text()


def test_a_report_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert main(["--run", str(tmp_path / "report.json")], tmp_path) == WRONG


def test_the_run_is_shown_without_how_long_it_took() -> None:
    assert run_block(a_report(seconds=1.0)) == run_block(a_report(seconds=99.0))


def test_the_result_of_the_tests_is_shown_without_how_long_they_took() -> None:
    assert recorded_tests("....\n===== 312 passed, 1 skipped in 95.31s (0:01:35) =====\n") == (
        "```text\n312 passed, 1 skipped\n```\n"
    )


@pytest.mark.parametrize("output", ["", "make: *** [test] Error 1", "=== 1 failed, 604 passed in 149.66s ==="])
def test_tests_that_did_not_all_pass_are_not_recorded(output: str, tmp_path: Path) -> None:
    (tmp_path / "output.txt").write_text(output)
    assert main(["--tests", str(tmp_path / "output.txt")], tmp_path) == WRONG


def test_every_block_is_in_some_document() -> None:
    shown = {
        name for page in documents(PROJECT_ROOT) for name in re.findall("<!-- generated: (.*?) -->", page.read_text())
    }
    assert shown == {*BLOCKS, *RECORDED}


def test_the_picture_of_the_flow_has_every_function_and_every_working_queue() -> None:
    picture = README.read_text().partition("```mermaid")[2].partition("```")[0]
    resources = packaged_template("")["Resources"]
    for name, resource in resources.items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Serverless::Function":
            assert properties["Handler"].split(".")[1] in picture
        if resource["Type"] == "AWS::SQS::Queue" and not name.endswith("Dead"):
            assert f"queue {properties['QueueName']['Fn::Sub'].removeprefix('${AWS::StackName}-')}" in picture


def test_every_link_between_the_documents_leads_somewhere() -> None:
    for page in documents(PROJECT_ROOT):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(PROJECT_ROOT)}: {target}"


def test_a_stale_or_missing_schema_is_named_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "docs" / "schemas"
    folder.mkdir(parents=True)
    assert main([], tmp_path) == DONE
    (folder / "contract.json").write_text("{}")
    (folder / "expert.json").unlink()

    capsys.readouterr()
    assert main(["--check"], tmp_path) == STALE
    assert [line.split(" is stale")[0] for line in capsys.readouterr().out.splitlines()] == [
        "docs/schemas: contract.json",
        "docs/schemas: expert.json",
    ]
    assert main([], tmp_path) == DONE
    assert main(["--check"], tmp_path) == DONE
    assert {path.stem for path in folder.iterdir()} == set(SCHEMAS)


def test_the_openapi_document_is_published_as_the_api_serves_it(tmp_path: Path) -> None:
    published = PROJECT_ROOT / "docs" / "openapi.json"
    assert json.loads(published.read_text()) == json.loads(json.dumps(document()))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "openapi.json").write_text("{}")
    assert main(["--check"], tmp_path) == STALE
    assert main([], tmp_path) == DONE
    assert (tmp_path / "docs" / "openapi.json").read_text() == published.read_text()


def test_every_schema_is_published() -> None:
    assert {path.stem for path in (PROJECT_ROOT / "docs" / "schemas").iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_sample_world_is_valid_by_its_schemas(name: str) -> None:
    validator = Draft202012Validator(json.loads(schema(SCHEMAS[name])))
    folder = {"payout_policy": "payout_policies"}.get(name, f"{name}s")
    files = sorted((SAMPLE_WORLD / folder).glob("*.yaml"))

    assert files
    for path in files:
        document = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))  # dates as they are written
        assert [error.message for error in validator.iter_errors(document)] == []


def test_a_schema_refuses_what_no_file_may_hold() -> None:
    validator = Draft202012Validator(json.loads(schema(SCHEMAS["client"])))
    client = {"id": "acme", "name": "Acme", "email": "billing@acme.example"}

    assert validator.is_valid(client)
    assert not validator.is_valid(client | {"stripe_customer": "cus_1"})
    assert not validator.is_valid(client | {"id": "Acme Inc"})
