"""`spark-submit tutorial_batch.py ARCHIVE OUT`: the walkthrough's job, with the unnesting it left to a query.

Its schema of an answer, its reader and its list of paths; it has no other account of what it read.
"""

import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.functions import explode, input_file_name

FIELDS = (
    "nbvelosdispo int, nbplacesdispo int, libelle string, adresse string, nom string, etat string, "
    "commune string, etatconnexion string, type string, geo array<float>, localisation array<float>, "
    "datemiseajour timestamp"
)
RECORD = (
    f"datasetid string, recordid string, fields struct<{FIELDS}>, "
    "geometry struct<type: string, coordinates: array<float>>, record_timestamp timestamp"
)
SCHEMA = (
    "nhits int, parameters struct<dataset: string, rows: int, start: int, format: string, timezone: string>, "
    f"records array<struct<{RECORD}>>"
)


def main(archive: Path, out: Path) -> None:
    """Write one row a record below `out`."""
    spark = SparkSession.builder.appName("walkthrough").getOrCreate()
    paths = [str(file) for file in sorted(archive.rglob("*.json.gz"))]
    answers = spark.read.schema(SCHEMA).json(paths)
    records = answers.select(input_file_name().alias("object"), explode("records").alias("record"))
    rows = records.select(
        "object",
        "record.recordid",
        "record.record_timestamp",
        "record.geometry.coordinates",
        "record.fields.*",
    )
    rows.write.parquet(str(out))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
