"""`python -m bench.archives TARGET`: generate an archive, and the totals that its rebuild must produce."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path

from bench.archives.generator import (
    NAMINGS,
    SAMPLE,
    ExpectedTotals,
    generate_archive,
    write_to_bucket,
    write_to_folder,
)
from bench.archives.responses import DAY_MINUTES, Plan


def main() -> int:
    """Generate the archive and write the expected totals."""
    parser = argparse.ArgumentParser(prog="python -m bench.archives", description=__doc__)
    parser.add_argument("into", help="a folder, or gs://BUCKET on the emulator of STORAGE_EMULATOR_HOST")
    parser.add_argument("--from", dest="recorded", type=Path, default=SAMPLE, metavar="FILE",
                        help="a recorded response as template (default: the feed's sample)")  # fmt: skip
    parser.add_argument(
        "--names",
        choices=NAMINGS,
        default="tutorial",
        help="object names (default: tutorial, with plain JSON)",
    )
    parser.add_argument("--first", type=date.fromisoformat, default=date(2023, 10, 1), metavar="DAY")
    parser.add_argument(
        "--minutes", type=int, default=DAY_MINUTES, help="number of responses (default: one day)"
    )
    parser.add_argument("--step", type=int, default=1, help="minutes between responses (default: 1)")
    parser.add_argument("--pause", type=date.fromisoformat, nargs=2, metavar=("FIRST", "LAST"),
                        help="first and last day without responses")  # fmt: skip
    parser.add_argument(
        "--fault-rate",
        type=float,
        default=0.02,
        metavar="SHARE",
        help="share of faulty responses (default: 0.02)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--totals",
        type=Path,
        required=True,
        metavar="FILE",
        help="file for the expected totals",
    )
    options = parser.parse_args()
    if options.minutes < 1 or options.step < 1 or not 0 <= options.fault_rate <= 1:
        parser.error("expected --minutes and --step above 0, and --fault-rate from 0 to 1")
    plan = Plan(
        options.first,
        options.minutes,
        options.seed,
        options.fault_rate,
        options.step,
        tuple(options.pause) if options.pause else None,
    )
    bucket = options.into.removeprefix("gs://")
    sink = (
        partial(write_to_folder, Path(bucket)) if bucket == options.into else partial(write_to_bucket, bucket)
    )
    expected = generate_archive(
        options.recorded.read_bytes(), plan, options.names, sink, processes=os.cpu_count() or 1
    )
    options.totals.parent.mkdir(parents=True, exist_ok=True)
    options.totals.write_text(json.dumps({day: asdict(each) for day, each in expected.items()}, indent=1))
    total = sum(expected.values(), ExpectedTotals())
    print(
        f"{total.objects:,} objects of {len(expected)} days, {total.rows:,} rows, "
        f"{len(total.quarantined):,} responses and {len(total.rejected):,} records with a fault"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
