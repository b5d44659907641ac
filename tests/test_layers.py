"""The imports between packages, as their docstrings declare them."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[1]
FOLDERS = {
    each.parent.name: each.parent for each in (*ROOT.glob("*/__init__.py"), *ROOT.glob("src/*/__init__.py"))
}
# Third-party imports of packages that restrict them.
THIRD_PARTY: dict[str, set[str]] = {
    "commands": set(),
    "feed": set(),
    "gbfs": set(),
    "telemetry": set(),
    "review": {"cronsim"},
}
BINDINGS = {
    "cdktf",
    "cdktf_cdktf_provider_google",
    "constructs",
    "jsii",
}  # only cdk and stacks.py import them


@cache
def read_imports(file: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Return the import statements of a file, at any depth."""
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def list_imports(file: Path) -> Iterator[str]:
    """Yield the top-level name of every module that a file imports, at any depth."""
    for node in read_imports(file):
        if isinstance(node, ast.Import):
            yield from (each.name.split(".")[0] for each in node.names)
        elif not node.level:
            yield str(node.module).split(".")[0]


@cache
def find_imports(package: str) -> set[str]:
    return {name for file in FOLDERS[package].rglob("*.py") for name in list_imports(file)} - {package}


@cache
def read_declared(package: str, label: str) -> set[str]:
    docstring = ast.get_docstring(ast.parse((FOLDERS[package] / "__init__.py").read_text("utf-8"))) or ""
    found = re.search(rf"^{label}: ((?:[\w.]+,\s)*[\w.]+)\.$", docstring, re.MULTILINE)
    assert found, f"the docstring of {package} needs a line `{label}: name, name.` or `{label}: nothing.`"
    return set(re.split(r",\s", found[1])) - {"nothing"}


def test_every_package_is_checked() -> None:
    top = {each.parent.name for each in (*ROOT.glob("*/*.py"), *ROOT.glob("src/*/*.py"))}
    assert top - {"tests"} == set(FOLDERS)


@pytest.mark.parametrize("package", FOLDERS)
def test_a_package_imports_only_what_its_docstring_declares(package: str) -> None:
    assert find_imports(package) & set(FOLDERS) <= read_declared(package, "Imports")


def test_stacks_py_imports_what_docstrings_declare() -> None:
    assert {each for each in FOLDERS if each in list_imports(ROOT / "stacks.py")} == {
        each for each in FOLDERS if "stacks.py" in read_declared(each, "Imported by")
    }


@pytest.mark.parametrize("package", FOLDERS)
def test_the_docstrings_of_both_sides_agree(package: str) -> None:
    using = {each for each in FOLDERS if package in read_declared(each, "Imports")}
    assert read_declared(package, "Imported by") - {"stacks.py"} == using


def test_packages_have_no_import_cycles() -> None:
    graph = {each: read_declared(each, "Imports") for each in FOLDERS}
    assert set(TopologicalSorter(graph).static_order()) == set(FOLDERS)


def find_part_imports(package: str) -> dict[str, set[str]]:
    """Return, for each module and sub-package directly below a package, which others of these it imports."""
    folder = FOLDERS[package]
    parts = {each.stem for each in folder.iterdir() if each.suffix == ".py" or each.is_dir()}
    graph: dict[str, set[str]] = {}
    for file in folder.rglob("*.py"):
        part = file.relative_to(folder).with_suffix("").parts[0]
        found = graph.setdefault(part, set())
        for node in read_imports(file):
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [str(node.module), *(f"{node.module}.{each.name}" for each in node.names)]
                found |= {name.split(".")[1] for name in modules if name.startswith(f"{package}.")} & parts
        found.discard(part)
    return graph


@pytest.mark.parametrize("package", ["cdk", "delivery", "operate"])
def test_no_part_of_a_package_depends_on_itself_through_another(package: str) -> None:
    graph = find_part_imports(package)
    assert set(TopologicalSorter(graph).static_order()) == set(graph)


@pytest.mark.parametrize("package", ["cdk", "delivery", "operate"])
def test_every_part_of_a_package_says_what_it_is_for(package: str) -> None:
    folders = {file.parent for file in FOLDERS[package].rglob("*.py")}
    assert [
        each for each in folders if not ast.get_docstring(ast.parse((each / "__init__.py").read_text()))
    ] == []


@pytest.mark.parametrize(("package", "allowed"), THIRD_PARTY.items(), ids=THIRD_PARTY)
def test_a_pure_package_imports_no_other_third_party_package(package: str, allowed: set[str]) -> None:
    assert find_imports(package) - sys.stdlib_module_names - set(FOLDERS) == allowed


@pytest.mark.parametrize("package", sorted(set(FOLDERS) - {"cdk"}))
def test_only_cdk_imports_the_bindings(package: str) -> None:
    assert not find_imports(package) & BINDINGS


def test_only_tests_import_tests() -> None:
    assert not [each for each in FOLDERS if "tests" in find_imports(each)]


# --- the packages of local/, each with the same two lines in its docstring -------------------------

LOCAL = {each.parent.name: each.parent for each in sorted((ROOT / "local").glob("*/__init__.py"))}


@cache
def local_imports(path: Path) -> set[str]:
    """Return the names directly below local/ that a module or a package imports from."""
    found: set[str] = set()
    for file in path.rglob("*.py") if path.is_dir() else (path,):
        for node in read_imports(file):
            if isinstance(node, ast.ImportFrom) and node.module:
                first, _, rest = node.module.partition(".")
                names = [rest.partition(".")[0]] if rest else [each.name for each in node.names]
                found |= set(names) if first == "local" else set()
    return found - {path.stem}


def local_read_declared(package: str, label: str) -> set[str]:
    docstring = ast.get_docstring(ast.parse((LOCAL[package] / "__init__.py").read_text("utf-8"))) or ""
    found = re.search(rf"^{label}: ((?:\w+,\s)*\w+)\.$", docstring, re.MULTILINE)
    assert found, (
        f"the docstring of local/{package} needs a line `{label}: name, name.` or `{label}: nothing.`"
    )
    return set(re.split(r",\s", found[1])) - {"nothing"}


def test_every_folder_of_local_is_a_package_or_holds_no_modules() -> None:
    folders = {each.parent.name for each in (ROOT / "local").glob("*/*.py")}
    assert folders == set(LOCAL)


@pytest.mark.parametrize("package", LOCAL)
def test_a_package_of_local_imports_what_its_docstring_says(package: str) -> None:
    assert local_imports(LOCAL[package]) == local_read_declared(package, "Imports")


@pytest.mark.parametrize("package", LOCAL)
def test_a_package_of_local_is_imported_by_what_its_docstring_says(package: str) -> None:
    modules = LOCAL | {"__main__": ROOT / "local" / "__main__.py"}
    using = {each for each, path in modules.items() if package in local_imports(path)}
    assert local_read_declared(package, "Imported by") == using


def test_no_package_of_local_depends_on_itself_through_another() -> None:
    graph = {each: local_read_declared(each, "Imports") for each in LOCAL}
    assert set(TopologicalSorter(graph).static_order()) == {*LOCAL, "errors"}
