"""The pipeline of a feed with faults, by seed: former counterexamples, other histories, and mutations."""

from itertools import chain

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.runs.histories import run_history, shrink
from tests.simulation.runs.soak import find_violation

pytestmark = pytest.mark.simulation

# Seeds that once violated an invariant, and the cause.
COUNTEREXAMPLES = (
    (1114, "a rebuild of the day in progress doubled rows"),
    (1646, "a rebuild lost what was in the quarantine alone, of minutes that were not archived yet"),
    (3991, "the same"),
)
HISTORIES = 800  # `make soak` simulates as many as there is time for
PARTS = 4  # that can run in parallel
DIGESTS = {0: "65151071a71f2d8b", 7: "a876d163890354b2", 1_000_000_007: "701242eef1b4e55f"}


@pytest.mark.parametrize(("seed", "was"), COUNTEREXAMPLES)
def test_a_former_counterexample_violates_no_invariant(seed: int, was: str) -> None:
    result = run_history(seed)
    assert result.violation is None, f"{was}\n{shrink(result)}"


@pytest.mark.parametrize("part", range(PARTS))
def test_no_history_violates_an_invariant(part: int) -> None:
    for seed in range(part, HISTORIES, PARTS):
        result = run_history(seed)
        assert result.violation is None, (
            f"`python -m tests.simulation --seed {seed}` reproduces it:\n{shrink(result)}"
        )


@pytest.mark.parametrize(("seed", "digest"), DIGESTS.items())
def test_a_seed_determines_the_history(seed: int, digest: str) -> None:
    assert run_history(seed).digest == run_history(seed).digest == digest


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_found(mutation: Mutation) -> None:
    """By its seed, or, if the product has changed since, by another one: update the seed then."""
    found = find_violation(mutation, chain((mutation.seed,), range(3_000)))
    assert found is not None, f"no history reveals it: {mutation.name}"


def test_a_violation_is_shrunk_to_the_necessary_faults() -> None:
    mutation = next(
        each for each in MUTATIONS if each.name == "a message is acknowledged although its load failed"
    )
    with mutation.apply():
        violated = (
            result for seed in range(1_000) if (result := run_history(seed)).violation and result.faults > 3
        )
        # Some histories need all of their faults.
        shrunk = next(smaller for each in violated if (smaller := shrink(each)).suppressed)
    assert shrunk.violation
    assert "faults are not needed" in str(shrunk)
