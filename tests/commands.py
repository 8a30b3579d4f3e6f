"""What the tests of commands share: calling them, what they are given of a stack, and the files that they read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from rich.console import Console

from tests.fake_stripe import FakeStripe
from tests.memory_store import MemoryRegistry, MemoryStore


@dataclass
class Here:
    """A stack in memory."""

    store: MemoryStore
    registry: MemoryRegistry
    fake: FakeStripe = field(default_factory=FakeStripe)

    def stripe(self) -> FakeStripe:
        return self.fake


def said(run: Callable[[Console], int], width: int = 200) -> tuple[int, str]:
    """With which code a command exits, and what it prints on a terminal so wide."""
    out = StringIO()
    return run(Console(file=out, width=width)), out.getvalue()


def printed(command: Callable[..., int], *arguments: object, code: int = 0, **options: object) -> str:
    """What a command prints that ends with `code`; its console comes behind the other arguments."""
    ended, text = said(lambda console: command(*arguments, console, **options), width=250)
    assert ended == code, text
    return text


def write_yaml(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, which are named by their paths without `.yaml`; the last of them."""
    path = folder
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path
