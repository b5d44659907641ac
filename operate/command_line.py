"""The command line of `python -m operate`: its commands, their options, and what each accepts."""

import argparse
import os
from collections.abc import Mapping, Sequence
from datetime import date

from commands.options import DEFAULT_ENVIRONMENT, needs_environment
from commands.parsing import Parser, make_option_type
from operate.data import querying
from operate.deployed_commands import DEPLOYED_COMMANDS, QUERY_COMMANDS
from operate.deployment.deployer import CDKTF_COMMANDS
from operate.jobs import GBFS_JOBS, JOBS, STATE_AFTER


def parse(argv: Sequence[str] | None, environ: Mapping[str, str] = os.environ) -> argparse.Namespace:
    """Parse the command line; a usage error ends the program with status 2 and one sentence."""
    parser = Parser("python -m operate", description=__doc__)
    local = bool(environ.get("VLILLE_LOCAL"))
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (
        "bootstrap",
        *CDKTF_COMMANDS,
        "plan",
        "apply",
        "unlock",
        *DEPLOYED_COMMANDS,
        *QUERY_COMMANDS,
    ):
        command = commands.add_parser(name)
        command.add_argument(
            "--env",
            type=make_option_type("ENV", environ),
            required=needs_environment(name, local=local),
            default=DEFAULT_ENVIRONMENT,
            metavar="NAME",
            help="an environment, by its file in environments/; commands that change nothing default to "
            f"{DEFAULT_ENVIRONMENT}",
        )
        if name in ("bootstrap", "deploy", "destroy"):
            command.add_argument("--auto-approve", action="store_true", help="skip the confirmation")
        if name == "bootstrap":
            command.add_argument(
                "--destroy", action="store_true", help="destroy the resources of a bootstrap"
            )
        if name in ("run", "pause", "resume", "logs"):
            every = "all of them" if name in STATE_AFTER else "collect"
            default = None if name in STATE_AFTER else "collect"
            command.add_argument(
                "--job",
                type=make_option_type("JOB", environ),
                metavar="|".join((*JOBS, *GBFS_JOBS)),
                default=default,
                required=name == "run",
                help=f"which ({every})",
            )
        if name == "backfill":
            command.add_argument(
                "--source",
                required=True,
                type=_parse_bucket,
                metavar="gs://BUCKET",
                help="where the old files are",
            )
            command.add_argument(
                "--dry-run", action="store_true", help="only print what it would do and cost"
            )
            command.add_argument("--yes", action="store_true", help="skip the confirmation")
            command.add_argument("--move", action="store_true", help="delete each copied object in the end")
        if name in QUERY_COMMANDS:
            command.add_argument("--local", action="store_true", help="the data of the local environment")
        if name == "export":
            command.add_argument(
                "--day", type=_parse_day, required=True, metavar="YYYY-MM-DD", help="a local day"
            )
            command.add_argument(
                "--format",
                type=make_option_type("FORMAT", environ),
                default=querying.FORMATS[0],
                metavar="|".join(querying.FORMATS),
            )
            command.add_argument(
                "--system",
                type=make_option_type("SYSTEM", environ),
                metavar="ID",
                help="a GBFS system of the environment, instead of its feed",
            )
        if name == "logs":
            command.add_argument(
                "--lines",
                type=lambda text: int(make_option_type("LINES", environ)(text)),
                default=20,
                help="how many (20)",
            )
    return parser.parse_args(argv)


def _parse_bucket(text: str) -> str:
    """Return the name of a bucket. Raises ArgumentTypeError."""
    name = text.removeprefix("gs://").rstrip("/")
    if not name:
        raise argparse.ArgumentTypeError(
            "no bucket: name that of the old files, such as SOURCE=gs://old-files"
        )
    if "/" in name:
        raise argparse.ArgumentTypeError(
            f"{text}: expected a bucket without an object path, such as gs://old-files"
        )
    return name


def _parse_day(text: str) -> date:
    """Return a date. Raises ArgumentTypeError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text}: expected a day such as 2026-11-24") from None
