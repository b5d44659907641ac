"""Messages that pages quote exist in the code."""

import ast
from functools import cache

import pytest

from delivery.documentation.pages import ROOT

pytestmark = pytest.mark.unit

PRODUCT = ("commands", "cdk", "operate", "delivery", "review", "local", "src")
QUOTED = (
    ("access.md", " lacks "),
    ("ci.md", " has changed since it was reviewed in #"),
    ("ci.md", "if it is what you want, run the workflow Deploy manually"),
    ("deploy.md", "unknown key"),
    ("deploy.md", "did you mean "),
    ("deploy.md", "not enabled in "),
    ("deploy.md", " is locked by "),
    ("deploy.md", "opens with your identity, 403 without"),
    ("feeds.md", " stations changed within "),
    ("feeds.md", "a station reported "),
    ("gbfs.md", "the real API is not used: "),
    ("gbfs.md", "a simulated GBFS "),
    ("gbfs.md", "it publishes no station_status"),
    ("getting-started.md", "source: "),
    ("getting-started.md", "simulated time begins at "),
    ("getting-started.md", "waiting for the last deliveries"),
    ("getting-started.md", "archiving landed objects"),
    ("getting-started.md", "copying the streamed rows"),
    ("getting-started.md", "rebuilding the day with Spark"),
    ("getting-started.md", "comparing streamed and rebuilt rows"),
    ("getting-started.md", "Differences from Google Cloud: "),
    ("getting-started.md", "Dashboard page with this data, to open from disk: "),
    ("operate.md", "no value of "),
    ("operate.md", "last tried "),
)


@pytest.mark.parametrize("document", sorted({document for document, _ in QUOTED}))
@pytest.mark.long
def test_messages_that_a_page_quotes_are_those_of_the_code(document: str) -> None:
    page = " ".join((ROOT / "docs" / document).read_text("utf-8").split())
    code = "\n".join(texts_of_the_code())
    for _, message in (each for each in QUOTED if each[0] == document):
        assert message.strip() in page, f"docs/{document} does not quote {message!r} any more: correct QUOTED"
        assert message in code, f"docs/{document} quotes {message!r}, which no module says: correct both"


@cache
def texts_of_the_code() -> tuple[str, ...]:
    """Return the string literals of the product's modules; those of several lines as one."""
    files = [file for folder in PRODUCT for file in sorted((ROOT / folder).rglob("*.py"))]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8"))))
    return tuple(
        node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
