"""The collection of GBFS systems under faults, by seed: small histories, a large one, and each mutation is found."""

from itertools import chain

import pytest

from tests.simulation.mutations import SHARD_MUTATIONS, Mutation
from tests.simulation.workloads.gbfs_collection import run_shards

pytestmark = pytest.mark.simulation

HISTORIES = 80
PARTS = 4  # that may run beside one another


@pytest.mark.parametrize("part", range(PARTS))
def test_no_history_breaks_a_promise(part: int) -> None:
    for seed in range(part, HISTORIES, PARTS):
        result = run_shards(seed)
        assert result.violation is None, str(result)


def test_a_single_shard_loads_each_minute_by_itself() -> None:
    for seed in range(20):
        result = run_shards(seed, shards=1)
        assert result.violation is None, str(result)


def test_a_thousand_systems_lose_nothing_and_have_nothing_twice() -> None:
    result = run_shards(7, systems=1_000, shards=4, ticks=5)
    assert result.violation is None, result.violation
    assert result.packs == 4 * (5 + 5)  # as many minutes more close those before them
    assert result.kills > 0
    assert result.redeliveries > 0
    assert result.rows > 4_000


@pytest.mark.parametrize(("seed", "systems"), [(3, 4), (3, 6), (12, 6)])
def test_a_minute_that_nobody_loaded_or_closed_is_closed_while_faults_go_on(seed: int, systems: int) -> None:
    """Where packs are taken for rows, or a shard's turn is missed, these histories lose a minute."""
    result = run_shards(seed, systems=systems, ticks=30)
    assert result.violation is None, str(result)


def test_a_seed_is_the_same_history_on_every_machine() -> None:
    assert run_shards(5).history == run_shards(5).history


@pytest.mark.parametrize("mutation", SHARD_MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_fault_put_into_the_product_is_found(mutation: Mutation) -> None:
    """By its seed, or where the product has changed since by the first that shows it: write that one down."""
    with mutation.applied():
        seeds = chain((mutation.seed,), range(400))
        found = next((seed for seed in seeds if run_shards(seed, ticks=mutation.ticks).violation), None)
    assert found is not None, f"no history shows it: {mutation.name}"
