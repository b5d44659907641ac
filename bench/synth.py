"""Benchmark of the synthesis of all environments, against importing the provider's bindings."""

import sys
import tempfile
from pathlib import Path

from bench.measure import Comparison, compare, time_command

ROOT = Path(__file__).parent.parent


def run(runs: int) -> list[Comparison]:
    """Compare `python stacks.py` with `import cdktf_cdktf_provider_google`, as processes with compiled bytecode."""
    with tempfile.TemporaryDirectory() as folder:
        # Both sides use compiled bytecode, even if writing it beside the packages is disabled.
        warm = {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
        output = warm | {"CDKTF_OUTDIR": f"{folder}/out"}
        return [
            compare(
                "synth",
                (
                    "`python stacks.py`, all environments, artifacts included",
                    lambda: time_command([sys.executable, "stacks.py"], output, ROOT),
                ),
                (
                    "`import cdktf_cdktf_provider_google` only",
                    lambda: time_command(
                        [sys.executable, "-c", "import cdktf_cdktf_provider_google"], warm, ROOT
                    ),
                ),
                runs=runs,
            )
        ]
