"""A synth is reproducible: equal sources in another folder, with other times and modes, give equal bytes."""

import zipfile
from pathlib import Path

import pytest

from tests.cdk.conftest import Synthesis

pytestmark = pytest.mark.synth


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_two_checkouts_synthesize_the_same_bytes(synthesis: Synthesis, second_synthesis: Synthesis) -> None:
    first, second = contents(synthesis.outdir), contents(second_synthesis.outdir)
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []
    assert sum(name.endswith("cdk.tf.json") for name in first) == 4  # including the bootstrap stacks


def test_what_each_archive_holds(synthesis: Synthesis) -> None:
    names = {}
    for file in synthesis.folder("dev").rglob("*.zip"):
        with zipfile.ZipFile(file) as archive:
            names[file.name.split("-")[0]] = set(archive.namelist())
            assert all(not name.endswith(".pyc") for name in archive.namelist())
    assert {"main.py", "requirements.txt", "feed/__init__.py", "collector/tick.py"} <= names["collector"]
    assert {name for name in names["collector"] if name.startswith("sources/")} == {
        "sources/vlille_gbfs/source.toml",
        "sources/vlille_gbfs/sample.json",
    }
    assert {"Dockerfile", "requirements.txt", "copier/app.py", "sources/vlille_ods/source.toml"} <= names[
        "copier"
    ]
    assert {"spark/rebuild/job.py", "feed/parsing/parser.py", "telemetry/__init__.py"} <= names["batch"]
    assert {"PYTHON_TAG", "msgspec/__init__.py", "pyarrow/__init__.py"} <= names["packages"]
    ours = {"cdk", "local", "bench", "tests"}
    assert not {name for each in names.values() for name in each if name.split("/")[0] in ours}
