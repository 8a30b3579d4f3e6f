"""`make simulate`."""

import sys

from tests.simulation.seeds import main

if __name__ == "__main__":
    sys.exit(main())
