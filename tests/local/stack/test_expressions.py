"""Terraform's expressions: supported ones are evaluated, others refused by name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.stack.expression_parser import parse_template
from local.stack.expressions import Reference, UnsupportedError, as_text, evaluate, references

pytestmark = pytest.mark.unit

VALUES = {"google_x.y": {"name": "n", "uris": ["a", "b"], "port": 8080, "on": True, "map": {"k": "v"}}}


def resolve(reference: Reference, steps: tuple[str | int, ...]) -> Any:
    value: Any = VALUES[f"{reference.root}.{steps[0]}"]
    for step in steps[1:]:
        value = value[step]
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$5 and 100% and {}", "$5 and 100% and {}"),
        ("${google_x.y.name}", "n"),
        ("${google_x.y.port}", 8080),
        ("${google_x.y.on}", True),
        ("${google_x.y.map}", {"k": "v"}),
        ("${google_x.y.uris[1]}", "b"),
        ("${google_x.y.uris.0}", "a"),
        ('${google_x.y.map["k"]}', "v"),
        ("${google_x.y.uris[length([1])]}", "b"),
        ("http://${google_x.y.name}:${google_x.y.port}/", "http://n:8080/"),
        ("is ${google_x.y.on}", "is true"),
        ("${ google_x.y.name }", "n"),
        ("$${google_x.y.name}", "${google_x.y.name}"),
        ("%%{if}", "%{if}"),
        ("a$${b}${google_x.y.name}$", "a${b}n$"),
        ('${"quoted \\"${google_x.y.name}\\" \\u00e9\\n"}', 'quoted "n" é\n'),
        ("${1}${2.5}", "12.5"),
        ("${-3}", -3),
        ("${null}", None),
        ("${(google_x.y.name)}", "n"),
        ("${[1, google_x.y.name, true,]}", [1, "n", True]),
        ('${{a = 1, "b-${google_x.y.name}": 2}}', {"a": 1, "b-n": 2}),
        ('${jsonencode({b = google_x.y.name, a = ["<&>"]})}', '{"a":["\\u003c\\u0026\\u003e"],"b":"n"}'),
        ('${base64encode("é")}', "w6k="),
        ('${base64decode("w6k=")}', "é"),
        ('${format("%s-%d-%q-%v%%", google_x.y.name, 7, "q", true)}', 'n-7-"q"-true%'),
        ('${join("/", google_x.y.uris)}', "a/b"),
        ("${merge({a = 1}, {a = 2, b = 3})}", {"a": 2, "b": 3}),
        ("${element(google_x.y.uris, 3)}", "b"),
        ('${split(",", "x,y")}', ["x", "y"]),
        ('${upper(trimprefix("gs://b", "gs://"))}', "B"),
        ('${tonumber("12")}', 12),
    ],
)
def test_value(text: str, expected: Any) -> None:
    value = evaluate(parse_template(text), resolve)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${1 + 2}", "'+' is not evaluated"),
        ("${google_x.y.on ? 1 : 2}", "'?' is not evaluated"),
        ("${google_x.y.on && true}", "'&&' is not evaluated"),
        ("${!google_x.y.on}", "'!' is not evaluated"),
        ("${google_x.y.uris[*]}", "splat"),
        ("${google_x.y.uris.*.a}", ".* is not evaluated"),
        ("${[for x in google_x.y.uris : x]}", "for expressions"),
        ('${file("a")}', "the function file() is not evaluated"),
        ("%{ if true }a%{ endif }", "directives"),
        ("${~ google_x.y.name}", "strip marker"),
        ("${google_x.y.name", "'}' is missing at its end"),
        ("${", "ends too early"),
        ("${}", "'}' is not evaluated"),
        ('${"open}', "not closed"),
        ('${"\\x"}', "escape \\x"),
        ("a ${google_x.y.map}", "a dict cannot become text"),
        ("a ${null}", "a NoneType cannot become text"),
        ('${format("%5.2f", 1)}', "format pattern"),
        ('${format("%s %s", 1)}', "format("),
        ('${replace("ab", "/a/", "b")}', "regular expression"),
        ('${merge({a = 1})["a"]}', "'[' is not evaluated"),
        ("${google_x.y.uris[true]}", "an index must be"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(UnsupportedError) as error:
        evaluate(parse_template(text), resolve)
    assert reason in str(error.value)


def test_references_inside_indexes_and_arguments() -> None:
    node = parse_template("${join(a_b.c.d, [e_f.g[h_i.j.k].l])}-${{x = m_n.o}}")
    assert [f"{r.root}.{r.steps[0]}" for r in references(node)] == ["a_b.c", "e_f.g", "h_i.j", "m_n.o"]


@given(st.text())
def test_any_text_is_itself_once_escaped(text: str) -> None:
    escaped = text.replace("${", "$${").replace("%{", "%%{")
    if "$$" in text or "%%" in text:  # a doubled sign before a brace is the escape itself
        return
    assert evaluate(parse_template(escaped), resolve) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.long
@given(JSON)
def test_literals_are_read_as_json_reads_them(value: Any) -> None:
    written = json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    if any(sign in json.dumps(value, ensure_ascii=False) for sign in ("$$", "%%", "\\b", "\\f")):
        return
    assert evaluate(parse_template("${" + written + "}"), resolve) == value


@given(st.text(max_size=30))
def test_unsupported_text_is_refused_and_never_crashes(text: str) -> None:
    try:
        parsed = list(references(parse_template("${" + text + "}")))
    except UnsupportedError as refusal:
        assert str(refusal)  # noqa: PT017  (refusing is one of the two right outcomes)
    else:
        assert all(reference.root.strip() for reference in parsed)


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (1.0, "1"), (2.5, "2.5"), (False, "false"), ("a", "a")]
)
def test_as_text(value: Any, text: str) -> None:
    assert as_text(value) == text
