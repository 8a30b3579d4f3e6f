"""A figure beside its baseline and its target, as build/bench.json has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, in `unit`, and a baseline of the same run in the same unit; their ratio, if there is one.

    The target is met by the ratio where there is a baseline, else by what was measured; a figure with `at_least` by as
    much or more, others by as much or less. `missing` says why the baseline, or the figure itself, was not measured; a
    figure without its number meets nothing.
    """

    figure: str
    measured: float | None = None
    baseline: float | None = None
    unit: str = ""
    target: float | None = None
    at_least: bool = False
    missing: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Measured to baseline."""
        if self.measured is None or not self.baseline:
            return None
        return round(self.measured / self.baseline, 3)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None:
            return None
        value = self.measured if self.at_least or self.baseline is None else self.ratio
        if value is None:
            return False
        return value >= self.target if self.at_least else value <= self.target

    def report(self) -> dict[str, Any]:
        """As it stands in build/bench.json."""
        absent = f"not measured: {self.missing}" if self.missing else None
        return {
            "figure": self.figure,
            "measured": absent if self.measured is None else self.measured,
            "baseline": absent if self.baseline is None else self.baseline,
            "ratio": self.ratio,
            "target": self.target,
            "met": self.met,
            "unit": self.unit,
            "detail": dict(self.detail),
        }
