"""The shared cases: plans and pairs of stacks that lie beside the repository where they are present."""

from pathlib import Path

from review.context import Context
from review.naming import Names
from review.plan import read_plan
from review.pricing import load
from review.reviewing import Review, review

ROOT = Path(__file__).parents[2]
PLANS = next(
    (
        each / "shared" / "cases" / "plans"
        for each in (ROOT.parent, ROOT.parent.parent)
        if (each / "shared").is_dir()
    ),
    ROOT,
)
SHARED = (PLANS / "EXPECTED.tsv").is_file()


def review_of_file(file: Path) -> Review:
    """Return the review of a plan's file."""
    plan = read_plan(file.read_bytes())
    return review(Context(plan, Names(each.address for each in plan.changes)), load())
