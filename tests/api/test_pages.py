import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api.errors import ApiError
from functions.api.pages import cursor_at, position_in, sliced


@given(st.text(max_size=40), st.integers(0, 2**53 - 1) | st.text(max_size=80))
def test_a_cursor_says_the_position_it_was_made_of(name: str, position: int | str) -> None:
    assert position_in(name, cursor_at(name, position), type(position)) == position


@pytest.mark.parametrize(
    "said",
    [
        ["charges", -1],
        ["charges", 2**53],
        ["charges", "7"],
        ["charges", 7.0],
        ["charges", True],
        ["charges", None],
        ["charges"],
        ["charges", 7, 7],
        ["invoices", 7],
        {"charges": 7},
        7,
    ],
)
def test_another_cursor_is_refused(said: object) -> None:
    text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    with pytest.raises(ApiError) as refused:
        position_in("charges", text, int)
    assert (refused.value.code, refused.value.param) == ("cursor_invalid", "cursor")


@pytest.mark.parametrize("position", ["\ud800", "a\udfffb"])
def test_a_cursor_with_what_no_key_can_be_is_refused(position: str) -> None:
    with pytest.raises(ApiError) as refused:
        position_in("clients", cursor_at("clients", position), str)
    assert refused.value.code == "cursor_invalid"


@given(st.text(max_size=300))
def test_no_text_is_taken_for_a_cursor_by_accident(text: str) -> None:
    with pytest.raises(ApiError):
        position_in("charges", text, int)


@given(st.lists(st.integers()), st.integers(1, 7))
def test_pages_hold_every_item_once_in_order(items: list[int], limit: int) -> None:
    seen, cursor = [], None
    while True:
        page = sliced("numbers", items, cursor, limit)
        seen += page["data"]
        cursor = page["next_cursor"]
        assert page["has_more"] == (cursor is not None)
        assert page["data"] or not items
        if cursor is None:
            break
    assert seen == items
