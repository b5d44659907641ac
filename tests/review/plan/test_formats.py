"""Plan formats: what old versions of Terraform, and OpenTofu, write or omit."""

import json
from typing import Any

import pytest

from review.assessment.review import Review, review_plan
from review.assessment.unexamined import Level
from review.cost.price_book import load_price_book
from review.findings.finding import Severity
from review.findings.text import strip_markup
from review.plan.reading import read_plan
from review.report.document import lay_out_review
from review.types.registry import create_context
from tests.review.conftest import build_context, change, plan_document, summarize_findings

pytestmark = pytest.mark.unit

TABLE = {"dataset_id": "bikes", "table_id": "rows", "schema": '[{"name": "a", "type": "STRING"}]'}
INCOMPLETE = "does not say whether it is complete"


def review_document(plan: dict[str, Any]) -> Review:
    read = read_plan(json.dumps(plan).encode())
    return review_plan(create_context(read), load_price_book())


def unmarked(one: dict[str, Any]) -> dict[str, Any]:
    """Return a change as in format 0.1, without marks of sensitive values."""
    inside = {key: value for key, value in one["change"].items() if not key.endswith("_sensitive")}
    return {**one, "change": inside}


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_an_old_plan_is_read_as_what_it_is(version: str) -> None:
    removed = unmarked(change("google_bigquery_table.t", TABLE, None))
    found = review_document({"format_version": version, "resource_changes": [removed], "planned_values": {}})
    assert found.acknowledgements == ("data loss",)
    assert any(each.startswith(f"Plan format {version}") for each in found.notes)


@pytest.mark.parametrize(
    ("more", "address"),
    [
        ({}, "google_pubsub_topic.t"),
        ({"index": "a"}, 'google_pubsub_topic.t["a"]'),
        ({"index": 0, "module_address": "module.m"}, "module.m.google_pubsub_topic.t[0]"),
    ],
)
def test_a_drift_entry_without_an_address_is_found_by_its_parts(more: dict[str, Any], address: str) -> None:
    entry = change("google_pubsub_topic.t", {"name": "t"}, {"name": "u"})
    del entry["address"]
    read = read_plan(json.dumps(plan_document(resource_drift=[{**entry, **more}])).encode())
    assert [each.address for each in read.drift] == [address]


@pytest.mark.parametrize(("complete", "is_noted"), [(None, True), (True, False)])
def test_a_plan_that_does_not_say_whether_it_is_complete_is_noted(
    complete: bool | None, *, is_noted: bool
) -> None:
    more = {} if complete is None else {"complete": complete}
    found = review_document(plan_document(change("google_pubsub_topic.t", None, {"name": "t"}), **more))
    assert any(INCOMPLETE in each for each in found.notes) is is_noted
    assert not found.refused


def test_a_plan_of_opentofu_is_read() -> None:
    """OpenTofu 1.9 writes neither `complete` nor `applyable`, names its own registry, and has an action `forget`."""
    removed = change("google_storage_bucket.b", {"name": "b"}, None, "forget")
    replaced = change(
        "google_bigquery_table.t",
        TABLE,
        {**TABLE, "table_id": "other"},
        "delete",
        "create",
        replace_paths=[["table_id"]],
    )
    plan = {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {}},
        "resource_changes": [
            {**each, "provider_name": "registry.opentofu.org/hashicorp/google"}
            for each in (removed, replaced)
        ],
        "configuration": {
            "provider_config": {
                "google": {"name": "google", "full_name": "registry.opentofu.org/hashicorp/google"}
            },
            "root_module": {},
        },
        "relevant_attributes": [],
        "checks": [],
        "timestamp": "2026-11-20T10:00:00Z",
        "errored": False,
    }
    found = review_document(plan)
    assert dict(found.counts) == {"replaced": 1, "forgotten": 1}
    assert found.acknowledgements == ("data loss",)
    assert any(INCOMPLETE in each for each in found.notes)


ACTION = {
    "address": "action.google_x_purge.all",
    "type": "google_x_purge",
    "name": "all",
    "config_values": {"what": "everything", "key": "hunter2-secret"},
    "config_sensitive": {"key": True},
    "config_unknown": {"id": True},
    "lifecycle_action_trigger": {
        "triggering_resource_address": "google_pubsub_topic.t",
        "action_trigger_event": "AfterCreate",
    },
}


def test_an_action_is_reported_with_its_trigger_and_configuration() -> None:
    (severity, sentence), *_ = summarize_findings(action_invocations=[ACTION])
    assert severity == "needs care"
    assert "triggered after create of google_pubsub_topic.t" in sentence
    assert "what = everything" in sentence
    assert "key = (sensitive)" in sentence
    assert "id = (known after apply)" in sentence


def test_a_plan_that_only_invokes_an_action_is_not_nothing() -> None:
    found = review_document(plan_document(action_invocations=[ACTION]))
    assert dict(found.counts) == {"actions invoked": 1}
    assert "nothing changed" not in lay_out_review(found).headline


def test_a_deferred_action_makes_the_plan_incomplete() -> None:
    deferred = [{"reason": "instance_count_unknown", "action_invocation": ACTION}]
    found = review_document(plan_document(deferred_action_invocations=deferred))
    assert "1 action cannot be planned yet" in found.refused
    assert "action.google_x_purge.all" in strip_markup(found.refused)
    (sentence,) = [strip_markup(each.sentence) for each in found.findings if "action" in each.where]
    assert sentence.startswith("is deferred to a later plan, because its count or for_each is not known yet")
    laid_out = lay_out_review(found)
    assert laid_out.headline.startswith("do not apply")
    answers = dict(laid_out.answers)
    for question in ("Is data lost?", "Who gains access?"):
        assert answers[question].startswith("not known: the plan is incomplete")


def test_what_an_action_does_to_data_and_access_is_not_known() -> None:
    answers = dict(lay_out_review(review_document(plan_document(action_invocations=[ACTION]))).answers)
    for question in ("Is data lost?", "Who gains access?", "What does it cost?"):
        assert answers[question].startswith("not known; not examined")


@pytest.mark.parametrize(
    ("level", "severity"), [(Level.ACKNOWLEDGE, Severity.CARE), (Level.STRICT, Severity.POSSIBLE_LOSS)]
)
def test_the_strict_setting_requires_an_acknowledgement_of_an_action(
    level: Level, severity: Severity
) -> None:
    assert (
        review_plan(build_context(action_invocations=[ACTION]), load_price_book(), level).severity is severity
    )
