"""What the benchmark of killed runs reads from the run statistics."""

import pytest

from bench.batch.exactness import count_skipped_days
from bench.measure import BenchError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("message", "skipped"),
    [(None, 0), ("days rebuilt by an earlier, interrupted run and skipped: 12", 12)],
)
def test_count_skipped_days(message: str | None, skipped: int) -> None:
    assert count_skipped_days(message) == skipped


@pytest.mark.parametrize("message", ["", "4 days", "skipped: 4; nothing is archived for 2023-10-26"])
def test_another_message_is_refused(message: str) -> None:
    with pytest.raises(BenchError, match="expected the number of skipped days"):
        count_skipped_days(message)
