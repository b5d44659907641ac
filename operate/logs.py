"""Fetch the newest log lines of a workload: from Cloud Logging, or from the files of a local run."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cdk.settings import Settings
from operate.cloud import ApiError, Cloud
from operate.errors import OperateError
from operate.jobs import GBFS_JOBS, describe_missing_gbfs
from operate.target import Target, explain_error

LOOK_BACK = timedelta(days=2)
MOST_PAGES = 20  # Cloud Logging may return empty pages with a token
SERVICES = {  # Cloud Run services by job
    "collect": "collector",
    "copy": "copier",
    **dict.fromkeys(GBFS_JOBS, "gbfs-collector"),
}
FILES = {
    "collect": "function-collector*.log",
    "copy": "service-copier*.log",
    "batch": "job-*.log",
    **dict.fromkeys(GBFS_JOBS, "function-gbfs-collector*.log"),
}
STANDARD_FIELDS = frozenset({"message", "severity", "time"})


def fetch_log_lines(
    cloud: Cloud, settings: Settings, target: Target, job: str, count: int, *, now: datetime
) -> list[str]:
    """Return the newest lines of a job's workload, oldest first. Raises OperateError where there are none."""
    missing = describe_missing_gbfs(settings, target, job)
    if target.local_folder:
        folder = target.local_folder / "logs"
        if missing and not any(folder.glob(FILES[job])):
            raise OperateError(f"the log of {job}: {missing}")
        return read_log_files(folder, target, job, count)
    parameters = {
        "resourceNames": [f"projects/{settings.project}"],
        "filter": f'{_format_filter(settings, job)} AND timestamp>="{(now - LOOK_BACK).isoformat()}"',
        "orderBy": "timestamp desc",
        "pageSize": count,
    }
    try:
        entries = list(_fetch_entries(cloud, parameters, count))
    except ApiError as error:
        raise OperateError(f"the log of {job}: {explain_error(error, target)}") from None
    if not entries and missing:
        raise OperateError(f"the log of {job}: {missing}")
    if not entries:
        raise OperateError(
            f"{job} logged nothing in {LOOK_BACK.days} days: see `make smoke ENV={target.environment}`"
        )
    return [format_log_entry(entry) for entry in reversed(entries)]


def _format_filter(settings: Settings, job: str) -> str:
    if job not in SERVICES:
        return 'resource.type="cloud_dataproc_job"'
    service = settings.name(SERVICES[job])
    return f'resource.type="cloud_run_revision" AND resource.labels.service_name="{service}"'


def read_log_files(folder: Path, target: Target, job: str, count: int) -> list[str]:
    """Return the last lines of a workload's newest file. Raises OperateError where there is none."""
    files = sorted(folder.glob(FILES[job]), key=lambda file: file.stat().st_mtime)
    if not files:
        raise OperateError(
            f"{job} logged nothing in {folder}: start it with {target.format_command('run', job)}"
        )
    return _format_log_lines(files[-1].read_text("utf-8", "replace").splitlines()[-count:])


def format_log_entry(entry: dict[str, Any]) -> str:
    """Return an entry of Cloud Logging as one line: time, severity, message and the other fields.

    https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry
    """
    payload: dict[str, Any] = entry.get("jsonPayload", {})
    request: dict[str, Any] = entry.get("httpRequest", {})
    words = [entry.get("textPayload", "") or payload.get("message", "")]
    if request:
        words.append(f"{request.get('requestMethod')} {request.get('requestUrl')} {request.get('status')}")
    words.append(_format_fields(payload))
    return " ".join(
        [
            str(entry.get("timestamp", ""))[:19],
            str(entry.get("severity", "DEFAULT")),
            *(word.strip() for word in words if word),
        ]
    )


def _format_log_lines(lines: Iterable[str]) -> list[str]:
    """Return the project's JSON lines formatted as entries of Cloud Logging, and other lines unchanged."""
    shown = []
    for text in lines:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        ours = isinstance(found, dict) and found.keys() >= STANDARD_FIELDS
        shown.append(
            format_log_entry(
                {"timestamp": found["time"], "severity": found["severity"], "jsonPayload": found}
            )
            if ours
            else text
        )
    return shown


def _format_fields(payload: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in payload.items() if name not in STANDARD_FIELDS)


def _fetch_entries(cloud: Cloud, parameters: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    left = count
    for _ in range(MOST_PAGES):
        page = cloud.call("POST", f"{cloud.endpoints.logging}entries:list", json=parameters)
        found = page.get("entries", [])[:left]
        yield from found
        left -= len(found)
        if not left or not (token := page.get("nextPageToken")):
            return
        parameters = parameters | {"pageToken": token}
