"""The local environment as a project that Terraform deploys into: started once, found again, stopped."""

import json
import os
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from local.processes.supervisor import Supervisor
from local.runs.cloud import explain_failed_start

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 120


def local(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m local` with `.local` below a temporary folder."""
    return subprocess.run(
        [sys.executable, "-m", "local", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def exports(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert all(words[0] == "export" for words in lines)
    return dict(words[1].split("=", 1) for words in lines)


def test_a_local_project_is_started_once_found_again_and_stopped(tmp_path: Path) -> None:
    try:
        variables = exports(local(tmp_path, "cloud", "--detached"))
        assert exports(local(tmp_path, "cloud", "--detached")) == variables
        bucket = f"{variables['GOOGLE_BACKEND_STORAGE_CUSTOM_ENDPOINT']}b/vlille-dev-tfstate"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(bucket, timeout=10) as response:
            assert json.loads(response.read())["versioning"] == {"enabled": True}
        assert variables["GOOGLE_OAUTH_ACCESS_TOKEN"] == "local"  # noqa: S105 - opens nothing
    finally:
        down = local(tmp_path, "down")
    assert down.returncode == 0, down.stderr
    assert not (tmp_path / ".local" / "dev" / "endpoints.json").exists()
    with pytest.raises(OSError, match="refused"):
        opener.open(bucket, timeout=10)


def test_an_unknown_environment_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = local(tmp_path, "cloud", "--detached", "--env", "dve")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ENV: found 'dve' (did you mean \"dev\"?); accepted: dev, prod")
    assert done.stdout == ""


def test_a_failed_start_is_reported_in_the_processs_words(tmp_path: Path) -> None:
    with Supervisor(tmp_path / ".local" / "dev" / "processes.json"):
        done = local(tmp_path, "cloud", "--detached")
    assert (done.returncode, done.stdout) == (1, "")
    assert [line for line in done.stderr.splitlines() if line] == [
        "starting the local environment of dev, until `make down ENV=dev` …",
        f".local/dev is in use by process {os.getpid()}: stop it there, or run `make down`",
    ]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("   0.1 s  synthesizing …\n\nthe port is taken: end it\n", "the port is taken: end it"),
        (
            "\nx ended with code 1\n  | a\nfull output: y\n",
            "x ended with code 1\n  | a\nfull output: y",
        ),
        (
            "   0.1 s  a\n\nTraceback (most recent call last):\nKeyError: 1\n",
            "the control plane emulator ended with code 1\n  |    0.1 s  a\n  | \n"
            "  | Traceback (most recent call last):\n  | KeyError: 1\nfull output: {log}",
        ),
        ("", "the control plane emulator ended with code 1\n  (no output)\nfull output: {log}"),
    ],
)
def test_a_failed_start_quotes_the_last_message_or_the_end_of_the_output(
    tmp_path: Path, text: str, expected: str
) -> None:
    log = tmp_path / "log"
    log.write_text(f"of an earlier start\n\nnot this\n{text}")
    begin = len("of an earlier start\n\nnot this\n")
    assert str(explain_failed_start(1, log, begin)) == expected.format(log=log)
