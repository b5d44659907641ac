"""The built site: strict about links, and self-contained. Built where `make docs` has installed the generator."""

import shutil
from pathlib import Path

import pytest

from delivery.documentation.pages import ROOT, find_pages
from delivery.documentation.site import PROGRAM, build_site, find_requests_to_others
from delivery.errors import DeliveryError


@pytest.mark.unit
@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<script src="https://cdn.example/a.js"></script>', ["https://cdn.example/a.js"]),
        ('<script async src="//cdn.example/a.js"></script>', ["//cdn.example/a.js"]),
        ('<link rel="stylesheet" href="https://fonts.example/css">', ["https://fonts.example/css"]),
        ('<img alt="" src="https://badge.example/b.svg">', ["https://badge.example/b.svg"]),
        ('<style>@import url("https://fonts.example/css");</style>', ["https://fonts.example/css"]),
        ('<link rel="canonical" href="https://docs.example/">', []),
        ('<a href="https://gbfs.org">GBFS</a> <script src="assets/a.js"></script>', []),
    ],
)
def test_requests_to_other_hosts_are_found(tmp_path: Path, html: str, expected: list[str]) -> None:
    (tmp_path / "page.html").write_text(html)
    assert list(find_requests_to_others(tmp_path)) == [f"page.html: {url}" for url in expected]


@pytest.mark.unit
def test_a_generator_that_is_not_installed_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="run `make docs`, which installs what is pinned"):
        build_site(tmp_path)


def checkout(folder: Path) -> Path:
    """Return a folder with the repository's pages and the installed generator."""
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "bench/RESULTS.md"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "docs", folder / "docs")
    (folder / PROGRAM).parent.mkdir(parents=True)
    (folder / PROGRAM).symlink_to(ROOT / PROGRAM)
    return folder


@pytest.mark.local
def test_the_site_is_built_and_a_link_to_nothing_fails(tmp_path: Path) -> None:
    if not (ROOT / PROGRAM).exists():
        return  # tests/test_docs.py looks at links and headings without the generator
    root = checkout(tmp_path)
    site = build_site(root)
    built = {str(file.relative_to(site).with_suffix(".md")) for file in site.rglob("*.html")}
    assert set(find_pages().values()) <= built
    faq = root / "docs" / "faq.md"
    faq.write_text(faq.read_text("utf-8") + "\n[nothing](costs.md#no-such-heading)\n", "utf-8")
    with pytest.raises(DeliveryError, match=r"anchor does not exist(?s:.*)faq\.md"):
        build_site(root)
