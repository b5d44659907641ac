"""Write the catalog that local-bigquery makes for a project, and the copy of an empty one, as JSON.

Run as `python -m tests.local.data_plane.compare_catalogs FOLDER`, with DuckDB's extensions in the home folder.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb
from local_bigquery.engine import database
from local_bigquery.settings import settings

from local.data_plane import catalogs

# What DuckLake makes anew for each catalog.
UNIQUE = ("UUID", "TIMESTAMP WITH TIME ZONE")


def main() -> None:
    """Attach a project in both ways in FOLDER, and use the copied one."""
    settings.data_dir = Path(sys.argv[1])
    database.attach("own")
    catalogs.install()
    database.attach("copied")
    database.attach("copied-too")
    for statement in (
        'CREATE SCHEMA "copied".d',
        'CREATE TABLE "copied".d.t (a INT)',
        'INSERT INTO "copied".d.t VALUES (1), (2)',
        'CREATE SCHEMA "copied-too".d',
    ):
        database.execute(statement)
    found = {
        "rows": database.fetch('SELECT sum(a) FROM "copied".d.t'),
        "schemas": database.fetch("SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'd'"),
        "files": sorted({file.parts[-4] for file in settings.data_dir.rglob("*.parquet")}),
        "left": sorted(file.name for file in settings.data_dir.iterdir() if file.name.startswith(".")),
    }
    database.attach("fresh")
    database.connection().close()
    found["own"], found["copied"] = (_read(name) for name in ("own", "fresh"))
    sys.stdout.write(json.dumps(found, default=str).replace("/fresh/", "/own/"))


def _read(project: str) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    with duckdb.connect(settings.data_dir / f"{project}.ducklake", read_only=True) as catalog:
        for (table,) in catalog.execute("SHOW TABLES").fetchall():
            columns = [
                name
                for name, kind, *_ in catalog.execute(f"DESCRIBE {table}").fetchall()
                if kind not in UNIQUE
            ]
            rows[table] = catalog.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()  # noqa: S608
    return rows


if __name__ == "__main__":
    main()
