"""Cloud Storage's JSON API: the permissions of each method.

https://cloud.google.com/storage/docs/access-control/iam-json
"""

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from local.http.request import Request
from local.iam_proxy.access import Need
from local.iam_proxy.permissions import Asked, UnansweredError

BUCKETS = "projects/_/buckets/"
Places = dict[str, str]
Answer = Callable[[Request, Places, str], Asked]  # request, what stands in the path, project


def asked(request: Request, project: str) -> Asked:
    """Return what a call needs. Raises UnansweredError for one that is not known, InvalidCallError."""
    for method, pattern, answer in METHODS:
        if request.method in method and (match := pattern.fullmatch(request.path)):
            places = {name: unquote(value) for name, value in match.groupdict().items()}
            return answer(request, places, project)
    raise UnansweredError(
        f"local/iam_proxy/storage.py does not know which permission {request.method} {request.path} needs: add it there"
    )


def bucket_name(bucket: str) -> str:
    """The name that IAM has for a bucket."""
    return BUCKETS + bucket


def object_name(bucket: str, name: str) -> str:
    """The name that IAM has for an object."""
    return f"{BUCKETS}{bucket}/objects/{name}"


def _on_project(permission: str) -> Answer:
    return lambda _request, _places, project: Asked((Need(permission, f"projects/{project}"),))


def _on_bucket(permission: str) -> Answer:
    return lambda _request, places, _project: Asked((Need(permission, bucket_name(places["bucket"])),))


def _on_object(permission: str) -> Answer:
    def answer(_request: Request, places: Places, _project: str) -> Asked:
        return Asked(
            (Need(permission, object_name(places["bucket"], places["object"])),),
            to_hear_404=(Need("storage.objects.list", bucket_name(places["bucket"])),),
        )

    return answer


def _upload(request: Request, places: Places, _project: str) -> Asked:
    if "upload_id" in request.query:
        # A session's URI is itself the proof that it may be written:
        # https://cloud.google.com/storage/docs/resumable-uploads#session-uris
        return Asked()
    name = request.query.get("name") or str(request.resource.get("name", ""))
    return _written(request, places["bucket"], name)


def _written(request: Request, bucket: str, name: str, *sources: Need) -> Asked:
    """Creating takes one permission, replacing another one too; a precondition rules that out."""
    create = Need("storage.objects.create", object_name(bucket, name))
    if request.query.get("ifGenerationMatch") == "0":
        return Asked((*sources, create))
    replace = Need("storage.objects.delete", object_name(bucket, name))
    return Asked((*sources, create), (replace,), f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")


def _copy(request: Request, places: Places, _project: str) -> Asked:
    source = Need("storage.objects.get", object_name(places["bucket"], places["object"]))
    return _written(request, places["to_bucket"], places["to_object"], source)


def _compose(request: Request, places: Places, _project: str) -> Asked:
    names = [str(each.get("name", "")) for each in request.resource.get("sourceObjects", [])]
    sources = [Need("storage.objects.get", object_name(places["bucket"], name)) for name in names]
    return _written(request, places["bucket"], places["object"], *sources)


_B = r"/storage/v1/b"
_BUCKET = _B + r"/(?P<bucket>[^/]+)"
_OBJECTS = _BUCKET + r"/o"
_OBJECT = _OBJECTS + r"/(?P<object>[^/]+)"
METHODS: tuple[tuple[tuple[str, ...], re.Pattern[str], Answer], ...] = tuple(
    (tuple(methods.split()), re.compile(pattern), answer)
    for methods, pattern, answer in (
        # What the pipeline does most comes first.
        ("GET", _OBJECT, _on_object("storage.objects.get")),
        ("POST", _OBJECT + r"/(?:rewriteTo|copyTo)/b/(?P<to_bucket>[^/]+)/o/(?P<to_object>[^/]+)", _copy),
        ("DELETE", _OBJECT, _on_object("storage.objects.delete")),
        ("POST PUT DELETE", r"(?:/resumable)?/upload" + _OBJECTS, _upload),
        ("GET", _OBJECTS, _on_bucket("storage.objects.list")),
        ("GET", r"/download" + _OBJECT, _on_object("storage.objects.get")),
        ("PATCH PUT", _OBJECT, _on_object("storage.objects.update")),
        ("POST", _OBJECT + r"/compose", _compose),
        ("GET", _BUCKET, _on_bucket("storage.buckets.get")),
        ("PATCH PUT", _BUCKET, _on_bucket("storage.buckets.update")),
        ("DELETE", _BUCKET, _on_bucket("storage.buckets.delete")),
        ("GET", _BUCKET + r"/iam", _on_bucket("storage.buckets.getIamPolicy")),
        ("PUT", _BUCKET + r"/iam", _on_bucket("storage.buckets.setIamPolicy")),
        ("GET", _B, _on_project("storage.buckets.list")),
        ("POST", _B, _on_project("storage.buckets.create")),
    )
)
