"""The catalogue on this machine and `python -m gbfs systems`."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gbfs import GbfsError, read_catalogue
from gbfs.__main__ import main
from gbfs.catalogue.built_in import ALIASES, BUILT_IN_SYSTEMS
from gbfs.catalogue.registry import CATALOGUE_URL, load_registry, update_registry
from tests.gbfs.catalogue.test_systems import LILLE, catalogue

pytestmark = pytest.mark.unit
NOON = datetime(2026, 7, 21, 12, tzinfo=UTC)
TEXT = catalogue(
    LILLE,
    LILLE | {"System ID": "dott-bodø", "Name": "Dott Bodø", "Location": "Bodø", "Country Code": "NO"},
    LILLE | {"System ID": "ovfiets", "Auto-Discovery URL": "http://example.org/gbfs.json"},
)


def download(url: str) -> bytes:
    assert url == CATALOGUE_URL
    return TEXT.encode()


def no_network(_url: str) -> bytes:
    raise OSError("Network is unreachable")


def test_without_a_catalogue_some_systems_are_known(tmp_path: Path) -> None:
    registry = load_registry(tmp_path)
    assert registry.systems == BUILT_IN_SYSTEMS
    assert "built-in" in registry.source
    for alias, system_id in ALIASES.items():
        assert registry.find(alias).system_id == system_id
    with pytest.raises(
        GbfsError, match=r"'bodø': none of the \d+ built-in systems; `python -m gbfs systems --up"
    ):
        registry.find("bodø")


def test_what_was_downloaded_is_kept_with_its_date(tmp_path: Path) -> None:
    updated = update_registry(tmp_path / "gbfs", NOON, download)
    assert load_registry(tmp_path / "gbfs") == updated
    assert updated.downloaded_at == NOON
    assert updated.find("bodo").system_id == "dott-bodø"
    assert updated.source == "2 systems of the catalogue of 2026-07-21 12:00 UTC"
    assert updated.catalogue is not None
    assert [row.reason for row in updated.catalogue.refused] == ["not_encrypted"]


@pytest.mark.parametrize("body", [b"", b"<html>404</html>", b"\xff\xfe", b"a,b\n"])
def test_a_download_that_cannot_be_used_changes_nothing(tmp_path: Path, body: bytes) -> None:
    before = update_registry(tmp_path, NOON, download)
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
def test_a_damaged_file_is_told(tmp_path: Path, name: str, content: str) -> None:
    update_registry(tmp_path, NOON, download)
    (tmp_path / name).write_text(content)
    with pytest.raises(GbfsError, match="downloads it again"):
        load_registry(tmp_path)


def test_the_command_lists_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systems", "--update", "--country", "NO"], folder=tmp_path, download=download) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "SYSTEM ID  COUNTRY  VERSIONS  NAME       LOCATION",
        "dott-bodø  NO       2.3       Dott Bodø  Bodø",
    ]
    assert printed.err.startswith("1 of 2 systems of the catalogue of ")
    assert "1 rows refused; --refused lists them" in printed.err


def test_the_command_lists_refused_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    update_registry(tmp_path, NOON, download)
    assert main(["systems", "--refused", "--search", "lille"], folder=tmp_path) == 0
    assert "line 4, ovfiets (not_encrypted): found http://example.org/gbfs.json" in capsys.readouterr().err


def test_nothing_found_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systems", "--search", "atlantis"], folder=tmp_path) == 1
    assert capsys.readouterr().err.startswith("0 of ")


def test_without_a_network_the_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systems", "--update"], folder=tmp_path, download=no_network) == 1
    assert capsys.readouterr().err.startswith(
        f"error: {CATALOGUE_URL}: Network is unreachable; the catalogue in "
    )


def test_the_page_shows_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "gbfs.md").read_text("utf-8")
    example = page.split("$ python -m gbfs systems --search lille\n")[1].split("```")[0]
    assert main(["systems", "--search", "lille"], folder=tmp_path) == 0
    printed = capsys.readouterr()
    assert printed.out + printed.err == example


def test_the_catalogue_is_saved_for_an_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "systems.csv"
    words = ["systems", "--update", "--save", str(file)]
    assert main(words, folder=tmp_path / "cache", download=download) == 0
    assert read_catalogue(file.read_text("utf-8")) == load_registry(tmp_path / "cache").catalogue
    capsys.readouterr()
    assert main(["systems", "--save", str(file)], folder=tmp_path / "none", download=download) == 1
    assert "--update` downloads it" in capsys.readouterr().err
