"""Synthesis of every environment, beside what importing the provider's bindings eagerly takes alone."""

import sys
import tempfile
from pathlib import Path

from bench.measure import Comparison, compare, timed_command

ROOT = Path(__file__).parent.parent


def run(runs: int) -> list[Comparison]:
    """Compare `python stacks.py`, warm, with `import cdktf_cdktf_provider_google`, each a whole process."""
    with tempfile.TemporaryDirectory() as folder:
        # Both sides warm: compiled once, where writing bytecode beside the packages is switched off too.
        warm = {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
        output = warm | {"CDKTF_OUTDIR": f"{folder}/out"}
        return [
            compare(
                "synth",
                (
                    "`python stacks.py`, all environments, artifacts included",
                    lambda: timed_command([sys.executable, "stacks.py"], output, ROOT),
                ),
                (
                    "`import cdktf_cdktf_provider_google` and nothing else",
                    lambda: timed_command(
                        [sys.executable, "-c", "import cdktf_cdktf_provider_google"], warm, ROOT
                    ),
                ),
                runs=runs,
            )
        ]
