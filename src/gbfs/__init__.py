"""The pure core for GBFS systems, versions 1.0 to 3.1: discovery, files → rows in the terms of version 3.

Imports: feed.
Imported by: bench, cdk, gbfs_collector, local, operate, spark.
"""

from gbfs.catalogue import Authentication, Catalogue, CatalogueSystem, RefusedRow, read_catalogue
from gbfs.discovery import Discovery, Published, read_discovery, read_manifest, read_versions
from gbfs.documents import Document, decode, read_time
from gbfs.errors import GbfsError
from gbfs.model import FILES, FileModel
from gbfs.reading import Reading, load_rows, read_file
from gbfs.stations import Joined, join_stations, text_in
from gbfs.versions import UPGRADES, VERSIONS, newest_name, recognize_version

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
    "Joined",
    "Published",
    "Reading",
    "RefusedRow",
    "decode",
    "join_stations",
    "load_rows",
    "newest_name",
    "read_catalogue",
    "read_discovery",
    "read_file",
    "read_manifest",
    "read_time",
    "read_versions",
    "recognize_version",
    "text_in",
]
