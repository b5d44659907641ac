"""The size of the page, and that it requests nothing from other origins."""

import gzip
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

STATIC = Path(__file__).parents[2] / "src" / "dashboard" / "static"
LARGEST = 23_000  # bytes, compressed, as docs/dashboard.md says


def test_page_script_and_style_are_within_the_budget() -> None:
    sizes = {file.name: len(gzip.compress(file.read_bytes())) for file in STATIC.iterdir()}
    assert set(sizes) == {"page.html", "page.js", "page.css"}
    assert sum(sizes.values()) < LARGEST


def test_nothing_is_loaded_from_other_origins() -> None:
    for file in STATIC.iterdir():
        urls = set(re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]+[^\s\"'`]*", file.read_text("utf-8")))
        assert urls <= {"http://www.w3.org/2000/svg"}, file.name


def test_both_languages_have_the_same_words() -> None:
    script = (STATIC / "page.js").read_text("utf-8")
    words = script[script.index("const WORDS") : script.index("const UNKNOWN")]
    english, french = (set(re.findall(r"(?:^|[ {,])(\w+): \"", part)) for part in words.split("fr: {"))
    assert english == french
    html = (STATIC / "page.html").read_text("utf-8")
    assert set(re.findall(r'data-tl?="(\w+)"', html)) <= english
