"""gbfs.json, gbfs_versions.json and manifest.json: which files and which versions a system publishes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from feed import MisfitError
from feed.conversion import describe, to_string
from gbfs.documents import decode
from gbfs.errors import GbfsError
from gbfs.versions import VERSIONS, newest_name, recognize_version

ANY_LANGUAGE = ""  # version 3 has one list of files for all languages
_DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True)
class Discovery:
    """The URLs of a system's files by language and name (as version 3 spells it), and its version."""

    version: str
    ttl_seconds: int
    languages: dict[str, dict[str, str]]

    def choose_language(self, preferred: Iterable[str] = ()) -> str:
        """Return the first of `preferred` that the system has, else English, else its first."""
        for language in (*preferred, _DEFAULT_LANGUAGE):
            for each in self.languages:
                if each.partition("-")[0].lower() == language.partition("-")[0].lower():
                    return each
        return next(iter(self.languages))

    def files(self, language: str | None = None) -> dict[str, str]:
        """Return the URLs by name in a language, by default that of `choose_language`."""
        return self.languages[self.choose_language() if language is None else language]


@dataclass(frozen=True)
class Published:
    """A version that a system publishes, and the URL of its gbfs.json."""

    version: str
    url: str


def read_discovery(body: bytes, url: str) -> Discovery:
    """Return what a gbfs.json says; `url` is its own, which relative URLs are joined with.

    Version 1 and 2 list the files by language, version 3 once. Both forms are read whatever the version says.
    Raises GbfsError where it is not a gbfs.json, or lists no file with a URL.
    """
    document = decode(body)
    lists = (
        {ANY_LANGUAGE: document.data["feeds"]}
        if isinstance(document.data.get("feeds"), list)
        else {language: _feeds_of(value) for language, value in document.data.items()}
    )
    languages = {language: _urls(feeds, url) for language, feeds in lists.items()}
    languages = {language: files for language, files in languages.items() if files}
    if not languages:
        raise GbfsError(
            "no_files", f"{url}: found {describe(document.data)}; expected `feeds` with their URLs"
        )
    return Discovery(document.version, document.ttl_seconds, languages)


def read_versions(body: bytes, url: str) -> tuple[Published, ...]:
    """Return what a gbfs_versions.json lists and this package reads, oldest first. Raises GbfsError."""
    return _published(decode(body).data.get("versions"), url)


def read_manifest(body: bytes, url: str) -> dict[str, tuple[Published, ...]]:
    """Return the versions of each system, by system_id, of a manifest.json. Raises GbfsError."""
    datasets = decode(body).data.get("datasets")
    if not isinstance(datasets, list):
        raise GbfsError("no_datasets", f"{url}: found {describe(datasets)}; expected an array `datasets`")
    return {
        system_id: _published(dataset.get("versions"), url)
        for dataset in datasets
        if isinstance(dataset, dict) and (system_id := _identifier(dataset.get("system_id")))
    }


def _identifier(value: Any) -> str:
    """Return an identifier as text, "" for what is none."""
    try:
        return to_string(value)
    except MisfitError:
        return ""


def _published(versions: Any, url: str) -> tuple[Published, ...]:
    if not isinstance(versions, list):
        raise GbfsError("no_versions", f"{url}: found {describe(versions)}; expected an array `versions`")
    found = {}
    for each in versions:
        if isinstance(each, dict) and each.get("version") and (target := _joined(url, each.get("url"))):
            version = recognize_version(each["version"])
            if version is not None:
                found[version] = Published(version, target)
    return tuple(found[version] for version in VERSIONS if version in found)


def _feeds_of(value: Any) -> Any:
    return value.get("feeds") if isinstance(value, dict) else value


def _urls(feeds: Any, url: str) -> dict[str, str]:
    if not isinstance(feeds, list):
        return {}
    named = [each for each in feeds if isinstance(each, dict) and isinstance(each.get("name"), str)]
    joined = {newest_name(_bare(each["name"])): _joined(url, each.get("url")) for each in named}
    return {name: target for name, target in joined.items() if target}


def _bare(name: str) -> str:
    """Some systems list `station_status.json`."""
    return name.strip().lower().removesuffix(".json")


def _joined(base: str, url: Any) -> str | None:
    if not isinstance(url, str) or not url.strip():
        return None
    try:
        joined = urljoin(base, url.strip())
        parts = urlsplit(joined)
    except ValueError:
        return None
    return joined if parts.scheme in {"http", "https"} and parts.hostname else None
