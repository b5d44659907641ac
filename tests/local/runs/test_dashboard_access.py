"""The dashboard's service account can read only the views; a visitor without a role can read nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from google.api_core.exceptions import Forbidden
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient
from google.oauth2.credentials import Credentials

from local.environment.clock import SimulatedClock
from local.environment.metadata_server import access_token, identity_token
from local.runs.local_run import LocalRun, start_run
from local.runs.options import Options
from local.runs.page import SERVICE, page_url
from local.runs.terminal import Terminal
from local.workloads.workloads import Workloads
from tests.conftest import EXAMPLE

pytestmark = pytest.mark.local

IDENTITY = "vlille-dashboard@vlille-dev.iam.gserviceaccount.com"
FORBIDDEN = "Your client does not have permission to get URL <code>/data/now.json</code> from this server."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    """A run with the rows of one tick."""
    base = tmp_path_factory.mktemp("run") / ".local"
    options = Options("demo", "dev", feed="vlille_ods", replay=EXAMPLE, ticks=1, base=base)
    clock = SimulatedClock(datetime.now(UTC) - timedelta(minutes=3))
    with start_run(options, Terminal(), clock) as run:
        run.scheduler.start()
        clock.run(lambda: run.scheduler.fired[run.names.collect_job] == 1)
        clock.run(lambda: run.pubsub.count_undelivered(run.names.push_subscription) == 0)
        run.scheduler.stop()
        yield run


@pytest.fixture(scope="module")
def warehouse(run: LocalRun) -> bigquery.Client:
    """A BigQuery client with the dashboard's credentials."""
    credentials = Credentials(access_token(IDENTITY)["access_token"])  # type: ignore[no-untyped-call]
    assert run.environment.workload_endpoints is not None
    endpoint = {"api_endpoint": run.environment.workload_endpoints.bigquery_url}
    return bigquery.Client(project="vlille-dev", credentials=credentials, client_options=endpoint)


@pytest.fixture(scope="module")
def storage(run: LocalRun) -> StorageClient:
    """A Cloud Storage client with the dashboard's credentials."""
    credentials = Credentials(access_token(IDENTITY)["access_token"])  # type: ignore[no-untyped-call]
    assert run.environment.workload_endpoints is not None
    return StorageClient(
        project="vlille-dev",
        credentials=credentials,
        client_options={"api_endpoint": run.environment.workload_endpoints.gcs_url},
    )


def names(run: LocalRun, dataset: str) -> list[str]:
    """Return the tables and views of a dataset, requested past the IAM proxy."""
    url = f"{run.environment.bigquery_url}/bigquery/v2/projects/vlille-dev/datasets/{dataset}/tables"
    found = requests.get(url, timeout=30).json()["tables"]
    return [each["tableReference"]["tableId"] for each in found]


def test_every_view_can_be_read(run: LocalRun, warehouse: bigquery.Client) -> None:
    views = names(run, "vlille_views")
    assert {"availability", "station_hours", "rebuilds", "quarantine_counts"} <= set(views)
    for view in views:
        rows: Any = warehouse.query(f"SELECT COUNT(*) AS n FROM `vlille_views.{view}`").result()  # noqa: S608
        assert [row.n >= 0 for row in rows] == [True]
    newest = warehouse.query("SELECT COUNT(*) AS n FROM `vlille_views.availability`").result()
    assert [row.n for row in newest] == [289]


def test_no_table_behind_the_views_can_be_read(run: LocalRun, warehouse: bigquery.Client) -> None:
    tables = names(run, "vlille")
    assert {"vlille_ods", "quarantine", "batch_runs", "availability"} <= set(tables)
    for table in tables:
        denied = rf"Access Denied: Table vlille-dev:vlille\.{table}: .*bigquery\.tables\.getData denied"
        with pytest.raises(Forbidden, match=denied):
            warehouse.query(f"SELECT * FROM `vlille.{table}`", job_retry=None).result()  # noqa: S608
        with pytest.raises(Forbidden):
            warehouse.get_table(f"vlille.{table}")
        with pytest.raises(Forbidden):
            warehouse.copy_table(f"vlille.{table}", "vlille_views.copied").result()
        with pytest.raises(Forbidden):
            warehouse.extract_table(f"vlille.{table}", "gs://vlille-dev-staging/all.json").result()
    with pytest.raises(Forbidden):
        warehouse.query("DELETE FROM `vlille_views.availability` WHERE TRUE", job_retry=None).result()
    with pytest.raises(Forbidden):
        list(warehouse.list_tables("vlille"))


def test_no_bucket_can_be_read(run: LocalRun, storage: StorageClient) -> None:
    landed = next((run.options.folder / "storage" / "vlille-dev-landing").rglob("*.json.gz")).name
    for kind in ("landing", "archive", "artifacts", "staging"):
        bucket = storage.bucket(f"vlille-dev-{kind}")
        with pytest.raises(Forbidden, match=r"storage\.objects\.list"):
            list(bucket.list_blobs())
        with pytest.raises(Forbidden, match=r"storage\.objects\.get"):
            bucket.blob(f"vlille_ods/{landed}").download_as_bytes()
        with pytest.raises(Forbidden, match=r"storage\.objects\.create"):
            bucket.blob("new").upload_from_string(b"", if_generation_match=0)


@pytest.mark.parametrize(
    "caller",
    ["", IDENTITY, "vlille-collector@vlille-dev.iam.gserviceaccount.com"],
    ids=["nobody", "itself", "collector"],
)
def test_a_visitor_without_a_role_gets_a_403_at_the_services_own_url(run: LocalRun, caller: str) -> None:
    url = run.environment.service(Workloads).urls[SERVICE]
    token = identity_token(caller, url, datetime.now(UTC).timestamp())
    headers = {"Authorization": f"Bearer {token}"} if caller else {}
    found = requests.get(f"{url}/data/now.json", headers=headers, timeout=30)
    assert (found.status_code, FORBIDDEN in found.text) == (403, True)
    assert found.headers["Content-Type"].startswith("text/html")


def test_the_user_of_the_host_can_open_the_dashboard(run: LocalRun) -> None:
    url = page_url(run)
    assert url is not None
    assert len(requests.get(f"{url}data/now.json", timeout=60).json()["stations"]) == 289
    assert "<table" in requests.get(url, timeout=60).text
