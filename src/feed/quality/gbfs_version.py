"""Detect that a producer has changed the GBFS version at the same URL."""

from typing import Any

from feed.quality.drift import SchemaDrift
from feed.values.description import describe_value

VERSION_CHANGED = "version_changed"
# What a document of GBFS has in every version; `version` itself came with 1.1.
_REQUIRED = frozenset({"last_updated", "ttl", "data"})
_MAX_LENGTH = 40
_INTEGER_BITS = 63


def read_gbfs_version(document: Any) -> str | None:
    """Return the version that a GBFS document declares, "" if it declares none; None for any other document."""
    if type(document) is not dict or not document.keys() >= _REQUIRED:
        return None
    return format_gbfs_version(document.get("version"))


def format_gbfs_version(version: Any) -> str:
    """Return a version as text, "" for null. A version that is no short text or number is described."""
    if version is None:
        return ""
    is_number = type(version) is float or (type(version) is int and version.bit_length() <= _INTEGER_BITS)
    if is_number or (type(version) is str and len(version) <= _MAX_LENGTH and version.isprintable()):
        return f"{version}"
    return describe_value(version)[:_MAX_LENGTH]


def find_version_change(feed_name: str, field: str, sample: str | None, document: Any) -> SchemaDrift | None:
    """Return the drift if a document does not declare the version that the sample declares, else None.

    `field` is the path of the version, for messages. Rows are loaded as usual: each value is checked.
    """
    version = read_gbfs_version(document)
    if sample is None or version is None or version == sample:
        return None
    found, expected = _describe(version), f"{_describe(sample)}, as in the sample"
    message = f"{feed_name}: {VERSION_CHANGED} {field}: found {found}; expected {expected}"
    return SchemaDrift(VERSION_CHANGED, field, found, expected, message, is_severe=True)


def _describe(version: str) -> str:
    return f"GBFS {version}" if version else "GBFS without a version"
