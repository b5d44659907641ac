"""The commands after a deploy as they are called: no Terraform is needed, and the status says what was found."""

from datetime import UTC, datetime

import pytest

from feed import load_feeds
from operate import dashboard_proxy
from operate.__main__ import main
from operate.data import backfill
from operate.errors import StoppedError
from operate.health.content import map_common_columns
from operate.jobs import JOBS
from tests.conftest import ROOT
from tests.operate.conftest import Google, Response

pytestmark = pytest.mark.emulator

PARENT, PLACE = "projects/vlille-dev", "locations/europe-west1"
SMOKE = (
    *("objects", "archive", "rows", "minutes", "load jobs", "dead letters"),
    *(f"job {job}" for job in JOBS),
    "last batch",
    *("freshness", "changes", "columns", "quarantine"),
    "dashboard",
)
COMMON_COLUMNS = len(map_common_columns(load_feeds(ROOT / "sources")["vlille_gbfs"]))


def make_query_response(*values: str | None) -> Response:
    """One row of a query."""
    return 200, {"jobComplete": True, "rows": [{"f": [{"v": value} for value in values]}]}


# No batch has ended, yesterday nothing was collected yet; then the content of the last hour.
AFTER_ROWS = [
    (200, {"jobComplete": True}),
    make_query_response("0", None),
    make_query_response("2", "1764000120", "1764000000", *["578"] * COMMON_COLUMNS),
    (200, {"jobComplete": True}),
    make_query_response("31", "120"),
]


@pytest.fixture
def environ(google: Google) -> dict[str, str]:
    """Environment variables without PATH, so that Terraform is not found."""
    return google.variables | {"PATH": ""}


def collecting() -> dict[str, Response]:
    now = datetime.now(UTC)
    row = {"f": [{"v": f"{now.timestamp():.0f}"}]}
    return {
        "GET /storage/b/vlille-dev-landing/o": (
            200,
            {"items": [{"name": f"vlille_gbfs/{now:%Y%m%dT%H%M00Z}.json.gz"}, {"name": "notes.txt"}]},
        ),
        "GET /storage/b/vlille-dev-archive/o": (200, {}),
        f"GET /pubsub/{PARENT}/subscriptions/collect-dead": (200, {}),
        f"GET /monitoring/v3/{PARENT}/timeSeries": (200, {}),
        **{f"GET /cloud_scheduler/{PARENT}/{PLACE}/jobs/{job}": (200, {"state": "ENABLED"}) for job in JOBS},
        f"GET /big_query/{PARENT}/jobs": (200, {}),
        f"POST /big_query/{PARENT}/queries": (200, {"jobComplete": True, "rows": [row]}),
    }


def test_smoke_succeeds_only_if_every_check_passes(
    google: Google,
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dashboard_proxy, "request_gcloud_token", lambda: "secret")
    service = f"GET /cloud_run_v2/{PARENT}/{PLACE}/services/dashboard"
    google.responses = collecting() | {service: (200, {"uri": f"{google.url}/dashboard"})}
    page = [(403, {}), (200, {"collected_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:00+00:00}"})]
    google.queues["GET /dashboard/data/now.json"] = [*page, *page]
    rows = google.responses.pop(queries := f"POST /big_query/{PARENT}/queries")
    google.queues[queries] = [rows, *AFTER_ROWS]
    assert main(["smoke"], environ) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[8:20].strip() for line in lines] == list(SMOKE)
    assert {line[:5].strip() for line in lines} == {"ok"}
    google.queues[queries] = [rows, *AFTER_ROWS]
    google.responses[f"GET /cloud_scheduler/{PARENT}/{PLACE}/jobs/copy"] = (200, {"state": "PAUSED"})
    assert main(["smoke"], environ) == 1
    [wrong] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
    assert wrong == ("FAILED  job copy      paused, not tried yet: run `make resume JOB=copy ENV=dev`")


def test_a_local_environment_is_named_in_the_command_to_run(
    google: Google, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    google.responses = {f"GET /cloud_scheduler/{PARENT}/{PLACE}/jobs/{job}": (404, {}) for job in JOBS}
    assert main(["pause", "--job", "copy"], environ | {"VLILLE_LOCAL": "1"}) == 1
    assert capsys.readouterr().err == "the job copy: not found: run `make deploy ENV=dev TO=local`\n"


def test_ctrl_c_ends_with_a_sentence_and_the_status_that_shells_know(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> int:
        raise StoppedError("nothing was done")

    monkeypatch.setattr(backfill, "backfill", stopped)
    assert main(["backfill", "--env", "dev", "--source", "gs://old"], environ) == 130
    assert capsys.readouterr().err == "\nnothing was done\n"


@pytest.mark.parametrize(("argv", "verbs"), [(["--job", "batch"], ["batch"]), ([], list(JOBS))])
def test_all_jobs_or_the_one_that_is_named(
    google: Google, environ: dict[str, str], argv: list[str], verbs: list[str]
) -> None:
    for job in JOBS:
        url = f"/cloud_scheduler/{PARENT}/{PLACE}/jobs/{job}"
        google.responses |= {f"GET {url}": (200, {"state": "PAUSED"}), f"POST {url}:resume": (200, {})}
    assert main(["resume", "--env", "dev", *argv], environ) == 0
    resumed = [call.rpartition("/")[2] for call in google.calls if call.startswith("POST")]
    assert resumed == [f"{job}:resume" for job in verbs]


def test_rejected_credentials_are_reported_with_the_command_that_fixes_them(
    google: Google, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    google.responses = collecting() | {"GET /storage/b/vlille-dev-archive/o": (401, {})}
    assert main(["smoke"], environ) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "run `gcloud auth application-default login`" in printed.err


@pytest.mark.parametrize("argv", [["run"], ["run", "--job", ""], ["logs", "--lines", "0"]])
def test_a_usage_error_ends_with_status_2(environ: dict[str, str], argv: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(argv, environ)
