"""The permissions that methods of Cloud Storage's JSON API require."""

import json

import pytest

from local.http.request import InvalidRequestError, Request
from local.iam_proxy.denials import RequiredPermission
from local.iam_proxy.permissions import RequestPermissions, UnknownMethodError
from local.iam_proxy.storage import required_permissions

pytestmark = pytest.mark.unit

OBJECT = "projects/_/buckets/landing/objects/feed/20261124T120100Z.json.gz"
NAME = "feed%2F20261124T120100Z.json.gz"
B, ARCHIVED = "projects/_/buckets/landing", "projects/_/buckets/archive/objects/a=b/c"
MULTIPART = (
    b"--==0==\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n"
    b'{"name": "feed/20261124T120100Z.json.gz"}\r\n--==0==\r\ncontent-type: application/gzip\r\n\r\n'
    b"\x1f\x8b--==0==--"
)


def make_request(
    method: str, target: str, body: bytes = b"", content_type: str = "application/json"
) -> Request:
    return Request(method, target, {"content-type": content_type}, lambda: body)


@pytest.mark.parametrize(
    ("method", "target", "needs"),
    [
        ("GET", f"/storage/v1/b/landing/o/{NAME}", [("storage.objects.get", OBJECT)]),
        ("GET", f"/storage/v1/b/landing/o/{NAME}?alt=media", [("storage.objects.get", OBJECT)]),
        ("GET", f"/download/storage/v1/b/landing/o/{NAME}?alt=media", [("storage.objects.get", OBJECT)]),
        ("DELETE", f"/storage/v1/b/landing/o/{NAME}?generation=1", [("storage.objects.delete", OBJECT)]),
        ("PATCH", f"/storage/v1/b/landing/o/{NAME}", [("storage.objects.update", OBJECT)]),
        ("GET", "/storage/v1/b/landing/o?prefix=feed%2F", [("storage.objects.list", B)]),
        ("GET", "/storage/v1/b/landing", [("storage.buckets.get", B)]),
        ("PATCH", "/storage/v1/b/landing", [("storage.buckets.update", B)]),
        ("DELETE", "/storage/v1/b/landing", [("storage.buckets.delete", B)]),
        ("GET", "/storage/v1/b/landing/iam", [("storage.buckets.getIamPolicy", B)]),
        ("PUT", "/storage/v1/b/landing/iam", [("storage.buckets.setIamPolicy", B)]),
        ("GET", "/storage/v1/b?project=p", [("storage.buckets.list", "projects/p")]),
        ("POST", "/storage/v1/b?project=p", [("storage.buckets.create", "projects/p")]),
        (
            "POST",
            f"/storage/v1/b/landing/o/{NAME}/rewriteTo/b/archive/o/a=b%2Fc?ifGenerationMatch=0",
            [("storage.objects.get", OBJECT), ("storage.objects.create", ARCHIVED)],
        ),
        # A part of a session, whose URI is the proof.
        ("PUT", "/upload/storage/v1/b/landing/o?uploadType=resumable&upload_id=1", []),
    ],
)
def test_a_methods_required_permissions(method: str, target: str, needs: list[tuple[str, str]]) -> None:
    assert list(required_permissions(make_request(method, target), "p").required) == [
        RequiredPermission(*each) for each in needs
    ]


RESUMABLE = b'{"name": "feed/20261124T120100Z.json.gz"}'


@pytest.mark.parametrize(
    ("kind", "body", "content_type"),
    [
        ("uploadType=multipart", MULTIPART, 'multipart/related; boundary="==0=="'),
        ("uploadType=resumable", RESUMABLE, "application/json; charset=UTF-8"),
        (f"uploadType=media&name={NAME}", b"{", "application/json"),  # the content itself may be anything
    ],
)
@pytest.mark.parametrize("precondition", ["&ifGenerationMatch=0", "&ifGenerationMatch=5", ""])
def test_creating_and_overwriting_need_different_permissions(
    kind: str, body: bytes, content_type: str, precondition: str
) -> None:
    target = f"/upload/storage/v1/b/landing/o?{kind}{precondition}"
    create, replace = (
        RequiredPermission("storage.objects.create", OBJECT),
        RequiredPermission("storage.objects.delete", OBJECT),
    )
    expected = (
        RequestPermissions((create,))
        if precondition.endswith("=0")
        else RequestPermissions((create,), (replace,), f"/storage/v1/b/landing/o/{NAME}")
    )
    assert required_permissions(make_request("POST", target, body, content_type), "p") == expected


def test_composing_requires_reading_the_sources() -> None:
    body = json.dumps({"sourceObjects": [{"name": "a"}, {"name": "b"}]}).encode()
    found = required_permissions(make_request("POST", "/storage/v1/b/landing/o/c/compose", body), "p")
    assert [(need.permission, need.resource.rpartition("/")[2]) for need in found.required] == [
        ("storage.objects.get", "a"),
        ("storage.objects.get", "b"),
        ("storage.objects.create", "c"),
    ]


def test_the_absence_of_an_object_is_revealed_only_with_permission_to_list() -> None:
    found = required_permissions(make_request("GET", f"/storage/v1/b/landing/o/{NAME}"), "p")
    assert found.to_reveal_absence == (RequiredPermission("storage.objects.list", B),)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"/landing/{NAME}"),  # as the XML API has objects
        ("POST", "/batch/storage/v1"),
        ("GET", "/storage/v1/b/landing/o/a/b"),  # a slash that is not quoted
        ("OPTIONS", "/storage/v1/b"),
        ("GET", "/storage/v1/b/landing/notificationConfigs"),
    ],
)
def test_an_unknown_request_is_refused(method: str, target: str) -> None:
    with pytest.raises(UnknownMethodError, match=r"which permission .* requires: add it there"):
        required_permissions(make_request(method, target), "p")


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"{", "application/json", "Invalid JSON payload"),
        (b"[]", "application/json", "list, not an object"),
        (b"--x\r\n\r\n{}", "multipart/related; boundary=x", "the first part of a multipart body must end"),
        (MULTIPART, "multipart/related", "the first part of a multipart body must end"),
    ],
)
def test_an_invalid_body_is_refused(body: bytes, content_type: str, expected: str) -> None:
    with pytest.raises(InvalidRequestError, match=expected):
        required_permissions(
            make_request("POST", "/upload/storage/v1/b/landing/o?uploadType=resumable", body, content_type),
            "p",
        )
