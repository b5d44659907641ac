"""No secret is left in a text, whichever way its characters are escaped."""

import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import add_query, redact_secrets

pytestmark = pytest.mark.unit

KEY = 'k3y/a+b "ü\\'
FORMS = [
    KEY,
    quote(KEY, ""),
    quote(KEY, "").lower(),
    quote_plus(KEY),
    quote(quote(KEY, ""), ""),
    quote(quote(KEY, "").lower(), ""),
    json.dumps(KEY),
    json.dumps(KEY, ensure_ascii=False),
    json.dumps(json.dumps(KEY)),
    repr(KEY),
    repr(repr(KEY)),
    repr(KEY.encode("latin-1")),
    ascii(KEY),
    html.escape(KEY),
    'k3y\\/a+b \\"\\u00FC\\\\',  # JSON of PHP
]


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_secret_is_left(form: str) -> None:
    clean = redact_secrets(f"before {form} after", [KEY])
    assert clean.replace("'", "").replace('"', "").replace("\\", "").removeprefix("before b").removeprefix(
        "before "
    ) == ("[secret] after")


def test_the_longest_secret_goes_first_and_case_counts() -> None:
    assert redact_secrets("abcd abc ABCD %61bcd", ["abc", "abcd", ""]) == "[secret] [secret] ABCD [secret]"
    assert redact_secrets("nothing", []) == "nothing"


def test_hostile_texts_take_no_longer() -> None:
    text = "\\" * 50_000 + "%25" * 50_000
    assert redact_secrets(text, ["\\" * 20 + "x", "%" * 20 + "x"]) == text


escapes = st.sampled_from(
    [
        lambda text: text,
        lambda text: quote(text, ""),
        lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, "")),
        quote_plus,
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
        lambda text: repr(text)[1:-1],
        lambda text: ascii(text)[1:-1],
        html.escape,
    ]
)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\n"), min_size=4, max_size=12), min_size=1, max_size=3
    ),
    st.lists(escapes, max_size=3),
)
def test_no_secret_is_left_in_a_text(secrets: list[str], ways: list[Callable[[str], str]]) -> None:
    escaped = list(secrets)
    for escape in ways:
        escaped = [escape(each) for each in escaped]
    text = "\n\n".join(escaped)
    assert set(redact_secrets(text, secrets).split("\n\n")) == {"[secret]"}


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3))
def test_no_secret_is_left_in_an_address(secrets: list[str]) -> None:
    parameters = {f"p{number}": secret for number, secret in enumerate(secrets)}
    clean = redact_secrets(add_query("https://host/", parameters), secrets)
    tokens = clean.replace("[secret]", "").split("https://host/")[-1]
    for name in parameters:
        tokens = tokens.replace(f"{name}=", "")
    long = [secret for secret in secrets if len(secret) > 6]
    assert not any(secret in tokens for secret in long)
