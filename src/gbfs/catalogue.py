"""MobilityData's catalogue of GBFS systems (systems.csv): rows → systems, and a reason for each row that is refused."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from feed import is_private_address
from gbfs.errors import GbfsError
from gbfs.versions import VERSIONS, recognize_version

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
_AUTHENTICATION = {"1": "query", "2": "header"}
_NO_AUTHENTICATION = ("", "0")
_MOST_SHOWN = 8  # systems in a message
# Letters that Unicode does not take apart into a letter and its accent.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ı": "i"})


@dataclass(frozen=True)
class Authentication:
    """What a request must carry: values of these header fields, or of these parameters of the query."""

    where: str  # header or query
    names: tuple[str, ...]
    info_url: str


@dataclass(frozen=True)
class CatalogueSystem:
    """One system of the catalogue; `versions` are those of gbfs.VERSIONS that it says it publishes, oldest first."""

    system_id: str
    name: str
    country: str  # ISO 3166-1 alpha-2
    location: str
    url: str  # of its website
    discovery_url: str  # of its gbfs.json, ASCII
    versions: tuple[str, ...]
    authentication: Authentication | None = None


@dataclass(frozen=True)
class RefusedRow:
    """A row that gives no system: its line in the file, its system id, and why."""

    line: int
    system_id: str
    reason: str
    message: str


@dataclass(frozen=True)
class Catalogue:
    """The systems in the order of the file: rows == len(systems) + len(refused)."""

    systems: tuple[CatalogueSystem, ...]
    refused: tuple[RefusedRow, ...]

    @property
    def rows(self) -> int:
        """Rows of the file, without its header."""
        return len(self.systems) + len(self.refused)


def read_catalogue(text: str) -> Catalogue:
    """Return the systems of a systems.csv. Raises GbfsError where it is no such file, or has no row."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise GbfsError(
                "no_catalogue", f"found no column {', '.join(missing)}; expected MobilityData's systems.csv"
            )
        systems: dict[str, CatalogueSystem] = {}
        refused = []
        lines: dict[str, int] = {}
        for row in reader:
            cells = {name: (row.get(name) or "").strip() for name in _COLUMNS}
            system_id = cells["System ID"]
            try:
                system = _system(cells, lines)
            except GbfsError as error:
                refused.append(RefusedRow(reader.line_num, system_id, error.reason, error.message))
            else:
                systems[system_id] = system
                lines[system_id] = reader.line_num
    except csv.Error as error:
        raise GbfsError("no_catalogue", f"line {reader.line_num}: {error}; expected a CSV file") from None
    if not systems:
        raise GbfsError("no_catalogue", "found no system; expected MobilityData's systems.csv")
    return Catalogue(tuple(systems.values()), tuple(refused))


def _system(cells: dict[str, str], lines: dict[str, int]) -> CatalogueSystem:
    if not cells["System ID"]:
        raise GbfsError("no_id", "found no system id")
    if cells["System ID"] in lines:
        raise GbfsError("duplicate_id", f"line {lines[cells['System ID']]} has the same system id")
    if not re.fullmatch(r"[A-Z]{2}", cells["Country Code"]):
        raise GbfsError("no_country", f"found country {cells['Country Code']!r}; expected two letters")
    return CatalogueSystem(
        system_id=cells["System ID"],
        name=cells["Name"] or cells["System ID"],
        country=cells["Country Code"],
        location=cells["Location"],
        url=cells["URL"],
        discovery_url=_address(cells["Auto-Discovery URL"]),
        versions=_versions(cells["Supported Versions"]),
        authentication=_authentication(cells),
    )


def _address(url: str) -> str:
    """Return an auto-discovery URL in ASCII. Raises GbfsError where none can be requested safely."""
    try:
        is_url = bool(urlsplit(url).hostname) and not re.search(r"\s", url)
    except ValueError:
        is_url = False
    if not is_url:
        raise GbfsError("no_url", f"found auto-discovery URL {url!r}; expected an https URL")
    if not is_private_address(url):
        raise GbfsError(
            "not_encrypted", f"found {url}; expected https: others could change the data on its way"
        )
    return quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def _versions(text: str) -> tuple[str, ...]:
    """A version that this package does not know is left out: discovery says what there is."""
    known = {recognize_version(each.strip()) for each in text.split(";") if each.strip()}
    return tuple(version for version in VERSIONS if version in known)


def _authentication(cells: dict[str, str]) -> Authentication | None:
    kind = cells["Authentication Type"]
    if kind in _NO_AUTHENTICATION:
        return None
    names = tuple(name.strip() for name in cells["Authentication Parameter Name"].split("|") if name.strip())
    if kind not in _AUTHENTICATION or not names:
        raise GbfsError(
            "unknown_authentication",
            f"found authentication type {kind!r} with parameters {', '.join(names) or 'none'}; expected 1 (a "
            "parameter of the query) or 2 (a header), with its name",
        )
    return Authentication(_AUTHENTICATION[kind], names, cells["Authentication Info URL"])


# --- finding systems ------------------------------------------------------------------------------


def fold(text: str) -> str:
    """Return the text in small letters without accents, its words separated by one blank: `V'Lille` → `v lille`."""
    # Twice, as Unicode's caseless matching does: taking letters apart can give capitals.
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_PLAIN)
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", letters.replace("_", " ")))


def search_systems(
    systems: tuple[CatalogueSystem, ...], *, country: str | None = None, words: str = ""
) -> tuple[CatalogueSystem, ...]:
    """Return the systems of a country (ISO 3166-1 alpha-2) whose id, name or location have all the words."""
    wanted = fold(words).split()
    return tuple(
        system
        for system in systems
        if (country is None or system.country == country.upper())
        and all(word in fold(f"{system.system_id} {system.name} {system.location}") for word in wanted)
    )


def find_system(
    systems: tuple[CatalogueSystem, ...], name: str, aliases: dict[str, str] | None = None
) -> CatalogueSystem:
    """Return the one system that a user means by a system id, an alias, a name or a city.

    `aliases` are system ids by folded name. An id counts before an alias, an alias before a name or a city. Raises
    GbfsError where no system or more than one is meant; the message lists them.
    """
    by_id = {system.system_id: system for system in systems}
    wanted = fold(name)
    if found := by_id.get(name) or by_id.get((aliases or {}).get(wanted, "")):
        return found
    tests: tuple[Callable[[CatalogueSystem], bool], ...] = (
        lambda system: fold(system.system_id) == wanted,
        lambda system: wanted in {fold(system.name), fold(system.location)},
        lambda system: set(wanted.split()) <= set(fold(f"{system.name} {system.location}").split()),
    )
    for is_meant in tests:
        meant = [system for system in systems if wanted and is_meant(system)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise GbfsError("ambiguous", _ambiguous(name, meant))
    raise GbfsError(
        "unknown_system",
        f"{name!r}: no GBFS system has this id, name or city; `python -m gbfs systems --search WORD` lists them",
    )


def _ambiguous(name: str, meant: list[CatalogueSystem]) -> str:
    shown = ", ".join(f"{system.system_id} ({system.name})" for system in meant[:_MOST_SHOWN])
    more = f" and {len(meant) - _MOST_SHOWN} more" if len(meant) > _MOST_SHOWN else ""
    return f"{name!r} means {len(meant)} GBFS systems; name one by its id: {shown}{more}"
