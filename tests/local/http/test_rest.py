"""Routes, updates and errors, as Google's REST APIs have them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.control_plane.resource_types import apply_update_mask, compute_etag
from local.errors import AlreadyExistsError, LocalError, NotFoundError, ServiceError
from local.http.rest import ApiError, ApiRequest, Route, error_response, response_to_error

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("method", "pattern", "call", "params"),
    [
        ("GET", "/v1/topics/{id}", "GET /v1/topics/a", {"id": "a"}),
        ("GET", "/v1/topics/{id}", "GET /v1/topics/a:getIamPolicy", None),
        ("GET", "/v1/topics/{id}", "GET /v1/topics/a/b", None),
        ("GET", "/v1/topics/{id}", "GET /v1/topics/", None),
        ("GET", "/v1/topics/{id}", "POST /v1/topics/a", None),
        ("*", "/v1/topics/{id}:getIamPolicy", "POST /v1/topics/a:getIamPolicy", {"id": "a"}),
        ("GET", "/b/{bucket}/o/{rest*}", "GET /b/x/o/a/b c.json", {"bucket": "x", "rest": "a/b c.json"}),
        ("GET", "/v1/a.b/{id}", "GET /v1/aXb/c", None),
        (
            "GET",
            "/p/{project}/serviceAccounts/{email}",
            "GET /p/x/serviceAccounts/a@x.iam.gserviceaccount.com",
            {"project": "x", "email": "a@x.iam.gserviceaccount.com"},
        ),
    ],
)
def test_a_route_matches_or_not(method: str, pattern: str, call: str, params: dict[str, str] | None) -> None:
    requested, _, path = call.partition(" ")
    assert Route(method, pattern, lambda *_: {}).match(ApiRequest(requested, path)) == params


@pytest.mark.parametrize(
    ("before", "sent", "mask", "after"),
    [
        ({"a": 1, "b": 2}, {"a": 3}, "", {"a": 3, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 3}, "*", {"a": 3, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 3, "b": 4}, "a", {"a": 3, "b": 2}),
        ({"a": 1, "b": 2}, {}, "b", {"a": 1}),
        ({"pushConfig": {"x": 1}}, {"pushConfig": {"y": 2}}, "push_config", {"pushConfig": {"y": 2}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, "a.b", {"a": {"b": 3, "c": 2}}),
        ({}, {"a": {"b": 3}}, "a.b", {"a": {"b": 3}}),
        ({"a": {"b": 1}}, {}, "a.b", {"a": {}}),
        ({"a": 1, "b": 2}, {"a": 3, "b": 4}, "a, b", {"a": 3, "b": 4}),
    ],
)
def test_an_update_changes_the_fields_of_its_mask(
    before: dict[str, Any], sent: dict[str, Any], mask: str, after: dict[str, Any]
) -> None:
    kept = json.loads(json.dumps(before))
    assert apply_update_mask(before, sent, mask) == after
    assert before == kept


@given(
    before=st.dictionaries(st.sampled_from("abcd"), st.integers()),
    sent=st.dictionaries(st.sampled_from("abcd"), st.integers()),
    names=st.sets(st.sampled_from("abcd"), min_size=1),
)
def test_nothing_outside_of_the_mask_changes(
    before: dict[str, int], sent: dict[str, int], names: set[str]
) -> None:
    after = apply_update_mask(before, sent, ",".join(sorted(names)))
    assert {key: after.get(key) for key in names} == {key: sent.get(key) for key in names}
    outside = set("abcd") - names
    assert {key: after.get(key) for key in outside} == {key: before.get(key) for key in outside}


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (NotFoundError("topics", "a"), 404, "NOT_FOUND"),
        (AlreadyExistsError("topics", "a"), 409, "ALREADY_EXISTS"),
        (ApiError(403, "no"), 403, "PERMISSION_DENIED"),
        (ApiError(418, "no"), 418, "IM_A_TEAPOT"),
        (LocalError("a schedule that is no cron"), 400, "INVALID_ARGUMENT"),
    ],
)
def test_an_error_has_googles_message(error: LocalError, status: int, name: str) -> None:
    response = response_to_error(error)
    document = json.loads(response.body)["error"]
    assert (response.status, document["code"], document["status"]) == (status, status, name)
    assert document["message"]


def test_an_emulators_error_is_forwarded() -> None:
    response = response_to_error(ServiceError("POST /x", 412, '{"error": {}}'))
    assert (response.status, response.body) == (412, b'{"error": {}}')


@pytest.mark.parametrize(("body", "words"), [(b"{", "Invalid JSON"), (b"[]", "list, not an object")])
def test_a_body_that_is_not_an_object_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        _ = ApiRequest("POST", "/", body=body).json


def test_an_etag_changes_with_its_value_only() -> None:
    assert compute_etag({"a": 1, "b": 2}) == compute_etag({"b": 2, "a": 1}) != compute_etag({"a": 1, "b": 3})
    assert json.loads(error_response(404, "x").body)["error"]["errors"] == [
        {"message": "x", "reason": "notFound"}
    ]
