"""The rows of files of every version, in the terms of version 3, and the reasons of rejections."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs import FILES, GbfsError, Reading, current_file_name, format_json_rows, read_file
from gbfs.files.model import FileModel
from gbfs.files.versions import UPGRADES, recognize_version
from tests.gbfs.samples import SCHEMA_FILES, SCHEMAS, make_document, make_record

pytestmark = pytest.mark.unit
NOON = datetime(2024, 5, 1, 10, tzinfo=UTC)
# Fields of the schemas that are not read: links, images, prices and shapes are not about availability.
IGNORED_FIELDS = {
    "system_information": {
        *("brand_assets", "email", "phone_number", "privacy_last_updated", "privacy_url", "purchase_url"),
        *("rental_apps", "terms_last_updated", "terms_url"),
    },
    "station_information": {"contact_phone", "rental_uris", "station_area"},
    "station_status": set[str](),
    "vehicle_types": {
        *("cargo_load_capacity", "cargo_volume_capacity", "color", "default_pricing_plan_id", "description"),
        *("default_reserve_time", "eco_label", "eco_labels", "g_CO2_km", "min_age", "pricing_plan_ids"),
        *("rated_power", "vehicle_accessories", "vehicle_assets", "vehicle_image"),
    },
    "vehicle_status": {"rental_uris", "vehicle_equipment"},
}


def make_status(**fields: Any) -> dict[str, Any]:
    return {
        "station_id": "1",
        "num_bikes_available": 5,
        "num_docks_available": 10,
        "is_installed": True,
        "is_renting": True,
        "is_returning": True,
        "last_reported": 1_714_557_600,
    } | fields


def read_status(*records: Any, version: str = "2.3") -> Reading:
    return read_file("lille", "station_status", make_document(version, "station_status", *records))


# --- the published schemas ------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "file"), SCHEMA_FILES)
def test_a_complete_record_of_every_version_becomes_a_complete_row(version: str, file: str) -> None:
    reading = read_file("lille", file, make_document(version, file, make_record(version, file)), "fr")
    assert (reading.rejections, reading.rejected_values) == ((), ())
    assert reading.version == recognize_version(version)
    assert (reading.last_updated, reading.ttl_seconds, reading.records) == (NOON, 60, 1)
    [row] = reading.rows
    model = FILES[current_file_name(file)]
    assert tuple(row) == model.column_names
    newer = UPGRADES[reading.version or ""](model.name, make_record(version, file), "fr")
    assert {name for name, value in row.items() if value not in (None, [])} == set(newer) - IGNORED_FIELDS[
        model.name
    ]


@pytest.mark.parametrize(("version", "file"), SCHEMA_FILES)
def test_the_required_fields_of_a_version_are_enough_for_a_row(version: str, file: str) -> None:
    reading = read_file(
        "lille", file, make_document(version, file, make_record(version, file, only_required=True))
    )
    assert (reading.rejections, reading.rejected_values) == ((), ())
    assert len(reading.rows) == 1


@pytest.mark.parametrize("model", FILES.values(), ids=lambda model: model.name)
def test_the_model_has_the_fields_and_the_requirements_of_the_newest_schema(model: FileModel) -> None:
    schema = SCHEMAS["3.1-RC3"][model.name]
    assert set(model.column_names) == set(schema["fields"]) - IGNORED_FIELDS[model.name]
    assert model.required_for_row <= set(schema["required"])
    assert model.required_for_row | model.required_by_standard | model.required_by_version_3 == set(
        schema["required"]
    )


# --- rows -----------------------------------------------------------------------------------------


def test_the_same_station_of_every_version_gives_the_same_row() -> None:
    older = make_status(is_installed=1, is_renting=1, is_returning=1)
    newer = make_status(num_vehicles_available=5, last_reported="2024-05-01T12:00:00+02:00")
    del newer["num_bikes_available"]
    [first] = read_status(older, version="1.0").rows
    assert first["last_reported"] == NOON
    assert first["is_renting"] is True
    for version, records in (("1.1", older), ("2.0", make_status()), ("2.3", make_status()), ("3.0", newer)):
        assert read_status(records, version=version).rows == [first]


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("station_id", 12, "12"),
        ("station_id", "ø-1", "ø-1"),
        ("num_bikes_available", "5", 5),
        ("num_bikes_available", 5.0, 5),
        ("is_renting", 0, False),
        ("is_renting", "true", True),
        ("num_docks_available", None, None),
        ("last_reported", "1714557600000", NOON),
    ],
)
def test_a_valid_value_is_converted(field: str, value: Any, kept: Any) -> None:
    reading = read_status(make_status(**{field: value}))
    assert (reading.rejections, reading.rejected_values) == ((), ())
    assert reading.rows[0][field.replace("num_bikes", "num_vehicles")] == kept


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("num_docks_available", -1, "bad_value"),
        ("num_docks_available", "many", "bad_value"),
        ("num_docks_available", True, "bad_value"),
        ("is_renting", 7, "bad_value"),
        ("last_reported", 0, "bad_value"),
        ("last_reported", 99_999_999_999_999_999, "bad_value"),
        ("vehicle_types_available", [{"vehicle_type_id": "a", "count": "x"}], "bad_value"),
    ],
)
def test_an_invalid_optional_value_is_null_and_an_issue(field: str, value: Any, reason: str) -> None:
    reading = read_status(make_status(**{field: value}))
    assert reading.rejections == ()
    assert reading.rows[0][field] in (None, [])
    [issue] = reading.rejected_values
    assert (issue.reason, issue.index, issue.field.partition("[")[0]) == (reason, 0, field)
    assert (issue.scope, issue.record) == ("value", None)
    assert json.loads(issue.value or "") == value


@pytest.mark.parametrize(
    ("broken", "reason", "field"),
    [
        (make_status(station_id=None), "missing_field", "station_id"),
        (make_status(station_id=""), "missing_field", "station_id"),
        (make_status(station_id=["1"]), "bad_value", "station_id"),
        (make_status(num_bikes_available=None), "missing_field", "num_vehicles_available"),
        (make_status(num_bikes_available=-1), "bad_value", "num_vehicles_available"),
        (make_status(num_bikes_available="few"), "bad_value", "num_vehicles_available"),
        (make_status(station_id="2"), "duplicate_key", "station_id"),
        ("closed", "not_an_object", ""),
        (None, "not_an_object", ""),
    ],
)
def test_an_invalid_record_is_rejected_alone(broken: Any, reason: str, field: str) -> None:
    reading = read_status(make_status(station_id="2"), broken, make_status(station_id="3"))
    assert [row["station_id"] for row in reading.rows] == ["2", "3"]
    [rejection] = reading.rejections
    assert (rejection.reason, rejection.index, rejection.field) == (reason, 1, field)
    assert (rejection.scope, json.loads(rejection.record or "")) == ("record", broken)
    assert rejection.message.startswith("lille: station_status, record 1 (")


def test_a_missing_field_that_the_standard_requires_is_an_issue() -> None:
    bare = {"station_id": "1", "num_bikes_available": 5}
    reading = read_status(bare)
    assert len(reading.rows) == 1
    assert [(issue.reason, issue.field) for issue in reading.rejected_values] == [
        ("missing_field", name) for name in ("is_installed", "is_renting", "is_returning", "last_reported")
    ]


@pytest.mark.parametrize(
    ("lat", "lon", "coordinates"),
    [
        (50.6, 3.06, (50.6, 3.06)),
        ("50.6", "3.06", (50.6, 3.06)),
        (-33.4, -70.6, (-33.4, -70.6)),
        (0, 0, (None, None)),
        (103.8, 1.3, (None, None)),
        (50.6, 181, (None, None)),
    ],
)
def test_invalid_coordinates_are_null_and_an_issue(lat: Any, lon: Any, coordinates: Any) -> None:
    body = make_document(
        "2.3", "station_information", {"station_id": "1", "name": "Gare", "lat": lat, "lon": lon}
    )
    reading = read_file("lille", "station_information", body, "fr")
    [row] = reading.rows
    assert (row["lat"], row["lon"]) == coordinates
    assert [issue.reason for issue in reading.rejected_values] == (
        ["out_of_range"] if coordinates[0] is None else []
    )


def test_names_keep_their_languages() -> None:
    names = [{"text": "Bruxelles", "language": "fr"}, {"text": "Brussel", "language": "nl"}]
    body = make_document(
        "3.0", "station_information", {"station_id": "1", "name": names, "lat": 50.8, "lon": 4.3}
    )
    assert read_file("villo", "station_information", body).rows[0]["name"] == names


def test_dates_are_converted_and_rows_formatted_for_json() -> None:
    body = make_document("2.3", "system_information", make_record("2.3", "system_information"))
    reading = read_file("lille", "system_information", body, "fr")
    assert reading.rows[0]["start_date"] == date(2011, 9, 16)
    assert format_json_rows(reading)[0]["start_date"] == "2011-09-16"
    assert format_json_rows(read_status(make_status()))[0]["last_reported"] == "2024-05-01T10:00:00+00:00"


def test_an_empty_list_is_valid() -> None:
    reading = read_status()
    assert (reading.records, reading.rows, reading.rejections) == (0, [], ())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "html"),
        (b"", "empty"),
        (b'{"data": {}}', "no_records"),
        (b'{"data": {"stations": {}}}', "no_records"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_rejection(body: bytes, reason: str) -> None:
    reading = read_file("lille", "station_status", body)
    [rejection] = reading.rejections
    assert (rejection.reason, rejection.index, rejection.scope, reading.rows) == (
        reason,
        None,
        "response",
        [],
    )


def test_an_unknown_file_raises_key_error() -> None:
    with pytest.raises(KeyError):
        read_file("lille", "geofencing_zones", b"{}")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
STATIONS = st.lists(
    st.dictionaries(
        st.sampled_from(["station_id", "num_bikes_available", "is_renting", "last_reported"]), VALUES
    )
    | VALUES,
    max_size=5,
)


@given(STATIONS, st.sampled_from(["1.0", "2.3", "3.0"]))
@pytest.mark.long
def test_every_record_is_a_row_or_a_rejection(records: list[Any], version: str) -> None:
    reading = read_status(*records, version=version)
    assert reading.records == len(records) == len(reading.rows) + len(reading.rejections)
    assert len({row["station_id"] for row in reading.rows}) == len(reading.rows)
    json.dumps(format_json_rows(reading)).encode()


@given(st.binary(max_size=60))
def test_no_body_raises_an_error(body: bytes) -> None:
    try:
        read_file("lille", "station_status", body)
    except GbfsError:
        pytest.fail("an unreadable file must be a rejection")


@pytest.mark.parametrize(("version", "file"), SCHEMA_FILES)
def test_a_long_integer_rejects_at_most_its_record(version: str, file: str) -> None:
    """In any field: by default Python does not parse integers of more than 4,300 digits."""
    good = make_record(version, file)
    for name in good:
        body = make_document(version, file, good | {name: "LONG"}).replace(b'"LONG"', b"7" * 5_000)
        reading = read_file("lille", file, body)
        assert (reading.version, reading.records) == (recognize_version(version), 1), name
        assert len(reading.rows) + len(reading.rejections) == 1, name
        json.dumps([format_json_rows(reading), [each.message for each in reading.rejections]])
