"""One run of a Dataproc workflow template, as the operation that the API describes."""

import json
import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from local.environment.resources import Json

# https://cloud.google.com/dataproc/docs/reference/rest/v1/projects.regions.workflowTemplates#orderedjob
ERROR_SEVERITIES = ("ERROR", "CRITICAL")  # severities of a job that fails
INTERNAL = 13  # https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto


@dataclass
class Workflow:
    """One run of a workflow template; `state` is RUNNING, then DONE or FAILED."""

    operation: str  # the full name by which it is asked for
    template: str  # the full name of its template, empty where that was inline
    parameters: dict[str, str]
    jobs: list[Json]  # in the order in which they run
    folder: Path
    started_at: datetime
    request_id: str = ""
    state: str = "RUNNING"
    step: str = ""  # the one that was begun last
    error: str = ""
    ended_at: datetime | None = None
    seconds: float = 0.0
    summaries: dict[str, Json] = field(default_factory=dict)  # by step: the last JSON line that it printed
    finished: threading.Event = field(default_factory=threading.Event)


def as_operation(workflow: Workflow) -> Json:
    """Return a run as the long-running operation that the API tells of.

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
    """Return the last line that is a JSON object, None where no line is."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def find_error_message(lines: list[str]) -> str | None:
    """Return the message of the last line that a job logged as an error, None where it logged none."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("severity") in ERROR_SEVERITIES:
            return str(found.get("message", "")).strip() or None
    return None
