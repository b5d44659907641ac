"""The findings of `make smoke` for the facts that were observed."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdk.settings import load_environments
from operate.cloud import ApiError
from operate.health.observation import Facts, Job, Landing, Minutes, Run, Unavailable
from operate.health.smoke import judge_environment
from operate.target import Target, explain_error
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DEV = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]  # silent after 15 minutes
NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
CLOUD = Target("dev")
NIGHT = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
GONE = Unavailable("not found: run `make deploy ENV=dev`")


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


JOBS: dict[str, Job | Unavailable] = {
    "collect": Job("ENABLED", ago(0.5)),
    "copy": Job("ENABLED", ago(1)),
    "batch": Job("ENABLED", NIGHT),
}
RUN = Run(NIGHT + timedelta(minutes=2), "2026-11-23", "2026-11-23", "succeeded", "", 416_160)
WELL = Facts(
    landing=Landing(ago(9), ago(0.5)),
    archived=ago(10),
    row=ago(1.5),
    dead_letters=0,
    jobs=JOBS,
    run=RUN,
    minutes=Minutes(date(2026, 11, 23), 1_438, 1_440),
    load_jobs={"vlille_gbfs": 1_440, "quarantine": 3, "vlille_gbfs_staging_1": 1},
)


def test_a_healthy_environment_passes_every_check() -> None:
    assert [str(line) for line in judge_environment(WELL, DEV, CLOUD, NOW)] == [
        "ok      objects       newest of 2026-11-24 12:00 UTC, 0 min ago",
        "ok      archive       newest of 2026-11-24 11:50 UTC; the oldest landed object has waited 9 min",
        "ok      rows          newest of 2026-11-24 11:59 UTC, 1 min ago",
        "ok      minutes       1,438 of 1,440 on 2026-11-23",
        "ok      load jobs     1,440 into vlille_gbfs, 3 into quarantine in 24 hours, of 1,500 each",
        "ok      dead letters  none",
        "ok      job collect   enabled, last tried 0 min ago",
        "ok      job copy      enabled, last tried 1 min ago",
        "ok      job batch     enabled, last tried 570 min ago",
        "ok      last batch    succeeded, 2026-11-24 02:32 UTC: 2026-11-23, 416,160 rows",
    ]


@pytest.mark.parametrize(
    ("changed", "what", "found"),
    [
        # What landed may have been archived already, and a clock may be ahead.
        ({"landing": Landing()}, "objects", "newest of 2026-11-24 11:50 UTC, 10 min ago"),
        ({"landing": Landing(ago(-1), ago(-1))}, "objects", "newest of 2026-11-24 12:01 UTC, 0 min ago"),
        ({"landing": Landing(ago(14.9), ago(14.9))}, "objects", "newest of 2026-11-24 11:50 UTC, 10 min ago"),
        ({"landing": Landing()}, "archive", "newest of 2026-11-24 11:50 UTC; nothing is waiting"),
        ({"archived": None}, "archive", "nothing yet; the oldest landed object has waited 9 min"),
        # Two sweeps of ten minutes and the fifteen that are no alert.
        (
            {"landing": Landing(ago(35.5), ago(1))},
            "archive",
            "newest of 2026-11-24 11:50 UTC; the oldest landed object has waited 35 min",
        ),
        (
            {"minutes": Minutes(date(2026, 11, 23), 713, 720)},
            "minutes",
            "713 of 720 on 2026-11-23",
        ),
        (
            {"minutes": Minutes(date(2026, 11, 23), 0, 0)},
            "minutes",
            "none expected on 2026-11-23: collecting began after it",
        ),
        (
            {"load_jobs": {}},
            "load jobs",
            "0 into vlille_gbfs, 0 into quarantine in 24 hours, of 1,500 each",
        ),
        ({"dead_letters": None}, "dead letters", "Monitoring has no data point"),
        ({"jobs": JOBS | {"batch": Job("ENABLED")}, "run": None}, "last batch", "no run has ended yet"),
        ({"jobs": JOBS | {"batch": Job("ENABLED")}}, "job batch", "enabled, not tried yet"),
        # A batch that was started may take its time.
        (
            {"jobs": JOBS | {"batch": Job("ENABLED", ago(59))}, "run": None},
            "last batch",
            "no run has ended yet",
        ),
        (
            {"run": replace(RUN, status="nothing_archived", rows=0, first_day="2026-11-22")},
            "last batch",
            "nothing archived, 2026-11-24 02:32 UTC: 2026-11-22 to 2026-11-23, 0 rows",
        ),
    ],
)
def test_tolerated_states_pass(changed: dict[str, Any], what: str, found: str) -> None:
    lines = judge_environment(replace(WELL, **changed), DEV, CLOUD, NOW)
    assert [line.what for line in lines if line.wrong] == []
    assert [line.found for line in lines if line.what == what] == [found]


LOOK = "run `make run JOB=collect ENV=dev`, then `make logs JOB=collect ENV=dev` says why"
COPY = "run `make run JOB=copy ENV=dev`, then `make logs JOB=copy ENV=dev` says why"
AGAIN = "`make logs JOB=batch ENV=dev` says why, `make run JOB=batch ENV=dev` tries again"


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        (
            {"landing": Landing(), "archived": ago(15)},
            {"objects": f"newest of 2026-11-24 11:45 UTC, 15 min ago, the limit is 15: {LOOK}"},
        ),
        (
            {"landing": Landing(), "archived": None},
            {"objects": f"none in the last 2 days: {LOOK}"},
        ),
        (
            {"landing": Landing(ago(9), ago(0.5), "https://new.example/stations")},
            {
                "address": "the API has moved to https://new.example/stations: change url in sources/vlille_gbfs, "
                "then `make deploy ENV=dev`"
            },
        ),
        (
            {"landing": Landing(ago(9), ago(0.5), gbfs_version="GBFS 3.0")},
            {
                "version": "the API has changed to GBFS 3.0: adapt sources/vlille_gbfs with a new sample, then "
                "`make deploy ENV=dev`"
            },
        ),
        ({"row": None}, {"rows": f"none in the last 2 days: {LOOK}"}),
        (
            {"row": ago(40)},
            {"rows": f"newest of 2026-11-24 11:20 UTC, 40 min ago, the limit is 15: {LOOK}"},
        ),
        (
            {"landing": Landing(ago(36.5), ago(1))},
            {
                "archive": "newest of 2026-11-24 11:50 UTC; the oldest landed object has waited 36 min, "
                f"the limit is 35: {COPY}"
            },
        ),
        (
            {"minutes": Minutes(date(2026, 11, 23), 1_425, 1_440)},
            {
                "minutes": "1,425 of 1,440 on 2026-11-23, expected at least 99%: query the view minutes_present for "
                "the other days; `make logs JOB=collect ENV=dev` says why minutes are missing"
            },
        ),
        (
            {"load_jobs": {"vlille_gbfs": 1_440, "quarantine": 1_470}},
            {
                "load jobs": "1,440 into vlille_gbfs, 1,470 into quarantine in 24 hours, of 1,500 each, close to the "
                "daily quota: failed jobs count too; run `make logs JOB=collect ENV=dev` and look for load_job_failed"
            },
        ),
        (
            {"dead_letters": 3},
            {
                "dead letters": "3 undelivered in the subscription collect-dead: run `make logs JOB=collect ENV=dev` "
                "to find the cause, fix it, then acknowledge the messages; a message that is published again collects "
                "the current minute"
            },
        ),
        (
            {"jobs": JOBS | {"collect": Job("PAUSED", ago(40))}, "row": None},
            {
                "rows": "none in the last 2 days: collect is paused: run `make resume JOB=collect ENV=dev`",
                "job collect": "paused, last tried 40 min ago: run `make resume JOB=collect ENV=dev`",
            },
        ),
        (
            {"jobs": JOBS | {"copy": Job("UPDATE_FAILED")}},
            {"job copy": "update_failed, not tried yet: run `make deploy ENV=dev` again"},
        ),
        (
            {"jobs": JOBS | {"copy": Job("ENABLED", ago(1), 7)}},
            {"job copy": "enabled, last tried 1 min ago, with code 7: `make logs JOB=copy ENV=dev` says why"},
        ),
        (
            {"run": None},
            {"last batch": f"the run of 2026-11-24 02:30 UTC wrote no row to batch_runs: {AGAIN}"},
        ),
        (
            {"run": replace(RUN, started=NIGHT - timedelta(days=1))},
            {"last batch": f"the run of 2026-11-24 02:30 UTC wrote no row to batch_runs: {AGAIN}"},
        ),
        (
            {"run": replace(RUN, status="failed", message="no room", rows=0)},
            {
                "last batch": "failed, 2026-11-24 02:32 UTC: 2026-11-23, 0 rows (no room): " + AGAIN,
            },
        ),
        (
            {
                "run": replace(RUN, started=NIGHT - timedelta(days=3)),
                "jobs": JOBS | {"batch": Job("ENABLED")},
            },
            {
                "last batch": f"succeeded, 2026-11-21 02:30 UTC: 2026-11-23, 416,160 rows, and none since: {AGAIN}"
            },
        ),
        (
            {
                "landing": GONE,
                "archived": GONE,
                "row": GONE,
                "dead_letters": GONE,
                "jobs": dict.fromkeys(JOBS, GONE),
                "run": GONE,
            },
            dict.fromkeys(
                (
                    "objects",
                    "archive",
                    "rows",
                    "dead letters",
                    "job collect",
                    "job copy",
                    "job batch",
                    "last batch",
                ),
                "not found: run `make deploy ENV=dev`",
            ),
        ),
    ],
)
def test_a_failed_check_says_what_to_do(changed: dict[str, Any], wrong: dict[str, str]) -> None:
    lines = judge_environment(replace(WELL, **changed), DEV, CLOUD, NOW)
    assert {line.what: line.found for line in lines if line.wrong} == wrong


@pytest.mark.parametrize(
    ("refused", "target", "expected"),
    [
        (ApiError(404, "", "gone"), CLOUD, "not found: run `make deploy ENV=dev`"),
        (
            ApiError(404, "", "gone"),
            Target("dev", Path(".local/dev")),
            "not found: run `make deploy ENV=dev TO=local`",
        ),
        (
            ApiError(403, "SERVICE_DISABLED", "off"),
            CLOUD,
            "its API is not enabled: run `make bootstrap ENV=dev`, then `make deploy ENV=dev`",
        ),
        (ApiError(403, "", "no"), CLOUD, "the request failed (403 no): fix the cause, then run this again"),
    ],
)
def test_a_failed_call_is_explained(refused: ApiError, target: Target, expected: str) -> None:
    assert explain_error(refused, target) == expected


def test_vlille_local_selects_the_local_environment() -> None:
    assert Target.from_environment("dev", {}) == Target("dev")
    assert Target.from_environment("dev", {"VLILLE_LOCAL": "1"}) == Target("dev", Path(".local/dev"))
