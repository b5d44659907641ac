"""Cloud Scheduler: jobs that fire by their own cron in their own time zone, and are retried as declared.

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
from local.services.pubsub import PubSub, format_rfc3339
from local.services.scheduler_times import backoff_s, cron_times_after, short_name
from local.stack.applying import Attributes, Handler
from local.stack.arguments import as_rest, block, report_unsupported_arguments
from local.stack.loading import Resource

LOG = logging.getLogger(__name__)

ATTEMPT_DEADLINE = "180s"  # of an HTTP target
# What a job's status tells of a target's answer: https://cloud.google.com/scheduler/docs/reference/rest/v1/Code
GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14, 504: 4}
GRPC_UNKNOWN = 2


@dataclass(frozen=True)
class Execution:
    """One execution of a job that has ended, all its attempts included."""

    job: str  # short name
    fired: datetime
    response: Response
    attempts: int


class Scheduler:
    """The jobs of one project, kept as the REST API writes them, by full name; safe to use from any thread.

    `fired` counts fires by short name, `skipped` the times at which a job was due and did not fire, `failed` the
    runs whose last attempt failed. Whoever is in `on_fire` is told each fire as it begins, in `on_skip`
    those that are left out (job, when it was due, why), and in `on_run` each run that has ended.
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
        self._skip_rules: dict[str, tuple[Callable[[datetime], bool], str]] = {}  # by short name, and why
        self._unreported_skips: dict[
            str, list[datetime]
        ] = {}  # left out since the last fire, not reported yet
        self._next: dict[str, Event] = {}
        self._running: set[str] = set()
        self._started = False
        self._lock = Lock()

    def put(self, job: Json) -> Json:
        """Make a job, or update it. Raises LocalError for a schedule that is not cron."""
        cron_times_after(job, datetime.now(UTC))
        kept = self.jobs.put(job["name"], {"state": "ENABLED"} | self.last_attempt(job["name"]) | job)
        if self._started:
            self._schedule_next(job["name"])
        return kept

    def delete(self, name: str) -> None:
        """Forget a job; a run under way goes on. Raises NotFoundError."""
        self.jobs.delete(name)
        with self._lock:
            if (armed := self._next.pop(name, None)) is not None:
                armed.cancel()

    def start(self) -> None:
        """Let the enabled jobs fire from now on."""
        self._started = True
        for name in self.jobs.names():
            url = self.jobs.get(name).get("httpTarget", {}).get("uri")
            if url and not self._environment.service(ServiceRouter).can_reach(url):
                self._environment.report_unsupported(
                    f"{name}: its target {url} is not on this machine: not called"
                )
            self._schedule_next(name)

    def skip_when(self, name: str, is_skipped: Callable[[datetime], bool], why: str) -> None:
        """Let a job (short name) not fire where that is true of the time at which it is due.

        They count as skipped; each series of them is told as one, before the fire that follows.
        """
        self._skip_rules[name] = is_skipped, why

    def is_skipped(self, name: str, due: datetime) -> bool:
        """Return whether a job (short name) does not fire at a time, although its cron says so."""
        return name in self._skip_rules and self._skip_rules[name][0](due)

    def stop(self) -> None:
        """Let no job fire any more; what they are stays as it is."""
        self._started = False
        for name in list(self._unreported_skips):
            self._report_skips(name)
        for name in self.jobs.names():
            self._schedule_next(name)

    def pause(self, name: str) -> None:
        """Let a job fire no more; a run under way goes on. `name` may be the short one."""
        full = self._full_name(name)
        self.jobs.update(full, {"state": "PAUSED"})
        self._schedule_next(full)

    def resume(self, name: str) -> None:
        """Let a paused job fire again."""
        full = self._full_name(name)
        self.jobs.update(full, {"state": "ENABLED"})
        self._schedule_next(full)

    def run(self, name: str) -> None:
        """Fire a job now, paused or not, as `gcloud scheduler jobs run` does."""
        self._fire(self.jobs.get(self._full_name(name)))

    def last_attempt(self, name: str) -> Json:
        """Return `lastAttemptTime` and `status` of a job's last attempt, nothing where there was none."""
        held = self.jobs.find(name) or {}
        return {key: held[key] for key in ("lastAttemptTime", "status") if key in held}

    def next_run_time(self, name: str) -> datetime:
        """Return when a job's cron is due next, in UTC."""
        return cron_times_after(self.jobs.get(self._full_name(name)), self._clock.now())()

    def _full_name(self, name: str) -> str:
        if "/" in name:
            return name
        found = [each for each in self.jobs.names() if each.rpartition("/")[2] == name]
        if len(found) != 1:
            known = ", ".join(each.rpartition("/")[2] for each in self.jobs.names()) or "none"
            raise LocalError(f"there is no scheduler job {name!r}; known: {known}")
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
            return  # deleted in this very moment
        now = self._clock.now()
        self._schedule_next(name, now)
        if job["state"] != "ENABLED":
            return
        following, missed = cron_times_after(job, due), []
        while (later := following()) <= now:
            missed.append(due)
            due = later
        if missed:
            self._skip(short_name(job), missed, "this machine does not keep up")
        if self.is_skipped(short_name(job), due):
            self._unreported_skips.setdefault(short_name(job), []).append(due)
            return
        self._report_skips(short_name(job))
        self._fire(job)

    def _report_skips(self, name: str) -> None:
        if due := self._unreported_skips.pop(name, None):
            self._skip(name, due, self._skip_rules[name][1])

    def _fire(self, job: Json) -> None:
        """Fire, unless the run before is still under way: a job has one run at a time."""
        name, now = short_name(job), self._clock.now()
        with self._lock:
            busy = name in self._running
            if not busy:
                self._running.add(name)
                self.fired[name] += 1
        if busy:
            self._skip(name, [now], "its last run is still under way")
            return
        for callback in self.on_fire:
            callback(name, now)
        self._clock.start(lambda: self._attempt(job, now, 1))

    def _skip(self, name: str, due: list[datetime], why: str) -> None:
        LOG.warning("job %s is not fired at %s: %s", name, ", ".join(map(str, due)), why)
        with self._lock:
            self.skipped[name] += len(due)
        for callback in self.on_skip:
            callback(name, due, why)

    def _attempt(self, job: Json, fired: datetime, attempt: int) -> None:
        began = self._clock.now()
        response = self._call(job)
        self._record_attempt(job["name"], began, response)
        wait = backoff_s(job, attempt, (self._clock.now() - fired).total_seconds())
        if not response.ok:
            LOG.warning("attempt %d of job %s fired at %s: %s", attempt, short_name(job), fired, response)
        if response.ok or wait is None:
            self._finish(Execution(short_name(job), fired, response, attempt))
            return
        again = lambda: self._clock.start(lambda: self._attempt(job, fired, attempt + 1))  # noqa: E731
        self._clock.schedule_after(wait, again)

    def _record_attempt(self, name: str, began: datetime, response: Response) -> None:
        status = {} if response.ok else {"code": GRPC_CODES.get(response.status, GRPC_UNKNOWN)}
        with suppress(NotFoundError):  # deleted meanwhile
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
    """Return the REST form of a job from the provider's arguments."""
    job: Json = {
        "name": name,
        "schedule": arguments["schedule"],
        "timeZone": arguments.get("time_zone", "Etc/UTC"),
        "state": "PAUSED" if arguments.get("paused") else "ENABLED",
    }
    if "attempt_deadline" in arguments:
        job["attemptDeadline"] = arguments["attempt_deadline"]
    if retry := block(arguments, "retry_config"):
        job["retryConfig"] = as_rest(retry)
    for kind in ("pubsub_target", "http_target"):
        if target := dict(block(arguments, kind)):
            free = {key: target.pop(key) for key in ("attributes", "headers") if key in target}
            tokens = {key: block(target, key) for key in ("oidc_token", "oauth_token") if block(target, key)}
            rest = as_rest({key: value for key, value in target.items() if key not in tokens} | tokens)
            job[as_rest({kind: None}).popitem()[0]] = rest | free
    return job


def scheduler_job(resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_cloud_scheduler_job with a Pub/Sub or an HTTP target."""
    supported = {"name", "region", "schedule", "time_zone", "paused", "attempt_deadline", "retry_config"}
    targets = {"pubsub_target", "http_target"}
    unsupported = {"app_engine_http_target": "there is no App Engine here"}
    report_unsupported_arguments(environment, resource.type, arguments, supported | targets, unsupported)
    project, region = (
        arguments.get("project", environment.project),
        arguments.get("region", environment.region),
    )
    name = f"projects/{project}/locations/{region}/jobs/{arguments['name']}"
    if not targets & set(arguments):
        environment.report_unsupported(f"{resource.address}: it has no target that is known here")
    else:
        environment.service(Scheduler).put(job_as_rest(name, arguments))
    return {"project": project, "region": region} | arguments | {"id": name, "state": "ENABLED"}


HANDLERS: dict[str, Handler] = {"google_cloud_scheduler_job": scheduler_job}
