"""The permissions that requests to Cloud Storage's JSON API require.

https://cloud.google.com/storage/docs/access-control/iam-json
"""

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from local.http.request import Request
from local.iam_proxy.denials import RequiredPermission
from local.iam_proxy.permissions import RequestPermissions, UnknownMethodError

BUCKETS = "projects/_/buckets/"
PathParameters = dict[str, str]
Rule = Callable[[Request, PathParameters, str], RequestPermissions]  # request, path parameters, project


def required_permissions(request: Request, project: str) -> RequestPermissions:
    """Return the permissions that a request requires. Raises UnknownMethodError, InvalidRequestError."""
    for method, pattern, rule in METHODS:
        if request.method in method and (match := pattern.fullmatch(request.path)):
            params = {name: unquote(value) for name, value in match.groupdict().items()}
            return rule(request, params, project)
    raise UnknownMethodError(
        "local/iam_proxy/storage.py does not know which permission "
        f"{request.method} {request.path} requires: add it there"
    )


def bucket_resource(bucket: str) -> str:
    """Return IAM's name of a bucket."""
    return BUCKETS + bucket


def object_resource(bucket: str, name: str) -> str:
    """Return IAM's name of an object."""
    return f"{BUCKETS}{bucket}/objects/{name}"


def _project_rule(permission: str) -> Rule:
    return lambda _request, _params, project: RequestPermissions(
        (RequiredPermission(permission, f"projects/{project}"),)
    )


def _bucket_rule(permission: str) -> Rule:
    return lambda _request, params, _project: RequestPermissions(
        (RequiredPermission(permission, bucket_resource(params["bucket"])),)
    )


def _object_rule(permission: str) -> Rule:
    def rule(_request: Request, params: PathParameters, _project: str) -> RequestPermissions:
        return RequestPermissions(
            (RequiredPermission(permission, object_resource(params["bucket"], params["object"])),),
            to_reveal_absence=(
                RequiredPermission("storage.objects.list", bucket_resource(params["bucket"])),
            ),
        )

    return rule


def _upload_permissions(request: Request, params: PathParameters, _project: str) -> RequestPermissions:
    if "upload_id" in request.query:
        # The session URI itself authorizes the upload:
        # https://cloud.google.com/storage/docs/resumable-uploads#session-uris
        return RequestPermissions()
    name = request.query.get("name") or str(request.resource.get("name", ""))
    return _write_permissions(request, params["bucket"], name)


def _write_permissions(
    request: Request, bucket: str, name: str, *sources: RequiredPermission
) -> RequestPermissions:
    """Return the permissions to create an object and to overwrite one; a precondition may rule out the latter."""
    create = RequiredPermission("storage.objects.create", object_resource(bucket, name))
    if request.query.get("ifGenerationMatch") == "0":
        return RequestPermissions((*sources, create))
    replace = RequiredPermission("storage.objects.delete", object_resource(bucket, name))
    return RequestPermissions(
        (*sources, create), (replace,), f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
    )


def _copy_permissions(request: Request, params: PathParameters, _project: str) -> RequestPermissions:
    source = RequiredPermission("storage.objects.get", object_resource(params["bucket"], params["object"]))
    return _write_permissions(request, params["to_bucket"], params["to_object"], source)


def _compose_permissions(request: Request, params: PathParameters, _project: str) -> RequestPermissions:
    names = [str(each.get("name", "")) for each in request.resource.get("sourceObjects", [])]
    sources = [
        RequiredPermission("storage.objects.get", object_resource(params["bucket"], name)) for name in names
    ]
    return _write_permissions(request, params["bucket"], params["object"], *sources)


_B = r"/storage/v1/b"
_BUCKET = _B + r"/(?P<bucket>[^/]+)"
_OBJECTS = _BUCKET + r"/o"
_OBJECT = _OBJECTS + r"/(?P<object>[^/]+)"
METHODS: tuple[tuple[tuple[str, ...], re.Pattern[str], Rule], ...] = tuple(
    (tuple(methods.split()), re.compile(pattern), rule)
    for methods, pattern, rule in (
        # The pipeline's most frequent requests come first.
        ("GET", _OBJECT, _object_rule("storage.objects.get")),
        (
            "POST",
            _OBJECT + r"/(?:rewriteTo|copyTo)/b/(?P<to_bucket>[^/]+)/o/(?P<to_object>[^/]+)",
            _copy_permissions,
        ),
        ("DELETE", _OBJECT, _object_rule("storage.objects.delete")),
        ("POST PUT DELETE", r"(?:/resumable)?/upload" + _OBJECTS, _upload_permissions),
        ("GET", _OBJECTS, _bucket_rule("storage.objects.list")),
        ("GET", r"/download" + _OBJECT, _object_rule("storage.objects.get")),
        ("PATCH PUT", _OBJECT, _object_rule("storage.objects.update")),
        ("POST", _OBJECT + r"/compose", _compose_permissions),
        ("GET", _BUCKET, _bucket_rule("storage.buckets.get")),
        ("PATCH PUT", _BUCKET, _bucket_rule("storage.buckets.update")),
        ("DELETE", _BUCKET, _bucket_rule("storage.buckets.delete")),
        ("GET", _BUCKET + r"/iam", _bucket_rule("storage.buckets.getIamPolicy")),
        ("PUT", _BUCKET + r"/iam", _bucket_rule("storage.buckets.setIamPolicy")),
        ("GET", _B, _project_rule("storage.buckets.list")),
        ("POST", _B, _project_rule("storage.buckets.create")),
    )
)
