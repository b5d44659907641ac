"""Rebuild some days of a feed with the environment's batch: start it once, wait for it, report why it failed."""

import json
import uuid
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cdk.settings import Settings
from cdk.settings.gbfs import BATCH_STEP
from operate.cloud import NO_RESPONSE, ApiError, Cloud
from operate.errors import OperateError, raise_stopped_on_interrupt
from operate.target import NOT_FOUND, Target, explain_error

TEMPLATE = "rebuild-days"
ASK_AGAIN_SECONDS, ASK_AGAIN_LOCAL = 10.0, 1.0
CANCELLED = 1  # https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
CONFLICT = 409
# What the API adds to a template that it is given, and does not take back.
_ADDED = ("id", "name", "version", "createTime", "updateTime", "parameters")


@dataclass(frozen=True)
class BatchRebuild:
    """An environment's batch; `resume_hint` says how to continue after a run that failed or was interrupted."""

    cloud: Cloud
    settings: Settings
    target: Target
    resume_hint: str
    report: Callable[[str], None]
    pause: Callable[[float], None]

    def rebuild(self, feed_name: str, days: Iterable[date], files: str) -> str:
        """Rebuild the days from the first to the last and wait; return a warning about what was not deleted, or "".

        Raises OperateError, StoppedError.

        `files` identifies the files that the days are rebuilt from: while a run for the same ones continues, the
        command waits for it instead of starting a second one.
        """
        first, last = min(days), max(days)
        what = f"{feed_name}, {first} to {last},"
        options = {"--feed": feed_name, "--from": first.isoformat(), "--to": last.isoformat()}
        operation = self._wait(self._start(options, files, what), what)
        if reason := describe_failure(operation):
            raise OperateError(
                f"{what} is archived and not rebuilt: {reason}\n"
                f"{self.target.format_command('logs', 'batch')} says more; {self.resume_hint}"
            )
        if left := operation.get("metadata", {}).get("deleteCluster", {}).get("error"):
            orphans = self.target.format_command("orphans")
            return (
                f"{what} is rebuilt, and its cluster was not deleted ({left}): {orphans} prints the command that "
                "deletes it"
            )
        self.report(f"{feed_name}: {first} to {last} rebuilt; the table batch_runs has the run statistics")
        return ""

    def _start(self, options: dict[str, str], files: str, what: str) -> dict[str, Any]:
        settings, root = self.settings, self.cloud.endpoints.dataproc
        templates = f"{root}projects/{settings.project}/regions/{settings.region}/workflowTemplates"
        try:
            with raise_stopped_on_interrupt(
                f"the rebuild of {what} may have begun; run this again to wait for it"
            ):
                once = customize_template(
                    self.cloud.call("GET", f"{templates}/{settings.name(TEMPLATE)}"), options
                )
                parameters = {"requestId": derive_request_id(once, files)}
                return self.cloud.call("POST", f"{templates}:instantiateInline", params=parameters, json=once)
        except ApiError as error:
            if error.status == CONFLICT:
                raise OperateError(
                    f"{what} is being rebuilt already ({error.message}): {self.resume_hint}"
                ) from None
            raise OperateError(
                f"{what} is archived and not rebuilt: {explain_error(error, self.target)}"
            ) from None

    def _wait(self, operation: dict[str, Any], what: str) -> dict[str, Any]:
        name, target = str(operation["name"]), self.target
        where = (
            f"in the local environment (`make down ENV={target.environment}` would end it)"
            if target.local_folder
            else f"in Google Cloud ({name})"
        )
        seconds = ASK_AGAIN_LOCAL if target.local_folder else ASK_AGAIN_SECONDS
        shown = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        stopped = f"the rebuild of {what} continues {where}; run this again to wait for it, or see batch_runs"
        with raise_stopped_on_interrupt(stopped), shown as progress:
            progress.add_task(f"rebuilding {what.rstrip(',')}", total=None)
            while not operation.get("done"):
                self.pause(seconds)
                operation = self._poll(name, what)
        return operation

    def _poll(self, name: str, what: str) -> dict[str, Any]:
        try:
            return self.cloud.call("GET", f"{self.cloud.endpoints.dataproc}{name}")
        except ApiError as error:
            is_gone = error.status == NOT_FOUND or (self.target.local_folder and error.status == NO_RESPONSE)
            summary = (
                "the process that ran its rebuild has ended"
                if is_gone
                else f"the state of its rebuild is unknown ({error}): it may continue"
            )
            raise OperateError(f"{what} is archived, and {summary}: {self.resume_hint}") from None


def customize_template(template: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    """Return the template for a single run, with other options of its job and without the GBFS step."""
    once = {key: deepcopy(value) for key, value in template.items() if key not in _ADDED}
    once["jobs"] = [job for job in once["jobs"] if job.get("stepId") != BATCH_STEP]
    for job in once["jobs"]:
        arguments = job["pysparkJob"]["args"]
        for option, value in options.items():
            arguments[arguments.index(option) + 1] = value
    return once


def derive_request_id(template: dict[str, Any], files: str) -> str:
    """Return the same UUID for the same work: Dataproc starts only one run per request ID.

    https://cloud.google.com/dataproc/docs/reference/rest/v1/projects.regions.workflowTemplates/instantiateInline
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([template, files], sort_keys=True)))


def describe_failure(operation: dict[str, Any]) -> str:
    """Return why a finished workflow failed, or "" if it succeeded.

    The error may be in the operation, in its cluster or in one of its steps:
    https://cloud.google.com/dataproc/docs/concepts/workflows/debugging#using_workflowmetadata
    """
    error, metadata = operation.get("error", {}), operation.get("metadata", {})
    nodes = metadata.get("graph", {}).get("nodes", [])
    failed = [node for node in nodes if node.get("state") == "FAILED"]
    reasons = [
        *([error.get("message") or "no reason given"] if error else []),
        *filter(None, [metadata.get("createCluster", {}).get("error")]),
        *(node.get("error") or f"step {node.get('stepId')} failed" for node in failed),
    ]
    reason = "; ".join(dict.fromkeys(each.strip() for each in reasons))
    return f"it was cancelled before its end ({reason})" if error.get("code") == CANCELLED else reason
