"""Benchmark of the batch from files to Parquet, against the original tutorial and against Python without Spark."""

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.archives.generator import ExpectedTotals, generate_archive, read_recorded_response, write_to_folder
from bench.archives.responses import Plan
from bench.measure import BenchError, Comparison, Figure, Timing, compare, time_command
from local.workloads.spark import local_spark, prepare

ROOT = Path(__file__).parents[2]
JOBS = Path(__file__).with_name("jobs")
FILES = 17_280  # of twelve days; memory is also measured for a quarter of them
FIRST = date(2023, 10, 1)
CORES = 2
DELAY_S = 0.1
SUBMIT = ("--master", f"local[{CORES}]")
# Otherwise the tutorial's job fails at the first truncated gzip file.
TUTORIAL_OPTIONS = ("--conf", "spark.ui.enabled=false", "--conf", "spark.sql.files.ignoreCorruptFiles=true")


def run(runs: int) -> list[Comparison | Figure]:
    """Compare processes that read the same responses, including the start of Spark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = generate_archive_files(folder / "archive", FILES)
        expected_of_part = generate_archive_files(folder / "part", FILES // 4)
        ours = Job(folder, "rebuild_batch.py", format_submit_options(), expected)
        tutorial = Job(folder, "tutorial_batch.py", TUTORIAL_OPTIONS, None)
        pyarrow = Job(folder, "pyarrow_batch.py", None, None)
        workload = f"{FILES} responses, {expected.rows:,} rows, {100 * Plan.fault_rate:g} % faults"
        return [
            compare(
                "batch",
                (
                    "the batch job's processing of hours: parsed, checked, quarantined, counted",
                    ours.time_process,
                ),
                ("the original tutorial: a path list, `spark.read.json`, `explode`", tutorial.time_process),
                runs=min(runs, 3),
                per=expected.rows,
                unit="row",
                warm=False,
                note=f"{workload}, from the same gzip files to Parquet on local[{CORES}]; including the start of "
                "Spark, without listing and loading. Ours limits the JVM to its C1 compiler.",
            ),
            compare(
                "batch, Spark's start excluded",
                ("as above", ours.time_work),
                (
                    f"msgspec and pyarrow in {CORES} processes, without Spark, checks or counts",
                    pyarrow.time_work,
                ),
                runs=runs,
                per=expected.rows,
                unit="row",
                note=f"{workload}, the same gzip files.",
            ),
            compare(
                f"batch, {DELAY_S * 1000:.0f} ms added to every read",
                ("as above, with this delay before each read of a file", partial(ours.time_process, DELAY_S)),
                ("as above", ours.time_process),
                runs=min(runs, 3),
                per=expected.rows,
                unit="row",
                note=f"{workload}.",
            ),
            measure_memory(ours, with_archive(ours, folder / "part", expected_of_part), runs),
        ]


def format_submit_options() -> tuple[str, ...]:
    """Return the options of spark-submit for ours: those of a local run, with little memory."""
    return (*prepare().options, "--driver-memory", "512m")


def generate_archive_files(folder: Path, files: int, **changed: object) -> ExpectedTotals:
    """Generate an archive with current object names; return the expected totals."""
    plan = replace(Plan(FIRST, files), **changed)  # type: ignore[arg-type]  # fields of a plan
    expected_by_day = generate_archive(
        read_recorded_response(), plan, "archive", partial(write_to_folder, folder), processes=CORES
    )
    return sum(expected_by_day.values(), ExpectedTotals())


def measure_memory(whole: "Job", part: "Job", runs: int) -> Figure:
    """Measure the peak memory of all processes, for a quarter of the archive and for all of it."""
    memories = [[job.time_process().memory / 2**30 for _ in range(min(runs, 3))] for job in (part, whole)]
    part_memory, whole_memory = (statistics.median(each) for each in memories)
    return Figure(
        "memory of a batch run, all processes",
        f"{whole_memory:.2f} GiB for {FILES} responses",
        f"{part_memory:.2f} GiB for {FILES // 4} of them",
        f"{whole_memory / part_memory:.2f} ×",
        "resident memory of driver, JVM and workers; shared memory counts in each process.",
    )


class Job:
    """A script of `jobs/`, run on an archive."""

    def __init__(
        self, folder: Path, script: str, submit: Sequence[str] | None, expected: ExpectedTotals | None
    ) -> None:
        self.folder, self.script, self.submit, self.expected = folder, script, submit, expected
        self.archive = folder / "archive"

    def time_process(self, *arguments: object) -> Timing:
        """Time the whole process."""
        return self._run(arguments)[0]

    def time_work(self) -> Timing:
        """Return the wall time that the script reports, without its start, and the CPU time of the process."""
        timing, seconds = self._run(() if self.submit is not None else (CORES,))
        return replace(timing, wall=seconds)

    def _run(self, arguments: Sequence[object]) -> tuple[Timing, float]:
        out = self.folder / "out"
        argv = [
            str(JOBS / self.script),
            str(self.archive),
            str(out),
            *map(str, arguments),
        ]
        try:
            timing = time_command([*self._program(), *argv], make_environment(self.folder), ROOT)
            if self.expected is not None:
                check_output(out, self.expected)
            seconds = out / "seconds"
            return timing, float(seconds.read_text()) if seconds.exists() else timing.wall
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def _program(self) -> list[str]:
        if self.submit is None:
            return [sys.executable]
        return [str(local_spark().submit), *SUBMIT, *self.submit]


def with_archive(job: Job, archived: Path, expected: ExpectedTotals) -> Job:
    """Return the same job for another archive."""
    other = Job(job.folder, job.script, job.submit, expected)
    other.archive = archived
    return other


def make_environment(folder: Path) -> dict[str, str]:
    """Return the environment variables of spark-submit."""
    return {
        **local_spark().variables(Path(sys.executable)),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        "TMPDIR": str(folder),
    }


def check_output(out: Path, expected: ExpectedTotals) -> None:
    """Raise BenchError if rows, bikes, docks or the quarantine differ from the expected totals."""
    tables = [pq.read_table(file, columns=["nbvelosdispo", "nbplacesdispo"]) for file in out.glob("rows/*")]
    found = [sum(table.num_rows for table in tables)]
    found += [
        sum(pc.sum(table.column(name)).as_py() or 0 for table in tables)
        for name in ("nbvelosdispo", "nbplacesdispo")
    ]
    reasons: dict[str, int] = {}
    for file in out.glob("quarantine/*"):
        for reason in pq.read_table(file, columns=["reason"]).column("reason").to_pylist():
            reasons[reason] = reasons.get(reason, 0) + 1
    totals = [expected.rows, expected.bikes, expected.docks]
    if found != totals or reasons != expected.count_reasons():
        raise BenchError(f"found {found}, {reasons}; expected {totals}, {expected.count_reasons()}")
