"""The imports between packages of the review, as their docstrings declare them; there is no cycle."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

REVIEW = Path(__file__).parents[2] / "review"
PACKAGES = sorted(each.parent.name for each in REVIEW.glob("*/__init__.py"))
MODULES = {
    ".".join(file.relative_to(REVIEW.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in REVIEW.rglob("*.py")
}
MOST_ENTRIES = 14  # of a folder; the folder `review` itself has the files of a distribution besides


def imported_modules(file: Path) -> Iterator[str]:
    """Yield every module of the review that a file imports, at whichever depth of its code."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "review":
            inside = [f"{node.module}.{each.name}" for each in node.names]
            yield from (each if each in MODULES else str(node.module) for each in inside)


def imported_packages(package: str) -> set[str]:
    files = (REVIEW / package).rglob("*.py")
    found = {name.split(".")[1] for file in files for name in imported_modules(file) if "." in name}
    return found & set(PACKAGES) - {package}


def documented_packages(package: str) -> set[str]:
    docstring = ast.get_docstring(ast.parse((REVIEW / package / "__init__.py").read_text("utf-8"))) or ""
    found = re.search(r"^Imports: ((?:\w+,\s)*\w+)\.$", docstring, re.MULTILINE)
    assert found, (
        f"the docstring of review/{package} needs a line `Imports: name, name.` or `Imports: nothing.`"
    )
    return set(re.split(r",\s", found[1])) - {"nothing"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_what_its_docstring_says(package: str) -> None:
    assert imported_packages(package) == documented_packages(package)


def test_no_package_depends_on_itself_through_another() -> None:
    graph = {each: documented_packages(each) for each in PACKAGES}
    assert set(TopologicalSorter(graph).static_order()) == set(PACKAGES)


@pytest.mark.long
def test_no_module_depends_on_itself_through_another() -> None:
    graph = {name: set(imported_modules(file)) - {"review"} for name, file in MODULES.items()}
    graph["review.types.registry"] -= {"review.types"}  # for its path; the renderers are loaded by name
    assert set(TopologicalSorter(graph).static_order()) >= set(MODULES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_has_a_dozen_entries(package: str) -> None:
    entries = [each for each in (REVIEW / package).iterdir() if each.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES
