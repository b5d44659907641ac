"""The instance that the stack's variables make, against a BigQuery that finds jobs only where they ran."""

from collections.abc import Callable
from dataclasses import asdict

import pytest
from google.auth.credentials import AnonymousCredentials

from collector.loading import load_rows_once
from collector.main import _get_instance
from feed import station_schema
from local.data_plane.emulators import Emulators
from tests.collector.fakes import TICK, CollectorEnvironment, JobLocationAdapter
from tests.conftest import ROOT

pytestmark = pytest.mark.emulator


def test_a_job_of_an_earlier_delivery_is_found_outside_of_us_and_eu(
    make_environment: Callable[[], CollectorEnvironment],
    emulators: Emulators,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = make_environment()
    for name, value in asdict(environment.settings).items():
        monkeypatch.setenv(name.upper(), str(value))
    monkeypatch.setenv("SOURCE_FOLDER", str(ROOT / environment.settings.source_folder))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulators.gcs_url)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", emulators.bigquery_url)
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    monkeypatch.setattr("google.auth.default", lambda **_: (anonymous, environment.settings.project))
    monkeypatch.setattr("collector.main.log_as_json", lambda: None)
    settings, feed, services = _get_instance.__wrapped__()
    regional = JobLocationAdapter()
    services.bigquery._http.mount(emulators.bigquery_url, regional)
    rows, schema = [{"collected_at": TICK.isoformat(), "libelle": 1}], station_schema(feed)
    assert load_rows_once(services.bigquery, settings.station_table, rows, schema, "job") is True
    assert load_rows_once(services.bigquery, settings.station_table, rows, schema, "job") is False
    assert len(environment.rows(settings.station_table)) == 1
    assert regional.job_paths
