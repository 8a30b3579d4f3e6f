"""`python -m tests.simulation.crashes`: all crash points, or those of one workflow, without playing any seed."""

import os
import sys
import time
from itertools import chain

from tests.simulation.crash_points import crash_points
from tests.simulation.door_calls import try_doors
from tests.simulation.tried import summed


def main() -> int:
    """Try them, and tell what they came to; 1 if there is one that was not recovered from."""
    began, workflow = time.monotonic(), " ".join(sys.argv[1:])
    found = summed(chain(crash_points(os.cpu_count() or 1, workflow), try_doors(workflow)))
    for name, it in found.items():
        sys.stdout.write(f"{name}: {it.calls} calls, {it.points} points, {len(it.failed)} not recovered from\n")
        sys.stderr.write("".join(f"  {what}\n" for what in it.failed))
    sys.stdout.write(f"{time.monotonic() - began:.0f} seconds\n")
    return 1 if not found or any(it.failed for it in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
