"""A run of a Dataproc workflow template, and the long-running operation that represents it."""

import json
import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from local.environment.resources import Json

# https://cloud.google.com/dataproc/docs/reference/rest/v1/projects.regions.workflowTemplates#orderedjob
ERROR_SEVERITIES = ("ERROR", "CRITICAL")  # log severities of a failing job
INTERNAL = 13  # https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto


@dataclass
class Workflow:
    """A run of a workflow template; `state` is RUNNING, then DONE or FAILED."""

    operation: str  # the operation's full name
    template: str  # the template's full name, empty for an inline template
    parameters: dict[str, str]
    jobs: list[Json]  # in the order of their execution
    folder: Path
    started_at: datetime
    request_id: str = ""
    state: str = "RUNNING"
    step: str = ""  # the step that was started last
    error: str = ""
    ended_at: datetime | None = None
    seconds: float = 0.0
    summaries: dict[str, Json] = field(default_factory=dict)  # by step: the last JSON object that it printed
    finished: threading.Event = field(default_factory=threading.Event)


def as_operation(workflow: Workflow) -> Json:
    """Return a run as a long-running operation of the API.

    https://cloud.google.com/dataproc/docs/concepts/workflows/debugging#using_workflowmetadata
    """
    state = workflow.state
    metadata: Json = {
        "@type": "type.googleapis.com/google.cloud.dataproc.v1.WorkflowMetadata",
        "graph": {"nodes": [_node(workflow, job, state) for job in workflow.jobs]},
        "state": "RUNNING" if state == "RUNNING" else "DONE",
        "startTime": _timestamp(workflow.started_at),
    }
    if workflow.template:
        metadata |= {"template": workflow.template, "version": 1, "parameters": workflow.parameters}
    if workflow.ended_at is not None:
        metadata["endTime"] = _timestamp(workflow.ended_at)
    operation = {"name": workflow.operation, "metadata": metadata, "done": state != "RUNNING"}
    match state:
        case "DONE":
            operation["response"] = {"@type": "type.googleapis.com/google.protobuf.Empty"}
        case "FAILED":
            operation["error"] = {"code": INTERNAL, "message": workflow.error}
    return operation


def _node(workflow: Workflow, job: Json, state: str) -> Json:
    step = job["stepId"]
    node = {"stepId": step, "prerequisiteStepIds": job.get("prerequisiteStepIds", []), "state": "BLOCKED"}
    if step in workflow.summaries:
        node["state"] = "COMPLETED"
    elif step == workflow.step:
        node["state"] = "RUNNING" if state == "RUNNING" else "FAILED"
    if step in workflow.summaries or step == workflow.step:
        node["jobId"] = f"{step}-{workflow.folder.name}"
    return node | ({"error": workflow.error} if node["state"] == "FAILED" else {})


def _timestamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def find_summary(lines: list[str]) -> Json | None:
    """Return the last printed line that is a JSON object, or None."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def find_error_message(lines: list[str]) -> str | None:
    """Return the message of the last line that a job logged as an error, or None."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("severity") in ERROR_SEVERITIES:
            return str(found.get("message", "")).strip() or None
    return None
