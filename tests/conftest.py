"""In which order tests run: files that take minutes come first, so that none is left to one worker at the end."""

from pathlib import Path

import pytest

_FIRST = ("simulation", "end_to_end", "sandbox", "infra")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files. Each stays whole: its tests share what they start, and go to one worker (`--dist loadfile`)."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)
