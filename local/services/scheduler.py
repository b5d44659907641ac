"""Cloud Scheduler: jobs that run by their cron in their time zone, and are retried as declared.

https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs
"""

import base64
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from local.environment.clock import Event, event_clock, parse_duration
from local.environment.environment import LocalEnvironment
from local.environment.metadata_server import access_token, identity_token
from local.environment.resources import Json
from local.errors import LocalError, NotFoundError
from local.service_router.router import Response, ServiceRouter
from local.services.pubsub import PubSub
from local.services.pubsub_delivery import format_rfc3339
from local.services.scheduler_times import compute_backoff_seconds, cron_times_after, short_name
from local.stack.applying import Attributes, Handler
from local.stack.arguments import as_rest, get_block, report_unsupported_arguments
from local.stack.loading import Resource

LOG = logging.getLogger(__name__)

ATTEMPT_DEADLINE = "180s"  # of an HTTP target
# The code in a job's status for an HTTP status of its target: https://cloud.google.com/scheduler/docs/reference/rest/v1/Code
GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14, 504: 4}
GRPC_UNKNOWN = 2


@dataclass(frozen=True)
class Execution:
    """A finished execution of a job, with all its attempts."""

    job: str  # short name
    fired: datetime
    response: Response
    attempts: int


class Scheduler:
    """The jobs of one project, as REST resources by full name; safe to use from any thread.

    By short name, `fired` counts executions, `skipped` the times at which a job was due but did not run, `failed` the
    executions whose last attempt failed. Callbacks of `on_fire` get each execution as it starts, those of `on_skip`
    the skipped times (job, due times, reason), those of `on_finished` each finished execution.
    """

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._clock = event_clock(environment)
        self.jobs = environment.collection("cloudscheduler", "jobs")
        self.fired: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.on_fire: list[Callable[[str, datetime], None]] = []
        self.on_skip: list[Callable[[str, list[datetime], str], None]] = []
        self.on_finished: list[Callable[[Execution], None]] = []
        self._skip_rules: dict[
            str, tuple[Callable[[datetime], bool], str]
        ] = {}  # by short name: the predicate and the reason
        self._unreported_skips: dict[
            str, list[datetime]
        ] = {}  # skipped since the last execution, not reported yet
        self._next: dict[str, Event] = {}
        self._running: set[str] = set()
        self._started = False
        self._lock = Lock()

    def put(self, job: Json) -> Json:
        """Create or update a job. Raises LocalError for an invalid schedule."""
        cron_times_after(job, datetime.now(UTC))
        kept = self.jobs.put(job["name"], {"state": "ENABLED"} | self.last_attempt(job["name"]) | job)
        if self._started:
            self._schedule_next(job["name"])
        return kept

    def delete(self, name: str) -> None:
        """Delete a job; a running execution continues. Raises NotFoundError."""
        self.jobs.delete(name)
        with self._lock:
            if (armed := self._next.pop(name, None)) is not None:
                armed.cancel()

    def start(self) -> None:
        """Start to run the enabled jobs."""
        self._started = True
        for name in self.jobs.names():
            url = self.jobs.get(name).get("httpTarget", {}).get("uri")
            if url and not self._environment.service(ServiceRouter).can_reach(url):
                self._environment.report_unsupported(
                    f"{name}: its target {url} is outside the local environment, so it is not called"
                )
            self._schedule_next(name)

    def skip_when(self, name: str, is_skipped: Callable[[datetime], bool], why: str) -> None:
        """Skip a job (short name) where a predicate is true of the time at which it is due.

        These times count as skipped; consecutive ones are reported together, before the next execution.
        """
        self._skip_rules[name] = is_skipped, why

    def is_skipped(self, name: str, due: datetime) -> bool:
        """Whether a job (short name) is skipped at a time at which it is due."""
        return name in self._skip_rules and self._skip_rules[name][0](due)

    def stop(self) -> None:
        """Stop running jobs; their state does not change."""
        self._started = False
        for name in list(self._unreported_skips):
            self._report_skips(name)
        for name in self.jobs.names():
            self._schedule_next(name)

    def pause(self, name: str) -> None:
        """Pause a job; a running execution continues. `name` may be the short name."""
        full = self._full_name(name)
        self.jobs.update(full, {"state": "PAUSED"})
        self._schedule_next(full)

    def resume(self, name: str) -> None:
        """Resume a paused job."""
        full = self._full_name(name)
        self.jobs.update(full, {"state": "ENABLED"})
        self._schedule_next(full)

    def run(self, name: str) -> None:
        """Run a job now, even if it is paused, as `gcloud scheduler jobs run` does."""
        self._fire(self.jobs.get(self._full_name(name)))

    def last_attempt(self, name: str) -> Json:
        """Return `lastAttemptTime` and `status` of a job's last attempt, or nothing where there was none."""
        held = self.jobs.find(name) or {}
        return {key: held[key] for key in ("lastAttemptTime", "status") if key in held}

    def next_run_time(self, name: str) -> datetime:
        """Return the next time (UTC) at which a job is due."""
        return cron_times_after(self.jobs.get(self._full_name(name)), self._clock.now())()

    def _full_name(self, name: str) -> str:
        if "/" in name:
            return name
        found = [each for each in self.jobs.names() if each.rpartition("/")[2] == name]
        if len(found) != 1:
            known = ", ".join(each.rpartition("/")[2] for each in self.jobs.names()) or "none"
            raise LocalError(f"scheduler job {name!r} does not exist; known: {known}")
        return found[0]

    def _schedule_next(self, name: str, after: datetime | None = None) -> None:
        job = self.jobs.get(name)
        with self._lock:
            if (armed := self._next.pop(name, None)) is not None:
                armed.cancel()
            if self._started and job["state"] == "ENABLED":
                due = cron_times_after(job, after or self._clock.now())()
                self._next[name] = self._clock.schedule_at(due, lambda: self._on_due(name, due))

    def _on_due(self, name: str, due: datetime) -> None:
        job = self.jobs.find(name)
        if job is None:
            return  # deleted at the same time
        now = self._clock.now()
        self._schedule_next(name, now)
        if job["state"] != "ENABLED":
            return
        following, missed = cron_times_after(job, due), []
        while (later := following()) <= now:
            missed.append(due)
            due = later
        if missed:
            self._skip(short_name(job), missed, "this host cannot keep up")
        if self.is_skipped(short_name(job), due):
            self._unreported_skips.setdefault(short_name(job), []).append(due)
            return
        self._report_skips(short_name(job))
        self._fire(job)

    def _report_skips(self, name: str) -> None:
        if due := self._unreported_skips.pop(name, None):
            self._skip(name, due, self._skip_rules[name][1])

    def _fire(self, job: Json) -> None:
        """Start an execution, unless the previous one is still running: a job has one execution at a time."""
        name, now = short_name(job), self._clock.now()
        with self._lock:
            busy = name in self._running
            if not busy:
                self._running.add(name)
                self.fired[name] += 1
        if busy:
            self._skip(name, [now], "its previous execution is still running")
            return
        for callback in self.on_fire:
            callback(name, now)
        self._clock.start(lambda: self._attempt(job, now, 1))

    def _skip(self, name: str, due: list[datetime], why: str) -> None:
        LOG.warning("job %s skipped at %s: %s", name, ", ".join(map(str, due)), why)
        with self._lock:
            self.skipped[name] += len(due)
        for callback in self.on_skip:
            callback(name, due, why)

    def _attempt(self, job: Json, fired: datetime, attempt: int) -> None:
        began = self._clock.now()
        response = self._call(job)
        self._record_attempt(job["name"], began, response)
        wait = compute_backoff_seconds(job, attempt, (self._clock.now() - fired).total_seconds())
        if not response.ok:
            LOG.warning("attempt %d of job %s, due at %s: %s", attempt, short_name(job), fired, response)
        if response.ok or wait is None:
            self._finish(Execution(short_name(job), fired, response, attempt))
            return
        again = lambda: self._clock.start(lambda: self._attempt(job, fired, attempt + 1))  # noqa: E731
        self._clock.schedule_after(wait, again)

    def _record_attempt(self, name: str, began: datetime, response: Response) -> None:
        status = {} if response.ok else {"code": GRPC_CODES.get(response.status, GRPC_UNKNOWN)}
        with suppress(NotFoundError):  # deleted in the meantime
            self.jobs.update(name, {"lastAttemptTime": format_rfc3339(began), "status": status})

    def _finish(self, run: Execution) -> None:
        with self._lock:
            self._running.discard(run.job)
            if not run.response.ok:
                self.failed[run.job] += 1
        for callback in self.on_finished:
            callback(run)

    def _call(self, job: Json) -> Response:
        if "pubsubTarget" in job:
            target = job["pubsubTarget"]
            data = base64.b64decode(target.get("data", ""))
            broker = self._environment.service(PubSub)
            return Response(
                200, broker.publish(target["topicName"], data, target.get("attributes", {})).encode()
            )
        target = job["httpTarget"]
        return self._environment.service(ServiceRouter).call(
            target.get("httpMethod", "POST"),
            target["uri"],
            {"User-Agent": "Google-Cloud-Scheduler"}
            | target.get("headers", {})
            | self._authorization(target),
            base64.b64decode(target.get("body", "")),
            parse_duration(job.get("attemptDeadline", ATTEMPT_DEADLINE)),
        )

    def _authorization(self, target: Json) -> dict[str, str]:
        if oidc := target.get("oidcToken"):
            audience = oidc.get("audience") or target["uri"]
            now = self._clock.now().timestamp()
            return {"Authorization": f"Bearer {identity_token(oidc['serviceAccountEmail'], audience, now)}"}
        if oauth := target.get("oauthToken"):
            token = access_token(oauth["serviceAccountEmail"])
            return {"Authorization": f"Bearer {token['access_token']}"}
        return {}


def job_as_rest(name: str, arguments: dict[str, Any]) -> Json:
    """Return a job's REST resource from Terraform's arguments."""
    job: Json = {
        "name": name,
        "schedule": arguments["schedule"],
        "timeZone": arguments.get("time_zone", "Etc/UTC"),
        "state": "PAUSED" if arguments.get("paused") else "ENABLED",
    }
    if "attempt_deadline" in arguments:
        job["attemptDeadline"] = arguments["attempt_deadline"]
    if retry := get_block(arguments, "retry_config"):
        job["retryConfig"] = as_rest(retry)
    for kind in ("pubsub_target", "http_target"):
        if target := dict(get_block(arguments, kind)):
            free = {key: target.pop(key) for key in ("attributes", "headers") if key in target}
            tokens = {
                key: get_block(target, key) for key in ("oidc_token", "oauth_token") if get_block(target, key)
            }
            rest = as_rest({key: value for key, value in target.items() if key not in tokens} | tokens)
            job[as_rest({kind: None}).popitem()[0]] = rest | free
    return job


def scheduler_job(resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_cloud_scheduler_job with a Pub/Sub or an HTTP target."""
    supported = {"name", "region", "schedule", "time_zone", "paused", "attempt_deadline", "retry_config"}
    targets = {"pubsub_target", "http_target"}
    unsupported = {"app_engine_http_target": "there is no App Engine"}
    report_unsupported_arguments(environment, resource.type, arguments, supported | targets, unsupported)
    project, region = (
        arguments.get("project", environment.project),
        arguments.get("region", environment.region),
    )
    name = f"projects/{project}/locations/{region}/jobs/{arguments['name']}"
    if not targets & set(arguments):
        environment.report_unsupported(f"{resource.address}: it has no target that the local run supports")
    else:
        environment.service(Scheduler).put(job_as_rest(name, arguments))
    return {"project": project, "region": region} | arguments | {"id": name, "state": "ENABLED"}


HANDLERS: dict[str, Handler] = {"google_cloud_scheduler_job": scheduler_job}
