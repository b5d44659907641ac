"""The pages of the site: the file of each one, and how its links are converted."""

from pathlib import Path

import pytest

from delivery.documentation.pages import ROOT, convert_page, copy_pages, find_pages, read_navigation

pytestmark = pytest.mark.unit

PAGES = {
    "README.md": "index.md",
    "docs/faq.md": "faq.md",
    "docs/decisions/README.md": "decisions/index.md",
    "docs/decisions/0001-first.md": "decisions/0001-first.md",
}


def test_the_navigation_lists_every_page_once() -> None:
    assert sorted(read_navigation()) == sorted(find_pages().values())


def test_the_navigation_has_the_four_kinds_of_documentation() -> None:
    text = (ROOT / "docs" / "zensical.toml").read_text("utf-8")
    kinds = ["Tutorial", "How-to guides", "Reference", "Explanation"]
    assert [text.index(f'{{ "{kind}" = [') for kind in kinds] == sorted(
        text.index(f'{{ "{kind}" = [') for kind in kinds
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("README.md", "[FAQ](docs/faq.md)", "[FAQ](faq.md)"),
        ("README.md", "[FAQ](docs/faq.md#the-data)", "[FAQ](faq.md#the-data)"),
        ("README.md", "[Decisions](docs/decisions/)", "[Decisions](decisions/index.md)"),
        ("README.md", "![Map](docs/pictures/dashboard-now.png)", "![Map](pictures/dashboard-now.png)"),
        ("docs/decisions/0001-first.md", "[FAQ](../faq.md)", "[FAQ](../faq.md)"),
        ("docs/faq.md", "[overview](../README.md)", "[overview](index.md)"),
        # A link to a file without a page becomes the file's path, or the link's text if that is code.
        ("docs/faq.md", "[the recipes](../commands/recipes.py)", "`commands/recipes.py`"),
        ("docs/faq.md", "[`recipes.py`](../commands/recipes.py)", "`recipes.py`"),
        # GitHub's escape of a bar in code, in tables only.
        ("docs/faq.md", r"| `a\|b` | c \| d |", r"| `a|b` | c \| d |"),
        # Other links stay as they are.
        ("docs/faq.md", "[GBFS](https://gbfs.org/x.md)", "[GBFS](https://gbfs.org/x.md)"),
        ("docs/faq.md", "[above](#the-data)", "[above](#the-data)"),
        ("docs/faq.md", "```\n[FAQ](../commands/recipes.py)\n```", "```\n[FAQ](../commands/recipes.py)\n```"),
    ],
)
def test_links_lead_to_pages(name: str, text: str, expected: str) -> None:
    assert convert_page(text, name, PAGES) == expected


def test_every_page_and_picture_is_copied(tmp_path: Path) -> None:
    copy_pages(tmp_path)
    copied = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.md")}
    assert copied == set(find_pages().values())
    assert (tmp_path / "pictures" / "dashboard-now.png").read_bytes().startswith(b"\x89PNG")
