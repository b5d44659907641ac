"""The local copy of the catalogue, and `python -m gbfs systems`."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gbfs import GbfsError, read_catalogue
from gbfs.__main__ import main
from gbfs.catalogue.built_in import ALIASES, BUILT_IN_SYSTEMS
from gbfs.catalogue.registry import CATALOGUE_URL, load_registry, update_registry
from tests.gbfs.catalogue.test_systems import LILLE, format_catalogue

pytestmark = pytest.mark.unit
NOON = datetime(2026, 7, 21, 12, tzinfo=UTC)
TEXT = format_catalogue(
    LILLE,
    LILLE | {"System ID": "dott-bodø", "Name": "Dott Bodø", "Location": "Bodø", "Country Code": "NO"},
    LILLE | {"System ID": "ovfiets", "Auto-Discovery URL": "http://example.org/gbfs.json"},
)


def download_catalogue(url: str) -> bytes:
    assert url == CATALOGUE_URL
    return TEXT.encode()


def fail_download(_url: str) -> bytes:
    raise OSError("Network is unreachable")


def test_without_a_catalogue_the_built_in_systems_are_known(tmp_path: Path) -> None:
    registry = load_registry(tmp_path)
    assert registry.systems == BUILT_IN_SYSTEMS
    assert "built-in" in registry.source
    for alias, system_id in ALIASES.items():
        assert registry.find(alias).system_id == system_id
    with pytest.raises(
        GbfsError, match=r"'bodø': none of the \d+ built-in systems; `python -m gbfs systems --up"
    ):
        registry.find("bodø")


def test_a_downloaded_catalogue_is_stored_with_its_date(tmp_path: Path) -> None:
    updated = update_registry(tmp_path / "gbfs", NOON, download_catalogue)
    assert load_registry(tmp_path / "gbfs") == updated
    assert updated.downloaded_at == NOON
    assert updated.find("bodo").system_id == "dott-bodø"
    assert updated.source == "2 systems of the catalogue of 2026-07-21 12:00 UTC"
    assert updated.catalogue is not None
    assert [row.reason for row in updated.catalogue.refused] == ["not_encrypted"]


@pytest.mark.parametrize("body", [b"", b"<html>404</html>", b"\xff\xfe", b"a,b\n"])
def test_an_invalid_download_does_not_replace_the_catalogue(tmp_path: Path, body: bytes) -> None:
    before = update_registry(tmp_path, NOON, download_catalogue)
    with pytest.raises(GbfsError, match="was not changed"):
        update_registry(tmp_path, NOON, lambda _: body)
    assert load_registry(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("systems.json", "{}"),
        ("systems.json", "no"),
        ("systems.json", json.dumps({"downloaded_at": 7})),
        ("systems.csv", "x"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path: Path, name: str, content: str) -> None:
    update_registry(tmp_path, NOON, download_catalogue)
    (tmp_path / name).write_text(content)
    with pytest.raises(GbfsError, match="downloads it again"):
        load_registry(tmp_path)


def test_the_command_lists_the_systems_of_a_country(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["systems", "--update", "--country", "NO"], folder=tmp_path, download=download_catalogue) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "SYSTEM ID  COUNTRY  VERSIONS  NAME       LOCATION",
        "dott-bodø  NO       2.3       Dott Bodø  Bodø",
    ]
    assert printed.err.startswith("1 of 2 systems of the catalogue of ")
    assert "1 rows refused; --refused lists them" in printed.err


def test_the_command_lists_refused_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    update_registry(tmp_path, NOON, download_catalogue)
    assert main(["systems", "--refused", "--search", "lille"], folder=tmp_path) == 0
    assert "line 4, ovfiets (not_encrypted): found http://example.org/gbfs.json" in capsys.readouterr().err


def test_the_command_fails_if_no_system_matches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systems", "--search", "atlantis"], folder=tmp_path) == 1
    assert capsys.readouterr().err.startswith("0 of ")


def test_the_command_reports_a_failed_download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systems", "--update"], folder=tmp_path, download=fail_download) == 1
    assert capsys.readouterr().err.startswith(
        f"error: {CATALOGUE_URL}: Network is unreachable; the catalogue in "
    )


def test_the_documentation_shows_the_output_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "gbfs.md").read_text("utf-8")
    example = page.split("$ .venv/bin/python -m gbfs systems --search lille\n")[1].split("```")[0]
    assert main(["systems", "--search", "lille"], folder=tmp_path) == 0
    printed = capsys.readouterr()
    assert printed.out + printed.err == example


def test_the_catalogue_is_saved_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "systems.csv"
    words = ["systems", "--update", "--save", str(file)]
    assert main(words, folder=tmp_path / "cache", download=download_catalogue) == 0
    assert read_catalogue(file.read_text("utf-8")) == load_registry(tmp_path / "cache").catalogue
    capsys.readouterr()
    assert main(["systems", "--save", str(file)], folder=tmp_path / "none", download=download_catalogue) == 1
    assert "--update` downloads it" in capsys.readouterr().err
