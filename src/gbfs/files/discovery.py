"""Read gbfs.json, gbfs_versions.json and manifest.json: the files and versions that a system publishes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from feed import ConversionError
from feed.values.description import describe_value
from feed.values.scalars import to_string
from gbfs.errors import GbfsError
from gbfs.files.decoding import decode_file
from gbfs.files.versions import VERSIONS, current_file_name, recognize_version

ANY_LANGUAGE = ""  # version 3 has one list of files for all languages
_DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True)
class Discovery:
    """A gbfs.json: the version, and the URL of each file by language and name (as in version 3)."""

    version: str
    ttl_seconds: int
    languages: dict[str, dict[str, str]]

    def choose_language(self, preferred: Iterable[str] = ()) -> str:
        """Return the first of `preferred` that the system has, or English, or its first language."""
        for language in (*preferred, _DEFAULT_LANGUAGE):
            for each in self.languages:
                if each.partition("-")[0].lower() == language.partition("-")[0].lower():
                    return each
        return next(iter(self.languages))

    def files(self, language: str | None = None) -> dict[str, str]:
        """Return the URL of each file by name, by default in the language that `choose_language` returns."""
        return self.languages[self.choose_language() if language is None else language]


@dataclass(frozen=True)
class PublishedVersion:
    """A version that a system publishes, and the URL of its gbfs.json."""

    version: str
    url: str


def read_discovery(body: bytes, url: str) -> Discovery:
    """Parse a gbfs.json; relative URLs are resolved against its own `url`.

    Versions 1 and 2 list the files by language, version 3 has one list. Both forms are read in every version.
    Raises GbfsError if the body is not a gbfs.json, or lists no file with a URL.
    """
    document = decode_file(body)
    lists = (
        {ANY_LANGUAGE: document.data["feeds"]}
        if isinstance(document.data.get("feeds"), list)
        else {language: _get_feeds(value) for language, value in document.data.items()}
    )
    languages = {language: _map_urls(feeds, url) for language, feeds in lists.items()}
    languages = {language: files for language, files in languages.items() if files}
    if not languages:
        raise GbfsError(
            "no_files", f"{url}: found {describe_value(document.data)}; expected `feeds` with their URLs"
        )
    return Discovery(document.version, document.ttl_seconds, languages)


def read_versions(body: bytes, url: str) -> tuple[PublishedVersion, ...]:
    """Parse a gbfs_versions.json: the versions that this package supports, oldest first. Raises GbfsError."""
    return _parse_versions(decode_file(body).data.get("versions"), url)


def read_manifest(body: bytes, url: str) -> dict[str, tuple[PublishedVersion, ...]]:
    """Parse a manifest.json: the versions of each system by system_id. Raises GbfsError."""
    datasets = decode_file(body).data.get("datasets")
    if not isinstance(datasets, list):
        raise GbfsError(
            "no_datasets", f"{url}: found {describe_value(datasets)}; expected an array `datasets`"
        )
    return {
        system_id: _parse_versions(dataset.get("versions"), url)
        for dataset in datasets
        if isinstance(dataset, dict) and (system_id := _parse_identifier(dataset.get("system_id")))
    }


def _parse_identifier(value: Any) -> str:
    """Return an identifier as text, or "" if it is not one."""
    try:
        return to_string(value)
    except ConversionError:
        return ""


def _parse_versions(versions: Any, url: str) -> tuple[PublishedVersion, ...]:
    if not isinstance(versions, list):
        raise GbfsError(
            "no_versions", f"{url}: found {describe_value(versions)}; expected an array `versions`"
        )
    found = {}
    for each in versions:
        if isinstance(each, dict) and each.get("version") and (target := _resolve_url(url, each.get("url"))):
            version = recognize_version(each["version"])
            if version is not None:
                found[version] = PublishedVersion(version, target)
    return tuple(found[version] for version in VERSIONS if version in found)


def _get_feeds(value: Any) -> Any:
    return value.get("feeds") if isinstance(value, dict) else value


def _map_urls(feeds: Any, url: str) -> dict[str, str]:
    if not isinstance(feeds, list):
        return {}
    named = [each for each in feeds if isinstance(each, dict) and isinstance(each.get("name"), str)]
    joined = {
        current_file_name(_strip_extension(each["name"])): _resolve_url(url, each.get("url"))
        for each in named
    }
    return {name: target for name, target in joined.items() if target}


def _strip_extension(name: str) -> str:
    """Return a file's name without the extension that some systems add."""
    return name.strip().lower().removesuffix(".json")


def _resolve_url(base: str, url: Any) -> str | None:
    if not isinstance(url, str) or not url.strip():
        return None
    try:
        joined = urljoin(base, url.strip())
        parts = urlsplit(joined)
    except ValueError:
        return None
    return joined if parts.scheme in {"http", "https"} and parts.hostname else None
