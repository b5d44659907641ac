"""Takes this repository's own sources off a workload's path: an artifact must bring all that it imports.

An editable install puts `src/` on the path of every Python of the environment, which would hide a module
that is missing in a zip. Python imports this by itself where its folder is on PYTHONPATH.
"""

import sys
from pathlib import Path

_SOURCES = str(Path(__file__).resolve().parents[3] / "src")
sys.path[:] = [entry for entry in sys.path if entry != _SOURCES]
