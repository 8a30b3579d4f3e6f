"""Files of doors: the example is one, and every mistake is found with file, line and field."""

from pathlib import Path

import pytest

from cli.terms_files import read_doors
from cli.yaml_documents import BrokenFiles
from events.adapters.rules import Attribute
from events.adapters.systems import System

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "doors" / "acme.yaml"

MISTAKES = """\
id: Acme
client: acme
system: zendes
account: acme
fields: {rout: x}
maps: {skil: {a: b}}
---
- id: a
  client: acme
  system: gorgias
  account: a
  secret: s
  agents: {employees: [900200], experts: {7: Maya}}
- id: b
  client: acme
  system: zendesk
  account: a
  secret: s
  fields: {property: x}
- id: c
  client: acme
  system: zendesk
  account: a
  secret: s
- id: c
  client: acme
  system: zendesk
  account: b
  secret: s
"""


def test_example_is_a_door_of_webhooks_and_one_of_an_export() -> None:
    webhooks, export = read_doors([EXAMPLE])

    assert (webhooks.system, webhooks.source, webhooks.prefix) == (System.ZENDESK, "zendesk/acme", "zendesk-")
    assert webhooks.label(Attribute.SKILL, ["700"]) == "consoles"
    assert webhooks.agents.resolver_of(System.ZENDESK, "900100") == {"resolver": "expert", "expert": "maya"}
    assert (export.system, export.export.delimiter, export.time_zone) == (System.CSV, ";", "America/New_York")


def test_every_mistake_is_named_with_its_line_and_field(tmp_path: Path) -> None:
    file = tmp_path / "doors.yaml"
    file.write_text(MISTAKES)

    with pytest.raises(BrokenFiles) as broken:
        read_doors([file])

    found = [(problem.line, problem.field) for problem in broken.value.problems]
    assert found == [
        (1, "id"),
        (3, "system"),
        (5, "fields.rout"),
        (6, "maps.skil"),
        (13, "agents.employees[0]"),
        (13, "agents.experts.7"),
        (19, "fields.property"),
        (25, "case_prefix"),
        (25, "id"),
    ]
    told = str(broken.value)
    assert "did you mean zendesk?" in told
    assert "did you mean skill?" in told
    assert 'write it in quotes: "900200"' in told
