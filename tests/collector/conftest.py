"""The function with its bucket and tables on the emulators, and a fake API with a test's responses."""

import itertools
from collections.abc import Callable, Iterator

import pytest
import requests
from google.cloud import bigquery

from collector.api import make_session
from collector.settings import Settings
from collector.tick import Services
from feed import Feed, empty_responses_schema, quarantine_schema, station_schema
from local.data_plane.emulators import Emulators
from tests.collector.fakes import LOCATION, CollectorEnvironment, FakeApi
from tests.conftest import bigquery_client, storage_client

PROJECTS = itertools.count(1)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    fake.close()


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[requests.Session]:
    """A session whose retries wait ten milliseconds instead of half a second."""
    monkeypatch.setattr("collector.api.FIRST_WAIT_SECONDS", 0.01)
    with make_session() as session:
        yield session


@pytest.fixture
def make_environment(
    emulators: Emulators, api: FakeApi, session: requests.Session, feeds: dict[str, Feed]
) -> Callable[[str], CollectorEnvironment]:
    """Return a function that creates a collector's buckets, tables and clients in a new project."""

    def make(feed_name: str = "vlille_ods") -> CollectorEnvironment:
        project = f"collector-{next(PROJECTS)}"
        gcs, bq = storage_client(emulators, project), bigquery_client(emulators, project)
        for purpose in ("landing", "archive"):
            gcs.create_bucket(f"{project}-{purpose}")
        bq.create_dataset(f"{project}.vlille")
        schemas = {
            feed_name: station_schema(feeds[feed_name]),
            "quarantine": quarantine_schema(),
            "empty_responses": empty_responses_schema(),
        }
        for table, schema in schemas.items():
            columns = [bigquery.SchemaField.from_api_repr(column) for column in schema]
            partitioned = bigquery.Table(f"{project}.vlille.{table}", schema=columns)
            partitioned.time_partitioning = bigquery.TimePartitioning(field="collected_at")
            bq.create_table(partitioned)
        settings = Settings(
            project=project,
            location=LOCATION,
            source_folder=f"sources/{feed_name}",
            api_url=api.url,
            api_timeout_s=5,
            api_max_bytes=2**20,
            landing_bucket=f"{project}-landing",
            archive_bucket=f"{project}-archive",
            station_table=f"{project}.vlille.{feed_name}",
            quarantine_table=f"{project}.vlille.quarantine",
            empty_responses_table=f"{project}.vlille.empty_responses",
        )
        return CollectorEnvironment(settings, feeds[feed_name], Services(session, gcs, bq), gcs, bq)

    return make
