"""Make observations from the responses of a discovery: each system's version, files, information and stations."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from gbfs.catalogue.systems import Catalogue, read_catalogue
from gbfs.collection.packs import FetchResult
from gbfs.collection.systems import CollectedSystem
from gbfs.errors import GbfsError
from gbfs.files.discovery import Discovery, read_discovery
from gbfs.files.model import STATION_INFORMATION, SYSTEM_INFORMATION
from gbfs.files.reading import Reading, format_json_rows, read_file
from gbfs.history.validity import Observation, Row

DISCOVERY_FILE = "gbfs"
CATALOGUE_FILE = "catalogue"  # belongs to no system: its system_id is ""
INFORMATION_FILES = (SYSTEM_INFORMATION.name, STATION_INFORMATION.name)


def make_observations(
    fetched: Iterable[FetchResult], systems: Mapping[str, CollectedSystem]
) -> dict[str, Observation]:
    """Return the observation of each requested system; of two readable gbfs.json the last one is used."""
    by_system: dict[str, list[FetchResult]] = {}
    for each in fetched:
        by_system.setdefault(each.system_id, []).append(each)
    catalogue = next((read_fetched_catalogue(each) for each in by_system.get("", [])), None)
    listed = None if catalogue is None else {system.system_id for system in catalogue.systems}
    return {
        system_id: _make_observation(systems[system_id], found, listed)
        for system_id, found in by_system.items()
        if system_id in systems
    }


def read_fetched_catalogue(each: FetchResult) -> Catalogue | None:
    """Return the fetched catalogue, or None if it cannot be read."""
    if each.status != HTTPStatus.OK:
        return None
    try:
        return read_catalogue(each.body.decode("utf-8"))
    except ValueError:
        return None


def find_discovery(fetched: Iterable[FetchResult]) -> tuple[str, Discovery] | str:
    """Return the URL and content of a system's last readable gbfs.json, or an error message."""
    error = "no gbfs.json was requested"
    for each in reversed([each for each in fetched if each.file == DISCOVERY_FILE]):
        if each.status != HTTPStatus.OK:
            error = each.error or f"status {each.status}, expected 200"
            continue
        try:
            return each.url, read_discovery(each.body, each.url)
        except GbfsError as unreadable:
            error = str(unreadable)
    return error


def _make_observation(
    system: CollectedSystem, fetched: list[FetchResult], listed: set[str] | None
) -> Observation:
    content: Row = {"country": system.country, "location": system.location}
    if listed is not None:
        content |= {"is_listed": system.system_id in listed}
    found = find_discovery(fetched)
    if isinstance(found, str):
        return Observation(content | {"is_reachable": False, "discovery_url": system.discovery_url}, found)
    url, discovery = found
    files = [{"name": name, "url": target} for name, target in sorted(discovery.files().items())]
    readings = {
        each.file: read_file(system.system_id, each.file, each.body, discovery.choose_language())
        for each in fetched
        if each.file in INFORMATION_FILES and each.status == HTTPStatus.OK
    }
    content |= _get_system_information(readings.get(SYSTEM_INFORMATION.name))
    content |= {
        "is_reachable": True,
        "discovery_url": url,
        "version": discovery.version,
        "files": files,
    }
    if system.license_id:
        content["license_id"] = system.license_id
    return Observation(content, None, _get_stations(readings.get(STATION_INFORMATION.name)))


def _get_system_information(reading: Reading | None) -> Row:
    if reading is None or not reading.rows:
        return {}
    [row] = format_json_rows(reading)
    return {name: value for name, value in row.items() if name != "system_id"}


def _get_stations(reading: Reading | None) -> dict[str, Row] | None:
    if reading is None or reading.version is None:
        return None
    return {str(row["station_id"]): row for row in format_json_rows(reading)}
