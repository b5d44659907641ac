"""`python -m tests.simulation`: run histories for some time on all cores, and report the number of histories."""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import count, islice, takewhile
from multiprocessing import get_context
from pathlib import Path

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.runs.histories import HistoryResult, run_history, shrink
from tests.simulation.runs.real_processes import RoundError, run_round
from tests.simulation.workloads.gbfs_collection import run_shards

CHUNK = 200  # histories per task
PROGRESS_SECONDS = 30.0
MUTATION_SECONDS = 60.0


def main() -> int:
    """Return the exit code: 0, or 1 if a history violates an invariant (printed and shrunk), or a mutation survives."""
    options = _options()
    if options.seed is not None:
        result = run_history(options.seed)
        print(shrink(result) if result.violation else result)
        print(f"digest of the whole history: {result.digest}")
        return int(result.violation is not None)
    if options.gbfs:
        return _run_shards(options.gbfs, options.ticks, options.seconds, options.first_seed)
    if options.real:
        return _run_rounds(options.seconds, options.first_seed)
    if options.mutations:
        return _run_mutations(MUTATIONS)
    return _soak(options.seconds, options.histories, options.first_seed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--seconds", type=float, default=60.0, help="duration (default: 60)")
    parser.add_argument("--histories", type=int, default=10**12, help="maximum number of histories")
    parser.add_argument("--first-seed", type=int, default=0, help="first seed (default: 0)")
    parser.add_argument(
        "--seed", type=int, help="run only this history and print it, shrunk if it violates an invariant"
    )
    parser.add_argument(
        "--mutations", action="store_true", help="measure how fast each mutation of the product is found"
    )
    parser.add_argument(
        "--real", action="store_true", help="run rounds on real processes instead of simulated histories"
    )
    parser.add_argument(
        "--gbfs",
        type=int,
        metavar="SYSTEMS",
        help="run the collection of so many GBFS systems in 4 shards instead",
    )
    parser.add_argument("--ticks", type=int, default=60, help="ticks of each history of --gbfs (default: 60)")
    return parser.parse_args()


def _run_shards(systems: int, ticks: int, seconds: float, first_seed: int) -> int:
    started, totals = time.monotonic(), Counter[str]()
    for seed in count(first_seed):
        result = run_shards(seed, systems=systems, shards=4, ticks=ticks)
        if result.violation:
            print(f"seed {seed}: {result.violation}")
            return 1
        totals.update(histories=1, rows=result.rows, kills=result.kills, redeliveries=result.redeliveries)
        print(f"{time.monotonic() - started:6,.0f} s: seed {seed}, {dict(totals)}", flush=True)
        if time.monotonic() >= started + seconds:
            break
    print(f"{totals['histories']} histories of {systems:,} systems and {ticks} ticks: every invariant held")
    return 0


def _run_rounds(seconds: float, first_seed: int) -> int:
    started, ticks, kills, rounds = time.monotonic(), 0, 0, 0
    for seed in count(first_seed):
        if time.monotonic() >= started + seconds:
            break
        with tempfile.TemporaryDirectory(prefix="vlille-round-") as folder:
            try:
                done = run_round(seed, Path(folder))
            except RoundError as error:
                print(error)
                return 1
        rounds, ticks, kills = rounds + 1, ticks + done.ticks, kills + done.kills
        print(f"{time.monotonic() - started:6,.0f} s: {done}", flush=True)
    print(f"{rounds} rounds, {ticks} ticks, {kills} kill -9: every invariant held")
    return 0


def _soak(seconds: float, histories: int, first_seed: int) -> int:
    started = reported_at = time.monotonic()
    cores = os.process_cpu_count() or 1
    totals, result = Counter[str](), None
    ends = first_seed + histories
    starts = iter(range(first_seed, ends, CHUNK))
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        running: set[Future[ChunkResult]] = set()
        while result is None:
            if time.monotonic() < started + seconds:
                for start in islice(starts, 2 * cores - len(running)):
                    running.add(pool.submit(run_chunk, range(start, min(start + CHUNK, ends))))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                totals.update(each.result().totals)
                result = result or each.result().result
            if time.monotonic() > reported_at + PROGRESS_SECONDS:
                reported_at = time.monotonic()
                print(f"{reported_at - started:6,.0f} s: {totals['histories']:,} histories", flush=True)
        for each in running:
            each.cancel()
    words = (
        f"{totals['histories']:,} histories from seed {first_seed}, {totals['events']:,} events, "
        f"{totals['faults']:,} faults, in {time.monotonic() - started:,.0f} s on {cores} cores"
    )
    if result is None:
        print(f"{words}: every invariant held")
        return 0
    print(f"{words}: an invariant was violated\n{shrink(result)}")
    print(f"reproduce it with: python -m tests.simulation --seed {result.seed}")
    return 1


@dataclass(frozen=True)
class ChunkResult:
    """The result of some histories: counts, and the first violation."""

    totals: Counter[str]
    result: HistoryResult | None = None


def run_chunk(seeds: range) -> ChunkResult:
    """Run the histories of the seeds, up to the first violation."""
    totals = Counter[str]()
    for seed in seeds:
        result = run_history(seed)
        totals.update(histories=1, faults=result.faults, events=len(result.entries))
        if result.violation:
            return ChunkResult(totals, result)
    return ChunkResult(totals)


def _run_mutations(mutations: Iterable[Mutation]) -> int:
    print("| mutation | found by seed | after | violation |\n|---|---|---|---|")
    survived = 0
    for mutation in mutations:
        started = time.monotonic()
        result = find_violation(mutation, takewhile(_is_before(started + MUTATION_SECONDS), count()))
        spent = time.monotonic() - started
        survived += result is None
        words = (
            f"{result.seed} | {spent:.1f} s | {result.violation}" if result else f"none | {spent:.0f} s | "
        )
        print(f"| {mutation.name} | {words} |", flush=True)
    return int(survived > 0)


def _is_before(deadline: float) -> Callable[[object], bool]:
    return lambda _: time.monotonic() < deadline


def find_violation(mutation: Mutation, seeds: Iterable[int]) -> HistoryResult | None:
    """Return the first history of the seeds that reveals the mutation."""
    with mutation.apply():
        return next((result for result in map(run_history, seeds) if result.violation), None)
