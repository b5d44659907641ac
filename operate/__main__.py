"""`python -m operate COMMAND --env dev`: check the prerequisites of a command, then run it.

`bootstrap`, `deploy`, `diff`, `plan`, `apply`, `outputs`, `destroy` and `unlock` work on stacks and their states. The
other commands work on a deployed environment and its data, in Google Cloud or in the local environment.
"""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from requests import RequestException

from cdk.apis import needs_secrets
from cdk.settings import Settings, SettingsError, load_environments
from commands.errors import UsageError
from commands.interrupts import run_interruptible
from commands.options import needs_environment
from commands.parsing import check_environ
from commands.values import Project
from feed import FeedError, load_feeds
from operate.cloud import connect, find_connection_error
from operate.command_line import parse
from operate.data import querying
from operate.deployed_commands import DEPLOYED_COMMANDS, QUERY_COMMANDS
from operate.deployment import terraform
from operate.deployment.deployer import Cdktf, Deployer, check_unprotected
from operate.deployment.prerequisites import NEEDS, TERRAFORM, find_missing_prerequisites
from operate.errors import OperateError, StoppedError
from operate.state.locking import Locking
from operate.target import Target

ROOT = Path(__file__).resolve().parents[1]
STOPPED = 130  # the status that a shell reports for a program that Ctrl-C ended


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    cdktf: Callable[[Mapping[str, str]], Cdktf] = terraform.Cdktf,
) -> int:
    """Run the command line and return the exit status; `cdktf` is called with the environment variables."""
    options = parse(argv, environ)
    try:
        return _execute(options, environ, cdktf)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except StoppedError as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return STOPPED
    except (OperateError, SettingsError, FeedError) as error:
        print(error, file=sys.stderr)
    except (
        GoogleAPIError,
        GoogleAuthError,
        RequestException,
    ) as error:  # from the state bucket, after the checks found it
        ended = f"a request to Cloud Storage failed: {error}; run the command again"
        print(find_connection_error(error, "Cloud Storage") or ended, file=sys.stderr)
    return 1


def _execute(
    options: argparse.Namespace, environ: Mapping[str, str], cdktf: Callable[[Mapping[str, str]], Cdktf]
) -> int:
    check_environ(environ)
    settings = _load_settings(options.env, environ)
    if getattr(options, "local", False):  # read the stored data, whether or not a local run is active
        # Imported only here: the emulator's packages would double the start of every other command.
        from operate.data import local_database  # noqa: PLC0415

        with local_database.open_local_warehouse(settings.environment, ROOT) as warehouse:
            return QUERY_COMMANDS[options.command](local_database.LocalDatabase(warehouse), settings, options)
    if options.command == "destroy":
        check_unprotected(settings)
    clients = functools.cache(functools.partial(connect, settings.project, environ))
    command = "unbootstrap" if options.command == "bootstrap" and options.destroy else options.command
    feed = load_feeds(Path(environ.get("VLILLE_SOURCES", ROOT / "sources")))[settings.feed]
    secrets = needs_secrets(feed, settings.gbfs_systems)
    if problems := find_missing_prerequisites(
        command, settings, environ=environ, connect=clients, secrets=secrets
    ):
        print("\n".join(problems), file=sys.stderr)
        return 1
    target = Target.from_environment(settings.environment, environ)
    if needs_environment(command, local=False):
        print(target.describe(settings.project), flush=True)
    if command in QUERY_COMMANDS:
        return QUERY_COMMANDS[command](querying.BigQueryDatabase(clients(), settings), settings, options)
    if command in DEPLOYED_COMMANDS:
        return DEPLOYED_COMMANDS[command](clients(), settings, target, options)
    variables = {**environ, "CHECKPOINT_DISABLE": "1", "VLILLE_ENV": settings.environment}
    if TERRAFORM in NEEDS[command]:
        variables["TERRAFORM_BINARY_NAME"] = str(terraform.find_terraform(environ).program)
    report = functools.partial(print, flush=True)
    locking = Locking(settings, clients(), target, report, read_input=_read_line, environ=environ)
    if command == "unlock":
        return locking.unlock()
    deployer = Deployer(
        settings,
        clients(),
        cdktf(variables),
        locking,
        report=report,
        auto_approve=getattr(options, "auto_approve", False),
        local_folder=target.local_folder,
    )
    return _run_deployment_command(deployer, command)


def _read_line(question: str) -> str:
    """Return one line of standard input, "" at its end."""
    try:
        return input(question)
    except EOFError:
        return ""
    finally:
        if not sys.stdin.isatty():
            print(flush=True)  # nobody pressed Enter


def _run_deployment_command(deployer: Deployer, command: str) -> int:
    own = {
        "bootstrap": deployer.bootstrap,
        "unbootstrap": deployer.unbootstrap,
        "plan": deployer.plan,
        "apply": deployer.apply,
        "destroy": deployer.destroy,
    }
    return own[command]() if command in own else deployer.run_cdktf(command)


def _load_settings(environment: str, environ: Mapping[str, str]) -> Settings:
    feeds = load_feeds(Path(environ.get("VLILLE_SOURCES", ROOT / "sources")))
    folder = Project(ROOT, environ).environments_folder
    found = load_environments(folder, feeds, feed=environ.get("VLILLE_FEED"), only=environment)
    return found[environment]


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
