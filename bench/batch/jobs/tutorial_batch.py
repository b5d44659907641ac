"""`spark-submit tutorial_batch.py ARCHIVE OUT`: the original tutorial's job, including the unnesting.

It has the tutorial's schema, reader and list of paths, and counts nothing. The tutorial left unnesting to a query.
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
    """Write one row per record below `out`."""
    spark = SparkSession.builder.appName("tutorial").getOrCreate()
    paths = [str(file) for file in sorted(archive.rglob("*.json.gz"))]
    responses = spark.read.schema(SCHEMA).json(paths)
    records = responses.select(input_file_name().alias("object"), explode("records").alias("record"))
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
