"""`python -m gbfs systems|source`: list the public GBFS systems, or write a feed for one of them."""

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from gbfs.catalogue.registry import (
    Download,
    Registry,
    download_file,
    load_registry,
    save_catalogue,
    update_registry,
)
from gbfs.catalogue.systems import CatalogueSystem, search_systems
from gbfs.errors import GbfsError
from gbfs.feed_source import discover_status_file, write_feed

CACHE = Path(".cache") / "gbfs"


def main(
    arguments: list[str] | None = None, *, folder: Path = CACHE, download: Download = download_file
) -> int:
    """Return the exit code: 0, or 1 if no system matches or a download fails."""
    options = _make_parser().parse_args(arguments)
    try:
        status: int = options.run(options, folder, download)
    except (GbfsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return status


def _run_systems(options: argparse.Namespace, folder: Path, download: Download) -> int:
    registry = (
        update_registry(folder, datetime.now(UTC), download) if options.update else load_registry(folder)
    )
    if options.save is not None:
        save_catalogue(folder, options.save)
    found = search_systems(registry.systems, country=options.country, words=options.search or "")
    sys.stdout.write("".join(f"{line}\n" for line in _format_table(found)))
    sys.stderr.write(
        "".join(f"{line}\n" for line in _format_summary(registry, found, refused=options.refused))
    )
    return 0 if found else 1


def _run_source(options: argparse.Namespace, folder: Path, download: Download) -> int:
    system = load_registry(folder).find(options.system)
    try:
        status_file = discover_status_file(system, download)
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise GbfsError(
            "unreachable",
            f"{system.discovery_url}: {reason}; no feed was written. Check the connection, then run this again",
        ) from error
    feed = write_feed(options.to, system, status_file)
    sys.stdout.write(f"{feed}: the feed of {system.name}; `make demo FEED={feed.name}` collects it locally\n")
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gbfs", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    systems = commands.add_parser("systems", help="list the systems, one per line")
    systems.set_defaults(run=_run_systems)
    systems.add_argument("--country", metavar="FR", help="only systems of this country (ISO 3166-1 alpha-2)")
    systems.add_argument(
        "--search", metavar="WORDS", help="only systems with these words in ID, name or location"
    )
    systems.add_argument("--update", action="store_true", help="download the public catalogue first")
    systems.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="also save the catalogue to a file, such as environments/systems.csv",
    )
    systems.add_argument("--refused", action="store_true", help="list refused rows of the catalogue, and why")
    source = commands.add_parser("source", help="write a feed that collects a system's station_status")
    source.set_defaults(run=_run_source)
    source.add_argument("system", metavar="SYSTEM", help="ID, name or city of the system")
    source.add_argument("--to", type=Path, default=Path("sources"), metavar="FOLDER", help="default: sources")
    return parser


def _format_table(systems: Iterable[CatalogueSystem]) -> list[str]:
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


def _format_summary(registry: Registry, found: tuple[CatalogueSystem, ...], *, refused: bool) -> list[str]:
    lines = [f"{len(found)} of {registry.source}"]
    if registry.catalogue is not None and registry.catalogue.refused:
        rows = registry.catalogue.refused
        lines.append(f"{len(rows)} rows refused" + (":" if refused else "; --refused lists them"))
        if refused:
            lines += [
                f"  line {row.line}, {row.system_id or 'no ID'} ({row.reason}): {row.message}" for row in rows
            ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
