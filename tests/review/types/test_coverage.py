"""Every module of `review/types` has a test."""

import re
from pathlib import Path

import pytest

from review.types import registry

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
MODULES = {module.__name__.removeprefix("review.types."): module for module in registry.load_modules()}
TEXTS = "\n".join(
    file.read_text("utf-8")
    for file in sorted((ROOT / "tests" / "review").rglob("test_*.py"))
    if file != Path(__file__) and file.name != "test_shared_plans.py"  # its plans are not in the repository
)


def is_named(pattern: str) -> bool:
    """Return whether a test names a type that matches a pattern of TYPES."""
    expression = re.escape(pattern).replace(r"\*", r"\w*")
    return re.search(rf"\b{expression}\b", TEXTS) is not None


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_types_has_a_test(name: str) -> None:
    known = MODULES[name].TYPES
    assert any(is_named(each) for each in known), (
        f"review/types/{name.replace('.', '/')}.py: no test names one of {', '.join(known)}: add what a plan that "
        "changes it shows to "
        "tests/review/types/, as the rows of operations/test_service_levels.py do"
    )
