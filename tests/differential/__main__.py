"""`python -m tests.differential [RESPONSES] [SEED]`: the collector and the batch read mutated responses alike."""

import sys
import time

from tests.differential.responses import FEEDS, differences

USAGE = "usage: python -m tests.differential [RESPONSES] [SEED]\n"


def main(arguments: list[str]) -> int:
    """0 where nothing differs, 1 where something does, 2 for wrong arguments."""
    if len(arguments) > 2 or not all(each.isdecimal() for each in arguments):
        sys.stderr.write(USAGE)
        return 2
    count, seed = (*map(int, arguments), *(50_000, 1)[len(arguments) :])
    found, worst = 0, 0.0
    began = since = time.perf_counter()
    for number, difference in enumerate(differences(count, seed), 1):
        worst, since = max(worst, time.perf_counter() - since), time.perf_counter()
        if difference is not None:
            found += 1
            sys.stdout.write(f"response {number}: {difference.what}\n  {difference.body[:400]!r}\n")
    seconds = time.perf_counter() - began
    sys.stdout.write(
        f"{count} responses of {len(FEEDS)} feeds from seed {seed}: {found} differ; "
        f"{seconds:.0f} s, {worst * 1e3:.0f} ms at most for one\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
