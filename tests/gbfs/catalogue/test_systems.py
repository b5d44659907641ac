"""The systems and refused rows of the catalogue, and systems found by name or city."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs import Authentication, CatalogueSystem, GbfsError, read_catalogue
from gbfs.catalogue.systems import find_system, fold_text, search_systems

pytestmark = pytest.mark.unit

HEADER = (
    "Country Code,Name,Location,System ID,URL,Auto-Discovery URL,Supported Versions,Authentication Info URL,"
    "Authentication Type,Authentication Parameter Name"
)
LILLE = {
    "Country Code": "FR",
    "Name": "V'lille",
    "Location": "Lille",
    "System ID": "v_lille",
    "URL": "https://example.org/",
    "Auto-Discovery URL": "https://example.org/gbfs.json",
    "Supported Versions": "2.3",
}


def format_catalogue(*rows: dict[str, str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER.split(","), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_a_row_becomes_a_system() -> None:
    assert read_catalogue(format_catalogue(LILLE)).systems == (
        CatalogueSystem(
            system_id="v_lille",
            name="V'lille",
            country="FR",
            location="Lille",
            url="https://example.org/",
            discovery_url="https://example.org/gbfs.json",
            versions=("2.3",),
        ),
    )


@pytest.mark.parametrize(
    ("cells", "field", "value"),
    [
        ({"System ID": "dott-bodø"}, "system_id", "dott-bodø"),
        ({"System ID": " spin akron "}, "system_id", "spin akron"),
        ({"Name": ""}, "name", "v_lille"),
        ({"Supported Versions": "3.0 ; 1.1;2.3"}, "versions", ("1.1", "2.3", "3.0")),
        ({"Supported Versions": ""}, "versions", ()),
        ({"Supported Versions": "2.3 ; 9.0"}, "versions", ("2.3",)),
        ({"Auto-Discovery URL": "https://a.b/bodø/g.json"}, "discovery_url", "https://a.b/bod%C3%B8/g.json"),
        ({"Auto-Discovery URL": "https://a.b/a%20b?key=1"}, "discovery_url", "https://a.b/a%20b?key=1"),
        ({"Auto-Discovery URL": "http://127.0.0.1:8/g"}, "discovery_url", "http://127.0.0.1:8/g"),
        ({"Authentication Type": "0"}, "authentication", None),
        (
            {"Authentication Type": "2", "Authentication Parameter Name": "DB-Client-Id|DB-Api-Key"},
            "authentication",
            Authentication("header", ("DB-Client-Id", "DB-Api-Key"), ""),
        ),
        (
            {"Authentication Type": "1", "Authentication Parameter Name": "key"},
            "authentication",
            Authentication("query", ("key",), ""),
        ),
    ],
)
def test_unusual_cells_are_read(cells: dict[str, str], field: str, value: Any) -> None:
    [system] = read_catalogue(format_catalogue(LILLE | cells)).systems
    assert getattr(system, field) == value


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"System ID": ""}, "no_id"),
        ({"System ID": "v_lille"}, "duplicate_id"),
        ({"Country Code": "France"}, "no_country"),
        ({"Auto-Discovery URL": ""}, "no_url"),
        ({"Auto-Discovery URL": "example.org/gbfs.json"}, "no_url"),
        ({"Auto-Discovery URL": "https://[oops"}, "no_url"),
        ({"Auto-Discovery URL": "https://a b"}, "no_url"),
        ({"Auto-Discovery URL": "http://example.org/gbfs.json"}, "not_encrypted"),
        ({"Authentication Type": "7", "Authentication Parameter Name": "x"}, "unknown_authentication"),
        ({"Authentication Type": "2"}, "unknown_authentication"),
    ],
)
def test_an_invalid_row_is_refused_with_a_reason(cells: dict[str, str], reason: str) -> None:
    found = read_catalogue(format_catalogue(LILLE, LILLE | {"System ID": "other"} | cells))
    assert [system.system_id for system in found.systems] == ["v_lille"]
    [refused] = found.refused
    assert (refused.line, refused.reason) == (3, reason)
    assert refused.message


@pytest.mark.parametrize("text", ["", "<html></html>", "a,b\n1,2\n", HEADER, HEADER + "\n"])
def test_a_file_that_is_not_a_catalogue_is_refused(text: str) -> None:
    with pytest.raises(GbfsError, match=r"expected MobilityData's systems\.csv"):
        read_catalogue(text)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("V'Lille", "v lille"),
        ("Vélib’", "velib"),
        ("bodø", "bodo"),
        ("Łuków", "lukow"),
        ("a_b-c", "a b c"),
        ("㎐", "hz"),
        ("", ""),
    ],
)
def test_a_name_is_folded(text: str, folded: str) -> None:
    assert fold_text(text) == folded


@given(st.text(max_size=20))
def test_folding_is_idempotent(text: str) -> None:
    assert fold_text(fold_text(text)) == fold_text(text)


# --- finding --------------------------------------------------------------------------------------

SYSTEMS = read_catalogue(
    format_catalogue(
        LILLE,
        LILLE | {"System ID": "Paris", "Name": "Vélib' Metropole", "Location": "Paris"},
        LILLE | {"System ID": "yego paris", "Name": "YEGO Paris", "Location": "Paris"},
        LILLE | {"System ID": "dott-bodø", "Name": "Dott Bodø", "Location": "Bodø", "Country Code": "NO"},
        LILLE | {"System ID": "bird-oslo", "Name": "Bird", "Location": "Oslo", "Country Code": "NO"},
        LILLE | {"System ID": "voi-oslo", "Name": "Voi", "Location": "Oslo", "Country Code": "NO"},
    )
).systems


@pytest.mark.parametrize(
    ("name", "system_id"),
    [
        ("v_lille", "v_lille"),
        ("V_LILLE", "v_lille"),
        ("v'lille", "v_lille"),
        ("lille", "v_lille"),
        ("paris", "Paris"),
        ("velib", "Paris"),
        ("yego paris", "yego paris"),
        ("metropole", "Paris"),
        ("bodo", "dott-bodø"),
        ("BODØ", "dott-bodø"),
    ],
)
def test_one_system_is_found_by_id_alias_name_or_city(name: str, system_id: str) -> None:
    assert find_system(SYSTEMS, name, {"velib": "Paris"}).system_id == system_id


@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        (
            "oslo",
            "ambiguous",
            "'oslo' matches 2 GBFS systems; choose one by its ID: bird-oslo (Bird), voi-oslo (Voi)",
        ),
        ("atlantis", "unknown_system", "'atlantis': no GBFS system has this ID, name or city"),
        ("", "unknown_system", "no GBFS system"),
        ("'", "unknown_system", "no GBFS system"),
    ],
)
def test_no_match_or_several_are_errors(name: str, reason: str, message: str) -> None:
    with pytest.raises(GbfsError) as caught:
        find_system(SYSTEMS, name)
    assert caught.value.reason == reason
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("country", "words", "ids"),
    [
        (None, "paris", ["Paris", "yego paris"]),
        ("no", "", ["dott-bodø", "bird-oslo", "voi-oslo"]),
        ("NO", "bodo", ["dott-bodø"]),
        ("FR", "velib metropole", ["Paris"]),
        ("DE", "", []),
    ],
)
def test_systems_are_searched_by_country_and_words(country: str | None, words: str, ids: list[str]) -> None:
    found = search_systems(SYSTEMS, country=country, words=words)
    assert [system.system_id for system in found] == ids
