"""The comment that docs/review.md shows is the one that the review writes."""

import json
from pathlib import Path

import pytest

from review.assessment.review import review_plan
from review.cost.price_book import load_price_book
from review.report.document import lay_out_review
from review.report.markdown import render_markdown
from tests.review.conftest import build_context, change

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "review.md"
COLUMNS = [{"name": name, "type": type_} for name, type_ in (("station_id", "STRING"), ("address", "STRING"))]
TABLE = {"dataset_id": "bikes", "table_id": "stations"}
CHANGES = (
    change(
        "google_bigquery_table.stations",
        TABLE | {"schema": json.dumps(COLUMNS)},
        TABLE | {"schema": json.dumps(COLUMNS[:1])},
    ),
    change(
        "google_storage_bucket_iam_member.reader",
        None,
        {"bucket": "raw", "role": "roles/storage.objectViewer", "member": "group:analysts@example.org"},
    ),
)


def test_the_page_shows_the_comment_of_this_plan() -> None:
    comment = render_markdown(
        lay_out_review(review_plan(build_context(*CHANGES, complete=True), load_price_book()), "dev")
    )
    shown, _, _ = comment.partition("\n\n<details>")
    assert f"```markdown\n{shown}\n```" in PAGE.read_text("utf-8"), shown
