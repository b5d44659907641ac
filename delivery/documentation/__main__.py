"""`python -m delivery.documentation` writes the generated references, with `site` it builds the site."""

import argparse
import sys
from collections.abc import Sequence

from commands.interrupts import run_interruptible
from commands.parsing import Parser
from delivery.documentation.pages import ROOT
from delivery.documentation.references import write_references
from delivery.documentation.site import build_site
from delivery.errors import DeliveryError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step of the command line and return the exit status."""
    options = _parse(argv)
    try:
        if options.what == "site":
            print(f"documentation site: {(build_site() / 'index.html').relative_to(ROOT)}")
        else:
            write_references()
    except DeliveryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("python -m delivery.documentation", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("references", "site"), default="references")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
