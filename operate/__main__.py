"""`python -m operate bootstrap|deploy|diff|plan|apply|outputs|destroy|unlock --env dev`: check what is needed, do it.

`smoke|run|pause|resume|logs|leftovers` ask and drive what is deployed, in Google Cloud or on this machine;
`backfill` brings it years of old files.
"""

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from requests import RequestException

from cdk.apis import needs_secrets
from cdk.settings import Settings, SettingsError, load_environments
from commands.errors import UsageError
from commands.interrupts import interruptible
from commands.options import DEFAULT_ENVIRONMENT, needs_environment
from commands.parsing import Parser, check_environ, option
from commands.values import Project
from feed import FeedError, load_feeds
from operate import backfill, jobs, leftovers, logs, opening, prompt, querying, smoke, terraform
from operate.checks import NEEDS, TERRAFORM, missing
from operate.cloud import Cloud, connect, find_unreachable
from operate.content import judge_content, observe_content
from operate.cycle import CDKTF_COMMANDS, Cdktf, Cycle, check_unprotected
from operate.dashboard import judge_dashboard, observe_dashboard
from operate.errors import OperateError, StoppedError
from operate.gbfs import judge_gbfs, observe_gbfs
from operate.jobs import GBFS_JOBS, JOBS, STATE_AFTER, jobs_of
from operate.locking import Locking
from operate.observation import observe
from operate.place import Place

ROOT = Path(__file__).resolve().parents[1]
STOPPED = 130  # as a shell tells of a program that Ctrl-C ended


def main(
    words: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    cdktf: Callable[[Mapping[str, str]], Cdktf] = terraform.Cdktf,
) -> int:
    """Do what the command line asks for and return the exit status; `cdktf` is given its variables."""
    options = parse(words, environ)
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
    ) as error:  # of the bucket that the checks had seen
        ended = f"Cloud Storage ended this: {error}; it can be run again"
        print(find_unreachable(error, "Cloud Storage") or ended, file=sys.stderr)
    return 1


def _execute(
    options: argparse.Namespace, environ: Mapping[str, str], cdktf: Callable[[Mapping[str, str]], Cdktf]
) -> int:
    check_environ(environ)
    settings = _settings(options.env, environ)
    if getattr(options, "here", False):  # what a run left is read as it lies, whether or not anything runs
        with querying.open_local(settings.environment, ROOT) as warehouse:
            return QUERIES[options.command](querying.LocalDatabase(warehouse), settings, options)
    if options.command == "destroy":
        check_unprotected(settings)
    clients = functools.cache(functools.partial(connect, settings.project, environ))
    command = "unbootstrap" if options.command == "bootstrap" and options.undo else options.command
    feed = load_feeds(Path(environ.get("VLILLE_SOURCES", ROOT / "sources")))[settings.feed]
    secrets = needs_secrets(feed, settings.gbfs_systems)
    if problems := missing(command, settings, environ=environ, connect=clients, secrets=secrets):
        print("\n".join(problems), file=sys.stderr)
        return 1
    place = Place.of_environment(settings.environment, environ)
    if needs_environment(command, local=False):
        print(place.describe(settings.project), flush=True)
    if command in QUERIES:
        return QUERIES[command](querying.BigQueryDatabase(clients(), settings), settings, options)
    if command in AFTER:
        return AFTER[command](clients(), settings, place, options)
    variables = {**environ, "CHECKPOINT_DISABLE": "1", "VLILLE_ENV": settings.environment}
    if TERRAFORM in NEEDS[command]:
        variables["TERRAFORM_BINARY_NAME"] = str(terraform.find_terraform(environ).program)
    say = functools.partial(print, flush=True)
    locking = Locking(settings, clients(), place, say, ask=_ask, environ=environ)
    if command == "unlock":
        return locking.unlock()
    cycle = Cycle(
        settings,
        clients(),
        cdktf(variables),
        locking,
        say=say,
        auto_approve=getattr(options, "auto_approve", False),
        here=place.here,
    )
    return _do(cycle, command)


def parse(words: Sequence[str] | None, environ: Mapping[str, str] = os.environ) -> argparse.Namespace:
    """Read the command line; what is wrong with it ends the program with status 2 and one sentence."""
    parser = Parser("python -m operate", description=__doc__)
    local = bool(environ.get("VLILLE_HERE"))
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("bootstrap", *CDKTF_COMMANDS, "plan", "apply", "unlock", *AFTER, *QUERIES):
        command = commands.add_parser(name)
        command.add_argument(
            "--env",
            type=option("ENV", environ),
            required=needs_environment(name, local=local),
            default=DEFAULT_ENVIRONMENT,
            metavar="NAME",
            help=f"a file of environments/ ({DEFAULT_ENVIRONMENT}, where nothing is changed)",
        )
        if name in ("bootstrap", "deploy", "destroy"):
            command.add_argument("--auto-approve", action="store_true", help="do not ask first")
        if name == "bootstrap":
            command.add_argument("--undo", action="store_true", help="destroy what a bootstrap made")
        if name in ("run", "pause", "resume", "logs"):
            every = "all of them" if name in STATE_AFTER else "collect"
            default = None if name in STATE_AFTER else "collect"
            command.add_argument(
                "--job",
                type=option("JOB", environ),
                metavar="|".join((*JOBS, *GBFS_JOBS)),
                default=default,
                required=name == "run",
                help=f"which ({every})",
            )
        if name == "backfill":
            command.add_argument(
                "--source",
                required=True,
                type=_bucket,
                metavar="gs://BUCKET",
                help="where the old files are",
            )
            command.add_argument("--dry-run", action="store_true", help="only say what it would do and cost")
            command.add_argument("--yes", action="store_true", help="do not ask before it begins")
            command.add_argument("--move", action="store_true", help="delete each original in the end")
        if name in QUERIES:
            command.add_argument("--here", action="store_true", help="the data of a run on this machine")
        if name == "export":
            command.add_argument("--day", type=_day, required=True, metavar="YYYY-MM-DD", help="a local day")
            command.add_argument(
                "--format",
                type=option("FORMAT", environ),
                default=querying.FORMATS[0],
                metavar="|".join(querying.FORMATS),
            )
        if name == "logs":
            command.add_argument(
                "--lines",
                type=lambda text: int(option("LINES", environ)(text)),
                default=20,
                help="how many (20)",
            )
    return parser.parse_args(words)


def _ask(question: str) -> str:
    """Return one line of standard input, nothing at its end."""
    try:
        return input(question)
    except EOFError:
        return ""
    finally:
        if not sys.stdin.isatty():
            print(flush=True)  # nobody pressed Enter


def _bucket(text: str) -> str:
    """The name of a bucket. Raises ArgumentTypeError."""
    name = text.removeprefix("gs://").rstrip("/")
    if not name:
        raise argparse.ArgumentTypeError(
            "no bucket: name that of the old files, such as SOURCE=gs://old-files"
        )
    if "/" in name:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole bucket, such as gs://old-files")
    return name


def _day(text: str) -> date:
    """A day. Raises ArgumentTypeError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text}: expected a day such as 2026-11-24") from None


def _smoke(cloud: Cloud, settings: Settings, place: Place, _options: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    lines = smoke.judge(observe(cloud, settings, place, now), settings, place, now)
    feed = load_feeds(Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources")))[settings.feed]
    lines += judge_content(observe_content(cloud, settings, feed, place, now), feed, place)
    if settings.gbfs is not None:
        lines += judge_gbfs(observe_gbfs(cloud, settings, place, now), settings, place, now)
    if settings.dashboard is not None:
        token = functools.partial(opening.identity_token, place=place, environ=os.environ)
        lines += judge_dashboard(observe_dashboard(cloud, settings, place, token), settings, place, now)
    print(*lines, sep="\n")
    return int(any(line.wrong for line in lines))


def _run(cloud: Cloud, settings: Settings, place: Place, options: argparse.Namespace) -> int:
    print(jobs.start(cloud, settings, place, options.job))
    return 0


def _switch(cloud: Cloud, settings: Settings, place: Place, options: argparse.Namespace) -> int:
    for job in (options.job,) if options.job else jobs_of(settings):
        print(jobs.switch(cloud, settings, place, options.command, job))
    return 0


def _logs(cloud: Cloud, settings: Settings, place: Place, options: argparse.Namespace) -> int:
    found = logs.newest(cloud, settings, place, options.job, options.lines, now=datetime.now(UTC))
    print(*found, sep="\n")
    return 0


def _leftovers(cloud: Cloud, settings: Settings, place: Place, _options: argparse.Namespace) -> int:
    stack = terraform.Cdktf({**os.environ, "VLILLE_ENV": settings.environment}).synthesize(settings.stack, {})
    found = leftovers.find(cloud, settings, stack)
    print(*leftovers.told(found, settings, place), sep="\n")
    return int(bool(found))


def _backfill(cloud: Cloud, settings: Settings, place: Place, options: argparse.Namespace) -> int:
    feeds = load_feeds(Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources")))
    return backfill.backfill(
        cloud,
        settings,
        place,
        list(feeds.values()),
        source=options.source,
        keep=not options.move,
        dry_run=options.dry_run,
        ask=lambda question: options.yes or _answered(question),
    )


def _open(cloud: Cloud, settings: Settings, place: Place, _options: argparse.Namespace) -> int:
    url = opening.find_url(cloud, settings, place)
    token = functools.partial(opening.identity_token, url, place, os.environ)
    token()  # what stands in the way is said before anything is opened
    server = opening.begin_proxy(url, token)
    print(f"the dashboard: http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    server.server_close()
    return 0


Database = querying.BigQueryDatabase | querying.LocalDatabase


def _sql(database: Database, settings: Settings, _options: argparse.Namespace) -> int:
    if sys.stdin.isatty():
        print(
            f"{settings.environment}: GoogleSQL over {querying.VIEWS} and {settings.dataset}. {prompt.HELP}"
        )
    return int(bool(prompt.run_prompt(database, _read_line, sys.stdout)))


def _read_line(shown: str) -> str | None:
    """Return the next line of standard input, None at its end; a terminal has a history, and is shown what to do."""
    try:
        if sys.stdin.isatty():
            import readline  # noqa: F401, PLC0415 - what `input` edits lines with, from then on

            return input(shown)
        return input()
    except EOFError:
        return None


def _export(database: Database, settings: Settings, options: argparse.Namespace) -> int:
    file = querying.export_file(settings.environment, options.day, options.format)
    print(f"writing {options.day} ({settings.schedule.time_zone}) …", flush=True)
    try:
        batches = database.batches(querying.day_query(options.day, ZoneInfo(settings.schedule.time_zone)))
        rows = querying.write_rows(batches, file, options.format)
    except prompt.QueryRefusedError as error:
        raise OperateError(f"{options.day} cannot be read: {error}") from None
    if not rows:
        raise OperateError(
            f"{options.day} has no rows; the view minutes_present has the days that do: query it with `make sql`"
        )
    print(f"{file}: {rows:,} rows, {file.stat().st_size:,} bytes")
    return 0


QUERIES: dict[str, Callable[[Database, Settings, argparse.Namespace], int]] = {"sql": _sql, "export": _export}


def _answered(question: str) -> bool:
    if not sys.stdin.isatty():
        raise OperateError("nobody can be asked here: say --yes (YES=1) to begin")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


AFTER: dict[str, Callable[[Cloud, Settings, Place, argparse.Namespace], int]] = {
    "smoke": _smoke,
    "run": _run,
    "pause": _switch,
    "resume": _switch,
    "logs": _logs,
    "leftovers": _leftovers,
    "backfill": _backfill,
    "open": _open,
}


def _do(cycle: Cycle, command: str) -> int:
    own = {
        "bootstrap": cycle.bootstrap,
        "unbootstrap": cycle.unbootstrap,
        "plan": cycle.plan,
        "apply": cycle.apply,
        "destroy": cycle.destroy,
    }
    return own[command]() if command in own else cycle.through(command)


def _settings(environment: str, environ: Mapping[str, str]) -> Settings:
    feeds = load_feeds(Path(environ.get("VLILLE_SOURCES", ROOT / "sources")))
    folder = Project(ROOT, environ).environments_folder
    found = load_environments(folder, feeds, feed=environ.get("VLILLE_FEED"), only=environment)
    return found[environment]


if __name__ == "__main__":
    sys.exit(interruptible(main))
