"""The Spark side of a run: hours in, results out. Nothing here knows what an hour is made of."""

import logging
from collections.abc import Sequence
from math import ceil

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # py4j has no types
from pyspark import SparkConf, SparkContext

from spark.rebuild.planning import ArchiveHour, partition_hours
from spark.rebuild.statistics import HourResult
from spark.worker import ReadHours, RunHours, RunHoursError
from telemetry import log

# A task costs some 70 ms of processors beside its work, an hour of answers about as much. So a part has more
# than one hour; and no more than a day, for all that a cluster has: what YARN has registered when the job
# begins says little of the cores that it adds for tasks that wait.
HOURS_PER_PARTITION = 3, 24
PARTITIONS_PER_CORE = 4


def start_spark(name: str) -> RunHours:
    """A function that runs hours on the cluster that `spark-submit` was given, until this process ends.

    Spark itself stops the context then; asked to from here, pyspark would wait a second for a thread of its own.
    """
    # The master comes from spark-submit, whose settings this process's SparkConf does not show before the
    # context is there: one set here would win over the cluster's and keep all work on the driver.
    context = SparkContext(conf=SparkConf().setAppName(name))
    log(
        logging.INFO,
        f"Spark {context.version} on {context.master}, {context.defaultParallelism} tasks at once",
        master=context.master,
        parallelism=context.defaultParallelism,
    )
    return lambda work, hours: _run_hours(context, work, hours)


def _run_hours(context: SparkContext, work: ReadHours, hours: Sequence[ArchiveHour]) -> list[HourResult]:
    parts = partition_hours(hours, count_partitions(len(hours), context.defaultParallelism))
    try:
        return context.parallelize(parts, len(parts)).mapPartitions(work).collect()
    except Py4JJavaError as error:
        raise RunHoursError(extract_python_error(str(error.java_exception))) from error


def count_partitions(hours: int, parallelism: int) -> int:
    """In how many parts so many hours are run."""
    few, many = HOURS_PER_PARTITION
    return min(ceil(hours / few), max(ceil(hours / many), PARTITIONS_PER_CORE * parallelism))


def extract_python_error(java_message: str) -> str:
    """The last line of the Python traceback inside a Java exception's text, else its first line."""
    lines = [line.rstrip() for line in java_message.splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if line.startswith("Traceback") or line.endswith("Traceback (most recent call last):"):
            for each in lines[index + 1 :]:
                if not each.startswith((" ", "\t")):
                    return each.partition(": ")[2] or each
    return lines[0] if lines else "Spark gave no reason"
