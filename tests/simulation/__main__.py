"""`python -m tests.simulation`: the command of tests/simulation/runs/soak.py."""

import sys

from tests.simulation.runs.soak import main

if __name__ == "__main__":
    sys.exit(main())
