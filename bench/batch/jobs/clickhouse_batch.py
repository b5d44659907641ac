"""`python clickhouse_batch.py ARCHIVE OUT PROCESSES`: the same rows with embedded ClickHouse (chdb), to Parquet.

Unlike the batch it has no checks and no quarantine, and counts nothing: every file must be a complete response.
"""

import sys
from pathlib import Path

import chdb  # type: ignore[import-not-found]  # it is in the environment of bench/batch/requirements.txt only

FIELDS = """
    nbvelosdispo Nullable(Int64), nbplacesdispo Nullable(Int64), libelle Nullable(Int64), adresse Nullable(String),
    nom Nullable(String), etat Nullable(String), commune Nullable(String), etatconnexion Nullable(String),
    type Nullable(String), datemiseajour Nullable(DateTime64(6, 'UTC'))
"""
RECORDS = f"""
    records Array(Tuple(
        recordid String, record_timestamp Nullable(DateTime64(6, 'UTC')), fields Tuple({FIELDS}),
        geometry Tuple(coordinates Array(Float64))
    ))
"""
# The tick is in the file's name, such as 20231001T000000Z.json.gz.
QUERY = """
    INSERT INTO FUNCTION file('{out}', 'Parquet')
    SELECT
        parseDateTimeBestEffort(left(_file, 15), 'UTC') AS collected_at,
        record.recordid AS recordid,
        record.record_timestamp AS record_timestamp,
        {fields},
        record.geometry.coordinates[1] AS longitude,
        record.geometry.coordinates[2] AS latitude
    FROM (SELECT _file, arrayJoin(records) AS record FROM file('{archive}/**/*.json.gz', 'JSONEachRow', '{records}'))
    SETTINGS
        max_threads = {processes}, date_time_input_format = 'best_effort', input_format_skip_unknown_fields = 1,
        output_format_parquet_compression_method = 'zstd'
"""
NAMES = [field.split()[0] for field in FIELDS.replace("DateTime64(6, 'UTC')", "DateTime64").split(",")]


def main(archive: Path, out: Path, processes: int) -> None:
    """Write the archive's rows below `out`."""
    (out / "rows").mkdir(parents=True)
    chdb.query(
        QUERY.format(
            out=out / "rows" / "rows.parquet",
            archive=archive,
            fields=", ".join(f"record.fields.{name} AS {name}" for name in NAMES),
            records=" ".join(RECORDS.replace("'", "\\'").split()),
            processes=processes,
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
