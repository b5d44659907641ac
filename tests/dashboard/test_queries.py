"""The queries of a GBFS system on the BigQuery emulator."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import bigquery

from dashboard.app import create_app
from dashboard.data.day_file import decode_day
from dashboard.data.week_file import HOURS, PLANES
from gbfs.tables import TABLES
from gbfs.views import format_views
from local.data_plane.emulators import Emulators
from tests.conftest import bigquery_client
from tests.dashboard.conftest import SETTINGS

pytestmark = pytest.mark.emulator

NOW = datetime.now(UTC).replace(second=30, microsecond=0)
TICK = NOW.replace(second=0) - timedelta(minutes=1)
PROJECT = "dashboard-systems"


def test_the_files_of_a_system_have_its_rows_only(emulators: Emulators) -> None:
    with bigquery_client(emulators, PROJECT) as client:
        client.query("CREATE SCHEMA vlille; CREATE SCHEMA vlille_views").result()
        for table in TABLES.values():
            client.create_table(bigquery.Table(f"{PROJECT}.vlille.{table.name}", schema=table.schema))
        for bikes, system in enumerate(("Paris", "a b/c")):
            keys = {"system_id": system, "station_id": "1"}
            tick = {"collected_at": TICK.isoformat()}
            since = {"valid_from": (TICK - timedelta(minutes=5)).isoformat(), "event": "appeared"}
            rows = {
                "station_status": keys | tick | {"num_vehicles_available": bikes, "num_docks_available": 9},
                "polls": tick | {"system_id": system, "file": "station_status", "outcome": "received"},
                "systems": since | {"system_id": system, "timezone": "Europe/Oslo", "country": "NO"},
                "station_information": since | keys | {"lat": 59.9, "lon": 10.7, "capacity": 20},
            }
            for name, row in rows.items():
                schema = [bigquery.SchemaField.from_api_repr(each) for each in TABLES[name].schema]
                config = bigquery.LoadJobConfig(schema=schema)
                client.load_table_from_json([row], f"{PROJECT}.vlille.{name}", job_config=config).result()
        for name, (_, sql) in format_views(f"{PROJECT}.vlille", 7).items():
            view = bigquery.Table(f"{PROJECT}.vlille_views.{name}")
            view.view_query = sql
            client.create_table(view)
        settings = replace(SETTINGS, views=f"{PROJECT}.vlille_views", has_systems=True)
        http = create_app(settings, lambda: client, lambda: NOW).test_client()
        listed = http.get("/data/systems.json").json["systems"]  # type: ignore[index]
        assert [(each["feed"], each["time_zone"]) for each in listed] == [
            ("Paris", "Europe/Oslo"),
            ("a b/c", "Europe/Oslo"),
        ]
        folder = "/data/systems/a%20b%2Fc"
        assert http.get(f"{folder}/now.json").json["stations"] == {"1": [1, 9, None, None]}  # type: ignore[index]
        stations = http.get(f"{folder}/stations.json").json
        assert stations is not None
        assert stations["stations"] == [["1", "1", None, 59.9, 10.7, 20]]
        assert stations["days"] == [[f"{TICK:%Y-%m-%d}", 1]]
        local = TICK.astimezone(settings.time_zone)  # the clocks of Oslo and Paris are equal
        day = decode_day(http.get(f"{folder}/{local:%Y-%m-%d}.bin").data)
        assert day.bikes[local.hour * 60 + local.minute] == 1
        planes = http.get(f"{folder}/week.bin").data[-len(PLANES) * HOURS :]
        hour = local.weekday() * 24 + local.hour
        found = {name: planes[n * HOURS + hour] for n, name in enumerate(PLANES)}
        assert found == {"mean_bikes": 1, "empty": 0, "full": 0, "days": 1}
