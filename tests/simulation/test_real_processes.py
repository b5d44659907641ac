"""A round on real processes; `make soak REAL=1` runs many."""

from pathlib import Path

import pytest

from tests.simulation.runs.real_processes import TICKS, run_round


@pytest.mark.local
def test_a_round_with_kills_and_faults_violates_no_invariant(tmp_path: Path) -> None:
    done = run_round(1, tmp_path)
    assert done.ticks >= TICKS
    assert done.kills + done.stops > 0
