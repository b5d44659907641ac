"""`spark-submit walkthrough_batch.py ARCHIVE OUT`: the walkthrough's job, with the unnesting it left to a query."""

import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, explode, input_file_name

FIELDS = (
    "nbvelosdispo long, nbplacesdispo long, libelle long, adresse string, nom string, etat string, "
    "commune string, etatconnexion string, type string, localisation array<double>, datemiseajour string"
)
SCHEMA = f"records array<struct<recordid: string, record_timestamp: string, fields: struct<{FIELDS}>>>"


def main(archive: Path, out: Path) -> None:
    """Write one row a record below `out`."""
    spark = SparkSession.builder.appName("walkthrough").getOrCreate()
    paths = [str(file) for file in sorted(archive.rglob("*.json.gz"))]
    answers = spark.read.schema(SCHEMA).json(paths)
    records = answers.select(input_file_name().alias("object"), explode("records").alias("record"))
    rows = records.select("object", "record.recordid", "record.record_timestamp", col("record.fields.*"))
    rows.write.parquet(str(out))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
