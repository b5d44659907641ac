"""A local run: it starts the local environment of a synthesized stack, and stops it at the end."""

import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO, TextIOWrapper
from pathlib import Path

from feed import Feed, load_feed
from local.data_plane.emulators import start_emulators
from local.environment.clock import Clock
from local.environment.environment import LocalEnvironment, project_number
from local.environment.metadata_server import MetadataServer
from local.environment.resources import Json
from local.errors import LocalError, MissingToolError
from local.feeds.replay import Replay
from local.iam_proxy.enforcement import IamProxy
from local.processes.supervisor import Supervisor
from local.runs.feed_source import choose_feed_source, feeds_folder, find_collect_job, simulate_gbfs_systems
from local.runs.options import Options
from local.runs.pipeline_names import FUNCTION, PipelineNames, find_pipeline_names
from local.runs.run_folder import open_run_folder
from local.runs.terminal import Terminal
from local.service_router.ingress import Ingress
from local.service_router.router import ServiceRouter
from local.services import HANDLERS
from local.services.dataproc import Dataproc
from local.services.pubsub import PubSub
from local.services.scheduler import Scheduler
from local.stack.applying import Applied, apply
from local.stack.arguments import get_block
from local.stack.loading import Stack, load_stack
from local.stack.synthesis import ROOT, check_environment, synthesize
from local.workloads.spark import local_spark
from local.workloads.workloads import Workloads


@dataclass
class LocalRun:
    """A local run whose stack is applied and whose workloads are ready."""

    options: Options
    terminal: Terminal
    clock: Clock
    environment: LocalEnvironment
    stack: Stack
    applied: Applied
    feed: Feed
    names: PipelineNames
    source: str  # what serves the feed's API

    @property
    def pubsub(self) -> PubSub:
        """The Pub/Sub service."""
        return self.environment.service(PubSub)

    @property
    def scheduler(self) -> Scheduler:
        """The Cloud Scheduler service."""
        return self.environment.service(Scheduler)

    @property
    def dataproc(self) -> Dataproc:
        """The Dataproc service."""
        return self.environment.service(Dataproc)


@contextmanager
def start_run(options: Options, terminal: Terminal, clock: Clock) -> Iterator[LocalRun]:
    """Start a run, whose scheduler is not started yet, and stop it at the end.

    Raises LocalError, which says what is missing or wrong.
    """
    check_environment(options.environment, options.feed)
    if options.replay is not None:
        Replay(options.replay)  # raises before a folder is moved or emptied, or a process started
    # Child processes end first, and with them the work in flight that waits for their responses.
    with ExitStack() as closing, open_run_folder(options, terminal) as supervisor:
        closing.callback(clock.close)
        with log_to_file(options.folder / "logs" / "local.log"):
            yield _start_stack(options, terminal, supervisor, clock, closing)


def _start_stack(
    options: Options, terminal: Terminal, supervisor: Supervisor, clock: Clock, closing: ExitStack
) -> LocalRun:
    stack, feed, source, environment = start_empty_project(options, terminal, supervisor, clock, closing)
    with terminal.stage("apply", f"creating the {len(stack.resources)} resources of {stack.name}"):
        applied = apply(stack, environment, HANDLERS, lambda _resource, _what: None)
    with terminal.stage("start", "starting the function and the service"):
        environment.service(Workloads).wait_until_ready()
    names = find_pipeline_names(environment, applied)
    return LocalRun(options, terminal, clock, environment, stack, applied, feed, names, source)


def start_empty_project(
    options: Options, terminal: Terminal, supervisor: Supervisor, clock: Clock, closing: ExitStack
) -> tuple[Stack, Feed, str, LocalEnvironment]:
    """Synthesize the stack, start the emulators and choose the feed's source; create no resource of the stack yet.

    Returns the stack, its feed, the description of the feed's source, and the environment.
    """
    folder = options.folder.resolve()
    stack, emulators = _synthesize_and_start_emulators(options, terminal, supervisor, folder)
    env = _function_environment(stack)
    feed, url = load_feed(feeds_folder() / str(env["FEED"])), str(env["API_URL"])
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
    iam_proxy = environment.service(IamProxy)
    closing.callback(iam_proxy.close)
    environment.workload_endpoints = iam_proxy.workload_endpoints
    if options.mode != "cloud":  # in mode cloud, faults apply to Terraform's requests
        iam_proxy.faults.set(options.fault)
        simulate_gbfs_systems(terminal, environment, closing)
    collect_job, zone = find_collect_job(stack)
    source = choose_feed_source(
        options,
        terminal,
        environment,
        feed=feed,
        url=url,
        collect_job=collect_job,
        zone=zone,
        closing=closing,
    )
    try:
        local_spark()
    except MissingToolError as error:  # a later run can rebuild what this one collects
        terminal.print_line(f"the nightly batch will fail: {error}")
    return stack, feed, source, environment


def _synthesize_and_start_emulators(
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
        except BaseException:  # also for Ctrl-C: the pool would wait for the synthesis and the start
            supervisor.stop_all()
            raise


def _function_environment(stack: Stack) -> Json:
    """Return the environment variables of the function that collects the feed."""
    for resource in stack.resources:
        if resource.type == FUNCTION:
            env: Json = get_block(resource.config, "service_config")["environment_variables"]
            if "FEED" in env:
                return env
    raise LocalError(f"{stack.name} has no {FUNCTION} of a feed, so there is nothing to collect")


class _LogFile(logging.FileHandler):
    """A log file that drops lines while the disk is full, and does not retry them when it is closed."""

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(FileIO(self.baseFilename, self.mode), encoding="utf-8", write_through=True)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Ignore a full disk, which would print a traceback to the terminal for each line."""


@contextmanager
def log_to_file(file: Path) -> Iterator[None]:
    """Write the log of the package `local` to a file during the `with` statement."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("local")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    if not any(isinstance(each, logging.NullHandler) for each in logger.handlers):
        logger.addHandler(logging.NullHandler())  # unfinished work would log to the terminal at the end
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
