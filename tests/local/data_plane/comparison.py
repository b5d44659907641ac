"""Run a comparison with local-bigquery's own functions in a process of its own: they keep their state in modules."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def run_comparison(module: str, data: Path, home: Path) -> dict[str, Any]:
    """Return what a module of this folder writes; `home` has DuckDB's extensions."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.local.data_plane.{module}", str(data)],
        env=os.environ | {"HOME": str(home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
