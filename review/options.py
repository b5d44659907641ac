"""The options of the command."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from review.assessment.unexamined import Level
from review.findings.finding import ACKNOWLEDGEMENTS

SCRIPT = "plan-review"  # the command that the package installs
FORMATS = ("markdown", "terminal", "json")
USAGE = """Review a Terraform plan: what it does to data, access, code, cost and service.

PLAN.json is the output of `terraform show -json PLANFILE` (`-` reads standard input). With `--base` and `--head`, two
synthesized stacks are compared instead, without credentials.

Exit status: 0 if the review was written; with --gate, 2 if something must be acknowledged; 1 if no review could be
made, a rule blocks the plan, or it must not be applied (it failed or is incomplete). The review is written to standard
output in each case, except for invalid options.
"""


class _Parser(argparse.ArgumentParser):
    """A parser that exits with 1 on invalid options; 2 is the exit status of the gate."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


def _name_program() -> str:
    """Return how the review was started, as usage texts show it."""
    return SCRIPT if Path(sys.argv[0]).stem == SCRIPT else "python -m review"


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line; an invalid one ends the process with 1."""
    parser = _Parser(_name_program(), description=USAGE, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add(
        "plan",
        nargs="?",
        metavar="PLAN.json",
        help="output of `terraform show -json PLANFILE`; - for standard input",
    )
    add("--base", metavar="CDK.TF.JSON", help="previously synthesized stack")
    add("--head", metavar="CDK.TF.JSON", help="newly synthesized stack")
    add(
        "--format",
        choices=FORMATS,
        default="markdown",
        help="markdown for a pull request (default), terminal, json",
    )
    add("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    add(
        "--gate",
        action="store_true",
        help="exit with 2 if data loss or wider access must be acknowledged",
    )
    add(
        "--acknowledged",
        action="append",
        default=[],
        metavar="WHAT",
        choices=[each.replace(" ", "-") for each in ACKNOWLEDGEMENTS],
        help="what was acknowledged (data-loss, access-widened); can be repeated",
    )
    add(
        "--unexamined",
        choices=[each.value for each in Level],
        default=Level.ACKNOWLEDGE.value,
        help="what is not examined: note lists it; acknowledge (default) needs an acknowledgement if an unknown\n"
        "type is deleted, replaced or may widen access; strict needs one for anything",
    )
    add("--name", default="", help="name of what is reviewed, such as an environment, for the headline")
    add(
        "--stack",
        metavar="CDK.TF.JSON",
        help="synthesized stack of the plan, for construct names and new artifacts",
    )
    add(
        "--head-files",
        action="append",
        default=[],
        metavar="FOLDER",
        help="folder of the new artifacts (default: the plan's folder)",
    )
    add(
        "--base-files",
        action="append",
        default=[],
        metavar="FOLDER",
        help="folder of the previous artifacts",
    )
    add(
        "--prices",
        metavar="PRICES.json",
        help="prices and assumptions that override those in review/cost/prices/",
    )
    add(
        "--types",
        metavar="FOLDER",
        help="your own Python modules that render resource types, like those in review/types",
    )
    add(
        "--rules",
        action="append",
        default=[],
        metavar="RULES.toml",
        help="your own rules: block, warn or ignore findings, with a reason and a date; can be repeated",
    )
    add(
        "--stack-rules",
        action="store_true",
        help="also apply rules from the stack of --stack or --head: its authors then decide what is ignored",
    )
    add(
        "--annotations",
        action="store_true",
        help="write GitHub annotations to standard error for resources whose source line is in --stack or --head",
    )
    options = parser.parse_args(arguments)
    if (options.base is None) != (options.head is None):
        missing = "--base" if options.base is None else "--head"
        parser.error(f"{missing} is missing: a comparison needs both stacks, --base and --head")
    if options.plan is None and options.base is None:
        parser.error("no plan: name the output of `terraform show -json PLANFILE`, or give --base and --head")
    if options.plan is not None and options.base is not None:
        parser.error(f"found {options.plan} and --base: give either a plan, or --base and --head")
    options.acknowledged = [each.replace("-", " ") for each in options.acknowledged]
    return options
