"""BigQuery datasets: their tables, expiration, recovery and access list."""

from collections.abc import Iterator

from review.data.destruction import destruction_finding
from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import span
from review.google_cloud.grants import Grant
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import (
    Values,
    format_duration,
    get_blocks,
    get_flag,
    get_number,
    get_text,
    get_value,
    is_known,
)

TYPES = ("google_bigquery_dataset",)
REPORTS_DELETION = True
UNDROP = "manually, within 7 days at most (UNDROP SCHEMA), unless another dataset takes its name"
AGES = (
    ("default_table_expiration_ms", "new tables in", "deletes"),
    ("default_partition_expiration_ms", "partitions of new tables in", "deletes"),
)
# Roles of a dataset's own access list → those of IAM.
ROLES_BY_ENTRY = {
    "OWNER": "roles/bigquery.dataOwner",
    "WRITER": "roles/bigquery.dataEditor",
    "READER": "roles/bigquery.dataViewer",
}

# Special groups of a dataset's access list → their prefix in IAM.
SPECIAL = {
    "projectOwners": "projectOwner",
    "projectWriters": "projectEditor",
    "projectReaders": "projectViewer",
}


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what happens to the tables of one dataset."""
    name = span(get_text(change.present, "dataset_id") or context.names.of(change.address))
    if change.destroys:
        yield _destruction_finding(change, context, name)
    if change.before is None or change.after is None:
        return
    for argument, whose, _ in AGES:
        old, new = get_number(change.old, argument) or 0, get_number(change.new, argument) or 0
        if old != new:
            now = f"are deleted after {format_duration(new / 1000)}" if new else "are kept"
            then = f"after {format_duration(old / 1000)}" if old else "kept"
            shorter = bool(new and (not old or new < old))
            yield _retention_finding(
                change, context, f"{whose} dataset {name} {now}; before: {then}", shorter=shorter
            )
    hours = get_number(change.old, "max_time_travel_hours"), get_number(change.new, "max_time_travel_hours")
    if hours[0] and hours[1] and hours[1] < hours[0]:
        sentence = (
            f"deleted data of dataset {name} can be restored for {hours[1]:g} hours instead of {hours[0]:g}"
        )
        yield _retention_finding(change, context, sentence, shorter=True)
    if get_flag(change.new, "delete_contents_on_destroy") and not get_flag(
        change.old, "delete_contents_on_destroy"
    ):
        sentence = f"from now on, destroying dataset {name} deletes its tables (delete_contents_on_destroy)"
        yield _retention_finding(change, context, sentence, shorter=True)


def _retention_finding(change: Change, context: Context, sentence: str, *, shorter: bool) -> Finding:
    severity = Severity.CARE if shorter else Severity.CHANGE
    return Finding(Kind.DATA, severity, context.where(change), sentence, recovery=YES, address=change.address)


def _destruction_finding(change: Change, context: Context, name: str) -> Finding:
    inside = [
        each
        for each in context.of_type("google_bigquery_table", "google_bigquery_routine")
        if each.before is not None and _is_in_dataset(each, change, context)
    ]
    verb = "replaced" if change.action == "replace" else "deleted"
    moved = get_text(change.old, "location").lower() != get_text(change.new, "location").lower()
    because = " because its location changes" if verb == "replaced" and moved else ""
    if get_flag(change.old, "delete_contents_on_destroy"):
        sentence = (
            f"dataset {name} is {verb}{because}, with all its tables, including those that Terraform does "
            "not manage"
        )
        return destruction_finding(
            change, context, sentence, size=95, recovery=UNDROP, deleted_with=inside, noun="table"
        )
    sentence = f"dataset {name} is {verb}{because}: the apply fails unless it is empty"
    return destruction_finding(
        change, context, sentence, size=60, recovery=NO, deleted_with=inside, noun="table"
    )


def _is_in_dataset(other: Change, dataset: Change, context: Context) -> bool:
    id_ = get_value(other.old, "dataset_id")
    if is_known(id_):
        return bool(id_ == get_value(dataset.old, "dataset_id"))
    return context.referenced_address(other, "dataset_id") == dataset.configured_address


def grants(change: Change, values: Values, context: Context) -> Iterator[Grant]:
    """Yield the grants of the dataset's own access list."""
    name = get_text(values, "dataset_id")
    for entry in get_blocks(values, "access"):
        role = get_text(entry, "role")
        # A new dataset always has entries for its project's owners, editors and viewers.
        implied = change.before is None or change.after is None
        project = "" if implied else get_text(values, "project")
        yield from list_entry_grants(
            entry, ROLES_BY_ENTRY.get(role, role), name, change.address, implied=implied, project=project
        )


def list_entry_grants(
    entry: Values, role: str, dataset: str, address: str, *, implied: bool = False, project: str = ""
) -> Iterator[Grant]:
    """Yield the grant of one entry of an access list.

    An entry without a role authorizes a view, a routine or the views of a whole dataset: their users can read
    this dataset without access to it.
    """
    condition = get_text(next(iter(get_blocks(entry, "condition")), {}), "expression")
    if member := _format_authorized_member(entry):
        yield Grant("dataset", dataset, "roles/bigquery.dataViewer", member, condition, address)
        return
    special = get_text(entry, "special_group")
    members = {
        "user_by_email": "user:",
        "group_by_email": "group:",
        "domain": "domain:",
        "iam_member": "",
    }
    member = next(
        (f"{prefix}{get_text(entry, key)}" for key, prefix in members.items() if get_text(entry, key)), ""
    )
    if special:
        prefix = SPECIAL.get(special, "specialGroup")
        group = special if prefix == "specialGroup" else project or "(the dataset's)"
        member = special if special == "allAuthenticatedUsers" else f"{prefix}:{group}"
    if member.startswith("user:") and member.endswith("gserviceaccount.com"):
        member = f"serviceAccount:{member.removeprefix('user:')}"
    if member and not (implied and special.startswith("project")):
        yield Grant("dataset", dataset, role, member, condition, address=address)


def _format_authorized_member(entry: Values) -> str:
    """Return the authorized view, routine or dataset of an entry as a member; empty for a principal."""
    for block, kind, path in (
        ("view", "authorizedView", ("project_id", "dataset_id", "table_id")),
        ("routine", "authorizedRoutine", ("project_id", "dataset_id", "routine_id")),
        ("dataset", "authorizedDataset", ("dataset.project_id", "dataset.dataset_id")),
    ):
        for each in get_blocks(entry, block):
            return f"{kind}:{'.'.join(get_text(each, step) or '?' for step in path)}"
    return ""
