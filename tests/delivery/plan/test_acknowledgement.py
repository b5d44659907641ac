"""Which labels acknowledge a plan: who set them, and when."""

from datetime import UTC, datetime

import pytest

from delivery.plan.acknowledgement import LABELS, find_acknowledgements, is_stale

pytestmark = pytest.mark.unit

LOSS, ACCESS = "acknowledged-data-loss", "acknowledged-access-widened"
SHOWN = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def set_at(
    clock: str, label: str = LOSS, who: str = "ada", kind: str = "User", event: str = "labeled"
) -> dict[str, object]:
    return {
        "event": event,
        "label": {"name": label},
        "actor": {"login": who, "type": kind},
        "created_at": f"2026-11-25T{clock}Z",
    }


@pytest.mark.parametrize(
    ("labels", "events", "expected"),
    [
        ([], [], {}),
        ([LOSS], [set_at("12:00:01")], {"data loss": "ada"}),
        ([LOSS], [set_at("11:59:59")], {}),
        ([LOSS], [set_at("12:00:00")], {}),  # set in the second in which the plan was first shown
        ([LOSS], [], {}),
        ([], [set_at("12:00:01")], {}),  # the label itself was deleted since
        ([LOSS], [set_at("12:00:01"), set_at("12:00:02", event="unlabeled")], {}),
        (
            [LOSS],
            [set_at("11:00:00"), set_at("11:30:00", event="unlabeled"), set_at("12:30:00", who="eve")],
            {"data loss": "eve"},
        ),
        (
            [LOSS],
            [set_at("12:00:01"), set_at("12:00:02", event="unlabeled"), set_at("12:00:03", who="eve")],
            {"data loss": "eve"},
        ),
        ([LOSS], [set_at("12:00:01", who="helper[bot]", kind="Bot")], {}),
        ([LOSS], [set_at("12:00:01"), set_at("12:00:02", ACCESS, "eve")], {"data loss": "ada"}),
        (
            [LOSS, ACCESS],
            [set_at("12:00:01"), set_at("12:00:02", ACCESS, "eve")],
            {"data loss": "ada", "access widened": "eve"},
        ),
        (["data loss"], [set_at("12:00:01", "data loss")], {}),
        (
            [LOSS],
            [{"event": "closed", "actor": None}, {"event": "labeled", "label": None}, set_at("12:00:01")],
            {"data loss": "ada"},
        ),
        ([LOSS], [{**set_at("12:00:01"), "actor": None}], {}),  # set by a deleted GitHub account
    ],
)
def test_a_label_counts_that_a_person_set_while_the_plan_was_shown(
    labels: list[str], events: list[dict[str, object]], expected: dict[str, str]
) -> None:
    assert find_acknowledgements(labels, events, SHOWN) == expected


def test_a_stale_label_is_distinguished_from_one_that_is_not_set() -> None:
    assert is_stale("data loss", [LOSS], {})
    assert not is_stale("data loss", [], {})
    assert not is_stale("data loss", [LOSS], {"data loss": "ada"})


def test_every_acknowledgement_has_a_label() -> None:
    from review.findings.finding import ACKNOWLEDGEMENTS

    assert set(LABELS) == set(ACKNOWLEDGEMENTS)
