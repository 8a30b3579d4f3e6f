"""What was tried at the points of a workflow, and what of it was recovered from."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Tried:
    """`failed` says at which points something was wrong in the end, and what."""

    workflow: str
    calls: int = 0
    points: int = 0
    failed: list[str] = field(default_factory=list)

    def described(self) -> dict[str, object]:
        """As the report has it."""
        recovered = self.points - len(self.failed)
        return {"calls": self.calls, "points": self.points, "recovered": recovered, "failed": self.failed}


def summed(outcomes: Iterable[Tried]) -> dict[str, Tried]:
    """All that was tried of each workflow, by name."""
    found: dict[str, Tried] = {}
    for one in outcomes:
        sums = found.setdefault(one.workflow, Tried(one.workflow))
        sums.calls += one.calls
        sums.points += one.points
        sums.failed += one.failed
    return dict(sorted(found.items()))
