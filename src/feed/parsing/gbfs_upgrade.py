"""Read records of GBFS 3 for a feed whose sample is of an earlier version: producers upgrade at the same URL."""

from typing import Any

from feed.quality.gbfs_version import read_gbfs_version

# https://gbfs.org/documentation/reference/: what version 3.0 has renamed, and its name before.
_FORMER_NAMES = {
    "num_vehicles_available": "num_bikes_available",
    "num_vehicles_disabled": "num_bikes_disabled",
}
_LOCALIZED = ("name", "short_name")


def restore_former_fields(records: list[Any], document: Any, sample_version: str | None) -> list[Any]:
    """Return the records with the names and plain texts of the sample's version if the document is GBFS 3 instead."""
    if (
        sample_version is None
        or _is_version_3(sample_version)
        or not _is_version_3(read_gbfs_version(document) or "")
    ):
        return records
    return [_restore(record) if type(record) is dict else record for record in records]


def _is_version_3(version: str) -> bool:
    return version == "3" or version.startswith("3.")


def _restore(record: dict[str, Any]) -> dict[str, Any]:
    restored = dict(record)
    for name, former in _FORMER_NAMES.items():
        if name in restored and former not in restored:
            restored[former] = restored.pop(name)
    for name in _LOCALIZED:
        texts = restored.get(name)
        # The first language is the system's own by convention.
        if type(texts) is list and texts and type(texts[0]) is dict and "text" in texts[0]:
            restored[name] = texts[0]["text"]
    return restored
