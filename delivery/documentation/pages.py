"""The pages of the site: the files of `docs/`, and those documents of the repository that readers look for."""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "docs" / "zensical.toml"
# File of the repository → its page. Files of docs/ keep their path, README.md of a folder is its index.
OUTSIDE_OF_DOCS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "bench/RESULTS.md": "benchmarks.md",
}
ASSETS = (".css", ".json", ".png", ".svg")
FENCE = re.compile(r"^ *(```|~~~)")
CODE = re.compile(r"`[^`]+`")
LINK = re.compile(r"\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")


def find_pages(root: Path = ROOT) -> dict[str, str]:
    """Return the path of each Markdown file below `root`, with the path of its page in the site."""
    pages = {name: page for name, page in OUTSIDE_OF_DOCS.items() if (root / name).exists()}
    for file in sorted((root / "docs").rglob("*.md")):
        page = file.relative_to(root / "docs")
        pages[str(file.relative_to(root))] = str(
            page.with_name("index.md") if page.name == "README.md" else page
        )
    return pages


def read_navigation(configuration: Path = CONFIGURATION) -> list[str]:
    """Return the pages that the navigation lists, in its order."""
    return list(_iterate_pages(tomllib.loads(configuration.read_text("utf-8"))["project"]["nav"]))


def _iterate_pages(entry: Any) -> Iterator[str]:
    match entry:
        case str():
            yield entry
        case list():
            for each in entry:
                yield from _iterate_pages(each)
        case dict():
            yield from _iterate_pages(list(entry.values()))


def copy_pages(folder: Path, root: Path = ROOT) -> None:
    """Write every page and picture into `folder`, with links adapted to the site."""
    pages = find_pages(root)
    for name, page in pages.items():
        target = folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(convert_page((root / name).read_text("utf-8"), name, pages, root), "utf-8")
    for file in sorted((root / "docs").rglob("*")):
        if file.suffix in ASSETS:
            copy = folder / file.relative_to(root / "docs")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def convert_page(text: str, name: str, pages: Mapping[str, str], root: Path = ROOT) -> str:
    """Return the text of the file `name` as a page of the site: links between files become links between pages.

    A link to a file that has no page, such as a module, becomes its path: the site has no copy of the code. In code
    within a table, GitHub needs a backslash before `|`, and the site's Markdown would show it.
    """

    def convert(match: re.Match[str]) -> str:
        target, hash_sign, anchor = match["target"].partition("#")
        if not target or ":" in target:
            return match[0]
        path = os.path.relpath((root / name).parent / target, root)
        page = pages.get(path) or pages.get(f"{path}/README.md")
        if page is None and path.startswith("docs/") and path.endswith(ASSETS):
            page = path.removeprefix("docs/")
        if page is None:
            return match["text"] if "`" in match["text"] else f"`{path}`"
        link = os.path.relpath(page, Path(pages[name]).parent)
        return f"[{match['text']}]({link}{hash_sign}{anchor})"

    lines = []
    fenced = False
    for line in text.splitlines(keepends=True):
        fenced ^= bool(FENCE.match(line))
        if not fenced:
            line = LINK.sub(convert, line)  # noqa: PLW2901
            if line.startswith("|"):
                line = CODE.sub(lambda match: match[0].replace(r"\|", "|"), line)  # noqa: PLW2901
        lines.append(line)
    return "".join(lines)
