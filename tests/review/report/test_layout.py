"""The comment's layout with hostile names, damaged plans and five hundred resources, within its size limit."""

import contextlib
import json
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.errors import PlanError
from review.findings.finding import Detail, Severity
from review.findings.text import CLOSE, OPEN, escape_invisible, span, truncate_sentence
from review.plan.reading import read_plan
from review.report.document import Document, Row
from review.report.markdown import MOST, code_span, render_markdown
from tests.review.conftest import change, plan_document
from tests.review.secrets.test_masking import render_all

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
HOSTILE = [
    "</details></summary><img src=x onerror=alert(1)>",
    "<!-- ",
    "``` \n```diff\n+ fake",
    "` | fake | row |\n|---|",
    "a|b\\|c",
    "\\",
    "``",
    "@everyone #1 https://example.org [x](y)",
    "\x1b[31mred\x1b[0m \x07 \x00",
    "\u202e evil \u200b",
    "\ud800 lone",
    "\ue000 \ue001 \ue003 5 \ue004",
    "# heading\n- list\n> quote",
    "**bold** _em_ ~~x~~ <br>",
    "&lt;b&gt; &#x3c;",
    "x" * 5000,
    "",
    " ",
]


class Tags(HTMLParser):
    """Collect the tags of a comment, outside of its code."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def without_code(text: str) -> str:
    """Return Markdown without fenced blocks and code spans, as CommonMark defines them."""
    lines, fence = [], ""
    for line in text.splitlines():
        found = re.match(r"(`{3,})[a-z]*$", line)
        if fence:
            fence = "" if line == fence else fence
        elif found:
            fence = found[1]
        else:
            lines.append(re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "CODE", line))
    assert not fence, "a block of code is not closed"
    return "\n".join(lines)


def check_layout(text: str) -> None:
    """Assert that tags are closed, tables have all cells, and no character is invisible."""
    assert len(text) <= MOST
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ue000-\ue004\ud800-\udfff]",
        text,
    )
    bare = without_code(text)
    tags = Tags()
    tags.feed(bare)
    assert tags.open == []
    assert tags.seen <= {"details", "summary", "code", "sub"}
    assert "<!--" not in bare
    cells = 0
    for line in bare.splitlines():
        if line.startswith("|"):
            count = len(re.findall(r"(?<!\\)\|", line))
            cells = cells or count
            assert count == cells, line
        else:
            cells = 0
    assert "@everyone" not in re.sub(r"<code>.*?</code>", "", bare)


def list_hostile_changes(name: str) -> list[dict[str, Any]]:
    """Return changes of many kinds with a hostile name in each place of a name."""
    key = json.dumps(name)
    query = {"dataset_id": name, "table_id": name, "view": [{"query": name}], "labels": {name: name}}
    return [
        change(f"google_storage_bucket.b[{key}]", {"name": name, "force_destroy": True}, None),
        change("google_bigquery_table.v", query, {**query, "view": [{"query": f"{name}\nx"}]}),
        change(
            "google_bigquery_table.t",
            {"table_id": name, "schema": json.dumps([{"name": name or "a", "type": name, "mode": name}])},
            {"table_id": name, "schema": json.dumps([{"name": "z", "type": "STRING"}])},
            "delete",
            "create",
            replace_paths=[[name]],
            action_reason=name,
        ),
        change("google_project_iam_member.m", None, {"project": name, "role": name, "member": f"user:{name}"}),
        change("google_cloudfunctions2_function.f", {"service_config": [{"environment_variables": {name: name}}]},
               {"service_config": [{"environment_variables": {name: "y"}, "service_account_email": name}]}),
        change("odd_thing.x", {"a": name, name: 1}, {"a": [name], name: {name: name}}, importing={"id": name}),
        change(f"odd_thing.moved[{key}]", {"a": 1}, {"a": 1}, previous_address=f"odd_thing.old[{key}]"),
        {**change("odd_thing.d", {"a": 1}, None), "deposed": name, "type": name},
        change("odd_thing.y", {"a": 1}, {"a": 2}, name),
    ]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_break_no_layout(name: str) -> None:
    more = {
        "output_changes": {name: {"actions": ["update"], "before": name, "after": [name]}},
        "checks": [
            {
                "address": {"to_display": name},
                "status": "fail",
                "instances": [{"problems": [{"message": name}]}],
            }
        ],
        "resource_drift": list_hostile_changes(name)[:2],
    }
    found = render_all(plan_document(*list_hostile_changes(name), **more))
    check_layout(found["markdown"])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", found["terminal"])
    assert json.loads(found["json"])["severity"] == "data loss"


@given(st.text(max_size=40))
def test_no_content_ends_its_code_span(text: str) -> None:
    assert without_code(f"a {code_span(escape_invisible(text))} b") in (
        "a CODE b",
        "a (empty) b",
        "a (blank) b",
    )


@given(st.lists(st.text(alphabet="ab `|\\<>", max_size=30), min_size=1, max_size=8))
def test_a_row_has_its_cells_whatever_is_in_them(texts: list[str]) -> None:
    sentence = " ".join(span(each) for each in texts)
    check_layout(
        render_markdown(
            Document(
                "h",
                rows=(Row(Severity.NOTE, sentence, sentence, sentence),),
                folds=(Detail(sentence, tuple(texts), "diff"),),
            )
        )
    )


@given(st.lists(st.text(max_size=50), max_size=60), st.integers(0, 600))
def test_a_sentence_is_cut_between_its_spans(texts: list[str], longest: int) -> None:
    cut = truncate_sentence(" and ".join(span(each) for each in texts), longest)
    assert cut.count(OPEN) == cut.count(CLOSE)
    assert len(cut) <= longest + 2 or not texts


@pytest.mark.long
def test_truncation_is_reported() -> None:
    changes = []
    for index in range(500):
        before = {"table_id": f"t{index}", "description": f"{index}{'x' * 90}", "labels": {"a": "1"}}
        after = {"table_id": f"t{index}", "description": "y" * 4000, "labels": {"a": "2"}}
        changes.append(change(f"google_bigquery_table.t{index}", before, after))
    text = render_all(plan_document(*changes))["markdown"]
    check_layout(text)
    assert len(text) > MOST * 0.8
    assert re.search(r"\*\*truncated:\*\* [\d,]+ more rows left out: \d+ [a-z ]+", text)
    assert "sections left out" in text


def test_the_most_severe_rows_are_kept_if_the_table_is_truncated() -> None:
    light = [change(f"odd_thing.x{index}", {"a": "1" * 150}, {"a": "2" * 150}) for index in range(400)]
    heavy = change("google_storage_bucket.zzz", {"name": "precious", "force_destroy": True}, None)
    text = render_all(plan_document(*light, heavy))["markdown"]
    assert "bucket `precious` is deleted" in text
    assert text.splitlines()[0].startswith("### `dev`: data loss")


def test_the_same_plan_in_another_order_gives_the_same_text() -> None:
    changes = [found for name in HOSTILE[:6] for found in list_hostile_changes(name)]
    for index, each in enumerate(changes):
        each["address"] = f"{each['address']}_{index}"
    shuffled = changes.copy()
    random.Random(7).shuffle(shuffled)  # noqa: S311
    assert render_all(plan_document(*changes)) == render_all(plan_document(*shuffled))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def sample_words(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(text.split())


TYPES = sample_words("""
    google_bigquery_table google_bigquery_dataset google_storage_bucket google_storage_bucket_object google_pubsub_topic
    google_pubsub_subscription google_cloudfunctions2_function google_cloud_run_v2_service google_cloud_scheduler_job
    google_dataproc_workflow_template google_compute_firewall google_compute_network google_project_service
    google_artifact_registry_repository google_project_iam_custom_role google_iam_workload_identity_pool_provider
    google_storage_bucket_iam_policy google_bigquery_dataset_access google_storage_bucket_acl google_service_account
    google_sql_database_instance google_dataproc_cluster google_compute_instance google_container_node_pool unknown_type
""")
ARGUMENTS = sample_words("""
    name schema view labels lifecycle_rule soft_delete_policy retention_policy access template service_config
    build_config schedule http_target pubsub_target placement allow source_ranges cleanup_policies permissions
    policy_data role member condition role_entity time_partitioning clustering topic push_config settings
    machine_type node_config source ingress attribute_condition message_retention_duration expiration_policy jobs
    force_destroy disabled
""")
KEYS = sample_words("""
    config containers env condition age action type query field name value uri body limits resources managed_cluster
    worker_config num_instances expression oidc_token
""")
BLOCKS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
SIDE = st.none() | st.dictionaries(ARGUMENTS, BLOCKS, max_size=6)
ACTIONS = st.sampled_from(
    [
        ["create"],
        ["update"],
        ["delete"],
        ["delete", "create"],
        ["create", "delete"],
        ["no-op"],
        ["read"],
        ["forget"],
        ["odd"],
    ]
)


@pytest.mark.long
@given(st.lists(st.tuples(TYPES, SIDE, SIDE, ACTIONS, JSON, JSON), max_size=4), JSON)
def test_any_values_can_be_reviewed(found: list[tuple[Any, ...]], odd: Any) -> None:
    changes = []
    for index, (type_, before, after, actions, unknown, sensitive) in enumerate(found):
        each = change(
            f"{type_}.r{index}", before, after, *actions, unknown=unknown, sensitive=(sensitive, sensitive)
        )
        changes.append({**each, "previous_address": odd, "deposed": odd, "index": odd, "action_reason": odd})
    odd_parts = dict.fromkeys(
        ("prior_state", "variables", "configuration", "planned_values", "applyable"), odd
    )
    check_layout(render_all(plan_document(*changes, **odd_parts))["markdown"])


@given(st.integers(0, 10**6), st.binary(max_size=3))
def test_a_damaged_plan_is_reviewed_or_refused_and_nothing_else(at: int, put: bytes) -> None:
    content = json.dumps(plan_document(*list_hostile_changes("name"))).encode()
    at %= len(content)
    with contextlib.suppress(PlanError):
        read_plan(content[:at] + put + content[at + len(put) :])


@pytest.mark.long
def test_five_hundred_resources_take_a_second_start_included(tmp_path: Path) -> None:
    """The time is measured by `make bench`; here all resources must be read and reported."""
    plan = tmp_path / "plan.json"
    changes = [change(f"google_storage_bucket.b{index}", None, {"name": f"b{index}"}) for index in range(500)]
    plan.write_text(json.dumps(plan_document(*changes)))
    ran = subprocess.run([sys.executable, "-m", "review", plan], cwd=ROOT, capture_output=True, check=True)
    assert b"500 created" in ran.stdout
    assert b"500 buckets" in ran.stdout
