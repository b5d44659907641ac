"""The simulated GBFS system: valid in every version, except for the requested faults."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gbfs import VERSIONS, current_file_name, join_stations, read_discovery, read_file, read_versions
from gbfs.files.model import FILES
from local.feeds.gbfs_system import CONTENT_FAULTS, SimulatedServer, SimulatedSystem, serve_system
from tests.gbfs.samples import SCHEMAS

pytestmark = pytest.mark.local

MINUTE = datetime(2024, 5, 1, 10, 7, tzinfo=UTC)
BASE = "https://example.org/"


def system(version: str = "2.3", *faults: str) -> SimulatedSystem:
    return SimulatedSystem("lille", "Lille", version, stations=20, faults=frozenset(faults))


@contextmanager
def served(simulated: SimulatedSystem) -> Iterator[SimulatedServer]:
    with closing(serve_system(simulated, lambda: MINUTE, hang_s=0.2)) as server:
        yield server


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def reading(simulated: SimulatedSystem, file: str, minute: datetime = MINUTE) -> Any:
    return read_file("lille", file, simulated.document(file, minute, BASE))


# --- documents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_file_of_every_version_is_parsed_without_rejections(version: str) -> None:
    simulated = system(version)
    found = read_discovery(simulated.document("gbfs", MINUTE, BASE), f"{BASE}gbfs.json")
    assert found.version == version
    assert set(found.files()) == {current_file_name(file) for file in simulated.files}
    kept = [file for file in simulated.files if current_file_name(file) in FILES]
    assert len(kept) == (4 if version in {"1.0", "1.1", "2.0"} else 5)
    for file in kept:
        parsed = reading(simulated, file)
        assert (parsed.version, parsed.rejections, parsed.rejected_values) == (version, (), ())
        assert parsed.rows


@pytest.mark.parametrize("version", VERSIONS)
def test_the_fields_are_those_of_the_schema(version: str) -> None:
    simulated = system(version)
    schemas = SCHEMAS["3.1-RC3" if version == "3.1" else version]
    for file in (each for each in simulated.files if each in schemas):
        data = json.loads(simulated.document(file, MINUTE, BASE))["data"]
        records = [data] if file == "system_information" else next(iter(data.values()))
        for record in records:
            assert set(schemas[file]["required"]) <= set(record) <= set(schemas[file]["fields"])


def test_a_file_changes_from_minute_to_minute_only() -> None:
    first, again = (reading(system(), "station_status").rows for _ in range(2))
    later = reading(system(), "station_status", MINUTE + timedelta(minutes=5)).rows
    assert first == again
    assert first != later
    for row in later:
        assert row["num_vehicles_available"] >= 0
        assert row["num_docks_available"] >= 0
        assert row["last_reported"] == MINUTE + timedelta(minutes=5)


def test_the_versions_are_listed() -> None:
    [published] = read_versions(system().document("gbfs_versions", MINUTE, BASE), BASE)
    assert (published.version, published.url) == ("2.3", f"{BASE}gbfs.json")


@pytest.mark.parametrize(
    ("fault", "version", "rejected", "rejected_values"),
    [
        ("duplicate", "2.3", ["duplicate_key"], []),
        ("frozen", "3.0", [], []),
        ("milliseconds", "1.1", [], []),
        ("no_stations", "2.3", [], []),
        ("zero_coordinates", "2.3", [], []),
        ("zombie", "2.3", [], []),
    ],
)
def test_a_fault_appears_in_station_status(
    fault: str, version: str, rejected: list[str], rejected_values: list[str]
) -> None:
    assert fault in CONTENT_FAULTS
    parsed = reading(system(version, fault), "station_status")
    assert [each.reason for each in parsed.rejections] == rejected
    assert [each.reason for each in parsed.rejected_values] == rejected_values
    assert len(parsed.rows) == (0 if fault == "no_stations" else 20)


def test_a_frozen_system_does_not_change_all_day() -> None:
    frozen = system("2.3", "frozen")
    later = MINUTE + timedelta(hours=3)
    assert frozen.document("station_status", MINUTE, BASE) == frozen.document("station_status", later, BASE)


def test_milliseconds_are_read_as_the_same_time() -> None:
    assert reading(system("2.3", "milliseconds"), "station_status").rows[0]["last_reported"] == MINUTE


def test_a_zombie_is_in_one_file_only() -> None:
    simulated = system("2.3", "zombie")
    statuses, information = (reading(simulated, f"station_{file}").rows for file in ("status", "information"))
    joined = join_stations(statuses, information)
    assert (joined.without_information, joined.without_status) == (("20",), ("1021",))


def test_a_position_in_the_sea_is_flagged() -> None:
    parsed = reading(system("2.3", "zero_coordinates"), "station_information")
    assert [(issue.reason, issue.index) for issue in parsed.rejected_values] == [("out_of_range", 0)]


def test_an_unsupported_simulation_is_refused() -> None:
    with pytest.raises(ValueError, match="earthquake"):
        system("2.3", "earthquake")
    with pytest.raises(ValueError, match=r"9\.9"):
        system("9.9")


# --- over HTTP ------------------------------------------------------------------------------------


def test_the_files_are_found_from_the_discovery_on() -> None:
    with served(system("3.0")) as server:
        _, body, _ = get(server.url_of("gbfs"))
        files = read_discovery(body, server.url_of("gbfs")).files()
        assert files["station_status"] == server.url_of("station_status")
        status, body, headers = get(files["station_status"])
        assert status == 200
        assert len(read_file("lille", "station_status", body).rows) == 20
        assert get(files["station_status"], **{"If-None-Match": headers["ETag"]})[:2] == (304, b"")
        assert get(server.url_of("free_bike_status"))[0] == 404
        assert server.requests == {"gbfs": 1, "station_status": 2, "free_bike_status": 1}


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("cut", 200, "not_json"),
        ("html", 200, "html"),
        ("error", 500, "not_json"),
        ("too_many", 429, "empty"),
        ("moved", 200, None),
    ],
)
def test_a_transfer_fault_is_applied(fault: str, status: int, reason: str | None) -> None:
    with served(system("2.3", fault)) as server:
        assert get(server.url_of("gbfs"))[0] == 200
        found, body, headers = get(server.url_of("station_status"))
        assert found == status
        assert (headers.get("Retry-After") == "120") is (fault == "too_many")
        parsed = read_file("lille", "station_status", body)
        assert [each.reason for each in parsed.rejections] == ([reason] if reason else [])


def test_a_response_can_hang_until_the_server_closes_it() -> None:
    with served(system("2.3", "hang")) as server, pytest.raises(OSError, match="closed connection"):
        get(server.url_of("station_status"))
