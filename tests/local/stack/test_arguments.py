"""Terraform's arguments: blocks, REST names, and reports of arguments without effect."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.environment.environment import LocalEnvironment
from local.stack.arguments import (
    as_rest,
    derive_number,
    get_block,
    get_blocks,
    make_store_only_handler,
    report_unsupported_arguments,
)
from local.stack.loading import Resource

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, []),
        ({"b": None}, []),
        ({"b": {"k": 1}}, [{"k": 1}]),
        ({"b": [{"k": 1}, {"k": 2}]}, [{"k": 1}, {"k": 2}]),
        ({"b": []}, []),
    ],
)
def test_blocks(arguments: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert get_blocks(arguments, "b") == expected
    assert get_block(arguments, "b") == (expected[0] if expected else {})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"min_backoff": "10s", "name": "n"}, {"minBackoff": "10s", "name": "n"}),
        ({"push_config": {"oidc_token": {"service_account_email": "e"}}}, None),
        ({"rules": [{"with_state": "ANY"}]}, {"rules": [{"withState": "ANY"}]}),
        ({"labels": {"my_label": "x"}}, {"labels": {"my_label": "x"}}),
        (
            {"environment_variables": {"API_URL": "u", "a_b": "c"}},
            {"environmentVariables": {"API_URL": "u", "a_b": "c"}},
        ),
        ({"oauth2_client_id": "c"}, {"oauth2ClientId": "c"}),
    ],
)
def test_as_rest(arguments: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert as_rest(arguments) == (expected or {"pushConfig": {"oidcToken": {"serviceAccountEmail": "e"}}})


NAMES = st.from_regex(re.compile(r"[a-z][a-z0-9]{0,5}(_[a-z][a-z0-9]{0,5}){0,3}"), fullmatch=True)


@pytest.mark.long
@given(st.dictionaries(NAMES, st.integers() | st.text()))
def test_rest_names_convert_back_to_arguments(arguments: dict[str, Any]) -> None:
    back = {
        re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", key): value
        for key, value in as_rest(arguments).items()
    }
    assert back == arguments


def test_arguments_without_effect_are_reported_once(environment: LocalEnvironment) -> None:
    arguments = {
        "name": "n",
        "labels": {"a": "b"},
        "versioning": {"enabled": True},
        "cors": [],
        "logging": False,
        "odd": 1,
    }
    unsupported = {"versioning": "no versions", "cors": "no browsers", "logging": "no logs"}
    for _ in range(2):
        report_unsupported_arguments(environment, "google_thing", arguments, {"name"}, unsupported)
    assert environment.unsupported == [
        "google_thing.versioning: no versions",
        "google_thing.odd: unknown to the local run, so it has no effect",
    ]


@given(st.text(), st.integers(min_value=1, max_value=30))
def test_stable_number(text: str, digits: int) -> None:
    number = derive_number(text, digits)
    assert number == derive_number(text, digits)
    assert len(number) == digits
    assert number.isdigit()


def test_a_storing_handler_names_and_stores_the_resource(environment: LocalEnvironment) -> None:
    handler = make_store_only_handler(
        "things",
        "boxes",
        name="projects/{project}/{location}/{name}",
        computed_attributes={"link": "http://{id}"},
        unsupported="google_box: kept",
    )
    resource = Resource("google_box.b", "google_box", "b", {})
    attributes = handler(resource, {"name": "n", "max_size": 3, "location": "eu"}, environment)
    name = f"projects/{environment.project}/eu/n"
    assert attributes.items() >= {"id": name, "name": "n", "link": f"http://{name}", "max_size": 3}.items()
    assert environment.collection("things", "boxes").get(name)["maxSize"] == 3
    assert environment.unsupported == ["google_box: kept"]
