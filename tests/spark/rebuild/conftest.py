"""The fixture of batch runs."""

from collections.abc import Callable
from typing import Any

import pytest

from feed import (
    Feed,
)
from tests.spark.rebuild.batch import Batch


@pytest.fixture
def batch(new_project: Callable[[Feed], Any], ods: Feed) -> Batch:
    return Batch(new_project(ods))
