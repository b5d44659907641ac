"""One environment brought up on this machine from its synthesized stack, and taken down again."""

import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from feed import Feed, load_feed
from local.data_plane.emulators import start_emulators
from local.environment.clock import Clock
from local.environment.environment import LocalEnvironment, project_number
from local.environment.metadata_server import MetadataServer
from local.environment.resources import Json
from local.errors import LocalError, MissingToolError
from local.feeds.city import City
from local.feeds.feed_server import EvolvingSample, probe, serve
from local.feeds.gbfs_system import serve_system
from local.feeds.gbfs_systems import SimulatedSystems
from local.feeds.generated_day import GeneratedDay
from local.feeds.replay import NO_RESPONSE, Replay
from local.http.faults import Fault
from local.iam_proxy.enforcement import IamProxy
from local.processes.ports import LOOPBACK
from local.processes.supervisor import Supervisor
from local.runs.terminal import Terminal
from local.service_router.ingress import Ingress
from local.service_router.router import ServiceRouter, is_loopback
from local.services import HANDLERS
from local.services.dataproc import Dataproc
from local.services.pubsub import PubSub
from local.services.scheduler import Scheduler
from local.stack.arguments import block
from local.stack.loading import Applied, Stack, apply, load_stack
from local.stack.synthesis import ROOT, check_environment, synthesize
from local.workloads.spark import local_spark
from local.workloads.workloads import Workloads

RECORD = "processes.json"
STATE = "state.json"
KEPT = {"up": "`make up`", "cloud": "`make deploy TO=here`"}  # modes whose data is never wiped
FUNCTION = "google_cloudfunctions2_function"
COLLECT = "collect"  # the scheduler job of the feed's ticks: cdk/scheduling.py
# What a function needs to reach the real API from behind a company's proxy.
PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class Options:
    """What the user asks for; `mode` is demo, up or cloud."""

    mode: str
    environment: str
    feed: str | None = None
    city: City | None = None
    replay: Path | None = None
    day: str | None = None
    ticks: int | None = None
    speed: float = 1.0
    detached: bool = False
    record: Path | None = None
    fault: Fault | None = None
    open: bool = False
    base: Path = Path(".local")

    @property
    def folder(self) -> Path:
        """Where everything of the environment lies."""
        return self.base / self.environment


@dataclass(frozen=True)
class Parts:
    """What the stack calls the parts of the pipeline, found by what they point at."""

    landing: str
    archive: str
    station_table: str  # project.dataset.table
    quarantine_table: str
    topic: str  # full name of the topic that ticks are published to
    push: str  # full name of the subscription that calls the function
    dead: str | None  # full name of the one that holds dead letters
    collect: str  # scheduler jobs by short name: what publishes the tick,
    copy: str  # what calls the service,
    batch: str  # and what instantiates the workflow template
    template: str


@dataclass
class System:
    """A running environment."""

    options: Options
    terminal: Terminal
    clock: Clock
    environment: LocalEnvironment
    stack: Stack
    applied: Applied
    feed: Feed
    parts: Parts
    source: str  # what answers for the feed's API

    @property
    def broker(self) -> PubSub:
        """Pub/Sub."""
        return self.environment.service(PubSub)

    @property
    def scheduler(self) -> Scheduler:
        """Cloud Scheduler."""
        return self.environment.service(Scheduler)

    @property
    def dataproc(self) -> Dataproc:
        """Dataproc."""
        return self.environment.service(Dataproc)


@contextmanager
def opened(options: Options, terminal: Terminal) -> Iterator[Supervisor]:
    """Hold the environment's folder for this process, made ready for the mode; end all children at the end.

    A demo's data is disposable, that of the other modes is not: it is moved aside for another mode, once it is
    known that the stack can be synthesized, and back for its own. Raises AlreadyRunningError, and LocalError
    with what is wrong with the stack.
    """
    folder = options.folder
    supervisor = Supervisor(folder / RECORD)
    before, own = read_state(folder).get("mode"), data_of(options)
    try:
        if before in KEPT and before != options.mode:
            synthesize(supervisor, options.environment, options.feed, folder)
            supervisor.stop_all()
            aside = folder.with_name(f"{folder.name}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
            folder.rename(aside)
            terminal.line(f"{folder} held data of {KEPT[before]}: it is now {aside}")
            supervisor = Supervisor(folder / RECORD)
        elif before not in KEPT:
            _empty(folder)
        if own is not None and own != folder:
            supervisor.stop_all()
            shutil.rmtree(folder)
            own.rename(folder)
            terminal.line(f"{own} held data of {KEPT[options.mode]}: it is {folder} again, and goes on")
            supervisor = Supervisor(folder / RECORD)
        if options.mode != "cloud":
            # Where no Terraform made it, the control plane is always made anew, from the stack.
            shutil.rmtree(folder / "control", ignore_errors=True)
        write_state(folder, mode=options.mode)
        supervisor.on_restart.append(terminal.line)
        yield supervisor
    finally:
        supervisor.stop_all()


def data_of(options: Options) -> Path | None:
    """Return the folder with the data that this mode goes on with, perhaps moved aside; None where it begins anew.

    A folder that is not there was removed to begin anew.
    """
    folder = options.folder
    before = read_state(folder).get("mode")
    if options.mode not in KEPT or before is None:
        return None
    if before == options.mode:
        return folder
    asides = folder.parent.glob(f"{folder.name}.{'[0-9]' * 8}T{'[0-9]' * 6}Z")
    own = [each for each in asides if read_state(each).get("mode") == options.mode]
    return max(own, default=None)


@contextmanager
def running(options: Options, terminal: Terminal, clock: Clock) -> Iterator[System]:
    """Bring the environment up, with nothing scheduled yet, and take it down at the end.

    Raises LocalError, which says what is missing or wrong.
    """
    check_environment(options.environment, options.feed)
    if options.replay is not None:
        Replay(options.replay)  # refused before anything is moved, emptied or started
    # Children end first, and with them the work in flight that waits for their answers.
    with ExitStack() as closing, opened(options, terminal) as supervisor:
        closing.callback(clock.close)
        with logging_to(options.folder / "logs" / "local.log"):
            yield _bring_up(options, terminal, supervisor, clock, closing)


def read_state(folder: Path) -> Json:
    """Return what an earlier run left about itself; nothing where there was none."""
    try:
        found = json.loads((folder / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_state_lock = threading.Lock()


def write_state(folder: Path, **changes: Any) -> None:
    """Keep something about this run for the next one; safe to use from any thread."""
    temporary = folder / f"{STATE}.tmp"
    with _state_lock:
        temporary.write_text(json.dumps(read_state(folder) | changes, indent=1))
        temporary.replace(folder / STATE)


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.name.startswith("processes."):
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()


def _bring_up(
    options: Options, terminal: Terminal, supervisor: Supervisor, clock: Clock, closing: ExitStack
) -> System:
    stack, feed, source, environment = empty_project(options, terminal, supervisor, clock, closing)
    with terminal.stage("apply", f"making the {len(stack.resources)} resources of {stack.name}"):
        applied = apply(stack, environment, HANDLERS, lambda _resource, _what: None)
    with terminal.stage("start", "starting the function and the service"):
        environment.service(Workloads).wait_until_ready()
    parts = _parts(environment, applied)
    return System(options, terminal, clock, environment, stack, applied, feed, parts, source)


def empty_project(
    options: Options, terminal: Terminal, supervisor: Supervisor, clock: Clock, closing: ExitStack
) -> tuple[Stack, Feed, str, LocalEnvironment]:
    """Synthesize, start the emulators and what answers for the API; nothing of the stack is made yet.

    Returns the stack, its feed, what answers for the feed's API, and the machine.
    """
    folder = options.folder.resolve()
    stack, emulators = _synthesize_and_emulate(options, terminal, supervisor, folder)
    env = _function_environment(stack)
    feed, url = load_feed(_sources() / str(env["FEED"])), str(env["API_URL"])
    if options.replay is not None:
        Replay(options.replay).check_sizes(int(env["API_MAX_BYTES"]))
    metadata = MetadataServer(stack.project, project_number(stack.project), stack.region)
    closing.callback(metadata.close)
    environment = LocalEnvironment(
        name=options.environment,
        folder=folder,
        stack_folder=stack.folder,
        project=stack.project,
        region=stack.region,
        supervisor=supervisor,
        gcs_url=emulators[0],
        bigquery_url=emulators[1],
        metadata=metadata,
        clock=clock,
        python=Path(sys.executable),
    )
    closing.callback(environment.service(Ingress).close)
    closing.callback(environment.service(ServiceRouter).close)
    guard = environment.service(IamProxy)
    closing.callback(guard.close)
    environment.workload_endpoints = guard.workload_endpoints
    if options.mode != "cloud":  # there it strikes Terraform's calls
        guard.faults.set(options.fault)
        _simulate_systems(terminal, environment, closing)
    zone = _time_zone(stack)
    source = _choose_source(options, terminal, environment, feed=feed, url=url, zone=zone, closing=closing)
    try:
        local_spark()
    except MissingToolError as error:  # what is collected can be rebuilt later
        terminal.line(f"the nightly batch will fail: {error}")
    return stack, feed, source, environment


def _synthesize_and_emulate(
    options: Options, terminal: Terminal, supervisor: Supervisor, folder: Path
) -> tuple[Stack, tuple[str, str]]:
    def synth() -> Stack:
        with terminal.stage("synth", f"synthesizing vlille-{options.environment}"):
            return load_stack(synthesize(supervisor, options.environment, options.feed, folder))

    def emulate() -> tuple[str, str]:
        with terminal.stage("emulators", "starting the storage and BigQuery emulators"):
            started = start_emulators(supervisor, folder, extensions=ROOT / ".cache")
            return started.gcs_url, started.bigquery_url

    with ThreadPoolExecutor(2, "start") as pool:
        both = pool.submit(synth), pool.submit(emulate)
        try:
            return both[0].result(), both[1].result()
        except BaseException:  # Ctrl-C too: the pool would wait for a synthesis, or a start, to its end
            supervisor.stop_all()
            raise


def _function_environment(stack: Stack) -> Json:
    """Return the environment variables of the function that collects the feed."""
    for resource in stack.resources:
        if resource.type == FUNCTION:
            env: Json = block(resource.config, "service_config")["environment_variables"]
            if "FEED" in env:
                return env
    raise LocalError(f"{stack.name} has no {FUNCTION} of a feed, so nothing would collect")


def _time_zone(stack: Stack) -> ZoneInfo:
    """Return the time zone of the job that collects the feed."""
    jobs = (each.config for each in stack.resources if each.type == "google_cloud_scheduler_job")
    return ZoneInfo(next((job["time_zone"] for job in jobs if job.get("name") == COLLECT), "UTC"))


def _sources() -> Path:
    """Return the folder of feeds that `stacks.py` reads too."""
    return Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources"))


def _choose_source(
    options: Options,
    terminal: Terminal,
    environment: LocalEnvironment,
    *,
    feed: Feed,
    url: str,
    zone: ZoneInfo,
    closing: ExitStack,
) -> str:
    """Decide what answers for the feed's API, and let the function ask there; say which it is.

    `zone` is that of the environment's schedule, in which the dashboard shows times.
    """
    workloads = environment.service(Workloads)
    if options.replay is not None:
        replay = Replay(options.replay, zone)
        answers: Replay | EvolvingSample | GeneratedDay = replay
        if replay.is_timed:
            environment.service(Scheduler).skip_when(COLLECT, lambda due: not replay.has(due), NO_RESPONSE)
    elif options.day is not None:
        answers = GeneratedDay(feed.name)
    else:
        city = options.city
        if city is not None:
            terminal.line(city.description)
        reason = city.unreached if city is not None and city.unreached else probe(feed, url)
        if reason is None:
            workloads.inherited = {key: os.environ[key] for key in PROXY if key in os.environ}
            workloads.inherited["NO_PROXY"] = f"{LOOPBACK},localhost"
            terminal.line(f"source: the real API, {url}")
            return url
        terminal.line(f"the real API is not used: {reason}")
        if city is not None:
            return _simulate_city(city, terminal, environment, closing)
        answers = EvolvingSample(feed)
    server = serve(answers, environment.clock.now, feed.join)
    closing.callback(server.close)
    workloads.overrides["API_URL"] = server.url
    terminal.line(f"source: {answers.description}, at {server.url}")
    return answers.description


def _simulate_systems(terminal: Terminal, environment: LocalEnvironment, closing: ExitStack) -> None:
    """Let simulated systems answer for those of [gbfs]: a minute of this run may last a second."""
    workloads = environment.service(Workloads)
    workloads.prepare = SimulatedSystems(environment.clock.now, closing, terminal.line).stand_in
    workloads.overrides["CATALOGUE_URL"] = ""


def _simulate_city(city: City, terminal: Terminal, environment: LocalEnvironment, closing: ExitStack) -> str:
    server = serve_system(city.simulated, environment.clock.now)
    closing.callback(server.close)
    environment.service(Workloads).overrides["API_URL"] = server.url_of("station_status")
    terminal.line(f"source: {city.simulated.description}, at {server.url_of('gbfs')}")
    return city.simulated.description


def _parts(environment: LocalEnvironment, applied: Applied) -> Parts:
    """The parts of the feed's collection; an environment with GBFS systems has more functions, topics and jobs."""
    functions = [a for name, a in applied.attributes.items() if name.startswith(f"{FUNCTION}.")]
    services = [block(function, "service_config") for function in functions]
    service = _one(
        "function that lands", [s for s in services if "LANDING_BUCKET" in s["environment_variables"]]
    )
    env = service["environment_variables"]
    subscriptions = environment.service(PubSub).subscriptions.list()
    push = _one(
        "push subscription",
        [s for s in subscriptions if s["pushConfig"].get("pushEndpoint") == service["uri"]],
    )
    dead_topic = push["deadLetterPolicy"].get("deadLetterTopic")
    dead = [s["name"] for s in subscriptions if s["topic"] == dead_topic]
    jobs = environment.service(Scheduler).jobs.list()
    targets = {job["name"].rpartition("/")[2]: job.get("httpTarget", {}).get("uri", "") for job in jobs}
    topics: dict[str, list[str]] = {}
    for job in jobs:
        topics.setdefault(job.get("pubsubTarget", {}).get("topicName", ""), []).append(
            job["name"].rpartition("/")[2]
        )
    return Parts(
        landing=env["LANDING_BUCKET"],
        archive=env["ARCHIVE_BUCKET"],
        station_table=env["STATION_TABLE"],
        quarantine_table=env["QUARANTINE_TABLE"],
        topic=push["topic"],
        push=push["name"],
        dead=dead[0] if dead else None,
        collect=_one("scheduler job that publishes", topics[push["topic"]]),
        copy=_one(
            "scheduler job that calls a service", [j for j, uri in targets.items() if is_loopback(uri)]
        ),
        batch=_one(
            "scheduler job for the batch", [j for j, uri in targets.items() if uri.endswith(":instantiate")]
        ),
        template=_one("workflow template", environment.service(Dataproc).templates.names()),
    )


def _one[T](what: str, found: list[T]) -> T:
    if len(found) != 1:
        raise LocalError(f"the pipeline needs one {what}, the stack has {len(found)}: {found}")
    return found[0]


class _LogFile(logging.FileHandler):
    """A log that loses lines while the disk is full, and tries none of them again when it is closed."""

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(FileIO(self.baseFilename, self.mode), encoding="utf-8", write_through=True)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """A full disk costs lines of this file; a traceback on the screen for each would help nobody."""


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Let what the services log go to a file for as long as the environment runs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("local")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    if not any(isinstance(each, logging.NullHandler) for each in logger.handlers):
        logger.addHandler(logging.NullHandler())  # what is under way at the end would log to the screen
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
