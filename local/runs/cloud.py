"""The local environment as an empty Google Cloud project: what Terraform deploys into it runs until `make down`."""

import json
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests

from local.control_plane.server import ControlPlane, Observer, format_call
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.errors import LocalError, ProcessError, read_log_end
from local.http.faults import Fault
from local.http.rest import ApiRequest, ApiResponse
from local.iam_proxy.access import AccessControl
from local.processes.ports import port_ready_check
from local.runs.local_run import log_to_file, start_empty_project
from local.runs.options import Options
from local.runs.run_folder import open_run_folder
from local.runs.terminal import Terminal
from local.runs.up import stop_on_signal
from local.services.dataproc import Dataproc
from local.services.pubsub import PubSub
from local.services.scheduler import Scheduler
from local.services.storage import Storage
from local.stack.synthesis import check_environment

ENDPOINTS = "endpoints.json"
START_S = 120.0
FAULT_S = 10.0
DRAIN_S = 30.0


def run_cloud(options: Options, terminal: Terminal) -> None:
    """Run the control plane emulator until SIGINT or SIGTERM, with what an earlier run deployed. Raises LocalError."""
    check_environment(options.environment)
    endpoints = options.folder / ENDPOINTS
    clock = RealClock(options.speed, datetime.now(UTC))
    with stop_on_signal() as stop, ExitStack() as closing, open_run_folder(options, terminal) as supervisor:
        closing.callback(clock.close)
        closing.callback(lambda: endpoints.unlink(missing_ok=True))
        closing.enter_context(log_to_file(options.folder / "logs" / "local.log"))
        stack, _, _, environment = start_empty_project(options, terminal, supervisor, clock, closing)
        plane = ControlPlane(environment, _call_recorder(options.record))
        closing.callback(plane.close)
        environment.service(Storage).put_bucket(_state_bucket(stack.project, stack.region))
        environment.service(Dataproc)  # registers its host with the service router
        with terminal.stage("start", "starting the workloads of an earlier deploy"):
            plane.resume()
        _write_endpoints(endpoints, plane.variables() | _deployer_variables(environment))
        terminal.print_line(f"{stack.project} is served at {plane.url}; stop it with `make down`")
        environment.service(PubSub).resume()
        scheduler = environment.service(Scheduler)
        scheduler.start()
        closing.callback(environment.service(AccessControl).write, options.folder)
        clock.run(stop.is_set)
        scheduler.stop()
        end = time.monotonic() + DRAIN_S
        clock.run(lambda: clock.in_flight == 0 or time.monotonic() > end)


def start_cloud(options: Options, terminal: Terminal) -> None:
    """Start `run_cloud` in the background and print shell exports of the variables that direct clients to it.

    A running instance is reused. Raises LocalError with the end of its output if it does not start.
    """
    check_environment(options.environment)
    # Outside the folder, which the new process may empty or move aside.
    endpoints, log = options.folder / ENDPOINTS, options.base / f"{options.environment}-cloud.log"
    if not _is_running(endpoints):
        endpoints.unlink(missing_ok=True)  # of an instance that was killed
        _spawn(options, log, endpoints)
    variables = json.loads(endpoints.read_text())
    _set_fault(variables["VLILLE_FAULTS"], options.fault)
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def _set_fault(url: str, fault: Fault | None) -> None:
    """Inject a fault for one command: the next command replaces it."""
    with requests.Session() as session:
        session.trust_env = False
        session.put(url, data=str(fault) if fault else "", timeout=FAULT_S).raise_for_status()


def _is_running(endpoints: Path) -> bool:
    if not endpoints.exists():
        return False
    url = json.loads(endpoints.read_text())["GOOGLE_STORAGE_CUSTOM_ENDPOINT"]
    return port_ready_check(urlsplit(url).port or 0)()


def _spawn(options: Options, log: Path, endpoints: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "local",
        "cloud",
        "--env",
        options.environment,
        "--speed",
        str(options.speed),
    ]
    argv += ["--feed", options.feed] if options.feed else []
    argv += ["--replay", str(options.replay.resolve())] if options.replay else []
    argv += ["--day", options.day] if options.day else []
    argv += ["--record", str(options.record.resolve())] if options.record else []
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = log.stat().st_size if log.exists() else 0
    name = options.environment
    print(f"starting the local environment of {name}, until `make down ENV={name}` …", file=sys.stderr)
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    end = time.monotonic() + START_S
    while not endpoints.exists():
        if process.poll() is not None:
            raise explain_failed_start(process.returncode, log, begin)
        if time.monotonic() > end:
            process.terminate()
            raise LocalError(f"the control plane emulator is not ready after {START_S:.0f} s: see {log}")
        time.sleep(0.1)


def explain_failed_start(code: int, log: Path, begin: int) -> LocalError:
    """Return why the process ended: its error message, which follows an empty line, or the end of its output."""
    text = read_log_end(log, begin)
    _, found, message = f"\n{text}".rpartition("\n\n")
    if found and "Traceback (most recent call last)" not in text:
        return LocalError(message.strip())
    return ProcessError("the control plane emulator", f"ended with code {code}", log, begin)


def _call_recorder(file: Path | None) -> Observer | None:
    """Return an observer that writes each request with its response to a file, for tests to replay."""
    if file is None:
        return None

    def record(request: ApiRequest, response: ApiResponse) -> None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(format_call(request, response) + "\n")

    return record


def _deployer_variables(environment: LocalEnvironment) -> dict[str, str]:
    """Return the variables that identify the deployer to programs which Terraform runs."""
    host = environment.metadata.host_for(environment.service(AccessControl).deployer)
    return {
        "GCE_METADATA_HOST": host,
        "GCE_METADATA_ROOT": host,
        "GCE_METADATA_IP": host,
        "GCE_METADATA_MTLS_MODE": "none",
        "GOOGLE_APPLICATION_CREDENTIALS": "",
        "STORAGE_EMULATOR_HOST": environment.gcs_url,
        "BIGQUERY_EMULATOR_HOST": environment.bigquery_url,
        "VLILLE_PYTHON": str(environment.python),
        "VLILLE_LOCAL": "1",
    }


def _state_bucket(project: str, region: str) -> dict[str, object]:
    return {
        "name": f"{project}-tfstate",
        "location": region.upper(),
        "storageClass": "STANDARD",
        "versioning": {"enabled": True},
    }


def _write_endpoints(file: Path, environment: dict[str, str]) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(environment, indent=1))
    temporary.replace(file)
