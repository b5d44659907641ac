"""The batch from files to Parquet, beside the original's way and beside no Spark at all; and what memory it holds."""

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

from bench.archives.generator import Account, into_folder, make_archive, recorded_answer
from bench.archives.responses import Plan
from bench.measure import BenchError, Comparison, Figure, Timing, compare, timed_command
from local.workloads.spark import local_spark, prepare

ROOT = Path(__file__).parents[2]
JOBS = Path(__file__).with_name("jobs")
FILES = 17_280  # of twelve days; the memory is looked at for a fourth of them too
FIRST = date(2023, 10, 1)
CORES = 2
DELAY_S = 0.1
SUBMIT = ("--master", f"local[{CORES}]")
# Without it the original's way ends at the first gzip file that is cut.
THEIRS = ("--conf", "spark.ui.enabled=false", "--conf", "spark.sql.files.ignoreCorruptFiles=true")


def run(runs: int) -> list[Comparison | Figure]:
    """Compare whole processes, the start of Spark included, that read the same answers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        account = archive(folder / "archive", FILES)
        some = archive(folder / "some", FILES // 4)
        ours = Job(folder, "rebuild_batch.py", submission(), account)
        theirs = Job(folder, "tutorial_batch.py", THEIRS, None)
        plain = Job(folder, "pyarrow_batch.py", None, None)
        accidents = f"{FILES} answers, {account.rows:,} rows, {100 * Plan.accidents:g} % accidents"
        return [
            compare(
                "batch",
                ("the job's own hours: parsed, checked, quarantined, accounted for", ours.whole),
                ("the original's way: a path list, `spark.read.json`, `explode`", theirs.whole),
                runs=min(runs, 3),
                per=account.rows,
                unit="row",
                warm=False,
                note=f"{accidents}, from the same gzip files to Parquet on local[{CORES}]; the start of Spark is "
                "in both, listing and load are in neither. Ours has a JVM with its quick compiler alone.",
            ),
            compare(
                "batch, Spark's start excluded",
                ("as above", ours.inner),
                (
                    f"msgspec and pyarrow in {CORES} processes, no Spark, nothing checked or accounted for",
                    plain.inner,
                ),
                runs=runs,
                per=account.rows,
                unit="row",
                note=f"{accidents}, the same gzip files.",
            ),
            compare(
                f"batch, {DELAY_S * 1000:.0f} ms added to every read",
                ("as above, each read of a file waits so long before", partial(ours.whole, DELAY_S)),
                ("as above", ours.whole),
                runs=min(runs, 3),
                per=account.rows,
                unit="row",
                note=f"{accidents}.",
            ),
            memory(ours, replace_archive(ours, folder / "some", some), runs),
        ]


def submission() -> tuple[str, ...]:
    """How ours is given to Spark: as on this machine, in little memory."""
    return (*prepare().options, "--driver-memory", "512m")


def archive(folder: Path, files: int, **changed: object) -> Account:
    """Make an archive under today's names; what is right about it."""
    plan = replace(Plan(FIRST, files), **changed)  # type: ignore[arg-type]  # fields of a plan
    accounts = make_archive(recorded_answer(), plan, "archive", partial(into_folder, folder), processes=CORES)
    return sum(accounts.values(), Account())


def memory(whole: "Job", part: "Job", runs: int) -> Figure:
    """What all processes of a run hold together at most, of a fourth of the archive and of all of it."""
    held = [[job.whole().memory / 2**30 for _ in range(min(runs, 3))] for job in (part, whole)]
    some, most = (statistics.median(each) for each in held)
    return Figure(
        "memory of a batch, all processes",
        f"{most:.2f} GiB for {FILES} answers",
        f"{some:.2f} GiB for {FILES // 4} of them",
        f"{most / some:.2f} ×",
        "resident, driver, JVM and workers together; what they share counts in each.",
    )


class Job:
    """One of the scripts here, run on an archive into a new folder each time."""

    def __init__(
        self, folder: Path, script: str, submit: Sequence[str] | None, account: Account | None
    ) -> None:
        self.folder, self.script, self.submit, self.account = folder, script, submit, account
        self.archive = folder / "archive"

    def whole(self, *arguments: object) -> Timing:
        """A whole process, to its end."""
        return self._run(arguments)[0]

    def inner(self) -> Timing:
        """Only what the script itself says it took; the processor time is that of all of it."""
        timing, seconds = self._run(() if self.submit is not None else (CORES,))
        return replace(timing, wall=seconds)

    def _run(self, arguments: Sequence[object]) -> tuple[Timing, float]:
        out = self.folder / "out"
        words = [
            str(JOBS / self.script),
            str(self.archive),
            str(out),
            *map(str, arguments),
        ]
        try:
            timing = timed_command([*self._program(), *words], environment(self.folder), ROOT)
            if self.account is not None:
                check(out, self.account)
            seconds = out / "seconds"
            return timing, float(seconds.read_text()) if seconds.exists() else timing.wall
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def _program(self) -> list[str]:
        if self.submit is None:
            return [sys.executable]
        return [str(local_spark().submit), *SUBMIT, *self.submit]


def replace_archive(job: Job, archived: Path, account: Account) -> Job:
    """The same job on another archive."""
    other = Job(job.folder, job.script, job.submit, account)
    other.archive = archived
    return other


def environment(folder: Path) -> dict[str, str]:
    """What spark-submit needs to know."""
    return {
        **local_spark().variables(Path(sys.executable)),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        "TMPDIR": str(folder),
    }


def check(out: Path, account: Account) -> None:
    """Raise BenchError where rows, bikes, docks or the quarantine are not what the generator says."""
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
    expected = [account.rows, account.bikes, account.docks]
    if found != expected or reasons != account.reasons():
        raise BenchError(f"found {found}, {reasons}; expected {expected}, {account.reasons()}")
