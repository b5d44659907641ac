import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.paths import FieldPath, find_values, format_path, parse_path

pytestmark = pytest.mark.unit

PATHS: list[tuple[str, FieldPath]] = [
    ("", ()),
    ("records", ("records",)),
    ("data.stations", ("data", "stations")),
    ("geometry.coordinates[0]", ("geometry", "coordinates", 0)),
    ("[2].a", (2, "a")),
    ("@id", ("@id",)),
    ("properties['a.b']", ("properties", "a.b")),
    ("properties['@id'].x", ("properties", "@id", "x")),
    ("a key.été", ("a key", "été")),
]


@pytest.mark.parametrize(("text", "path"), PATHS)
def test_accepted(text: str, path: FieldPath) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text", [".", "a.", ".a", "a..b", "a[", "a[x]", "a[-1]", "a[0]b", "a['b]", "a]", " a"]
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path such as"):
        parse_path(text)


# A key with both kinds of quotes cannot be written; no feed has one.
keys = st.text(min_size=1).filter(lambda key: not ("'" in key and '"' in key) and "\n" not in key)


@given(st.lists(keys | st.integers(0, 999), max_size=5).map(tuple))
def test_text_of_a_path_is_its_way_back(path: FieldPath) -> None:
    assert parse_path(format_path(path)) == path


DOCUMENT = {"a": {"b": [10, {"c": None}]}, "n": None}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b[0]", [10]),
        ("a.b[1].c", [None]),
        ("a.b[2]", []),
        ("a.x", []),
        ("a[0]", []),
        ("a.b.c", []),
        ("n", [None]),
        ("n.x", []),
        ("", [DOCUMENT]),
    ],
)
def test_values_at(text: str, values: list[object]) -> None:
    assert list(find_values(DOCUMENT, parse_path(text))) == values


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ('[{"lang": 7, "text": "L"}]', ["L"]),
        ('[{"lang": %s, "text": "L"}, {"lang": 7, "text": "M"}]' % ("9" * 5_000), ["M"]),
        ('[{"lang": %s, "text": "L"}]' % ("9" * 5_000), []),
    ],
    ids=["an integer", "one of any length before it", "one of any length alone"],
)
def test_an_integer_of_any_length_is_no_key(items: str, found: list[str]) -> None:
    names = json.loads(items, parse_int=lambda digits: int(digits) if len(digits) < 9 else 10 ** len(digits))
    assert list(find_values(names, parse_path("[lang=7].text"))) == found
