"""The marker: read back as it was written, only on the first line and only from its author."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.github.marker import (
    MOST,
    is_same_body,
    measure_length,
    parse_own_post,
    read_marker,
    render_marker,
)
from tests.delivery.conftest import ADA, BOT

pytestmark = pytest.mark.unit

LINE = "<!-- vlille-review:dev plan=ab12 shown=2026-11-25T12:00:00Z -->"
FIELDS = {"plan": "ab12", "shown": "2026-11-25T12:00:00Z"}


def test_a_marker_is_read_as_it_was_written() -> None:
    assert render_marker("review", "dev", **FIELDS) == LINE
    assert render_marker("review", "dev") == "<!-- vlille-review:dev -->"
    assert read_marker(f"{LINE}\nmore", "review", "dev") == FIELDS
    assert read_marker(f"{LINE}\r\nmore", "review", "dev") == FIELDS
    assert read_marker(render_marker("review", "dev"), "review", "dev") == {}


@pytest.mark.parametrize(
    "body",
    [
        "",
        f"look: {LINE}",
        f"\n{LINE}",
        f"> {LINE}",
        LINE.replace("dev", "dev2"),
        LINE.replace("dev", "de"),
        LINE.replace("review", "drift"),
        LINE.replace(" -->", ""),
        LINE.replace("plan=ab12", "plan=ab--12"),
        LINE.replace("plan=ab12", "plan=<b>"),
        f"{LINE} <img src=x>",
    ],
)
def test_a_body_without_this_marker_has_no_fields(body: str) -> None:
    assert read_marker(body, "review", "dev") is None


@given(st.text(max_size=12))
def test_no_value_gets_out_of_a_marker(value: str) -> None:
    try:
        line = render_marker("review", "dev", plan=value)
    except ValueError:
        return
    assert read_marker(line, "review", "dev") == {"plan": value}
    assert (line.count("<!--"), line.count("--"), "\n" in line) == (1, 2, False)


def test_only_posts_of_the_workflows_count() -> None:
    item = {"id": 5, "body": LINE, "html_url": "u"}
    found = parse_own_post({**item, "user": BOT}, "id", "review", "dev", "github-actions[bot]")
    assert found is not None
    assert (found.number, found.fields, found.url) == (5, FIELDS, "u")
    for other in (ADA, {"login": "github-actions", "type": "User"}, None):
        assert parse_own_post({**item, "user": other}, "id", "review", "dev", "github-actions[bot]") is None
    assert (
        parse_own_post({**item, "body": None, "user": BOT}, "id", "review", "dev", "github-actions[bot]")
        is None
    )


def test_length_is_counted_as_github_counts_at_most() -> None:
    assert (measure_length("é" * 10), measure_length("🛑" * 10), MOST) == (10, 20, 65_536)


def test_line_ends_do_not_change_a_body() -> None:
    assert is_same_body("a\r\nb\r\n", "a\nb")
    assert not is_same_body("a\nb", "a b")
