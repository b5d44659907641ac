"""[gbfs] of an environment: the public systems that it collects, found in its catalogue before anything is made."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from gbfs import CatalogueSystem, GbfsError
from gbfs.catalogue.built_in import BUILT_IN_SYSTEMS
from gbfs.catalogue.systems import read_catalogue
from gbfs.collection.systems import CollectedSystem, make_collected_system

CATALOGUE = "systems.csv"  # beside the environments
SAVE_COMMAND = f"python -m gbfs systems --update --save environments/{CATALOGUE}"
BATCH_STEP = "rebuild-gbfs"  # of the nightly workflow
MOST_SHARDS = 16
# A shard loads no minute that is older (gbfs_collector.tick). The redelivery window must be longer, because the batch
# job takes a day as settled once the window has passed: rows that are loaded afterwards would be there twice.
CLOSED_WITHIN_MINUTES = 60
MOST_SYSTEMS = 2_000
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
_SECRET_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,254}", re.ASCII)

Problem = tuple[str, object, str]


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one system; `headers` has the names of secrets by the name of their header field."""

    headers: dict[str, str] = {}
    licence: str | None = None
    interval_minutes: int = 1


class Gbfs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Systems by their id and by country, and how they are collected."""

    systems: list[str] = []
    countries: list[str] = []
    discover: str = "23 2 * * *"
    shards: int = 1
    memory: str = "512Mi"
    timeout_seconds: int = 110
    deadline_seconds: int = 45
    request_seconds: int = 4
    minutes_days: int = 7
    overrides: dict[str, Override] = {}


def find_gbfs_problems(gbfs: Gbfs, ack_deadline_seconds: int, retention_minutes: int) -> Iterable[Problem]:
    """Yield key, value and what is accepted for each value that cannot be used; the last two are of [messages]."""
    if not gbfs.systems and not gbfs.countries:
        yield (
            "gbfs.systems",
            "no system",
            'systems = ["v_lille"] or countries = ["FR"]; without [gbfs], none is collected',
        )
    ranges = {
        "shards": (1, MOST_SHARDS),
        "timeout_seconds": (30, min(540, ack_deadline_seconds)),
        "deadline_seconds": (10, gbfs.timeout_seconds - 20),
        "request_seconds": (1, gbfs.deadline_seconds),
        "minutes_days": (2, 3650),
    }
    for key, (low, high) in ranges.items():
        if not low <= getattr(gbfs, key) <= high:
            yield f"gbfs.{key}", getattr(gbfs, key), f"a whole number from {low} to {high}"
    if retention_minutes < CLOSED_WITHIN_MINUTES:
        yield (
            "messages.retention_minutes",
            retention_minutes,
            f"at least {CLOSED_WITHIN_MINUTES} in an environment with [gbfs]: rows of a minute may be loaded until "
            f"{CLOSED_WITHIN_MINUTES} minutes after it, and would be there twice if its day was rebuilt before",
        )
    for country in gbfs.countries:
        if not re.fullmatch(r"[A-Z]{2}", country):
            yield "gbfs.countries", country, "countries by their two letters (ISO 3166-1), such as FR"
    for system_id, override in gbfs.overrides.items():
        yield from _find_override_problems(f"gbfs.overrides.{system_id}", override)


def _find_override_problems(key: str, override: Override) -> Iterable[Problem]:
    if not 1 <= override.interval_minutes <= 1_440:
        yield f"{key}.interval_minutes", override.interval_minutes, "a whole number from 1 to 1440"
    for name, secret in override.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            yield f"{key}.headers", name, "names of HTTP header fields: letters, digits and -"
        if not _SECRET_NAME.fullmatch(secret):
            yield f"{key}.headers.{name}", secret, "the name of a secret in Secret Manager, never its value"


def load_catalogue(folder: Path) -> tuple[tuple[CatalogueSystem, ...], str]:
    """Return the systems that an environment may name, and where they are from, in words.

    They are those of systems.csv in the environments' folder, else the built-in ones: both are part of the checkout, so
    that a deploy is the same on every host, and a new system is seen in a review. Raises GbfsError.
    """
    try:
        text = (folder / CATALOGUE).read_text("utf-8")
    except FileNotFoundError:
        return (
            BUILT_IN_SYSTEMS,
            f"the {len(BUILT_IN_SYSTEMS)} built-in systems; `{SAVE_COMMAND}` saves the public catalogue",
        )
    except (OSError, UnicodeDecodeError) as error:
        raise GbfsError("damaged", f"{folder / CATALOGUE}: {error}") from error
    systems = read_catalogue(text).systems
    return systems, f"the {len(systems)} systems of {folder.name}/{CATALOGUE}; `{SAVE_COMMAND}` updates it"


def resolve_systems(
    gbfs: Gbfs, catalogue: Iterable[CatalogueSystem], source: str
) -> tuple[tuple[CollectedSystem, ...], list[Problem]]:
    """Return the systems that [gbfs] means, sorted by id, and what cannot be used; `source` is for messages."""
    by_id = {system.system_id: system for system in catalogue}
    problems: list[Problem] = [
        (key, system_id, _format_choices(system_id, by_id, source))
        for key, ids in (("gbfs.systems", gbfs.systems), ("gbfs.overrides", list(gbfs.overrides)))
        for system_id in ids
        if system_id not in by_id
    ]
    countries = {system.country for system in by_id.values()}
    problems += [
        ("gbfs.countries", country, f"a country of {source}")
        for country in gbfs.countries
        if country not in countries
    ]
    chosen = {
        system_id: system
        for system_id, system in by_id.items()
        if system_id in gbfs.systems or system.country in gbfs.countries
    }
    if len(chosen) > MOST_SYSTEMS:
        problems.append(("gbfs", f"{len(chosen)} systems", f"at most {MOST_SYSTEMS} in an environment"))
    problems += [
        (
            f"gbfs.overrides.{system_id}",
            "a system that is not collected",
            "one of gbfs.systems or gbfs.countries",
        )
        for system_id in gbfs.overrides
        if system_id in by_id and system_id not in chosen
    ]
    for system_id, system in chosen.items():
        problems += _find_authentication_problems(system, gbfs.overrides.get(system_id, Override()))
    return tuple(
        make_collected_system(
            system,
            headers=override.headers,
            license_id=override.licence,
            interval_minutes=override.interval_minutes,
        )
        for system_id, system in sorted(chosen.items())
        for override in [gbfs.overrides.get(system_id, Override())]
    ), problems


def _find_authentication_problems(system: CatalogueSystem, override: Override) -> Iterable[Problem]:
    needed = system.authentication
    if needed is None:
        return
    key = f"gbfs.overrides.{system.system_id}.headers"
    if needed.where != "header":
        yield key, f"a key in the query ({', '.join(needed.names)})", "systems whose key is a header field"
        return
    have = {name.lower() for name in override.headers}
    if missing := [name for name in needed.names if name.lower() not in have]:
        names = ", ".join(f'"{name}" = "name-of-a-secret"' for name in missing)
        yield key, "nothing", f"{{ {names} }}: the system needs a key, see {needed.info_url}"


def _format_choices(found: str, names: Mapping[str, object], source: str) -> str:
    close = difflib.get_close_matches(found, names, n=1)
    return f"one of {source}" + (f"; did you mean {close[0]}?" if close else "")
