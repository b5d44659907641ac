"""How the work is partitioned, and the message for an error inside a Spark task."""

import pytest

from spark.cluster import count_partitions, extract_python_error

pytestmark = pytest.mark.unit

SPARK_SAYS = """org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 1 times, \
most recent failure: Lost task 1.0 in stage 0.0 (TID 1) (localhost executor driver): \
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/tmp/userFiles/batch.zip/spark/archive.py", line 71, in read
    response = http.urlopen("GET", url)
  File "/tmp/userFiles/batch.zip/spark/archive.py", line 75, in read
    raise ArchiveError(f"gs://{bucket}/{name} cannot be read: {error}")
spark.archive.ArchiveError: gs://demo-archive/feed=x/a.json.gz was listed and cannot be read: status 404

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:581)
\tat java.base/java.lang.Thread.run(Thread.java:840)

Driver stacktrace:
"""


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (SPARK_SAYS, "gs://demo-archive/feed=x/a.json.gz was listed and cannot be read: status 404"),
        ("x: Traceback (most recent call last):\n  File 'a'\nKeyError\n", "KeyError"),
        (
            "org.apache.spark.SparkException: Job 0 cancelled\n\tat x",
            "org.apache.spark.SparkException: Job 0 cancelled",
        ),
        ("", "Spark gave no reason"),
    ],
)
def test_the_first_error_in_one_line(message: str, fault: str) -> None:
    assert extract_python_error(message) == fault


@pytest.mark.parametrize(
    ("hours", "parallelism", "parts"),
    [
        (1, 2, 1),
        (24, 2, 8),  # 2: what YARN has registered when the job begins, whatever it may add
        (24, 14, 8),
        (384, 2, 16),
        (384, 28, 112),
        (384, 400, 128),
    ],
)
def test_a_part_has_three_hours_to_a_day(hours: int, parallelism: int, parts: int) -> None:
    assert count_partitions(hours, parallelism) == parts
