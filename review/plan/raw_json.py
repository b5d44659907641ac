"""Read parts of a plan's raw JSON, before secrets are hidden; a damaged part reads as empty."""

from collections.abc import Mapping
from typing import Any


def get_string(raw: Mapping[str, Any], key: str) -> str:
    """Return a text; empty for anything else."""
    found = raw.get(key)
    return found if isinstance(found, str) else ""


def as_mapping(value: Any) -> dict[str, Any]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def list_mappings(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
