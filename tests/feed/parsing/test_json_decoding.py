"""JSON text becomes the same value with every decoder: how deep it may be, how long an integer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import check_depth
from feed.parsing.json_decoding import MAX_DEPTH, DepthError, decode_json

pytestmark = pytest.mark.unit

FULL = "[" * MAX_DEPTH
CASES: list[tuple[str, bool]] = [
    ("", True),
    ("[" * 500 + "]" * 500, True),
    ("[" * 501 + "]" * 501, False),
    ('{"a":' * 501, False),
    ("[{" * 251, False),
    ("[]" * 5_000, True),
    ("[" * 500 + "]" * 500 + "[" * 500, True),
    (json.dumps(["[" * 2_000, '"' + "{" * 2_000, "\\" + "[" * 2_000]), True),
    ('["]",' * 501, False),
    ('["\\"]\\"",' * 501, False),
    ('["\\\\"],' * 501, True),
    ('["é\\u00e9",' * 501, False),
    ('["' + "[" * 10_000, True),
    ("[" * 499 + '["\\\\",' + "[", False),
    ("{}" * 2_000 + '["', True),
    ("[]" * 2_000 + "[" * 500 + '"', True),
    ("[]" * 2_000 + "[" * 501 + '"', False),
    ("\\\\" * 20_000 + "[" * 501, False),
]


@pytest.mark.parametrize(("text", "is_read"), CASES, ids=range(len(CASES)))
def test_how_deep_a_text_may_be(text: str, is_read: bool) -> None:
    assert _is_read(text) is is_read


def _is_read(text: str) -> bool:
    try:
        check_depth(text.encode())
    except DepthError:
        return False
    return True


def _depth(text: str) -> int:
    """The deepest level, character by character."""
    depth = deepest = 0
    is_text = is_escaped = False
    for character in text:
        if is_escaped:
            is_escaped = False
        elif is_text and character == "\\":
            is_escaped = True
        elif character == '"':
            is_text = not is_text
        elif not is_text:
            depth += (character in "[{") - (character in "]}")
            deepest = max(deepest, depth)
    return deepest


brackets = st.text("[]{}", max_size=6)
texts = st.lists(st.sampled_from([*"[]{}a,", '\\"', "\\\\", "\\u00e9", "é"]), max_size=8).map(
    lambda parts: f'"{"".join(parts)}"'
)


@given(st.lists(brackets | texts, max_size=20), st.integers(0, 12), st.sampled_from(["", '"[[', "[", "]"]))
def test_the_depth_is_that_of_the_brackets_outside_of_texts(parts: list[str], less: int, end: str) -> None:
    text = "[" * (MAX_DEPTH - less) + "".join(parts) + end
    assert _is_read(text) is (_depth(text) <= MAX_DEPTH)


@given(st.lists(brackets | texts, max_size=5), st.integers(490, 510))
@pytest.mark.long
def test_the_depth_of_many_alike(parts: list[str], count: int) -> None:
    text = "".join(parts) * count
    assert _is_read(text) is (_depth(text) <= MAX_DEPTH)


@pytest.mark.parametrize("digits", [1, 4_300, 4_301, 20_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_of_any_length_is_one(digits: int, sign: str) -> None:
    value = decode_json(f"[{sign}{'7' * digits}]")[0]
    assert type(value) is int
    assert (value < 0) is (sign == "-")
    assert abs(value) >= 10 ** min(digits - 1, 4_999)


def test_what_is_deeper_than_python_follows_has_a_reason() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - a DepthError, or what the version of Python says of its end
        decode_json("[" * 200_000)
