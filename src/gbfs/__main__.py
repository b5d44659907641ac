"""`python -m gbfs systems|source`: list the public GBFS systems, and make one of them a feed of sources/."""

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from gbfs.catalogue import CatalogueSystem, search_systems
from gbfs.errors import GbfsError
from gbfs.feed_source import discover_status, write_feed
from gbfs.registry import (
    Download,
    Registry,
    download_file,
    load_registry,
    save_catalogue,
    update_registry,
)

CACHE = Path(".cache") / "gbfs"


def main(
    arguments: list[str] | None = None, *, folder: Path = CACHE, download: Download = download_file
) -> int:
    """Return 0 when done, 1 where no system is meant or what is needed cannot be downloaded."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given, folder, download)
    except (GbfsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return status


def _list_systems(given: argparse.Namespace, folder: Path, download: Download) -> int:
    registry = update_registry(folder, datetime.now(UTC), download) if given.update else load_registry(folder)
    if given.save is not None:
        save_catalogue(folder, given.save)
    found = search_systems(registry.systems, country=given.country, words=given.search or "")
    sys.stdout.write("".join(f"{line}\n" for line in _table(found)))
    sys.stderr.write("".join(f"{line}\n" for line in _summary(registry, found, refused=given.refused)))
    return 0 if found else 1


def _write_source(given: argparse.Namespace, folder: Path, download: Download) -> int:
    system = load_registry(folder).find(given.system)
    feed = write_feed(given.to, system, discover_status(system, download))
    sys.stdout.write(
        f"{feed}: the feed of {system.name}; `make demo FEED={feed.name}` collects it on this machine\n"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gbfs", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    systems = commands.add_parser("systems", help="list the systems, one a line")
    systems.set_defaults(run=_list_systems)
    systems.add_argument("--country", metavar="FR", help="only of a country: its two letters (ISO 3166-1)")
    systems.add_argument("--search", metavar="WORDS", help="only with these words in id, name or location")
    systems.add_argument("--update", action="store_true", help="download the public catalogue first")
    systems.add_argument(
        "--save", type=Path, metavar="FILE", help="also save the catalogue, such as environments/systems.csv"
    )
    systems.add_argument("--refused", action="store_true", help="list the rows that give no system, and why")
    source = commands.add_parser("source", help="write the folder of a system's feed: its station_status")
    source.set_defaults(run=_write_source)
    source.add_argument("system", metavar="SYSTEM", help="its id, name or city")
    source.add_argument("--to", type=Path, default=Path("sources"), metavar="FOLDER", help="sources")
    return parser


def _table(systems: Iterable[CatalogueSystem]) -> list[str]:
    rows = [("SYSTEM ID", "COUNTRY", "VERSIONS", "NAME", "LOCATION")]
    rows += [
        (
            system.system_id,
            system.country,
            ", ".join(system.versions) + (" (needs a key)" if system.authentication else ""),
            system.name,
            system.location,
        )
        for system in systems
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip()
        for row in rows
    ]


def _summary(registry: Registry, found: tuple[CatalogueSystem, ...], *, refused: bool) -> list[str]:
    lines = [f"{len(found)} of {registry.source}"]
    if registry.catalogue is not None and registry.catalogue.refused:
        rows = registry.catalogue.refused
        lines.append(f"{len(rows)} rows refused" + (":" if refused else "; --refused lists them"))
        if refused:
            lines += [
                f"  line {row.line}, {row.system_id or 'no id'} ({row.reason}): {row.message}" for row in rows
            ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
