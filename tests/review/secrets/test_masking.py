"""Secrets are hidden: where Terraform marks them, and wherever their values occur."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.assessment.review import review_plan
from review.cost.price_book import load_price_book
from review.findings.text import SENSITIVE, escape_invisible
from review.plan.reading import read_plan
from review.report.document import lay_out_review, mask_document
from review.report.json_report import render_json
from review.report.markdown import MOST, render_markdown
from review.report.terminal import render_terminal
from review.secrets.forms import find_secrets_by_form
from review.secrets.masking import Secrets, find_named_secrets
from review.types.registry import create_context
from tests.review.conftest import change, plan_document
from tests.review.secrets.generated import generate, list_encodings

pytestmark = pytest.mark.unit

PLANS = 1000
BATCH = 100


def render_all(document: dict[str, Any]) -> dict[str, str]:
    """Return the review of a plan in every format."""
    plan = read_plan(json.dumps(document).encode())
    found = review_plan(create_context(plan), load_price_book())

    def mask(text: str) -> str:
        return escape_invisible(plan.secrets.mask(text))

    laid_out = mask_document(lay_out_review(found, "dev"), mask)
    return {
        "markdown": render_markdown(laid_out),
        "terminal": render_terminal(laid_out),
        "json": render_json(found, laid_out.headline, "dev", mask),
    }


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, PLANS, BATCH))
def test_no_secret_of_a_thousand_plans_is_in_any_format(first: int) -> None:
    hidden = 0
    for seed in range(first, first + BATCH):
        plan = generate(seed)
        for format_, text in render_all(plan.document).items():
            joined = text.replace("\n    ", " ") if format_ == "terminal" else text
            for value in plan.secrets:
                for form in list_encodings(value):
                    assert form not in joined, (seed, format_, form)
            hidden += SENSITIVE in text
            if format_ == "markdown":
                assert len(text) <= MOST
    assert hidden > BATCH  # most plans have something to hide


def secrets(*values: Any) -> Secrets:
    found = Secrets()
    for value in values:
        found.add(value)
    return found


def shown(found: Secrets, text: str) -> str:
    return escape_invisible(found.mask(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hunter2-secret", "(sensitive)"),
        ("a hunter2-secret b", "a (sensitive) b"),
        ("https://u:hunter2-secret@h/", "https://u:(sensitive)@h/"),
        (base64.b64encode(b"hunter2-secret").decode(), "(sensitive)Q="),
        ("hunter3-secret", "hunter3-secret"),
        ("hunter2-hunter2-secret", "hunter2-(sensitive)"),
    ],
)
def test_a_value_is_hidden_wherever_it_stands(text: str, expected: str) -> None:
    assert shown(secrets("hunter2-secret"), text) == expected


def test_overlapping_secrets_are_hidden_whole() -> None:
    assert shown(secrets("abcdef", "defghi"), "x abcdefghi y") == "x (sensitive) y"


def test_a_text_that_was_cut_in_the_middle_of_a_secret_shows_nothing_of_it() -> None:
    assert shown(secrets("hunter2-secret"), "a name with hunter2-se…") == "a name with (sensitive)…"


def test_a_short_secret_is_hidden_as_a_word_and_one_of_a_single_letter_only_where_it_is_marked() -> None:
    found = secrets("eu", "x")
    assert shown(found, "region eu, europe, x") == "region (sensitive), europe, x"
    assert escape_invisible(found.hide({"a": "x"}, {"a": True})["a"]) == "(sensitive)"


def test_numbers_are_secrets_too() -> None:
    assert shown(secrets(481516), "port=481516") == "port=(sensitive)"


def test_lines_of_a_secret_of_many_lines_are_hidden_by_themselves() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nAgEAAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----"
    assert "VJTUt9Us8cKj" not in shown(secrets(key), "  AgEAAoIBAQC7VJTUt9Us8cKj  ")


def test_a_changed_secret_is_reported_as_changed() -> None:
    found = secrets("one-secret", "two-secret")
    assert found.mask("one-secret") != found.mask("two-secret")
    assert shown(found, "one-secret") == shown(found, "two-secret")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"environment_variables": {"DB_PASSWORD": "abcdefgh"}}, ["abcdefgh"]),
        ({"env": [{"name": "API_TOKEN", "value": "abcdefgh"}]}, ["abcdefgh"]),
        ({"secret_key_ref": [{"secret": "the-name-of-one"}]}, []),
        ({"secret_data": "${var.x}"}, []),
        ({"headers": {"Authorization": "Bearer abcdefgh"}}, ["abcdefgh"]),
        ({"uri": "https://user:abcdefgh@host/"}, ["abcdefgh"]),
        ({"private_key": "projects/p/secrets/s"}, []),
        ({"description": "a password is a secret"}, []),
    ],
)
def test_secrets_are_found_by_name_or_form(value: object, expected: list[str]) -> None:
    assert [*find_named_secrets(value), *find_secrets_by_form(value)] == expected


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", None),
        (
            "run: gh auth login --with-token github_pat_11AAAAAAA0abcdefghijkl_mnop",
            "github_pat_11AAAAAAA0abcdefghijkl_mnop",
        ),
        ("glpat-abcdefghij0123456789", None),
        ("sk_" + "live_51HabcdefGHIJKL", None),
        ("xoxb-" + "1234567890-abcdefghij", None),
        ("https://hooks.slack.com/services/T000/B000/XXXXXXXXXXXX", "services/T000/B000/XXXXXXXXXXXX"),
        ("https://discord.com/api/webhooks/1234567890/abcdefghijklmnop", "1234567890/abcdefghijklmnop"),
        ("AKIAIOSFODNN7EXAMPLE", None),
        ("AIza" + "SyA1234567890abcdefghijklmnopqrstuv", None),
        ("ya29.a0AfH6SMBabcdefghijklmnop", None),
        ("GOCSPX-abcdefghijklmnopqrstuv", None),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijkl", None),
        ("https://0123456789abcdef@o1.ingest.example.org/2", "0123456789abcdef"),
        ("postgres://app:pw12345@10.0.0.5/db", "pw12345"),
        ("host=db user=app password=pw12345 sslmode=require", "pw12345"),
        ("Server=db;User Id=app;Pwd=pw12345;", "pw12345"),
        ("https://example.org/hook?token=abcdef012345&x=1", "abcdef012345"),
        ("curl -H 'Authorization: Bearer abcdefghijklmnop0123' https://example.org", "abcdefghijklmnop0123"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc\n-----END PGP PRIVATE KEY BLOCK-----", None),
        ("hvs.CAESIabcdefghijklmnop", None),
        ("SG.abcdefghijklmnop.qrstuvwxyz012345", None),
        ("npm_abcdefghijklmnopqrstuvwxyz0123456789", None),
    ],
)
def test_a_secret_is_found_by_its_form(text: str, secret: str | None) -> None:
    assert (secret or text) in list(find_secrets_by_form({"NOTE": [{"x": text}]}))


@pytest.mark.parametrize(
    "text",
    [
        "europe-docker.pkg.dev/p/r/api:1",
        "https://www.googleapis.com/auth/cloud-platform",
        "projects/p/secrets/s/versions/latest",
        "${var.password}",
        "postgres://app:${var.password}@db/x",
        "SELECT key = 'abcdefghijkl' FROM t WHERE a=1",
        "git@github.com:owner/name.git",
        "https://github.com/owner/name?ref=v1.2.3",
        "serviceAccount:a@p.iam.gserviceaccount.com",
        "task-runner-with-a-long-name",
        "the bearer of this",
    ],
)
def test_other_texts_are_not_taken_for_secrets(text: str) -> None:
    assert list(find_secrets_by_form({"NOTE": text})) == []


def test_a_mark_of_another_shape_hides_the_whole_value() -> None:
    found = Secrets()
    assert escape_invisible(found.hide({"a": "text"}, {"a": {"b": [True]}})["a"]) == "(sensitive)"
    assert escape_invisible(found.hide(["text"], True)) == "(sensitive)"


@given(st.lists(st.text(min_size=4, max_size=12), min_size=1, max_size=60), st.text(max_size=200))
@pytest.mark.long
def test_no_secret_is_left_in_any_text(values: list[str], text: str) -> None:
    found = secrets(*values)
    left = found.mask(f"{text}{values[0]}{text}")
    plain = escape_invisible(left).replace(SENSITIVE, "\0")
    assert not [
        each for each in values if each in plain and escape_invisible(each) == each and "\0" not in each
    ]


def test_a_secret_that_equals_a_resources_name_does_not_hide_which_resource_it_is() -> None:
    table = {"dataset_id": "warehouse", "table_id": "bikes", "schema": "[]"}
    user = {"name": "u", "instance": "i", "password": "bikes"}
    given_ = plan_document(
        change("google_bigquery_table.bikes", table, None),
        change("google_sql_user.u", None, user, sensitive=(False, {"password": True})),
    )
    text = render_all(given_)["terminal"]
    assert "google_bigquery_table.bikes" in text
    assert "password: unset → (sensitive)" in text
    assert "table_id: bikes" in text
    assert "table warehouse.bikes is deleted" in text.replace("\n", " ")


def test_such_a_secret_stays_hidden_where_it_names_no_resource() -> None:
    values = {"name": "bikes", "bucket": "bikes", "content": "bikes", "metadata": {"a": "x/bikes"}}
    service = {
        "name": "s",
        "template": [{"containers": [{"env": [{"name": "DB", "value": "pg://u:bikes@h/bikes"}]}]}],
    }
    given_ = plan_document(
        change('module.bikes.google_storage_bucket_object.o["bikes"]', None, values),
        change("google_cloud_run_v2_service.s", None, service),
        change(
            "google_project_iam_member.m", None,
            {"project": "p", "role": "roles/viewer", "member": "user:bikes@x.org"},
        ),
        change(
            "google_sql_user.u", None, {"name": "u", "instance": "bikes-db", "password": "bikes"},
            sensitive=(False, {"password": True}),
        ),
        change(
            "google_secret_manager_secret.hidden", None, {"secret_id": "bikes"},
            sensitive=(False, {"secret_id": True}),
        ),
    )  # fmt: skip
    text = " ".join(render_all(given_)["terminal"].split())
    assert 'module.bikes.google_storage_bucket_object.o["bikes"]' in text
    assert "user bikes@x.org can now read" in text
    assert "instance bikes-db" in text
    assert "content: unset → (sensitive)" in text
    assert "x/(sensitive)" in text
    assert "u:(sensitive)@h/(sensitive)" in text
    assert "secret_id: unset → (sensitive)" in text


def test_an_address_that_is_a_secret_by_its_form_stays_hidden() -> None:
    token = f"ghp_{'a1B2' * 9}"
    given_ = plan_document(
        change(f'google_pubsub_topic.t["{token}"]', None, {"name": "t", "labels": {"a": token}})
    )
    assert not any(token in text for text in render_all(given_).values())
