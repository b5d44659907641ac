"""The commands on a deployed environment and on its data: each prints what it found and returns the exit status."""

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cdk.settings import Settings
from commands.errors import quote_value
from feed import load_feeds
from operate import dashboard_proxy, jobs, logs
from operate.cloud import Cloud
from operate.data import backfill, prompt, querying
from operate.deployment import orphaned_resources, terraform
from operate.errors import OperateError
from operate.health import smoke
from operate.health.content import judge_content, observe_content
from operate.health.dashboard import judge_dashboard, observe_dashboard
from operate.health.gbfs import judge_gbfs, observe_gbfs
from operate.health.observation import observe_environment
from operate.jobs import list_jobs
from operate.target import Target

if TYPE_CHECKING:  # see operate.__main__
    from operate.data.local_database import LocalDatabase

ROOT = Path(__file__).resolve().parents[1]
type Database = querying.BigQueryDatabase | LocalDatabase


def _check_health(cloud: Cloud, settings: Settings, target: Target, _options: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    lines = smoke.judge_environment(observe_environment(cloud, settings, target, now), settings, target, now)
    feed = load_feeds(Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources")))[settings.feed]
    lines += judge_content(observe_content(cloud, settings, feed, target, now), feed, target)
    if settings.gbfs is not None:
        lines += judge_gbfs(observe_gbfs(cloud, settings, target, now), settings, target, now)
    if settings.dashboard is not None:
        token = functools.partial(dashboard_proxy.get_identity_token, target=target, environ=os.environ)
        lines += judge_dashboard(observe_dashboard(cloud, settings, target, token), settings, target, now)
    print(*lines, sep="\n")
    return int(any(line.wrong for line in lines))


def _start_job(cloud: Cloud, settings: Settings, target: Target, options: argparse.Namespace) -> int:
    print(jobs.start_job(cloud, settings, target, options.job))
    return 0


def _switch_jobs(cloud: Cloud, settings: Settings, target: Target, options: argparse.Namespace) -> int:
    for job in (options.job,) if options.job else list_jobs(settings):
        print(jobs.set_job_state(cloud, settings, target, options.command, job))
    return 0


def _print_logs(cloud: Cloud, settings: Settings, target: Target, options: argparse.Namespace) -> int:
    found = logs.fetch_log_lines(cloud, settings, target, options.job, options.lines, now=datetime.now(UTC))
    print(*found, sep="\n")
    return 0


def _list_orphans(cloud: Cloud, settings: Settings, target: Target, _options: argparse.Namespace) -> int:
    stack = terraform.Cdktf({**os.environ, "VLILLE_ENV": settings.environment}).synthesize(settings.stack, {})
    found = orphaned_resources.find_orphaned_resources(cloud, settings, stack)
    print(*orphaned_resources.format_orphaned_resources(found, settings, target), sep="\n")
    return int(bool(found))


def _backfill(cloud: Cloud, settings: Settings, target: Target, options: argparse.Namespace) -> int:
    feeds = load_feeds(Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources")))
    return backfill.backfill(
        cloud,
        settings,
        target,
        list(feeds.values()),
        source=options.source,
        keep=not options.move,
        dry_run=options.dry_run,
        confirm=lambda question: options.yes or _confirm(question),
    )


def _open_dashboard(cloud: Cloud, settings: Settings, target: Target, _options: argparse.Namespace) -> int:
    url = dashboard_proxy.find_dashboard_url(cloud, settings, target)
    token = functools.partial(dashboard_proxy.get_identity_token, url, target, os.environ)
    token()  # fail before anything is opened
    server = dashboard_proxy.start_proxy(url, token)
    print(f"the dashboard: http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    server.server_close()
    return 0


def _run_sql_prompt(database: Database, settings: Settings, _options: argparse.Namespace) -> int:
    """Run statements; return 1 if one of a pipe failed. On a terminal, the user has read what failed."""
    interactive = sys.stdin.isatty()
    if interactive:
        print(
            f"{settings.environment}: GoogleSQL over {settings.views_dataset_id} and {settings.dataset}. {prompt.HELP}"
        )
    failed = prompt.run_prompt(database, _read_line, sys.stdout)
    return int(bool(failed) and not interactive)


def _read_line(shown: str) -> str | None:
    """Return the next line of standard input, None at its end; a terminal has a history, and is shown what to do."""
    try:
        if sys.stdin.isatty():
            import readline  # noqa: F401, PLC0415 - what `input` edits lines with, from then on

            return input(shown)
        return input()
    except EOFError:
        return None


def _export_day(database: Database, settings: Settings, options: argparse.Namespace) -> int:
    system: str | None = options.system
    if system is not None:
        where = f"the {'local data of ' if options.local else 'environment '}{settings.environment}"
        querying.check_system(system, database.list_systems(settings.dataset_id), where)
    file = querying.name_export_file(settings.environment, options.day, options.format, system)
    exported = str(options.day) if system is None else f"{options.day} of {quote_value(system)}"
    print(f"writing {exported} ({settings.schedule.time_zone}) …", flush=True)
    try:
        batches = database.batches(
            querying.build_day_query(options.day, ZoneInfo(settings.schedule.time_zone), system)
        )
        rows = querying.write_rows(batches, file, options.format)
    except prompt.QueryFailedError as error:
        raise OperateError(f"{exported} cannot be read: {error}") from None
    if not rows:
        if system is None:
            query = "query the view minutes_present with `make sql` for the days that have rows"
        else:
            query = f"`{querying.build_collected_days_query(settings.dataset_id, system)}` in `make sql` lists its days"
        raise OperateError(f"{exported} has no rows; {query}")
    print(f"{file}: {rows:,} rows, {file.stat().st_size:,} bytes")
    return 0


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        raise OperateError(
            "this needs a confirmation, and standard input is not a terminal: add YES=1 (--yes) to begin"
        )
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


DEPLOYED_COMMANDS: dict[str, Callable[[Cloud, Settings, Target, argparse.Namespace], int]] = {
    "smoke": _check_health,
    "run": _start_job,
    "pause": _switch_jobs,
    "resume": _switch_jobs,
    "logs": _print_logs,
    "orphans": _list_orphans,
    "backfill": _backfill,
    "open": _open_dashboard,
}
QUERY_COMMANDS: dict[str, Callable[[Database, Settings, argparse.Namespace], int]] = {
    "sql": _run_sql_prompt,
    "export": _export_day,
}
