"""Facts and cycles of a case come back as they were, and an item seldom counts as more than one KB."""

import json
import zlib

import pytest

from bench.aws_rules import item_size
from infra.aws.case_documents import documents, texts

CYCLES = b'[{"number":1,"status":"charged"}]'


def some_facts(size: int) -> bytes:
    """A JSON text of exactly so many bytes, of the words that facts repeat; it has a line break in a string."""
    words = json.dumps({"type": "resolution.rated", "note": "a\nb", "source": "zendesk/acme"}, separators=(",", ":"))
    return ("[" + ",".join([words] * size))[: size - 3].encode() + b'"}]'


@pytest.mark.parametrize("size", [867, 868, 5_000, 300_000])
def test_documents_come_back_byte_for_byte(size: int) -> None:
    facts = some_facts(size)
    found = [it if isinstance(it, bytes) else it.encode() for it in texts(documents(facts, CYCLES))]
    assert found == [facts, CYCLES]


def test_what_is_short_stays_text_that_people_can_read() -> None:
    assert documents(b"[]", CYCLES) == {"facts": "[]", "cycles": CYCLES.decode()}
    assert documents(some_facts(900 - len(CYCLES)), CYCLES).keys() == {"facts", "cycles"}


def test_what_is_long_is_one_zlib_stream_that_any_tool_unpacks() -> None:
    facts = some_facts(901 - len(CYCLES))
    attributes = documents(facts, CYCLES)
    assert attributes.keys() == {"packed"}
    assert zlib.decompress(attributes["packed"]) == facts + b"\n" + CYCLES


def test_a_plain_item_that_waits_fits_into_one_unit_with_names_as_long_as_a_helpdesk_gives() -> None:
    attributes = documents(some_facts(900 - len(CYCLES)), CYCLES)
    rest = {"client_shard": "northwind#07", "case_id": "ZD-4071000012", "due_at": "2026-10-05T14:44:00.000000+00:00"}
    item = {name: {"S": text} for name, text in (attributes | rest).items()} | {"revision": {"N": "1"}}
    assert item_size(item) <= 1024
