"""The collection of GBFS systems with faults, by seed: small histories, a large one, and mutations."""

from itertools import chain

import pytest

from tests.simulation.mutations import SHARD_MUTATIONS, Mutation
from tests.simulation.workloads.gbfs_collection import run_shards

pytestmark = pytest.mark.simulation

HISTORIES = 80
PARTS = 4  # that can run in parallel


@pytest.mark.parametrize("part", range(PARTS))
def test_no_history_violates_an_invariant(part: int) -> None:
    for seed in range(part, HISTORIES, PARTS):
        result = run_shards(seed)
        assert result.violation is None, str(result)


def test_a_single_shard_loads_each_minute() -> None:
    for seed in range(20):
        result = run_shards(seed, shards=1)
        assert result.violation is None, str(result)


def test_a_thousand_systems_are_loaded_exactly_once() -> None:
    result = run_shards(7, systems=1_000, shards=4, ticks=5)
    assert result.violation is None, result.violation
    assert result.packs == 4 * (5 + 5)  # 5 more minutes close the earlier ones
    assert result.kills > 0
    assert result.redeliveries > 0
    assert result.rows > 4_000


@pytest.mark.parametrize(("seed", "systems"), [(3, 4), (3, 6), (12, 6)])
def test_a_minute_that_was_not_loaded_is_closed_despite_faults(seed: int, systems: int) -> None:
    """If complete packs implied loaded rows, or only one shard checked a minute, these histories would lose one."""
    result = run_shards(seed, systems=systems, ticks=30)
    assert result.violation is None, str(result)


def test_a_seed_determines_the_history() -> None:
    assert run_shards(5).history == run_shards(5).history


@pytest.mark.parametrize("mutation", SHARD_MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_found(mutation: Mutation) -> None:
    """By its seed, or, if the product has changed since, by another one: update the seed then."""
    with mutation.apply():
        seeds = chain((mutation.seed,), range(400))
        found = next((seed for seed in seeds if run_shards(seed, ticks=mutation.ticks).violation), None)
    assert found is not None, f"no history reveals it: {mutation.name}"
