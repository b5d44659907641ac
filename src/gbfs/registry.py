"""The catalogue on this machine: downloaded when it is asked for, kept with its date, read without a network."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gbfs.catalogue import Catalogue, CatalogueSystem, find_system, read_catalogue
from gbfs.errors import GbfsError
from gbfs.well_known import ALIASES, WELL_KNOWN

CATALOGUE_URL = "https://raw.githubusercontent.com/MobilityData/gbfs/master/systems.csv"
MAX_BYTES = 16 * 2**20
TIMEOUT_S = 20.0
UPDATE = "python -m gbfs systems --update"
_FILE, _ABOUT = "systems.csv", "systems.json"

Download = Callable[[str], bytes]


@dataclass(frozen=True)
class Registry:
    """The systems that are known here: those of the catalogue, or the built-in ones where there is none."""

    systems: tuple[CatalogueSystem, ...]
    catalogue: Catalogue | None
    downloaded_at: datetime | None

    @property
    def source(self) -> str:
        """Say where the systems are from, and how old that is."""
        if self.downloaded_at is None:
            return f"{len(self.systems)} built-in systems; `{UPDATE}` downloads the public catalogue"
        return f"{len(self.systems)} systems of the catalogue of {self.downloaded_at:%Y-%m-%d %H:%M} UTC"

    def find(self, name: str) -> CatalogueSystem:
        """Return the system that an id, a name or a city means. Raises GbfsError, also where there are several."""
        try:
            return find_system(self.systems, name, ALIASES)
        except GbfsError as error:
            if error.reason != "unknown_system" or self.downloaded_at is not None:
                raise
            told = f"{name!r} is none of the {len(self.systems)} built-in systems; `{UPDATE}` downloads the catalogue"
            raise GbfsError("unknown_system", told) from None


def download_file(url: str) -> bytes:
    """Return what an https URL has, at most MAX_BYTES. Raises OSError, and GbfsError where it is larger."""
    request = urllib.request.Request(url, headers={"User-Agent": "vlille (GBFS)"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
        body: bytes = response.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise GbfsError("too_large", f"{url}: more than {MAX_BYTES} bytes")
    return body


def load_registry(folder: Path) -> Registry:
    """Return the registry of what `update_registry` has kept in a folder, else of the built-in systems.

    A built-in system that the catalogue lists no more is not added. Raises GbfsError where the kept file is damaged.
    """
    try:
        text = (folder / _FILE).read_text("utf-8")
        about = json.loads((folder / _ABOUT).read_text("utf-8"))
        downloaded_at = datetime.fromisoformat(about["downloaded_at"])
        catalogue = read_catalogue(text)
    except FileNotFoundError:
        return Registry(WELL_KNOWN, None, None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GbfsError("damaged", f"{folder / _FILE}: {error}; `{UPDATE}` downloads it again") from error
    return Registry(catalogue.systems, catalogue, downloaded_at)


def save_catalogue(folder: Path, file: Path) -> None:
    """Save the catalogue that is kept in a folder as a file of the checkout. Raises GbfsError where there is none."""
    try:
        content = (folder / _FILE).read_bytes()
    except FileNotFoundError:
        raise GbfsError(
            "no_catalogue", f"no catalogue in {folder} to be saved; `{UPDATE}` downloads it"
        ) from None
    file.write_bytes(content)


def update_registry(folder: Path, now: datetime, download: Download = download_file) -> Registry:
    """Download the catalogue, keep it in the folder and return its registry.

    What was kept before stays where the new one cannot be used. Raises GbfsError.
    """
    try:
        body = download(CATALOGUE_URL)
        text = body.decode("utf-8")
        catalogue = read_catalogue(text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        shown = error if isinstance(error, GbfsError) else reason
        raise GbfsError(
            "no_catalogue", f"{CATALOGUE_URL}: {shown}; what is kept in {folder} is unchanged"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    about = {"url": CATALOGUE_URL, "downloaded_at": now.astimezone(UTC).isoformat(timespec="seconds")}
    for name, content in ((_FILE, text), (_ABOUT, json.dumps(about))):
        part = folder / f"{name}.part"
        part.write_text(content, "utf-8")
        part.replace(folder / name)
    return Registry(catalogue.systems, catalogue, now.astimezone(UTC).replace(microsecond=0))
