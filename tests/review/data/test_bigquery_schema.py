"""BigQuery schemas by column: changes in place, changes that replace the table, lost values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.data.bigquery_schema import compare_schemas
from review.findings.text import HIDDEN, UNKNOWN, strip_markup

pytestmark = pytest.mark.unit

Column = dict[str, Any]
A: Column = {"name": "a", "type": "STRING", "mode": "NULLABLE"}


def record(*fields: Column, mode: str = "NULLABLE") -> Column:
    return {"name": "r", "type": "RECORD", "mode": mode, "fields": list(fields)}


CASES: list[tuple[str, list[Column], list[Column], list[tuple[str, bool, bool]]]] = [
    ("the same", [A], [A], []),
    (
        "added",
        [A],
        [A, {"name": "b", "type": "INTEGER"}],
        [("column b (INTEGER) is added, and is NULL in existing rows", False, False)],
    ),
    (
        "added, repeated",
        [A],
        [A, {"name": "b", "type": "DATE", "mode": "REPEATED"}],
        [("column b (DATE, REPEATED) is added, and is empty in existing rows", False, False)],
    ),
    (
        "added, required",
        [A],
        [A, {"name": "b", "type": "DATE", "mode": "REQUIRED"}],
        [("column b (DATE, REQUIRED) is added, and is required in every row", True, False)],
    ),
    ("dropped", [A, {"name": "b", "type": "DATE"}], [A], [("column b (DATE) is removed", False, True)]),
    (
        "renamed",
        [A],
        [{**A, "name": "z"}],
        [
            (
                "column a is renamed to z, which BigQuery cannot do in place: the old one is removed with "
                "its values and the "
                "new one starts empty",
                True,
                True,
            )
        ],
    ),
    (
        "dropped and another added",
        [A, {"name": "b", "type": "DATE"}],
        [A, {"name": "c", "type": "INTEGER"}],
        [
            ("column b (DATE) is removed", True, True),
            ("column c (INTEGER) is added, and is NULL in existing rows", False, False),
        ],
    ),
    (
        "relaxed",
        [{**A, "mode": "REQUIRED"}],
        [A],
        [("column a is relaxed from REQUIRED to NULLABLE", False, False)],
    ),
    (
        "tightened",
        [A],
        [{**A, "mode": "REQUIRED"}],
        [("column a changes its mode from NULLABLE to REQUIRED", True, True)],
    ),
    (
        "repeated",
        [A],
        [{**A, "mode": "REPEATED"}],
        [("column a changes its mode from NULLABLE to REPEATED", True, True)],
    ),
    (
        "described",
        [A],
        [{**A, "description": "what"}],
        [("the description of column a is set to what", False, False)],
    ),
    (
        "described otherwise",
        [{**A, "description": "this"}],
        [{**A, "description": "that"}],
        [("the description of column a changes from this to that", False, False)],
    ),
    (
        "policy tags",
        [A],
        [{**A, "policyTags": {"names": ["p"]}}],
        [
            (
                'the policy tag (decides who can read it) of column a is set to {"names": ["p"]}',
                False,
                False,
            )
        ],
    ),
    (
        "type",
        [{"name": "n", "type": "INTEGER"}],
        [{"name": "n", "type": "NUMERIC"}],
        [("column n changes its type from INTEGER to NUMERIC", True, True)],
    ),
    ("alias", [{"name": "n", "type": "INT64"}], [{"name": "n", "type": "integer", "mode": "NULLABLE"}], []),
    (
        "order",
        [A, {"name": "b", "type": "DATE"}],
        [{"name": "b", "type": "DATE"}, A],
        [("the order of the columns changes, which has no effect in BigQuery", False, False)],
    ),
    (
        "nested, added",
        [record(A)],
        [record(A, {"name": "b", "type": "DATE"})],
        [("column r.b (DATE) is added, and is NULL in existing rows", False, False)],
    ),
    (
        "nested, dropped",
        [record(A, {"name": "b", "type": "DATE"})],
        [record(A)],
        [("nested column r.b (DATE) is removed", True, True)],
    ),
    (
        "nested in nested",
        [record({**record(A), "name": "s"})],
        [record({**record({**A, "type": "BYTES"}), "name": "s"})],
        [("column r.s.a changes its type from STRING to BYTES", True, True)],
    ),
]


@pytest.mark.parametrize(
    ("before", "after", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_change_of_a_column_is_reported_with_what_it_costs(
    before: list[Column], after: list[Column], expected: list[tuple[str, bool, bool]]
) -> None:
    found = compare_schemas(json.dumps(before), json.dumps(after))
    assert found is not None
    assert [(strip_markup(each.sentence), each.replaces, each.loses_values) for each in found] == expected


@pytest.mark.parametrize("schema", [UNKNOWN, f"{HIDDEN}1", "[", '{"a": 1}', "[1]", '[{"type": "DATE"}]', 5])
def test_an_unknown_schema_is_not_an_empty_one(schema: object) -> None:
    assert compare_schemas(schema, json.dumps([A])) is None
    assert compare_schemas(json.dumps([A]), schema) is None


NAMES = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(["STRING", "INTEGER", "DATE"])
MODES = st.sampled_from(["NULLABLE", "REQUIRED", "REPEATED"])
FIELDS = st.fixed_dictionaries({"name": NAMES, "type": TYPES, "mode": MODES})
KEEPING = {("REQUIRED", "NULLABLE"), *((each, each) for each in ("NULLABLE", "REQUIRED", "REPEATED"))}
SCHEMAS = st.lists(FIELDS, unique_by=lambda each: each["name"], max_size=3)


@given(SCHEMAS, SCHEMAS)
def test_a_column_is_lost_exactly_where_its_values_cannot_stay(
    before: list[Column], after: list[Column]
) -> None:
    found = compare_schemas(json.dumps(before), json.dumps(after))
    assert found is not None
    new = {each["name"]: each for each in after}
    removed = {
        each["name"]
        for each in before
        if each["name"] not in new
        or new[each["name"]]["type"] != each["type"]
        or (
            new[each["name"]]["mode"] != each["mode"]
            and (each["mode"], new[each["name"]]["mode"]) != ("REQUIRED", "NULLABLE")
        )
    }
    assert {each.column for each in found if each.loses_values} == removed
