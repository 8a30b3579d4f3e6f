"""In which order tests run: files that take minutes come first, so that none is left to one worker at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.aws import clients

_FIRST = ("simulation", "end_to_end", "sandbox", "infra")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files. Each stays whole: its tests share what they start, and go to one worker (`--dist loadfile`)."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


@pytest.fixture(autouse=True)
def _no_session_is_kept() -> Iterator[None]:
    """A process keeps one session for its clients, and that its credentials; the next test may have others."""
    yield
    clients._session.cache_clear()  # noqa: SLF001  # a function never forgets it
