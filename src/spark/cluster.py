"""Process archive hours on the Spark cluster. This module does not know what an hour contains."""

import logging
from collections.abc import Sequence
from math import ceil

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # py4j has no types
from pyspark import SparkConf, SparkContext

from spark.rebuild.planning import ArchiveHour, partition_hours
from spark.rebuild.statistics import HourResult
from spark.worker import ReadHours, RunHours, RunHoursError
from telemetry import log

# A task has an overhead of about 70 ms, and an hour of responses takes about as long. So a partition has several hours;
# and at most a day, however few cores the cluster has, because YARN adds cores for waiting tasks after the start.
HOURS_PER_PARTITION = 3, 24
PARTITIONS_PER_CORE = 4


def start_spark(name: str) -> RunHours:
    """Start Spark; return a function that processes archive hours on the cluster and returns their results.

    The context ends with the process; stopping it explicitly would take pyspark a second.
    """
    # The master comes from spark-submit. Before the context exists, SparkConf does not show its settings; a master that
    # is set here would override the cluster's and keep all work on the driver.
    context = SparkContext(conf=SparkConf().setAppName(name))
    log(
        logging.INFO,
        f"Spark {context.version} on {context.master}, {context.defaultParallelism} concurrent tasks",
        master=context.master,
        parallelism=context.defaultParallelism,
    )
    return lambda work, hours: _run_hours(context, work, hours)


def _run_hours(context: SparkContext, work: ReadHours, hours: Sequence[ArchiveHour]) -> list[HourResult]:
    partitions = partition_hours(hours, count_partitions(len(hours), context.defaultParallelism))
    try:
        return context.parallelize(partitions, len(partitions)).mapPartitions(work).collect()
    except Py4JJavaError as error:
        raise RunHoursError(extract_python_error(str(error.java_exception))) from error


def count_partitions(hours: int, parallelism: int) -> int:
    """Return the number of partitions for so many hours."""
    few, many = HOURS_PER_PARTITION
    return min(ceil(hours / few), max(ceil(hours / many), PARTITIONS_PER_CORE * parallelism))


def extract_python_error(java_message: str) -> str:
    """Return the error of the Python traceback inside a Java exception's text, else its first line."""
    lines = [line.rstrip() for line in java_message.splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if line.startswith("Traceback") or line.endswith("Traceback (most recent call last):"):
            for each in lines[index + 1 :]:
                if not each.startswith((" ", "\t")):
                    return each.partition(": ")[2] or each
    return lines[0] if lines else "Spark gave no reason"
