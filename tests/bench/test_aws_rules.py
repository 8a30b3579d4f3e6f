"""AWS's rules for sizes and units, each with an example worked out by hand."""

import pytest

from bench.aws_rules import (
    USD_PER_MILLION,
    Index,
    Item,
    Units,
    item_size,
    lambda_usd_per_million,
    read_units,
    requests,
    write_units,
)

KEYS_ONLY = Index(("shard", "due"), frozenset({"id", "shard", "due"}))
EVERYTHING = Index(("shard",), None)


def of_size(size: int, **more: str) -> Item:
    """An item of so many bytes, besides the attributes that are named."""
    return {"id": {"S": "x" * (size - len("id"))}, **{name: {"S": value} for name, value in more.items()}}


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({}, 0),
        ({"name": {"S": "abc"}}, 7),
        ({"ø": {"S": "é"}}, 4),
        ({"n": {"N": "1"}}, 3),
        ({"n": {"N": "100"}}, 3),
        ({"n": {"N": "123"}}, 4),
        ({"n": {"N": "-123"}}, 5),
        ({"n": {"N": "0.5"}}, 3),
        ({"b": {"B": b"1234"}}, 5),
        ({"f": {"BOOL": True}}, 2),
        ({"l": {"L": [{"S": "ab"}, {"NULL": True}]}}, 1 + 3 + 3 + 2),
        ({"m": {"M": {"k": {"S": "v"}}}}, 1 + 3 + 3),
    ],
)
def test_an_item_is_as_large_as_its_names_and_values(item: Item, size: int) -> None:
    assert item_size(item) == size


def test_a_type_without_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="the type SS are not known"):
        item_size({"names": {"SS": ["a"]}})


@pytest.mark.parametrize(
    ("before", "after", "single"),
    [(None, 1, 1), (None, 1024, 1), (None, 1025, 2), (2049, 10, 3), (10, 2049, 3), (1025, None, 2), (None, None, 1)],
)
def test_a_write_counts_each_started_kilobyte_of_the_larger_image_and_twice_in_a_transaction(
    before: int | None, after: int | None, single: int
) -> None:
    images = [of_size(it) if it and it > 2 else (None if it is None else {"i": {"S": ""}}) for it in (before, after)]
    assert write_units(*images, in_transaction=False).writes == single
    assert write_units(*images, in_transaction=True).writes == 2 * single


@pytest.mark.parametrize(
    ("index", "before", "after", "beside"),
    [
        (KEYS_ONLY, None, of_size(9), 0),
        (KEYS_ONLY, None, of_size(9, shard="1", due="a"), 1),
        (KEYS_ONLY, of_size(9, shard="1", due="a"), of_size(9), 1),
        (KEYS_ONLY, of_size(9, shard="1", due="a"), of_size(9, shard="1", due="b"), 2),
        (KEYS_ONLY, of_size(9, shard="1", due="a"), of_size(9, shard="1", due="a", text="new"), 0),
        (EVERYTHING, of_size(9, shard="1"), of_size(9, shard="1", text="new"), 1),
        (EVERYTHING, None, of_size(2000, shard="1"), 2),
    ],
)
def test_an_index_is_written_when_what_it_holds_changes_and_counts_single(
    index: Index, before: Item | None, after: Item, beside: int
) -> None:
    used = write_units(before, after, in_transaction=True, indexes=[index])
    assert used.index_writes == beside
    assert used.writes == write_units(before, after, in_transaction=True).writes + beside


@pytest.mark.parametrize(
    ("sizes", "alone", "together"),
    [([4096], 1, 1), ([4097], 2, 2), ([100, 100, 100], 3, 1), ([3000, 3000], 2, 2), ([0], 1, 1), ([], 0, 1)],
)
def test_a_read_counts_each_started_four_kilobytes_of_each_item_of_a_batch_or_of_a_whole_query(
    sizes: list[int], alone: int, together: int
) -> None:
    assert read_units(sizes, consistent=True).reads == alone
    assert read_units(sizes, consistent=True, together=True).reads == together
    assert read_units(sizes, consistent=False).reads == alone / 2


def test_units_add_up_and_a_million_cost_their_list_price() -> None:
    assert (USD_PER_MILLION["write units"], USD_PER_MILLION["read units"]) == (0.625, 0.125)
    assert Units(writes=10, reads=4) + Units(writes=2) == Units(writes=12, reads=4)
    assert (Units(writes=10) / 4).writes == 2.5


def test_a_function_with_part_of_a_cpu_computes_for_longer_and_waits_as_long() -> None:
    waiting = lambda_usd_per_million(0, waited_seconds=1, megabytes=1024)
    assert waiting == pytest.approx(0.20 + 13.3334)
    whole, part = (lambda_usd_per_million(1, 0, megabytes) - 0.20 for megabytes in (1769, 512))
    assert part == pytest.approx(whole)


@pytest.mark.parametrize(("size", "counted"), [(0, 1), (65_536, 1), (65_537, 2)])
def test_a_message_counts_each_started_64_kilobytes(size: int, counted: int) -> None:
    assert requests(size) == counted
