"""`python -m bench.archives TARGET`: an archive of any length, and the account that a right rebuild of it gives."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path

from bench.archives.generator import NAMES, SAMPLE, Account, into_bucket, into_folder, make_archive
from bench.archives.responses import DAY_MINUTES, Plan


def main() -> int:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.archives", description=__doc__)
    parser.add_argument("into", help="a folder, or gs://BUCKET on the emulator of STORAGE_EMULATOR_HOST")
    parser.add_argument("--from", dest="recorded", type=Path, default=SAMPLE, metavar="FILE",
                        help="a recorded answer to make others like (default: the feed's sample)")  # fmt: skip
    parser.add_argument("--names", choices=NAMES, default="original", help="default: original, plain JSON")
    parser.add_argument("--first", type=date.fromisoformat, default=date(2023, 10, 1), metavar="DAY")
    parser.add_argument(
        "--minutes", type=int, default=DAY_MINUTES, help="how many answers (default: a day's)"
    )
    parser.add_argument("--step", type=int, default=1, help="minutes between two answers (default: 1)")
    parser.add_argument("--pause", type=date.fromisoformat, nargs=2, metavar=("FIRST", "LAST"),
                        help="days without an answer, as when the original stood still")  # fmt: skip
    parser.add_argument("--accidents", type=float, default=0.02, metavar="SHARE", help="default: 0.02")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--account", type=Path, required=True, metavar="FILE", help="where to write what is right"
    )
    asked = parser.parse_args()
    if asked.minutes < 1 or asked.step < 1 or not 0 <= asked.accidents <= 1:
        parser.error("expected minutes and step above 0, and a share of accidents from 0 to 1")
    plan = Plan(
        asked.first,
        asked.minutes,
        asked.seed,
        asked.accidents,
        asked.step,
        tuple(asked.pause) if asked.pause else None,
    )
    bucket = asked.into.removeprefix("gs://")
    sink = partial(into_folder, Path(bucket)) if bucket == asked.into else partial(into_bucket, bucket)
    accounts = make_archive(
        asked.recorded.read_bytes(), plan, asked.names, sink, processes=os.cpu_count() or 1
    )
    asked.account.parent.mkdir(parents=True, exist_ok=True)
    asked.account.write_text(json.dumps({day: asdict(each) for day, each in accounts.items()}, indent=1))
    total = sum(accounts.values(), Account())
    print(
        f"{total.objects:,} objects of {len(accounts)} days, {total.rows:,} rows, "
        f"{len(total.quarantined):,} answers and {len(total.rejected):,} records with a fault"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
