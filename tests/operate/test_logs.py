"""The newest lines of a workload: Cloud Logging's entries, and the log files of the local environment."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.errors import OperateError
from operate.logs import fetch_log_lines, format_log_entry, read_log_files
from operate.target import Target
from tests.operate.conftest import Google

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CALL = "POST /logging/entries:list"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (
            {
                "timestamp": "2026-11-24T12:00:00.123456Z",
                "severity": "INFO",
                "jsonPayload": {"message": "collected", "rows": 289, "feed": "f", "severity": "INFO"},
            },
            "2026-11-24T12:00:00 INFO collected rows=289 feed=f",
        ),
        (
            {"timestamp": "2026-11-24T12:00:00Z", "textPayload": "Worker\n"},
            "2026-11-24T12:00:00 DEFAULT Worker",
        ),
        (
            {
                "timestamp": "2026-11-24T12:00:00Z",
                "severity": "ERROR",
                "httpRequest": {"requestMethod": "POST", "requestUrl": "https://c/sweep", "status": 500},
            },
            "2026-11-24T12:00:00 ERROR POST https://c/sweep 500",
        ),
    ],
)
def test_an_entry_as_one_line(entry: dict[str, Any], shown: str) -> None:
    assert format_log_entry(entry) == shown


@pytest.mark.emulator
@pytest.mark.parametrize("local", [False, True])
def test_the_log_of_a_gbfs_job_without_gbfs_names_the_missing_section(
    google: Google, cloud: Cloud, settings: Settings, tmp_path: Path, *, local: bool
) -> None:
    google.responses = {CALL: (200, {})}
    target = Target("dev", tmp_path if local else None)
    missing = (
        r"the log of gbfs-collect: environments/dev\.toml has no \[gbfs\] section: add one .* `make deploy "
    )
    with pytest.raises(OperateError, match=missing):
        fetch_log_lines(cloud, settings, target, "gbfs-collect", 5, now=NOW)


@pytest.mark.emulator
def test_pages_of_cloud_logging_are_read_until_there_are_enough_lines(
    google: Google, cloud: Cloud, settings: Settings
) -> None:
    def entry(second: int) -> dict[str, Any]:
        return {"timestamp": f"2026-11-24T11:59:{second:02}Z", "severity": "INFO", "textPayload": "t"}

    google.queues[CALL] = [
        (200, {"nextPageToken": "2"}),
        (200, {"entries": [entry(9), entry(8)], "nextPageToken": "3"}),
        (200, {"entries": [entry(7), entry(6)], "nextPageToken": "4"}),
    ]
    found = fetch_log_lines(cloud, settings, Target("dev"), "copy", 3, now=NOW)
    assert found == [f"2026-11-24T11:59:0{second} INFO t" for second in (7, 8, 9)]
    query = {
        "resourceNames": [f"projects/{settings.project}"],
        "filter": 'resource.type="cloud_run_revision" AND resource.labels.service_name="copier"'
        ' AND timestamp>="2026-11-22T12:00:00+00:00"',
        "orderBy": "timestamp desc",
        "pageSize": 3,
    }
    assert [body for _, body in google.received] == [
        query,
        query | {"pageToken": "2"},
        query | {"pageToken": "3"},
    ]


@pytest.mark.emulator
def test_a_workload_without_log_lines_is_reported(google: Google, cloud: Cloud, settings: Settings) -> None:
    google.queues[CALL] = [(200, {})]
    with pytest.raises(OperateError, match="batch logged nothing in 2 days: see `make smoke ENV=dev`"):
        fetch_log_lines(cloud, settings, Target("dev"), "batch", 3, now=NOW)


@pytest.mark.unit
def test_the_newest_log_file_is_formatted_like_cloud_logging(tmp_path: Path) -> None:
    local_target = Target("dev", tmp_path)
    with pytest.raises(OperateError, match="start it with `make run JOB=batch ENV=dev TO=local`"):
        read_log_files(tmp_path, local_target, "batch", 2)
    for age, name in enumerate(("job-rebuild-b.log", "job-rebuild-a.log")):
        text = f'{name}\n{{"status": "done"}}\n'
        ours = '{"severity": "INFO", "time": "2026-11-24T12:00:00+00:00", "message": "read", "rows": 1}\n'
        (tmp_path / name).write_text(text + ours)
        os.utime(tmp_path / name, (1_000 + age, 1_000 + age))
    assert read_log_files(tmp_path, local_target, "batch", 3) == [
        "job-rebuild-a.log",
        '{"status": "done"}',
        "2026-11-24T12:00:00 INFO read rows=1",
    ]
