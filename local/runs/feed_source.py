"""Choose what serves the APIs of the feed and of the GBFS systems during a run."""

import os
import re
from contextlib import ExitStack
from pathlib import Path
from zoneinfo import ZoneInfo

from feed import Feed
from local.environment.environment import LocalEnvironment
from local.feeds.city import City
from local.feeds.feed_server import EvolvingSample, probe_api, serve_feed
from local.feeds.gbfs_system import serve_system
from local.feeds.gbfs_systems import SimulatedSystems
from local.feeds.generated_day import GeneratedDay
from local.feeds.replay import NO_RESPONSE, Replay
from local.processes.ports import LOOPBACK
from local.runs.options import Options
from local.runs.terminal import Terminal
from local.services.scheduler import Scheduler
from local.stack.loading import Stack
from local.stack.synthesis import ROOT
from local.workloads.workloads import Workloads

# The Scheduler job of the feed's ticks (cdk/operations/scheduling.py). In a shared project the environment's name
# follows: collect-lyon.
COLLECT = re.compile(r"collect(-[a-z0-9]+)?")
# The variables with which a function reaches the real API through a company's proxy.
PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def find_collect_job(stack: Stack) -> tuple[str, ZoneInfo]:
    """Return name and time zone of the job that collects the feed."""
    jobs = (each.config for each in stack.resources if each.type == "google_cloud_scheduler_job")
    found = ((job["name"], job["time_zone"]) for job in jobs if COLLECT.fullmatch(job.get("name", "")))
    name, zone = next(found, ("collect", "UTC"))
    return name, ZoneInfo(zone)


def feeds_folder() -> Path:
    """Return the folder of feeds that `stacks.py` reads."""
    return Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources"))


def choose_feed_source(
    options: Options,
    terminal: Terminal,
    environment: LocalEnvironment,
    *,
    feed: Feed,
    url: str,
    collect_job: str,
    zone: ZoneInfo,
    closing: ExitStack,
) -> str:
    """Choose what serves the feed's API, configure the function to request it there, and return its description.

    `collect_job` is the Scheduler job of the ticks, `zone` that of the environment's schedule, in which the dashboard
    shows times.
    """
    workloads = environment.service(Workloads)
    if options.replay is not None:
        replay = Replay(options.replay, zone)
        source: Replay | EvolvingSample | GeneratedDay = replay
        if replay.is_timed:
            environment.service(Scheduler).skip_when(
                collect_job, lambda due: not replay.has_minute(due), NO_RESPONSE
            )
    elif options.day is not None:
        source = GeneratedDay(feed.name)
    else:
        city = options.city
        if city is not None:
            terminal.print_line(city.description)
        reason = (
            city.unreachable_reason if city is not None and city.unreachable_reason else probe_api(feed, url)
        )
        if reason is None:
            workloads.inherited = {key: os.environ[key] for key in PROXY if key in os.environ}
            workloads.inherited["NO_PROXY"] = f"{LOOPBACK},localhost"
            terminal.print_line(f"source: the real API, {url}")
            return url
        terminal.print_line(f"the real API is not used: {reason}")
        if city is not None:
            return _simulate_city(city, terminal, environment, closing)
        source = EvolvingSample(feed)
    server = serve_feed(source, environment.clock.now, feed.join)
    closing.callback(server.close)
    workloads.overrides["API_URL"] = server.url
    terminal.print_line(f"source: {source.description}, at {server.url}")
    return source.description


def simulate_gbfs_systems(terminal: Terminal, environment: LocalEnvironment, closing: ExitStack) -> None:
    """Replace the GBFS systems of `[gbfs]` with simulated ones: at high speed, real ones get a request each second."""
    workloads = environment.service(Workloads)
    workloads.prepare = SimulatedSystems(environment.clock.now, closing, terminal.print_line).replace_systems
    workloads.overrides["CATALOGUE_URL"] = ""


def _simulate_city(city: City, terminal: Terminal, environment: LocalEnvironment, closing: ExitStack) -> str:
    server = serve_system(city.simulated, environment.clock.now)
    closing.callback(server.close)
    environment.service(Workloads).overrides["API_URL"] = server.url_of("station_status")
    terminal.print_line(f"source: {city.simulated.description}, at {server.url_of('gbfs')}")
    return city.simulated.description
