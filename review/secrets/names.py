"""Distinguish names of resources from secrets of equal value: a name says which resource is meant.

A secret that equals a name stays hidden everywhere but in the arguments and addresses that name a resource. Only words
are names: a token stays hidden there too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from review.findings.text import NAME

# Arguments that name a resource or the one that it belongs to.
IDENTITIES = frozenset(
    {
        "account_id",
        "bucket",
        "cluster",
        "cluster_id",
        "database",
        "dataset",
        "dataset_id",
        "email",
        "group",
        "id",
    }
    | {
        "instance",
        "instance_id",
        "key_ring",
        "managed_zone",
        "member",
        "members",
        "name",
        "network",
        "project",
    }
    | {
        "project_id",
        "repository",
        "repository_id",
        "role_id",
        "routine_id",
        "secret_id",
        "service",
        "subnetwork",
    }
    | {"subscription", "table_id", "topic", "topic_id"}
)
WORDS = re.compile(r"(?=.{2,40}\Z)[a-z]+(?:[-_][a-z]+)*(?:[-_]?\d{1,2})?")
INDEX = re.compile(r'\[(?:"((?:[^"\\]|\\.)*)"|\d+)\]')


def list_identities(values: Any) -> Iterator[str]:
    """Yield the texts of the arguments that name a resource."""
    for key in sorted(IDENTITIES & values.keys()) if isinstance(values, Mapping) else ():
        if isinstance(values[key], str):
            yield values[key]


def mark_names(text: str, names: Iterable[str]) -> str:
    """Return a text with each whole word that is one of the names between the signs of a name."""
    words = "|".join(re.escape(each) for each in sorted(names, key=lambda each: (-len(each), each)))
    return re.sub(
        f"(?<![A-Za-z0-9_])(?:{words})(?![A-Za-z0-9_])", lambda found: f"{NAME}{found[0]}{NAME}", text
    )
