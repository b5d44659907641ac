"""The job on the Python and Spark of each Dataproc image that the settings accept, with the packages that travel."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.archives.responses import Plan
from bench.batch.exactness import FIRST, hold
from bench.batch.project import project
from bench.emulation import ROOT
from bench.measure import BenchError, Figure
from cdk.artifacts.spark_packages import packages_zip

# https://cloud.google.com/dataproc/docs/concepts/versioning/dataproc-version-clusters
IMAGES = {"2.3": ("3.11", "3.5.3"), "3.0": ("3.12", "4.1.2")}
ANSWERS = 288


def run(_runs: int) -> list[Figure]:
    """Rebuild a day on each. Raises BenchError where the tables are not the generator's account."""
    return [_on(image, python, pyspark) for image, (python, pyspark) in IMAGES.items()]


def _on(image: str, python: str, pyspark: str) -> Figure:
    what, on = f"batch on image {image}", f"Spark {pyspark}, Python {python}"
    if not _runs(f"python{python}"):
        return Figure(what, "not measured", f"no python{python} on PATH", "")
    home = _environment(python, pyspark)
    packages = packages_zip(python, ROOT / ".cache")
    with tempfile.TemporaryDirectory() as folder, project(Path(folder)) as one:
        expected = one.archive(Plan(FIRST, ANSWERS, step=5))
        day = FIRST.isoformat()
        started = time.perf_counter()
        account = one.run(home, (day, day), zips=(packages,))
        wall = time.perf_counter() - started
        hold(expected, one)
    return Figure(
        what,
        on,
        f"{account['rows_loaded']:,} rows in {wall:.0f} s",
        "0 differences",
        "an environment of its own, with nothing installed but pyspark; all else is what travels with the job.",
    )


def _runs(program: str) -> bool:
    """Whether it is there, and is more than the name of a version that is not installed."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _environment(python: str, pyspark: str) -> Path:
    """A Python environment that holds pyspark alone, made once."""
    home = ROOT / ".cache" / f"spark-{pyspark}-python-{python}"
    ready = home / ".ready"
    if not ready.exists():
        shutil.rmtree(home, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        for words in (
            ["venv", "--quiet", "--python", str(shutil.which(f"python{python}")), str(home)],
            [
                "pip",
                "install",
                "--quiet",
                "--python",
                str(home / "bin" / "python"),
                f"pyspark=={pyspark}",
                "setuptools",
            ],
        ):
            done = subprocess.run([*uv, *words], capture_output=True, text=True, check=False)
            if done.returncode:
                raise BenchError(
                    f"Spark {pyspark} on Python {python} cannot be installed: {done.stderr[-500:]}"
                )
        ready.touch()
    return home
