"""Write what local-bigquery's own catalog lookups return and what their replacements return, as JSON.

Run as `python -m tests.local.data_plane.compare_catalog_queries FOLDER`, with DuckDB's extensions in the home folder.
"""

import json
import sys
from pathlib import Path
from typing import Any

from local_bigquery.engine import database
from local_bigquery.settings import settings

from local.data_plane.catalog_queries import COLUMN, DATASET, REQUIRED_COLUMNS, CatalogQueries

STATEMENTS = """
CREATE SCHEMA "p-1".d; CREATE SCHEMA "p-1".gone; DROP SCHEMA "p-1".gone; CREATE SCHEMA "p-2".other;
CREATE TABLE "p-1".d.t (a INT NOT NULL, b STRUCT(c INT)); CREATE TABLE "p-1".d.u (a INT, e INT NOT NULL);
CREATE TABLE "p-1".d.gone (a INT);
CREATE TABLE "p-2".other.t (z INT); CREATE VIEW "p-1".d.v AS SELECT a FROM "p-1".d.t;
INSERT INTO "p-1".d.t SELECT range, NULL FROM range(100);
DELETE FROM "p-1".d.t WHERE a < 40; DROP TABLE "p-1".d.gone;
ALTER TABLE "p-1".d.u ADD COLUMN later INT; ALTER TABLE "p-1".d.t ALTER a DROP NOT NULL;
CREATE TABLE emulator._results."p-1:job" (a INT NOT NULL); INSERT INTO emulator._results."p-1:job" VALUES (1), (2);
"""
TABLES = [("p-1", "d", name) for name in ("t", "u", "v", "gone", "absent")]
TABLES += [("p-2", "other", "t"), ("emulator", "_results", "p-1:job"), ("emulator", "_results", "p-1:absent")]
SCHEMAS = [
    ("p-1", "d"),
    ("p-1", "gone"),
    ("p-1", "other"),
    ("p-2", "other"),
    ("emulator", "_results"),
    ("p-3", "d"),
]


def main() -> None:
    """Make a catalog of two projects in FOLDER, and look each thing up in both ways."""
    settings.data_dir = Path(sys.argv[1])
    for project in ("p-1", "p-2", "emulator"):
        database.attach(project)
    for statement in STATEMENTS.split(";")[:-1]:
        database.execute(statement)
    replaced = CatalogQueries(database.fetch, database.objects)
    found: dict[str, list[Any]] = {"own": [], "replaced": []}
    for name, fetch, list_objects in (
        ("own", database.fetch, database.objects),
        ("replaced", replaced.fetch, replaced.list_objects),
    ):
        found[name] += [list_objects(*each) for each in (*SCHEMAS, *TABLES)]
        found[name] += [fetch(DATASET, list(each)) for each in SCHEMAS]
        found[name] += [sorted(fetch(REQUIRED_COLUMNS, list(each))) for each in TABLES]
        found[name] += [
            fetch(COLUMN, [*each, column]) for each in TABLES for column in ("a", "b", "later", "z")
        ]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
