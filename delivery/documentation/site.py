"""The static site: built strictly, so that a link to nothing fails, and checked for requests to other hosts."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from delivery.documentation.pages import CONFIGURATION, ROOT, copy_pages
from delivery.errors import DeliveryError

FOLDER = Path(".cache") / "site"
PROGRAM = Path(".cache") / "docs" / "bin" / "zensical"
# What a browser fetches by itself; a link in the text is only followed by the reader.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=["']?(?P<src>(?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?![^>]*\brel=["']?canonical)[^>]*\bhref=["']?(?P<href>(?:https?:)?//[^"'\s>]+)"""
    r"""|@import\s*(?:url\()?["']?(?P<style>(?:https?:)?//[^"'\s)]+)""",
    re.IGNORECASE,
)


def build_site(root: Path = ROOT) -> Path:
    """Build the site and return its folder. Raises DeliveryError for a page that cannot be published."""
    program, folder = root / PROGRAM, root / FOLDER
    if not program.exists():
        raise DeliveryError(f"{PROGRAM} is not installed: run `make docs`, which installs what is pinned")
    shutil.rmtree(folder, ignore_errors=True)
    copy_pages(folder / "pages", root)
    shutil.copyfile(root / CONFIGURATION.relative_to(ROOT), folder / CONFIGURATION.name)
    done = subprocess.run(
        [program, "build", "--strict", "--clean", "--config-file", folder / CONFIGURATION.name],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        found = done.stderr.partition("Traceback (most recent call last)")[0].strip() or done.stderr.strip()
        raise DeliveryError(
            f"the site was not built:\n{found}\n"
            "correct the file that the page is a copy of: the same path below docs/, README.md for index.md"
        )
    if fetched := sorted(set(find_requests_to_others(folder / "html"))):
        raise DeliveryError(
            f"pages would make a reader's browser call other hosts: {', '.join(fetched)}; put the file below docs/, "
            f"or switch the feature off in {CONFIGURATION.relative_to(ROOT)}"
        )
    return folder / "html"


def find_requests_to_others(folder: Path) -> Iterator[str]:
    """Yield `page: URL` for everything that a browser would fetch from another host."""
    for file in sorted((*folder.rglob("*.html"), *folder.rglob("*.css"))):
        for match in FETCHED.finditer(file.read_text("utf-8")):
            yield f"{file.relative_to(folder)}: {next(filter(None, match.groups()))}"
