"""A discovery's responses → what was seen of each system: its version, files, information and stations."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from gbfs.catalogue import Catalogue, read_catalogue
from gbfs.discovery import Discovery, read_discovery
from gbfs.errors import GbfsError
from gbfs.model import STATION_INFORMATION, SYSTEM_INFORMATION
from gbfs.packs import Fetched
from gbfs.reading import Reading, load_rows, read_file
from gbfs.roster import CollectedSystem
from gbfs.validity import Observation, Row

DISCOVERY_FILE = "gbfs"
CATALOGUE_FILE = "catalogue"  # of no system: its system_id is ""
INFORMATION_FILES = (SYSTEM_INFORMATION.name, STATION_INFORMATION.name)


def observations_of(
    fetched: Iterable[Fetched], systems: Mapping[str, CollectedSystem]
) -> dict[str, Observation]:
    """Return what was seen of each of `systems` that was looked at; of two readable gbfs.json the last one counts."""
    by_system: dict[str, list[Fetched]] = {}
    for each in fetched:
        by_system.setdefault(each.system_id, []).append(each)
    catalogue = next((read_catalogue_of(each) for each in by_system.get("", [])), None)
    listed = None if catalogue is None else {system.system_id for system in catalogue.systems}
    return {
        system_id: _observe(systems[system_id], found, listed)
        for system_id, found in by_system.items()
        if system_id in systems
    }


def read_catalogue_of(each: Fetched) -> Catalogue | None:
    """Return the catalogue that was fetched, None where it cannot be read."""
    if each.status != HTTPStatus.OK:
        return None
    try:
        return read_catalogue(each.body.decode("utf-8"))
    except ValueError:
        return None


def discovery_of(fetched: Iterable[Fetched]) -> tuple[str, Discovery] | str:
    """Return the URL and the content of a system's last readable gbfs.json, or why there is none."""
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


def _observe(system: CollectedSystem, fetched: list[Fetched], listed: set[str] | None) -> Observation:
    content: Row = {"country": system.country, "location": system.location}
    if listed is not None:
        content |= {"is_listed": system.system_id in listed}
    found = discovery_of(fetched)
    if isinstance(found, str):
        return Observation(content | {"is_reachable": False, "discovery_url": system.discovery_url}, found)
    url, discovery = found
    files = [{"name": name, "url": target} for name, target in sorted(discovery.files().items())]
    readings = {
        each.file: read_file(system.system_id, each.file, each.body, discovery.choose_language())
        for each in fetched
        if each.file in INFORMATION_FILES and each.status == HTTPStatus.OK
    }
    content |= _system_information(readings.get(SYSTEM_INFORMATION.name))
    content |= {
        "is_reachable": True,
        "discovery_url": url,
        "version": discovery.version,
        "files": files,
    }
    if system.license_id:
        content["license_id"] = system.license_id
    return Observation(content, None, _stations(readings.get(STATION_INFORMATION.name)))


def _system_information(reading: Reading | None) -> Row:
    if reading is None or not reading.rows:
        return {}
    [row] = load_rows(reading)
    return {name: value for name, value in row.items() if name != "system_id"}


def _stations(reading: Reading | None) -> dict[str, Row] | None:
    if reading is None or reading.version is None:
        return None
    return {str(row["station_id"]): row for row in load_rows(reading)}
