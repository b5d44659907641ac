"""The local copy of the catalogue: downloaded on request, stored with its date, read without a network."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gbfs.catalogue.built_in import ALIASES, BUILT_IN_SYSTEMS
from gbfs.catalogue.systems import Catalogue, CatalogueSystem, find_system, read_catalogue
from gbfs.errors import GbfsError

CATALOGUE_URL = "https://raw.githubusercontent.com/MobilityData/gbfs/master/systems.csv"
MAX_BYTES = 16 * 2**20
TIMEOUT_S = 20.0
UPDATE = "python -m gbfs systems --update"
_CATALOGUE_FILE, _METADATA_FILE = "systems.csv", "systems.json"

Download = Callable[[str], bytes]


@dataclass(frozen=True)
class Registry:
    """The known systems: those of the downloaded catalogue, or the built-in ones if there is none."""

    systems: tuple[CatalogueSystem, ...]
    catalogue: Catalogue | None
    downloaded_at: datetime | None

    @property
    def source(self) -> str:
        """Describe where the systems come from, and since when."""
        if self.downloaded_at is None:
            return f"{len(self.systems)} built-in systems; `{UPDATE}` downloads the public catalogue"
        return f"{len(self.systems)} systems of the catalogue of {self.downloaded_at:%Y-%m-%d %H:%M} UTC"

    def find(self, name: str) -> CatalogueSystem:
        """Return the system with this ID, name or city. Raises GbfsError if none or several match."""
        try:
            return find_system(self.systems, name, ALIASES)
        except GbfsError as error:
            if error.reason != "unknown_system" or self.downloaded_at is not None:
                raise
            message = f"{name!r}: none of the {len(self.systems)} built-in systems; `{UPDATE}` downloads the catalogue"
            raise GbfsError("unknown_system", message) from None


def download_file(url: str) -> bytes:
    """Return the response body of an https URL. Raises OSError, and GbfsError if it exceeds MAX_BYTES."""
    request = urllib.request.Request(url, headers={"User-Agent": "vlille (GBFS)"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
        body: bytes = response.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise GbfsError("too_large", f"{url}: more than {MAX_BYTES} bytes")
    return body


def load_registry(folder: Path) -> Registry:
    """Return the registry that `update_registry` stored in a folder, or the built-in systems.

    A stored catalogue replaces the built-in systems. Raises GbfsError if the stored files are damaged.
    """
    try:
        text = (folder / _CATALOGUE_FILE).read_text("utf-8")
        metadata = json.loads((folder / _METADATA_FILE).read_text("utf-8"))
        downloaded_at = datetime.fromisoformat(metadata["downloaded_at"])
        catalogue = read_catalogue(text)
    except FileNotFoundError:
        return Registry(BUILT_IN_SYSTEMS, None, None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GbfsError(
            "damaged", f"{folder / _CATALOGUE_FILE}: {error}; `{UPDATE}` downloads it again"
        ) from error
    return Registry(catalogue.systems, catalogue, downloaded_at)


def save_catalogue(folder: Path, file: Path) -> None:
    """Copy the stored catalogue to a file. Raises GbfsError if the folder has none."""
    try:
        content = (folder / _CATALOGUE_FILE).read_bytes()
    except FileNotFoundError:
        raise GbfsError("no_catalogue", f"no catalogue in {folder}; `{UPDATE}` downloads it") from None
    file.write_bytes(content)


def update_registry(folder: Path, now: datetime, download: Download = download_file) -> Registry:
    """Download the catalogue, store it in the folder and return its registry.

    A catalogue that cannot be read does not replace the stored one. Raises GbfsError.
    """
    try:
        body = download(CATALOGUE_URL)
        text = body.decode("utf-8")
        catalogue = read_catalogue(text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        shown = error if isinstance(error, GbfsError) else reason
        raise GbfsError(
            "no_catalogue", f"{CATALOGUE_URL}: {shown}; the catalogue in {folder} was not changed"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"url": CATALOGUE_URL, "downloaded_at": now.astimezone(UTC).isoformat(timespec="seconds")}
    for name, content in ((_CATALOGUE_FILE, text), (_METADATA_FILE, json.dumps(metadata))):
        part = folder / f"{name}.part"
        part.write_text(content, "utf-8")
        part.replace(folder / name)
    return Registry(catalogue.systems, catalogue, now.astimezone(UTC).replace(microsecond=0))
