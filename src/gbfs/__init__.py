"""The pure core for GBFS systems, versions 1.0 to 3.1: reads their files as rows in the terms of version 3.

Imports: feed.
Imported by: bench, cdk, gbfs_collector, local, operate, spark.
"""

from gbfs.catalogue.systems import Authentication, Catalogue, CatalogueSystem, RefusedRow, read_catalogue
from gbfs.errors import GbfsError
from gbfs.files.decoding import Document, decode_file, read_time
from gbfs.files.discovery import Discovery, PublishedVersion, read_discovery, read_manifest, read_versions
from gbfs.files.model import FILES, FileModel
from gbfs.files.reading import Reading, format_json_rows, read_file
from gbfs.files.stations import JoinedStations, join_stations, select_text
from gbfs.files.versions import UPGRADES, VERSIONS, current_file_name, recognize_version

__all__ = [
    "FILES",
    "UPGRADES",
    "VERSIONS",
    "Authentication",
    "Catalogue",
    "CatalogueSystem",
    "Discovery",
    "Document",
    "FileModel",
    "GbfsError",
    "JoinedStations",
    "PublishedVersion",
    "Reading",
    "RefusedRow",
    "current_file_name",
    "decode_file",
    "format_json_rows",
    "join_stations",
    "read_catalogue",
    "read_discovery",
    "read_file",
    "read_manifest",
    "read_time",
    "read_versions",
    "recognize_version",
    "select_text",
]
