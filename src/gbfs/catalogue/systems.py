"""Read MobilityData's catalogue of GBFS systems (systems.csv) and find systems in it."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from feed import is_secure_url
from gbfs.errors import GbfsError
from gbfs.files.versions import VERSIONS, recognize_version

_COLUMNS = (
    "Country Code",
    "Name",
    "Location",
    "System ID",
    "URL",
    "Auto-Discovery URL",
    "Supported Versions",
    "Authentication Info URL",
    "Authentication Type",
    "Authentication Parameter Name",
)
_AUTHENTICATION_TYPES = {"1": "query", "2": "header"}
_NO_AUTHENTICATION = ("", "0")
_MAX_SHOWN_SYSTEMS = 8  # in an error message
# Letters that Unicode does not decompose into a base letter and an accent.
_BASE_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ı": "i"})


@dataclass(frozen=True)
class Authentication:
    """The header fields or query parameters that a request needs."""

    where: str  # header or query
    names: tuple[str, ...]
    info_url: str


@dataclass(frozen=True)
class CatalogueSystem:
    """One system of the catalogue; `versions` are the published ones among gbfs.VERSIONS, oldest first."""

    system_id: str
    name: str
    country: str  # ISO 3166-1 alpha-2
    location: str
    url: str  # website
    discovery_url: str  # gbfs.json, ASCII
    versions: tuple[str, ...]
    authentication: Authentication | None = None


@dataclass(frozen=True)
class RefusedRow:
    """A row that could not be read as a system: its line, its system ID, and the reason."""

    line: int
    system_id: str
    reason: str
    message: str


@dataclass(frozen=True)
class Catalogue:
    """The systems, in file order, and the refused rows."""

    systems: tuple[CatalogueSystem, ...]
    refused: tuple[RefusedRow, ...]

    @property
    def rows(self) -> int:
        """Number of rows, without the header."""
        return len(self.systems) + len(self.refused)


def read_catalogue(text: str) -> Catalogue:
    """Parse a systems.csv. Raises GbfsError if columns are missing, the CSV is malformed, or no row is a system."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise GbfsError(
                "no_catalogue", f"missing column {', '.join(missing)}; expected MobilityData's systems.csv"
            )
        systems: dict[str, CatalogueSystem] = {}
        refused = []
        lines: dict[str, int] = {}
        for row in reader:
            cells = {name: (row.get(name) or "").strip() for name in _COLUMNS}
            system_id = cells["System ID"]
            try:
                system = _parse_system(cells, lines)
            except GbfsError as error:
                refused.append(RefusedRow(reader.line_num, system_id, error.reason, error.message))
            else:
                systems[system_id] = system
                lines[system_id] = reader.line_num
    except csv.Error as error:
        raise GbfsError("no_catalogue", f"line {reader.line_num}: {error}; expected a CSV file") from None
    if not systems:
        raise GbfsError("no_catalogue", "no system found; expected MobilityData's systems.csv")
    return Catalogue(tuple(systems.values()), tuple(refused))


def _parse_system(cells: dict[str, str], lines: dict[str, int]) -> CatalogueSystem:
    if not cells["System ID"]:
        raise GbfsError("no_id", "missing system ID")
    if cells["System ID"] in lines:
        raise GbfsError("duplicate_id", f"line {lines[cells['System ID']]} has the same system ID")
    if not re.fullmatch(r"[A-Z]{2}", cells["Country Code"]):
        raise GbfsError(
            "no_country",
            f"found country {cells['Country Code']!r}; expected two letters (ISO 3166-1 alpha-2)",
        )
    return CatalogueSystem(
        system_id=cells["System ID"],
        name=cells["Name"] or cells["System ID"],
        country=cells["Country Code"],
        location=cells["Location"],
        url=cells["URL"],
        discovery_url=_parse_discovery_url(cells["Auto-Discovery URL"]),
        versions=_parse_versions(cells["Supported Versions"]),
        authentication=_parse_authentication(cells),
    )


def _parse_discovery_url(url: str) -> str:
    """Return an auto-discovery URL in ASCII. Raises GbfsError if it is invalid or not https."""
    try:
        is_url = bool(urlsplit(url).hostname) and not re.search(r"\s", url)
    except ValueError:
        is_url = False
    if not is_url:
        raise GbfsError("no_url", f"found auto-discovery URL {url!r}; expected an https URL")
    if not is_secure_url(url):
        raise GbfsError(
            "not_encrypted",
            f"found {url}; expected https, since plain http responses can be modified in transit",
        )
    return quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def _parse_versions(text: str) -> tuple[str, ...]:
    """Return the known versions; discovery finds the others."""
    known = {recognize_version(each.strip()) for each in text.split(";") if each.strip()}
    return tuple(version for version in VERSIONS if version in known)


def _parse_authentication(cells: dict[str, str]) -> Authentication | None:
    kind = cells["Authentication Type"]
    if kind in _NO_AUTHENTICATION:
        return None
    names = tuple(name.strip() for name in cells["Authentication Parameter Name"].split("|") if name.strip())
    if kind not in _AUTHENTICATION_TYPES or not names:
        raise GbfsError(
            "unknown_authentication",
            f"found authentication type {kind!r} with parameters {', '.join(names) or 'none'}; expected 1 (a "
            "query parameter) or 2 (a header), with its name",
        )
    return Authentication(_AUTHENTICATION_TYPES[kind], names, cells["Authentication Info URL"])


# --- finding systems ------------------------------------------------------------------------------


def fold_text(text: str) -> str:
    """Return the text case-folded, without accents, its words separated by one space: `V'Lille` → `v lille`."""
    # Twice, as Unicode's caseless matching does: decomposition can yield capitals.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(
        _BASE_LETTERS
    )
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", letters.replace("_", " ")))


def search_systems(
    systems: tuple[CatalogueSystem, ...], *, country: str | None = None, words: str = ""
) -> tuple[CatalogueSystem, ...]:
    """Return the systems of a country (ISO 3166-1 alpha-2) whose ID, name or location contain all words."""
    wanted = fold_text(words).split()
    return tuple(
        system
        for system in systems
        if (country is None or system.country == country.upper())
        and all(word in fold_text(f"{system.system_id} {system.name} {system.location}") for word in wanted)
    )


def find_system(
    systems: tuple[CatalogueSystem, ...], name: str, aliases: dict[str, str] | None = None
) -> CatalogueSystem:
    """Return the system with this ID, alias, name or city.

    `aliases` maps folded names to system IDs. An ID takes precedence over an alias, an alias over a name or a city.
    Raises GbfsError if no system matches, or several do; the message lists them.
    """
    by_id = {system.system_id: system for system in systems}
    wanted = fold_text(name)
    if found := by_id.get(name) or by_id.get((aliases or {}).get(wanted, "")):
        return found
    tests: tuple[Callable[[CatalogueSystem], bool], ...] = (
        lambda system: fold_text(system.system_id) == wanted,
        lambda system: wanted in {fold_text(system.name), fold_text(system.location)},
        lambda system: set(wanted.split()) <= set(fold_text(f"{system.name} {system.location}").split()),
    )
    for is_match in tests:
        meant = [system for system in systems if wanted and is_match(system)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise GbfsError("ambiguous", _format_ambiguity(name, meant))
    raise GbfsError(
        "unknown_system",
        f"{name!r}: no GBFS system has this ID, name or city; `python -m gbfs systems --search WORD` lists them",
    )


def _format_ambiguity(name: str, meant: list[CatalogueSystem]) -> str:
    shown = ", ".join(f"{system.system_id} ({system.name})" for system in meant[:_MAX_SHOWN_SYSTEMS])
    more = f" and {len(meant) - _MAX_SHOWN_SYSTEMS} more" if len(meant) > _MAX_SHOWN_SYSTEMS else ""
    return f"{name!r} matches {len(meant)} GBFS systems; choose one by its ID: {shown}{more}"
