"""Find the workloads that use an artifact: those that name it, or run an image whose tag is from its name."""

import functools

from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import flatten_values, get_text

WORKLOADS = (
    "google_cloudfunctions2_function",
    "google_cloudfunctions_function",
    "google_cloud_run_v2_service",
    "google_cloud_run_v2_job",
    "google_cloud_run_service",
    "google_dataproc_workflow_template",
    "google_dataproc_job",
    "google_dataproc_batch",
    "google_dataflow_job",
    "google_app_engine_standard_app_version",
    "google_compute_instance_template",
)
SHORTEST = 8  # characters of a tag that can be the digest of an image's source


def find_users(object_: Change, context: Context) -> list[Change]:
    """Return the workloads that name an uploaded object, or run an image that is built from it."""
    name = get_text(object_.new, "name") or get_text(object_.old, "name")
    return [
        workload
        for workload, words, tags in _list_workloads(context)
        if name and (name in words or any(tag in name for tag in tags))
    ]


@functools.lru_cache(maxsize=4)
def _list_workloads(context: Context) -> tuple[tuple[Change, str, frozenset[str]], ...]:
    """Return every workload with all its texts, and the tags of its images."""
    found = []
    for each in context.of_type(*WORKLOADS):
        words = [leaf for _, leaf in flatten_values(each.new) if isinstance(leaf, str)]
        found.append((each, "\n".join(words), frozenset(filter(None, map(parse_image_tag, words)))))
    return tuple(found)


def parse_image_tag(image: str) -> str:
    """Return the tag of an image that can be the digest of its source; empty otherwise."""
    path, _, tag = image.partition("@")[0].rpartition(":")
    return tag if "/" in path and "/" not in tag and len(tag) >= SHORTEST else ""


def find_source(image: str, context: Context) -> Change | None:
    """Return the object that an image was built from: the one that has the image's tag in its name."""
    tag = parse_image_tag(image)
    if not tag:
        return None
    for each in context.of_type("google_storage_bucket_object"):
        if any(tag in get_text(side, "name") for side in (each.new, each.old)):
            return each
    return None
