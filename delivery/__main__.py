"""The steps of GitHub's workflows, each a `make` target: docs/ci.md describes the workflows.

publish   write the review of ENV into its pull request: one comment, one commit status
approve   on main: fail unless the plan is the reviewed one, or the one that REVIEWED names
drift     open, update or close the one issue about infrastructure drift of ENV
confirm   fail unless NAME is the environment's name
signin    fail if a variable is missing that a job needs to authenticate as a service account

They read the files that `make plan` or `make compare` wrote to cdktf.out/plans/ENV. User input reaches them as
environment variables, never as part of a shell command. Exit status: 0, or 1 with one message.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from commands.errors import UsageError
from commands.interrupts import run_interruptible
from commands.parsing import Parser, check_environ, make_option_type
from delivery.approval import approve
from delivery.drift import report_drift
from delivery.errors import DeliveryError
from delivery.github.marker import AUTHOR
from delivery.github.run import Run
from delivery.plan.outcome import read_outcome
from delivery.publishing import publish, render_summary

PLANS = Path("cdktf.out") / "plans"


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the step of the command line and return the exit status."""
    options = _parse(argv, environ)
    try:
        check_environ(environ)
        STEPS[options.step](options, environ)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except DeliveryError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parse(argv: Sequence[str] | None, environ: Mapping[str, str]) -> argparse.Namespace:
    parser = Parser(
        "python -m delivery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=STEPS)
    parser.add_argument(
        "--env", type=make_option_type("ENV", environ), required=True, metavar="ENV", help="the environment"
    )
    parser.add_argument(
        "--plans", type=Path, default=PLANS, metavar="FOLDER", help=f"the folder of the plans ({PLANS})"
    )
    parser.add_argument("--author", default=AUTHOR, help=f"the login of the token ({AUTHOR})")
    return parser.parse_args(argv)


def _publish(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    run, outcome = Run.from_environment(environ), read_outcome(options.plans / options.env)
    github = run.make_client()
    pull = run.find_pull(github)
    if pull is None or not pull.current:
        print("the pull request was closed, or pushed to again, since this run began: nothing is published")
        return
    comment, verdict = publish(github, pull, options.env, outcome, run_url=run.url, author=options.author)
    run.write_summary(render_summary(outcome, verdict))
    print(f"{options.env}: {verdict.state}, {verdict.description}; {comment.url}")


def _approve(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    run, outcome = Run.from_environment(environ), read_outcome(options.plans / options.env)
    try:
        approval = approve(
            run.make_client(),
            run.sha,
            options.env,
            outcome,
            named=environ.get("REVIEWED", ""),
            author=options.author,
        )
    except DeliveryError as error:
        run.write_summary(f"{outcome.markdown.strip()}\n\n**Refused:** {error}")
        raise
    run.write_output("changes", str(approval.changes).lower())
    run.write_summary(f"{outcome.markdown.strip()}\n\n{approval.sentence}")
    print(approval.sentence)


def _drift(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    run, outcome = Run.from_environment(environ), read_outcome(options.plans / options.env)
    print(
        report_drift(run.make_client(), run.sha, options.env, outcome, run_url=run.url, author=options.author)
    )


def _confirm(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    typed = environ.get("NAME", "")
    if typed != options.env:
        raise DeliveryError(
            f"NAME is {typed[:40]!r}, expected {options.env!r}: nothing was changed; type the environment's name again"
        )
    print(f"{options.env}: the name is confirmed")


def _signin(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    known = {"CI_PROVIDER": "ci_provider", "CI_ACCOUNT": "ci_reader or ci_deployer"}
    if missing := [output for name, output in known.items() if not environ.get(name, "").strip()]:
        raise DeliveryError(
            f"this repository has no variables for {' and '.join(missing)} of {options.env}: run `make bootstrap "
            f"ENV={options.env}` with [ci] in environments/{options.env}.toml, and set the outputs as variables of the "
            "repository (docs/ci.md)"
        )


STEPS: dict[str, Callable[[argparse.Namespace, Mapping[str, str]], None]] = {
    "publish": _publish,
    "approve": _approve,
    "drift": _drift,
    "confirm": _confirm,
    "signin": _signin,
}

if __name__ == "__main__":
    sys.exit(run_interruptible(main))
