"""Whoever adds a type to the review is asked for its test."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from review import types
from review.types import __path__ as paths

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
MODULES = sorted(file.stem for folder in paths for file in Path(folder).glob("[!_]*.py"))
TEXTS = "\n".join(
    file.read_text("utf-8")
    for file in sorted((ROOT / "tests" / "review").rglob("test_*.py"))
    if file != Path(__file__) and file.name != "test_shared_plans.py"  # few have those plans
)


def is_named(pattern: str) -> bool:
    """Tell whether a test names a type that a pattern of TYPES fits."""
    expression = re.escape(pattern).replace(r"\*", r"\w*")
    return re.search(rf"\b{expression}\b", TEXTS) is not None


def module(name: str) -> ModuleType:
    return __import__(f"{types.__name__}.{name}", fromlist=[name])


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_types_has_a_test(name: str) -> None:
    known = module(name).TYPES
    assert any(is_named(each) for each in known), (
        f"review/types/{name}.py: no test names one of {', '.join(known)}: add what a plan that changes it shows to "
        "tests/review/types/, as the rows of test_service_levels.py do"
    )
