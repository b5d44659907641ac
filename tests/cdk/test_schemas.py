"""The JSON Schemas of the TOML files: current, complete, and valid for the repository's files."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cdk.schemas import FOLDER, render_all
from cdk.settings import EnvironmentFile
from feed.source.folder import SOURCE_KEYS
from tests.delivery.workflows.documents import run_check

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "environments").glob("*.toml"))
SOURCES = sorted((ROOT / "sources").glob("*/source.toml"))


@pytest.mark.unit
def test_the_schemas_are_those_that_the_code_makes() -> None:
    written = {file.name: file.read_text("utf-8") for file in FOLDER.iterdir()}
    assert written == render_all(), (
        "generate them with `.venv/bin/python -m cdk.schemas`, and commit what changes"
    )


def schema(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


@pytest.mark.unit
def test_a_schema_has_every_key_with_a_description() -> None:
    environment, source = schema("environment.json"), schema("source.json")
    assert set(environment["properties"]) == set(EnvironmentFile.__struct_fields__)
    assert set(source["properties"]) == set(SOURCE_KEYS)
    assert all(each["description"] for each in source["properties"].values())
    assert environment["definitions"]["Collector"]["properties"]["memory"]["description"] == (
        "memory of an instance; accepted: 256Mi to 8192Mi"
    )


@pytest.mark.unit
@pytest.mark.parametrize("file", [*ENVIRONMENTS, *SOURCES], ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_names_its_schema(file: Path) -> None:
    first, _, rest = file.read_text("utf-8").partition("\n")
    assert (file.parent / first.removeprefix("#:schema ")).resolve().parent == FOLDER
    assert tomllib.loads(rest)


@pytest.mark.local
@pytest.mark.parametrize(
    ("name", "files"),
    [("environment.json", ENVIRONMENTS), ("source.json", SOURCES)],
    ids=["environment", "source"],
)
def test_the_files_are_as_their_schema_says(name: str, files: list[Path], tmp_path: Path) -> None:
    done = run_check("check-jsonschema", "--schemafile", FOLDER / name, *files)
    assert done.returncode == 0, done.stdout + done.stderr
    misspelt = tmp_path / "misspelt.toml"
    misspelt.write_text(f"projekt = 1\n{files[0].read_text('utf-8')}", "utf-8")
    done = run_check("check-jsonschema", "--schemafile", FOLDER / name, misspelt)
    assert (done.returncode, "'projekt' was unexpected" in done.stdout) == (1, True)
