"""Run the job with the Python and Spark of each supported Dataproc image, with its packaged dependencies."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.archives.responses import Plan
from bench.batch.exactness import FIRST, require_equal
from bench.batch.project import batch_environment
from bench.emulation import ROOT
from bench.measure import BenchError, Figure
from cdk.artifacts.spark_packages import build_packages_zip

# https://cloud.google.com/dataproc/docs/concepts/versioning/dataproc-version-clusters
IMAGES = {"2.3": ("3.11", "3.5.3"), "3.0": ("3.12", "4.1.2")}
RESPONSES = 288


def run(_runs: int) -> list[Figure]:
    """Rebuild a day with each image. Raises BenchError if the tables differ from the expected totals."""
    return [_measure_image(image, python, pyspark) for image, (python, pyspark) in IMAGES.items()]


def _measure_image(image: str, python: str, pyspark: str) -> Figure:
    what, on = f"batch on image {image}", f"Spark {pyspark}, Python {python}"
    if not _can_run(f"python{python}"):
        return Figure(what, "not measured", f"no python{python} on PATH", "")
    home = _make_environment(python, pyspark)
    packages = build_packages_zip(python, ROOT / ".cache")
    with tempfile.TemporaryDirectory() as folder, batch_environment(Path(folder)) as environment:
        expected = environment.generate_archive(Plan(FIRST, RESPONSES, step=5))
        day = FIRST.isoformat()
        started = time.perf_counter()
        statistics = environment.run(home, (day, day), zips=(packages,))
        wall = time.perf_counter() - started
        require_equal(expected, environment)
    return Figure(
        what,
        on,
        f"{statistics['rows_loaded']:,} rows in {wall:.0f} s",
        "0 differences",
        "a Python environment with pyspark only; everything else is packaged with the job.",
    )


def _can_run(program: str) -> bool:
    """Return whether a program exists and runs; pyenv has shims for versions that are not installed."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _make_environment(python: str, pyspark: str) -> Path:
    """Return the folder of a Python environment with only pyspark, created once."""
    home = ROOT / ".cache" / f"spark-{pyspark}-python-{python}"
    ready = home / ".ready"
    if not ready.exists():
        shutil.rmtree(home, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        for argv in (
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
            done = subprocess.run([*uv, *argv], capture_output=True, text=True, check=False)
            if done.returncode:
                raise BenchError(f"cannot install Spark {pyspark} for Python {python}: {done.stderr[-500:]}")
        ready.touch()
    return home
