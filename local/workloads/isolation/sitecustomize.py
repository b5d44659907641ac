"""Remove this repository's `src/` from a workload's import path: an artifact must contain all that it imports.

An editable install puts `src/` on the import path of every Python of the environment, which would hide that a module is
missing in an artifact. Python imports this module at its start where this folder is on PYTHONPATH.
"""

import sys
from pathlib import Path

_SOURCES = str(Path(__file__).resolve().parents[3] / "src")
sys.path[:] = [entry for entry in sys.path if entry != _SOURCES]
