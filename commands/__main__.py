"""`python -m commands check|run TARGET`, called by the Makefile: the variable TYPED_OPTIONS has the user's options.

`check` judges the options of all targets that were typed, before any of them begins; `run` runs one of them.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from commands.errors import UsageError
from commands.interrupts import run_interruptible
from commands.options import select_options
from commands.recipes import RECIPES, Runner
from commands.typed import parse_typed_options
from commands.values import Project
from commands.variables import check_agreement, check_variables

ROOT = Path(__file__).resolve().parents[1]
# Variables that make sets for its commands; without them, a nested make starts afresh.
OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR")
OF_MAKEFILE = ("TYPED_OPTIONS", "TYPED_GOALS", "SETUP_PYTHON")


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> int:
    """Check the options or run a target, and return the exit status: 2 with one message for a usage error."""
    project = Project(root, environ)
    try:
        goals = environ.get("TYPED_GOALS", "").split()
        # A prerequisite of a target, such as lint of test, has no options of its own.
        selected = select_options(goals, parse_typed_options(environ.get("TYPED_OPTIONS", "")), project)
        check_variables(project)
        for target, options in selected.items():
            check_agreement(target, options, project)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if argv[0] == "check":
        return 0
    kept = {name: value for name, value in environ.items() if name not in (*OF_MAKE, *OF_MAKEFILE)}
    return RECIPES[argv[1]](argv[1], selected.get(argv[1], {}), Runner(root, kept))


if __name__ == "__main__":
    sys.exit(run_interruptible(lambda: main(sys.argv[1:])))
