"""The table of types is complete for the pinned provider, consistent with the other tables, and always used."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review.access.exposure import TABLE as EXPOSURE
from review.assessment.review import Review, review_plan
from review.assessment.unexamined import Level
from review.cost import registry
from review.cost.price_book import load_price_book
from review.findings.finding import Severity
from review.google_cloud.resource_types import TypeFacts, list_unknown_arguments, look_up_type, read_types
from review.report.answers import Verdict, answer_questions
from tests.review.conftest import build_context, change, review_changes

pytestmark = pytest.mark.unit

TYPES = sorted(read_types())
KINDS = {"serves", "network", "code", "costs", "grants"}
COLUMNS = {
    "data",
    "size",
    "is_loss_uncertain",
    "kept_because",
    "creation_effect",
    "not_recreatable",
    "recovery",
    "deleted_with",
    "is",
    "replaces",
    "defaults",
    "secret",
    "attributes",
    "blocks",
    "inside",
}
OWN = {"null_resource", "terraform_data"}
# Types of google-beta, or no longer of the pinned provider, that are reported too.
BEYOND = {
    "google_compute_machine_image",
    "google_dataflow_flex_template_job",
    "google_firebase_database_instance",
    "google_pubsub_snapshot",
}


def known(type_: str) -> TypeFacts:
    found = look_up_type(type_)
    assert found is not None, type_
    return found


def test_the_table_has_every_type_of_the_pinned_provider_and_no_other() -> None:
    """The bindings have a package for each type of hashicorp/google 6.50.0."""
    spec = importlib.util.find_spec("cdktf_cdktf_provider_google")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations)))
    pinned = {
        f"google_{each.name}"
        for each in folder.iterdir()
        if each.is_dir() and not each.name.startswith(("_", "data_google_", "provider"))
    }
    assert len(pinned) > 1000
    assert set(read_types()) - BEYOND - OWN == pinned


def test_a_group_row_describes_its_findings() -> None:
    for type_, row in read_types().items():
        found = known(type_)
        assert set(row) <= COLUMNS, type_
        assert found.kinds <= KINDS, type_
        assert bool(found.data) == bool(found.size), type_
        assert not (found.data and found.kept_because), type_
        assert all(each in read_types() for each in found.deleted_with), type_
        assert all(each.split(".")[0] in found.attributes for each in found.replaces if each != "*"), type_
        assert found.attributes or type_ == "google_pubsub_snapshot", type_


def test_every_iam_type_grants_or_watches() -> None:
    for type_ in TYPES:
        if type_.endswith(("_iam_member", "_iam_binding", "_iam_policy")):
            assert "grants" in known(type_).kinds, type_


@pytest.mark.parametrize("section", ["grants", "restricts", "watches", "hides", "redirects", "arguments"])
def test_every_type_that_gives_access_is_in_the_exposure_table(section: str) -> None:
    named = {each for each in json.loads(EXPOSURE.read_text("utf-8"))[section] if "*" not in each}
    assert {each for each in named if each.startswith("google_")} <= set(read_types()) | {
        "google_firebase_hosting_release"
    }


def test_every_counted_type_has_a_cost() -> None:
    free = {each for each in registry.COUNTED if "costs" not in known(each).kinds}
    assert free <= {"google_pubsub_subscription", "google_compute_region_disk"}


@pytest.mark.long
@pytest.mark.parametrize("type_", TYPES)
def test_creation_replacement_and_deletion_of_a_type_are_reported(type_: str) -> None:
    """Every type is reported: the deletion of one with data is a loss, of another one it is not."""
    found, values = known(type_), {"name": "x"}
    deleted = review_changes(change(f"{type_}.x", values, None))
    assert deleted.findings, type_
    if found.data:
        assert max(each.severity for each in deleted.findings) >= (
            Severity.POSSIBLE_LOSS if found.is_loss_uncertain else Severity.INTERRUPTED
        ), type_
    assert review_changes(change(f"{type_}.x", values, {"name": "y"}, "delete", "create")).findings, type_
    assert review_changes(change(f"{type_}.x", None, values)).findings, type_


STRANGE = st.one_of(
    st.sampled_from(
        ["google_future_thing", "google_netapp_future", "aws_s3_bucket", "azurerm_role_assignment", "x"]
    ),
    st.from_regex(r"[a-z]{2,8}_[a-z]{2,8}", fullmatch=True).filter(
        lambda each: look_up_type(each) is None and not each.startswith(("kubernetes", "helm"))
    ),
)
ACTIONS = st.sampled_from([(), ("delete", "create"), ("create", "delete")])


def verdicts(review: Review) -> dict[str, tuple[Verdict, str]]:
    return {each.question: (each.verdict, each.text) for each in answer_questions(review)}


def never_good(review: Review, questions: tuple[str, ...], name: str) -> None:
    """Assert that no answer is no, and that each names what was not examined."""
    found = verdicts(review)
    for question in questions:
        verdict, text = found[question]
        assert verdict is not Verdict.NO or question == "Can it be reverted?", (question, text)
        assert text not in (
            "no",
            "nobody",
            "none found",
            "yes, by reverting the change and applying again",
        )
        assert name in text, (question, text)


@pytest.mark.long
@given(STRANGE, ACTIONS, st.sampled_from(["create", "update", "delete"]), st.booleans())
@settings(max_examples=300)
def test_no_question_is_answered_no_for_an_unknown_type(
    type_: str, actions: tuple[str, ...], what: str, beside: bool
) -> None:
    values: dict[str, Any] = {"name": "a"}
    before, after = (None if what == "create" else values), (None if what == "delete" else {"name": "b"})
    if None in (before, after):
        actions = ()
    changes = [change(f"{type_}.x", before, after, *actions)]
    if beside:  # examined arguments do not hide others
        changes.append(change("google_pubsub_topic.t", None, {"name": "t"}))
    found = review_changes(*changes)
    questions = ["Who gains access?"]
    questions += ["Is data lost?"] if before is not None else []
    questions += ["What code goes live?"] if after is not None else []
    never_good(found, tuple(questions), type_)
    if what == "delete" or actions:
        assert "data loss" in found.acknowledgements


@pytest.mark.long
def test_no_question_is_answered_no_for_an_unknown_argument() -> None:
    """Of no type, neither where it is created nor where it changes."""
    for type_ in TYPES:
        if not known(type_).attributes:
            continue
        made = change(f"{type_}.x", None, {"name": "n", "zz_future": "v"})
        changed = change(f"{type_}.x", {"name": "n"}, {"name": "n", "zz_future": "v"})
        questions = ("Who gains access?", "What code goes live?")
        never_good(review_changes(made), questions, f"{type_}.zz_future")
        never_good(review_changes(changed), (*questions, "Is data lost?"), f"{type_}.zz_future")


@pytest.mark.parametrize(
    ("level", "type_", "old", "new", "expected"),
    [
        ("note", "aws_thing", {"a": 1}, None, ()),
        ("acknowledge", "aws_thing", {"a": 1}, None, ("data loss",)),
        ("acknowledge", "aws_thing", None, {"a": 1}, ()),
        ("acknowledge", "aws_security_group_rule", None, {"cidr_blocks": ["0.0.0.0/0"]}, ("access widened",)),
        ("note", "aws_security_group_rule", None, {"cidr_blocks": ["0.0.0.0/0"]}, ()),
        ("acknowledge", "google_future_thing", None, {"members": ["user:a@b.c"]}, ("access widened",)),
        ("strict", "aws_thing", None, {"a": 1}, ("access widened",)),
        ("strict", "google_pubsub_topic", None, {"name": "t"}, ()),
        ("strict", "google_pubsub_topic", None, {"name": "t", "zz": 1}, ("access widened",)),
    ],
)
def test_the_severity_of_unexamined_types_is_a_setting(
    level: str, type_: str, old: dict[str, Any] | None, new: dict[str, Any] | None, expected: tuple[str, ...]
) -> None:
    found = review_plan(build_context(change(f"{type_}.x", old, new)), load_price_book(), Level(level))
    assert found.acknowledgements == expected


def test_an_argument_that_decides_what_is_kept_is_examined() -> None:
    policy = change("google_netapp_backup_policy.x", {"enabled": False}, {"enabled": True})
    assert verdicts(review_changes(policy))["Is data lost?"][0] is Verdict.NO
    old, new = ({"backup_retention_policy": [{"days": each}]} for each in (30, 1))
    found = review_changes(change("google_netapp_backup_vault.x", old, new))
    never_good(found, ("Is data lost?",), "google_netapp_backup_vault.backup_retention_policy")


@pytest.mark.parametrize(
    ("path", "strange"),
    [
        ("settings.tier", ""),
        ("settings.database_flags.name", ""),
        ("settings.user_labels.anything.at.all", ""),
        ("settings.future_block.x", "settings.future_block"),
        ("settings.ip_configuration.future_argument", "settings.ip_configuration.future_argument"),
        ("future_argument", "future_argument"),
        ("labels.x", "labels"),
        ("name.of.a.document", ""),
    ],
)
def test_arguments_inside_blocks_are_known_too(path: str, strange: str) -> None:
    assert list_unknown_arguments("google_sql_database_instance", [path]) == ({strange} if strange else set())


def test_a_smaller_size_is_examined() -> None:
    sides = {"capacity_gib": 2000}, {"capacity_gib": 1000}
    shrunk = review_changes(change("google_lustre_instance.x", sides[0], sides[1]))
    never_good(shrunk, ("Is data lost?",), "google_lustre_instance.capacity_gib")
    grown = review_changes(change("google_lustre_instance.x", sides[1], sides[0]))
    assert verdicts(grown)["Is data lost?"][0] is Verdict.NO


def test_dependents_deleted_with_a_resource_are_named() -> None:
    cluster = change("google_alloydb_cluster.c", {"name": "c", "cluster_id": "c"}, None)
    user = change(
        "google_alloydb_user.u", {"cluster": "projects/p/clusters/c"}, {"cluster": "projects/p/clusters/c"}
    )
    sentence = review_changes(cluster, user).findings[0].sentence
    assert "1 resource that the plan does not show is lost with it" in sentence


def test_creating_a_resource_that_acts_on_data_is_reported() -> None:
    found = review_changes(change("google_storage_batch_operations_job.j", None, {"job_id": "j"}))
    assert (found.findings[0].severity, found.findings[0].recovery) == (Severity.POSSIBLE_LOSS, "no")


def test_json_has_the_answers() -> None:
    found = {
        each.question: each
        for each in answer_questions(review_changes(change("google_future_thing.x", {"a": 1}, {"a": 2})))
    }
    assert found["Is data lost?"].verdict is Verdict.NOT_EXAMINED
    assert found["Is data lost?"].unexamined == ("google_future_thing",)
    assert found["Can it be reverted?"].verdict is Verdict.NOT_EXAMINED
