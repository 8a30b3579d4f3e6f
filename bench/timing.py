"""How repeated measurements are summed up."""

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The least and the median of several runs, in seconds."""

    least: float
    median: float

    def in_microseconds(self) -> dict[str, float]:
        """As it is reported."""
        return {"microseconds_min": round(self.least * 1e6, 1), "microseconds_median": round(self.median * 1e6, 1)}

    def in_seconds(self) -> dict[str, float]:
        """As it is reported."""
        return {"seconds_min": round(self.least, 2), "seconds_median": round(self.median, 2)}


def spread(seconds: Sequence[float]) -> Spread:
    """The spread of at least one measurement."""
    return Spread(min(seconds), median(seconds))


def peak_mib() -> float:
    """The most memory that this program has had so far, in MiB.

    On Linux the kernel's own count: what `getrusage` says begins with the peak of whoever started the process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        [peak] = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)
