"""Access lists of Cloud Storage and BigQuery, which grant access in addition to IAM."""

from collections.abc import Iterator

from review.google_cloud.grants import Grant
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, get_text, get_texts
from review.types.bigquery.dataset import ROLES_BY_ENTRY, list_entry_grants

TYPES = (
    "google_bigquery_dataset_access",
    "google_storage_bucket_access_control",
    "google_storage_default_object_access_control",
    "google_storage_object_access_control",
    "google_storage_bucket_acl",
    "google_storage_default_object_acl",
    "google_storage_object_acl",
)
# Roles of the access list of a bucket, and of its objects.
BUCKET = {
    "READER": "roles/storage.legacyBucketReader",
    "WRITER": "roles/storage.legacyBucketWriter",
    "OWNER": "roles/storage.legacyBucketOwner",
}
OBJECT = {"READER": "roles/storage.legacyObjectReader", "OWNER": "roles/storage.legacyObjectOwner"}
PREDEFINED = {
    "publicRead": ("READER", "allUsers"),
    "publicReadWrite": ("WRITER", "allUsers"),
    "authenticatedRead": ("READER", "allAuthenticatedUsers"),
}


def grants(change: Change, values: Values, context: Context) -> Iterator[Grant]:
    """Yield the grant of each entry of a list."""
    if not values:
        return
    if change.type == "google_bigquery_dataset_access":
        role = get_text(values, "role")
        dataset = get_text(values, "dataset_id") or context.names.of(
            context.referenced_address(change, "dataset_id")
        )
        yield from list_entry_grants(values, ROLES_BY_ENTRY.get(role, role), dataset, change.address)
        return
    whole = change.type.startswith("google_storage_bucket_")
    bucket, object_ = get_text(values, "bucket").removeprefix("b/"), get_text(values, "object")
    kind = "bucket" if whole or not object_ else "object"
    resource = f"{bucket}/{object_}" if kind == "object" else bucket
    roles = BUCKET if whole else OBJECT
    entries = [each.partition(":") for each in get_texts(values, "role_entity")]
    found = [(role, _format_member(entity)) for role, _, entity in entries]
    if get_text(values, "entity"):
        found.append((get_text(values, "role"), _format_member(get_text(values, "entity"))))
    predefined = PREDEFINED.get(get_text(values, "predefined_acl"))
    for role, member in [*found, *([predefined] if predefined else [])]:
        if not member.startswith("project"):  # owners, editors and viewers of the project: Google's default
            yield Grant(
                kind, resource, roles.get(role, f"{role} in its access list"), member, address=change.address
            )


def _format_member(entity: str) -> str:
    """Return an entity such as `user-NAME` as a member of IAM."""
    kind, _, name = entity.partition("-")
    return f"{kind}:{name}" if kind in ("user", "group", "domain") and name else entity
