from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Column, FeedError
from feed.paths import parse_path
from feed.source.inference import ColumnOptions, TypeOverride, infer_columns, make_column_name

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("nom", "nom"),
        ("@id", "id"),
        ("Été 2", "Ete_2"),
        ("nb.vélos (dispo)", "nb_velos_dispo"),
        ("2nd", "_2nd"),
        ("_id", "_id"),
        ("__typename", "__typename"),
        ("_TABLE_SUFFIX", "TABLE_SUFFIX"),
        ("_partitiontime", "partitiontime"),
        ("__ROOT__x", "ROOT__x"),
        ("_FILE_2", "FILE_2"),
        ("_ROW_TIMESTAMP", "ROW_TIMESTAMP"),
        ("_COLIDENTIFIER1", "COLIDENTIFIER1"),
        ("x" * 301, "x" * 300),
        ("-", ""),
        ("_", ""),
        ("駅", ""),
        ("", ""),
    ],
)
def test_column_name(key: str, name: str) -> None:
    assert make_column_name(key) == name


@given(st.text())
def test_a_column_name_is_one_bigquery_accepts_and_its_own_name(key: str) -> None:
    name = make_column_name(key)
    if name:
        assert make_column_name(name) == name
        assert name.isascii()
        assert name.isidentifier()
        assert len(name) <= 300


def layout(**more: Any) -> ColumnOptions:
    return ColumnOptions("invented", **more)


def brief(column: Column) -> Any:
    """name, type (with [] where REPEATED, or the fields), path."""
    kind: Any = [brief(each) for each in column.fields] if column.fields else column.type
    return (column.name, (kind, "REPEATED") if column.mode == "REPEATED" else kind, *column.path)


CASES: list[tuple[str, list[dict[str, Any]], ColumnOptions, list[Any]]] = [
    (
        "types, in the order they are first seen",
        [{"b": 1, "a": "x"}, {"c": True, "b": 2.5, "d": "2023-09-08"}],
        layout(),
        [("b", "FLOAT", "b"), ("a", "STRING", "a"), ("c", "BOOLEAN", "c"), ("d", "DATE", "d")],
    ),
    ("null decides nothing", [{"a": None}, {"a": 3}], layout(), [("a", "INTEGER", "a")]),
    ("only null", [{"a": None}], layout(), [("a", "STRING", "a")]),
    (
        "objects and arrays",
        [{"o": {"x": 1}, "t": ["a"], "l": [{"@id": 1}, {"n": None}]}, {"o": None, "t": [], "l": None}],
        layout(),
        [
            ("o", [("x", "INTEGER", "x")], "o"),
            ("t", ("STRING", "REPEATED"), "t"),
            ("l", ([("id", "INTEGER", "@id"), ("n", "STRING", "n")], "REPEATED"), "l"),
        ],
    ),
    (
        "only an empty array",
        [{"t": []}],
        layout(overrides={"t": TypeOverride("INTEGER")}),
        [("t", ("INTEGER", "REPEATED"), "t")],
    ),
    (
        "lifted, ignored, renamed",
        [{"p": {"@id": 1, "x": 2, "o": {"secret": 1, "y": 2}}, "q": 3}],
        layout(
            lift=(("p",),),
            ignore=(("q",), ("p", "o", "secret")),
            renames={("p", "x"): "easting", ("p", "o", "y"): "why"},
        ),
        [
            ("id", "INTEGER", "p", "@id"),
            ("easting", "INTEGER", "p", "x"),
            ("o", [("why", "INTEGER", "y")], "p", "o"),
        ],
    ),
    (
        "taken from a path",
        [{"g": {"c": [3.1, 50]}}, {"g": None}],
        layout(
            ignore=(("g",),), column_paths={"lon": ("g", "c", 0), "lat": ("g", "c", 1), "both": ("g", "c")}
        ),
        [
            ("lon", "FLOAT", "g", "c", 0),
            ("lat", "INTEGER", "g", "c", 1),
            ("both", ("FLOAT", "REPEATED"), "g", "c"),
        ],
    ),
    (
        "types overridden, inside objects too",
        [{"a": 1, "t": ["x"], "o": {"b": "1"}}],
        layout(
            overrides={"a": TypeOverride("STRING"), "t": TypeOverride("DATE"), "o.b": TypeOverride("INTEGER")}
        ),
        [("a", "STRING", "a"), ("t", ("DATE", "REPEATED"), "t"), ("o", [("b", "INTEGER", "b")], "o")],
    ),
]


@pytest.mark.parametrize(
    ("records", "layout", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_columns(records: list[dict[str, Any]], layout: ColumnOptions, expected: list[Any]) -> None:
    assert [brief(column) for column in infer_columns(records, layout)] == expected


def test_local_times_are_of_the_feeds_zone() -> None:
    records = [{"a": "2023-09-08T08:36:00", "b": "2023-09-08", "c": 1694154960}]
    overrides = {"c": TypeOverride("TIMESTAMP", unit="seconds")}
    local, day, epoch = infer_columns(records, layout(zone="Europe/Paris", overrides=overrides))
    assert (local.type, local.zone) == ("TIMESTAMP", "Europe/Paris")
    assert (day.type, day.zone) == ("DATE", None)
    assert (epoch.unit, epoch.zone) == ("seconds", None)
    assert infer_columns(records, layout())[0].type == "DATETIME"


def test_only_null_is_remembered() -> None:
    unknown, known, overridden = infer_columns(
        [{"a": None, "c": "x", "d": None}], layout(overrides={"d": TypeOverride("DATE")})
    )
    assert [unknown.observed, known.observed, overridden.observed] == [False, True, True]


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1)} if depth else {"a": 1}


REFUSED: list[tuple[list[dict[str, Any]], ColumnOptions, str]] = [
    ([{"a": 1}, {"a": {"b": 1}}], layout(), "sample.json, a: found objects and other values"),
    ([{"a": 1}, {"a": [1]}], layout(), "sample.json, a: found arrays and other values"),
    ([{"a": []}, {"a": None}], layout(), "sample.json, a: found an array that is empty in every record"),
    ([{"o": {"a": []}}], layout(), 'put "o.a" under `ignore`, or set o.a = "STRING" under'),
    ([{"a": [1, {"b": 1}]}], layout(), "sample.json, a: found objects and other values"),
    (
        [{"a": [[1, 2]]}],
        layout(),
        r"a: found an array of arrays; .* such as \[columns\] first = \"a\[0\]\[0\]\"",
    ),
    ([{"a": {}}], layout(), "a: found only empty objects; .* put 'a' under `ignore`"),
    ([{"a": 1, "A": 2}], layout(), "A: found column name 'A', which a has too"),
    ([{"été": 1, "ete": 2}], layout(), "ete: found column name 'ete', which été has too"),
    ([{"o": {"b": 1, "@b": 2}}], layout(), "@b: found column name 'b', which b has too"),
    ([{"Collected_At": 1}], layout(), "found column name 'Collected_At', which collected_at"),
    ([{"a": 1}], layout(column_paths={"a": ("a",)}), "a: found column name 'a', which a has too"),
    ([{"駅": 1}], layout(), r"found the name '駅'; .* give it another name under \[rename\]"),
    (
        [{"a": {"b": 1}}],
        layout(column_paths={"c": parse_path("a.x[0]")}),
        r"columns.c: found 'a.x\[0\]', which no record",
    ),
    (
        [{"a": {"b": 1}}],
        layout(overrides={"a": TypeOverride("STRING")}),
        "types.a: found STRING for a column of objects",
    ),
    ([{"p": [{"x": 1}]}], layout(lift=(("p",),)), "p: found objects and other values"),
    (
        [nested(15)],
        layout(),
        "a.a.a.a…: found objects that are nested deeper; expected at most the 15 levels",
    ),
]


@pytest.mark.parametrize(("records", "layout", "message"), REFUSED)
def test_refused(records: list[dict[str, Any]], layout: ColumnOptions, message: str) -> None:
    with pytest.raises(FeedError, match=f"^invented/.*{message}"):
        infer_columns(records, layout)


def test_as_deep_as_bigquery_allows() -> None:
    assert infer_columns([nested(14)], layout())[0].type == "RECORD"


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
flat_records = st.lists(st.dictionaries(st.sampled_from("abcdef"), scalars), min_size=1)


@given(flat_records)
@pytest.mark.long
def test_every_field_of_any_record_is_a_column_once(records: list[dict[str, Any]]) -> None:
    columns = infer_columns(records, layout())
    assert [column.name for column in columns] == list(
        dict.fromkeys(key for record in records for key in record)
    )


@given(flat_records)
@pytest.mark.long
def test_the_order_of_records_decides_no_type(records: list[dict[str, Any]]) -> None:
    types = {column.name: column.type for column in infer_columns(records, layout())}
    assert types == {column.name: column.type for column in infer_columns(records[::-1], layout())}
